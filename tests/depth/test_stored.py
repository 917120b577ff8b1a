"""Weights that are stored in one type and cast to another are weights: depth is made as it is without the casts."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from helpers.deepening import (
    BLOCKS,
    BN,
    CONV,
    EXACT,
    FLAT,
    IMAGE,
    NORM,
    ROWS,
    C,
    V,
    W,
    block,
    check_learning,
    deepen,
    new_weights,
    resnet,
    stored_in,
)
from helpers.graphs import Judge, model, opened
from onnx_n2n import exact
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.depth.places import places
from onnx_n2n.errors import GrowthError
from onnx_n2n.passes import Deepen, Widen

KINDS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float64": np.float64}
LAYERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "convolution": (IMAGE, f"{CONV} r = Relu(h) y = Conv(r, V)", {"W": W, "c": C, "V": V}),
    "norm": (IMAGE, f"{CONV} {NORM} r = Relu(n) y = Conv(r, V)", {"W": W, "c": C, "V": V, **BN}),
    "Gemm": (FLAT, "h = Gemm<transB=1>(x, W, c) r = Relu(h) y = Gemm(r, V)", {"W": (8, 3), "c": C, "V": (8, 3)}),
    "MatMul": (ROWS, "t = Transpose<perm=[1,0]>(W) h = MatMul(x, t) k = Add(c, h) r = Relu(k) y = MatMul(r, V)",
               {"W": (8, 3), "c": C, "V": (8, 3)}),
    "no idempotent activation": (ROWS, "h = MatMul(x, W) k = Add(h, c) s = Sigmoid(k) m = Mul(s, a) r = Mul(k, m) "
                                 "y = MatMul(r, V)", {"W": (3, 8), "c": C, "a": C, "V": (8, 3)}),
    "recurrent": ("float[6,2,3] x", "h = LSTM<hidden_size=5>(x, W, R, B) y = ReduceSum(h)",
                  {"W": (1, 20, 3), "R": (1, 20, 5), "B": (1, 40)}),
}  # fmt: skip
TEACHERS = {
    **{name: block(body) for name, (body, _) in BLOCKS.items()},
    **{name: model(body, inputs, "y", **weights) for name, (inputs, body, weights) in LAYERS.items()},
    "residual convolutions": resnet(),
}


def found(teacher: onnx.ModelProto) -> list[Any]:
    return [(place.name, place.kind, place.names[0]) for place in places(analyze(opened(teacher))).found]


@pytest.mark.parametrize("casts", [1, 9])
@pytest.mark.parametrize("name", TEACHERS)
def test_depth_is_what_it_is_without_casts(name: str, casts: int) -> None:
    teacher = TEACHERS[name]
    before = stored_in(np.float16, teacher, casts=casts)
    assert found(before) == found(teacher) != []
    judge = Judge(before)
    after = deepen(before)
    assert judge.error(after) < EXACT
    assert new_weights(before, after) == new_weights(teacher, deepen(teacher))
    if name != "norm":
        check_learning(before, after, judge)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pre-norm", "convolution", "MatMul", "recurrent"])
def test_what_is_new_is_stored_as_the_rest_and_adds_exactly_zero(name: str, kind: str) -> None:
    teacher = stored_in(KINDS[kind], TEACHERS[name])
    after = deepen(teacher)
    types = {tensor.data_type for tensor in after.graph.initializer if tensor.data_type != TensorProto.INT64}
    assert types == {onnx.helper.np_dtype_to_tensor_dtype(np.dtype(KINDS[kind]))}
    assert exact.check(teacher, after).state == "equal"


def test_casts_of_what_is_shared_are_shared() -> None:
    teacher = stored_in(np.float16, block(BLOCKS["pre-norm"][0]))
    casts = [node for node in deepen(teacher, count=1).graph.node if node.op_type == "Cast"]
    new = [node for node in casts if node.input[0].endswith("_deeper")]
    assert len({node.input[0] for node in casts}) == len(casts)
    assert [node.input[0] for node in new] == [f"{name}_deeper" for name in ("g", "b", "Q", "K", "S", "O")]


ROW = "".join(
    f" n{at} = LayerNormalization(h{at}, h_{at}_norm_weight, h_{at}_norm_bias) u{at} = MatMul(n{at}, h_{at}_up_weight) "
    f"r{at} = Relu(u{at}) m{at} = MatMul(r{at}, h_{at}_down_weight) h{at + 1} = Add(h{at}, m{at})"
    for at in (0, 1)
)
LAYER = {"norm_weight": (8,), "norm_bias": (8,), "up_weight": (8, 12), "down_weight": (12, 8)}
WEIGHTS = {"front_weight": (3, 8), "back_weight": (8, 3),
           **{f"h_{at}_{name}": shape for at in (0, 1) for name, shape in LAYER.items()}}  # fmt: skip


def dotted(body: str, weights: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """Return a network whose weights have the names that PyTorch gives them."""
    found = model(f"h0 = MatMul(x, front_weight) {body} y = MatMul(h2, back_weight)", ROWS, "y", **weights)
    names = {name: name.replace("_", ".") for name in weights}
    for node in found.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    for tensor in found.graph.initializer:
        tensor.name = names[tensor.name]
    return found


@pytest.mark.parametrize("before", [None, Widen(factor=1.25)])
@pytest.mark.parametrize("after", [None, Widen(factor=1.5), Widen(factor=1.5, init="net2net", seed=3)])
def test_checkpoints_follow_with_the_student_and_without(before: Widen | None, after: Widen | None) -> None:
    teacher = stored_in(np.float16, dotted(ROW, WEIGHTS))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in teacher.graph.initializer}
    result = record = None
    for each in filter(None, (before, Deepen(count=1), after)):
        result = each(teacher if result is None else result.model)
        record = result.growth if record is None else record.joined(result.growth)
    assert record is not None
    grown = grow(record, arrays, student=opened(result.model))
    layer = [name.replace("_", ".") for name in LAYER]
    moved = {f"h.{at}.{name}": f"h.{at + 1}.{name}" for at in (0, 1) for name in layer}
    assert grown.renamed == moved
    assert not grown.arrays["h.0.down.weight"].any()
    for tensor in result.model.graph.initializer:
        name = tensor.name.replace("_deeper", "") if "_deeper" in tensor.name else moved.get(tensor.name, tensor.name)
        if name in grown.arrays:
            assert grown.arrays[name].dtype == np.float16
            np.testing.assert_array_equal(grown.arrays[name], numpy_helper.to_array(tensor))
    assert len(grown.arrays) == len(arrays) + len(layer)
    alone = grow(record, arrays)
    assert list(alone.arrays) == list(grown.arrays)
    for name, array in alone.arrays.items():
        np.testing.assert_array_equal(array, grown.arrays[name])


def test_a_parameter_that_would_be_two_in_a_copy_is_named() -> None:
    """A layer uses one weight twice; in its copy the last use is of zeros."""
    weights = {"front_weight": (3, 8), "h_0_a_weight": (8, 8), "back_weight": (8, 3)}
    teacher = dotted("u = MatMul(h0, h_0_a_weight) r = Relu(u) m = MatMul(r, h_0_a_weight) h2 = Add(h0, m)", weights)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in teacher.graph.initializer}
    result = Deepen()(teacher)
    new = [each.student for each in result.growth.steps[0].new]
    assert len(new) == 2
    with pytest.raises(GrowthError, match="would be two parameters"):
        grow(result.growth, arrays, student=opened(result.model))
    grown = grow(result.growth, arrays, student=opened(result.model), given={new[1]: "h.0.last.weight"})
    np.testing.assert_array_equal(grown.arrays["h.0.a.weight"], arrays["h.0.a.weight"])
    assert not grown.arrays["h.0.last.weight"].any()
