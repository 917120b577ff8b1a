"""Shapes and element types where inference of whole models stops."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from helpers.graphs import TOLERANCE, Judge, grow, model, opened, run
from helpers.probes import CASES, Case
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.graph.shapes import STANDARD, derived_types, infer_shapes

NAMED = {f"{operator}-{number}": probe for operator, probes in CASES.items() for number, probe in enumerate(probes)}


@pytest.mark.parametrize("probe", NAMED.values(), ids=NAMED)
def test_what_is_derived_is_what_inference_finds(probe: Case) -> None:
    teacher = opened(probe.teacher)
    found = {value: known.dtype for value, known in infer_shapes(teacher).items()}
    found |= {value: value.dtype for value in teacher.graph.initializers.values()}
    derived = 0
    for node in teacher.graph:
        given = [found.get(value) if value is not None else None for value in node.inputs]
        version = teacher.opset_imports.get(node.domain, 1)
        for output, dtype in zip(node.outputs, derived_types(node, version, given), strict=True):
            if dtype is not None and found.get(output) is not None:
                assert dtype == found[output], node
                derived += 1
    assert derived


def test_heads_grow_behind_an_operator_of_the_optimiser() -> None:
    body = (
        "h = MatMul(x, W) n = com.microsoft.SkipLayerNormalization(h, h, g) q = MatMul(n, Q) k = MatMul(n, K) "
        "v = MatMul(n, V) a = com.microsoft.MultiHeadAttention<num_heads=2>(q, k, v) z = MatMul(a, O) "
        "y = Cast<to=1>(z)"
    )
    shapes = {"W": (3, 8), "g": (8,), "Q": (8, 8), "K": (8, 8), "V": (8, 8), "O": (8, 3)}
    teacher = model(body, "float[2,5,3] x", "y", **shapes)
    assert sorted(group.size for group in analyze(opened(teacher)).groups if group.members) == [2, 4, 4, 8]
    assert Judge(teacher).error(grow(teacher, factor=1.5)[0]) < TOLERANCE


TWIN_NODES = {
    "QuantizeLinear": "t = com.microsoft.QuantizeLinear(x, scale, zero) y = DequantizeLinear(t, scale, zero)",
    "DequantizeLinear": "t = QuantizeLinear(x, scale, zero) y = com.microsoft.DequantizeLinear(t, scale, zero)",
    "FusedConv": "y = com.microsoft.FusedConv<activation=\"Relu\", strides=[2,1], pads=[1,0,1,0]>(x, kernel, bias)",
    "FusedConv ": "c = Conv(x, kernel, bias) y = com.microsoft.FusedConv<activation=\"Relu\">(x, kernel, bias, c)",
    "FusedGemm": "m = Reshape(x, flat) y = com.microsoft.FusedGemm<activation=\"Relu\", transB=1>(m, rows, bias)",
    "BiasGelu": "y = com.microsoft.BiasGelu(x, five)",
    "Gelu": "y = com.microsoft.Gelu(x)",
    "FastGelu": "y = com.microsoft.FastGelu(x, five)",
    "QuickGelu": "y = com.microsoft.QuickGelu(x)",
    "SkipLayerNormalization": "m = Squeeze(x, axis) y = com.microsoft.SkipLayerNormalization(m, m, five, five)",
    "SkipSimplifiedLayerNormalization": "m = Squeeze(x, axis) "
    "y = com.microsoft.SkipSimplifiedLayerNormalization(m, m, five)",
}


@pytest.mark.parametrize("kind", TWIN_NODES)
def test_the_shape_behind_an_operator_of_the_optimiser_is_what_it_makes(kind: str) -> None:
    constants = {"kernel": (4, 1, 3, 2), "bias": (4,), "rows": (4, 30), "five": (5,), "flat": [1, 30], "axis": [1]}
    quantised = {"scale": np.float32(0.1), "zero": np.uint8(7)}
    teacher = model(TWIN_NODES[kind], "float[1,1,6,5] x", "y", opset=17, **constants, **quantised)
    (made,) = run(teacher, {"x": np.ones((1, 1, 6, 5), np.float32)})
    graph = opened(teacher)
    graph.graph.outputs[0].shape = None
    found = infer_shapes(graph)[graph.graph.outputs[0]]
    assert found.lengths == made.shape
    assert found.dtype == ir.DataType.FLOAT


def test_every_such_operator_is_tried() -> None:
    assert {kind.strip() for kind in TWIN_NODES} == set(STANDARD)


def test_a_mean_over_places_behind_a_fused_convolution_has_a_length() -> None:
    """So fresh channels have a bound there, and need not be copies."""
    body = 'c = com.microsoft.FusedConv<activation="Relu">(x, a) d = Conv(c, k) g = GlobalAveragePool(d) y = Conv(g, z)'
    kinds = {"a": (4, 3, 1, 1), "k": (6, 4, 3, 3), "z": (2, 6, 1, 1)}
    _, growth = grow(model(body, "float[N,3,8,8] x", "y", **kinds), factor=1.5)
    assert [grown.copies for grown in growth.grown] == ["", ""]
