"""Element types that follow from those of operands, where inference of whole models stops."""

from __future__ import annotations

import pytest

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from helpers.probes import CASES, Case
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.graph.shapes import derived_types, infer_shapes

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
