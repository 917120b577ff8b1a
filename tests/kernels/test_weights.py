"""Which kernels grow, wherever their weights are and in whatever numbers."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper

import onnx_n2n
from helpers.enlarging import (
    IMAGE,
    UNPROVEN,
    W,
    attributes,
    check,
    convolution,
    enlarge,
    reasons,
    shapes,
    three,
    weights,
)
from helpers.graphs import TOLERANCE, Judge, model, opened, refer, run
from onnx_n2n.passes import Enlarge

# --- what is chosen


def grown(teacher: onnx.ModelProto, **options: Any) -> dict[str, tuple[int, ...]]:
    student = enlarge(teacher, **options).model
    assert Judge(teacher).error(student) < TOLERANCE
    before = shapes(teacher)
    return {name: shape[2:] for name, shape in shapes(student).items() if shape != before[name]}


def test_which_kernels_grow_and_how_far() -> None:
    teacher = three()
    assert grown(teacher) == {"first": (5, 5), "third": (7, 5)}
    assert grown(teacher, kernel="7") == {"first": (7, 7), "second": (7, 7), "third": (7, 7)}
    assert grown(teacher, kernel="3x9") == {"first": (3, 9), "second": (3, 9)}
    assert grown(teacher, include=("f*",)) == {"first": (5, 5)}
    assert grown(teacher, include=("3x3", "1x1"), kernel="5x5") == {"first": (5, 5), "second": (5, 5)}
    assert grown(teacher, kernel="7", exclude=("1x1", "first")) == {"third": (7, 7)}
    teacher.graph.node[0].name = "stem"
    assert grown(teacher, exclude=("stem",)) == {"third": (7, 5)}


def test_what_cannot_be_had_is_said() -> None:
    teacher = three()
    assert reasons(enlarge(teacher)) == {"second": "its kernel is 1x1, which grows only to a kernel that is stated"}
    assert reasons(enlarge(teacher, kernel="5")) == {}
    assert reasons(enlarge(teacher, kernel="5x3")) == {"third": "its kernel is 5x3 already"}
    assert reasons(enlarge(teacher, kernel="3")) == {
        "first": "its kernel is 3x3 already",
        "third": "its kernel is 5x3, and none shrinks along any axis",
    }
    assert "grows evenly" in reasons(enlarge(teacher, kernel="6"))["first"]
    assert "a kernel of 3 axes does not fit a convolution of 2" in reasons(enlarge(teacher, kernel="3x3x3"))["first"]
    (kept,) = enlarge(teacher, include=("third",), kernel="1").change.kept
    assert (kept.name, kept.size) == ("third", 5)
    with pytest.raises(onnx_n2n.GrowthError, match="there is no convolution that matches 'nothing'"):
        enlarge(teacher, include=("nothing",))
    with pytest.raises(onnx_n2n.GrowthError, match=r"there is no convolution beside '\*'"):
        enlarge(teacher, exclude=("*",))
    nothing = model("y = MatMul(x, W)", "float[4,3] x", "y", W=(3, 8))
    result = enlarge(nothing)
    assert (result.modified, result.change.kept) == (False, ())
    assert result.model is nothing


@pytest.mark.parametrize("kernel", ["0", "3x", "x", "3,3", "-3", "3x0", "three"])
def test_kernels_without_a_meaning(kernel: str) -> None:
    with pytest.raises(onnx_n2n.OptionError, match="of the form 5x5"):
        enlarge(three(), kernel=kernel)


# --- where weights are


def test_a_weight_that_several_read() -> None:
    """All that agree share one weight; what does not grow keeps the old one."""
    body = "h = Conv<pads=[1,1,1,1]>(x, U) a = Conv(h, W) b = Conv<pads=[1,1,1,1], strides=[2,2]>(h, W) "
    teacher = model(f"{body} c = ReduceMean(b) y = Add(a, c)", IMAGE, "y", U=W, W=(4, 4, 3, 3))
    for node, name in zip(teacher.graph.node, "uab", strict=False):
        node.name = name
    judge = Judge(teacher)
    both, one = enlarge(teacher).model, enlarge(teacher, exclude=("b",)).model
    assert shapes(both) == {"U": (4, 3, 5, 5), "W": (4, 4, 5, 5)}
    assert shapes(one) == {"U": (4, 3, 5, 5), "W": (4, 4, 3, 3), "W_2": (4, 4, 5, 5)}
    assert judge.error(both) < TOLERANCE
    assert judge.error(one) < TOLERANCE
    read = model("h = Conv(x, W) m = ReduceMax(W) y = Mul(h, m)", IMAGE, "y", W=W)
    student = enlarge(read).model
    assert shapes(student) == {"W": W, "W_2": (4, 3, 5, 5)}
    assert Judge(read).error(student) < TOLERANCE
    given = model("y = Conv(x, W) z = Identity(W)", IMAGE, "y, z", W=W)
    assert shapes(enlarge(given).model) == {"W": W, "W_2": (4, 3, 5, 5)}
    mixed = model("a = Conv<pads=[1,1,1,1]>(x, W) y = Conv<auto_pad=\"SAME_UPPER\", strides=[4,4]>(x, W)",
                  "float[2,3,H,9] x", "a, y", W=W)  # fmt: skip
    assert shapes(enlarge(mixed).model) == {"W": W, "W_2": (4, 3, 5, 5)}


SHAPE_OF_IT = {
    "the channels alone": ("s = Shape<start=0, end=1>(W)", True),
    "a channel axis from the end": ("t = Shape(W) s = Gather(t, zero)", True),
    "all of it": ("t = Shape(W) s = Gather(t, three)", False),
    "the kernel": ("s = Shape<start=2, end=3>(W)", False),
    "how much it is": ("t = Size(W) s = Reshape(t, minus)", False),
}


@pytest.mark.parametrize("name", SHAPE_OF_IT)
def test_shapes_of_weights_stay_what_they_were(name: str) -> None:
    """Exporters take the length of a bias of zeros from the weight; that is no reason to keep the old one."""
    body, alone = SHAPE_OF_IT[name]
    numbers = {"zero": np.array([-4]), "three": np.array([3]), "minus": np.array([-1])}
    used = {key: value for key, value in numbers.items() if f" {key})" in body}
    teacher = model(f"{body} f = Cast<to=1>(s) h = Conv(x, W) y = Mul(h, f)", IMAGE, "y", W=W, **used)
    student = enlarge(teacher).model
    assert ("W_2" in shapes(student)) is not alone
    assert Judge(teacher).error(student) < TOLERANCE


def test_constants_of_all_kinds() -> None:
    stored = model("h = Conv(x, W) r = Relu(h) y = Conv(r, V)", IMAGE, "y", W=W, V=(2, 4, 3, 3))
    inside = onnx.ModelProto.FromString(stored.SerializeToString())
    (tensor,) = (tensor for tensor in inside.graph.initializer if tensor.name == "W")
    inside.graph.node.insert(0, helper.make_node("Constant", [], ["W"], value=tensor))
    inside.graph.initializer.remove(tensor)
    inside.graph.value_info.append(helper.make_tensor_value_info("W", 1, W))
    student = enlarge(inside).model
    assert tuple(attributes(student.graph.node[0])["value"].dims) == (4, 3, 5, 5)
    assert Judge(stored).error(student) < TOLERANCE
    assert [dim.dim_value for dim in student.graph.value_info[0].type.tensor_type.shape.dim] == [4, 3, 5, 5]


@pytest.mark.parametrize("shared", [False, True])
def test_initializers_that_are_inputs(shared: bool) -> None:
    """Before version 4 of the format all are; a new one has to be, too."""
    body = "h = Conv(x, W) m = ReduceMax(W) y = Mul(h, m)" if shared else "y = Conv(x, W)"
    teacher = model(body, IMAGE, "y", opset=8, W=W)
    teacher.ir_version = 3
    teacher.graph.input.append(helper.make_tensor_value_info("W", 1, W))
    student = enlarge(teacher).model
    declared = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in student.graph.input[1:]}
    assert declared == shapes(student) == ({"W": W, "W_2": (4, 3, 5, 5)} if shared else {"W": (4, 3, 5, 5)})
    assert Judge(teacher).error(student) < TOLERANCE


def test_bodies() -> None:
    branch = "t = Less(m, half) y = If<then_branch=a () => (float[2,4,6,7] p) {{{}}}, else_branch=b () => " \
             "(float[2,4,6,7] q) {{q = Conv(x, V)}}>(t)"  # fmt: skip
    for inner in ("p = Conv(x, W)", "U = Identity(W) p = Conv(x, W) "):
        body = f"m = ReduceMax<keepdims=0>(x) {branch.format(inner)}"
        teacher = model(body, IMAGE, "float[2,4,6,7] y", W=W, V=W, half=2.9)
        student = enlarge(teacher).model
        assert Judge(teacher).error(student) < TOLERANCE
        assert shapes(student)["V"] == (4, 3, 5, 5)
    loop = "y, all = Loop<body=b (int64 i, bool c, float[2,3,8,9] u) => (bool d, float[2,3,8,9] o, float[2,3,8,9] z) " \
           "{d = Identity(c) o = Conv<auto_pad=\"SAME_LOWER\">(u, W) z = Neg(o)}>(n, yes, x)"  # fmt: skip
    teacher = model(loop, IMAGE, "float[2,3,8,9] y, float[3,2,3,8,9] all", W=(3, 3, 3, 3), n=3, yes=True)
    student = enlarge(teacher).model
    assert Judge(teacher).error(student) < TOLERANCE
    assert shapes(student)["W"] == (3, 3, 5, 5)


def test_a_weight_that_belongs_to_a_body() -> None:
    teacher = model("m = ReduceMax<keepdims=0>(x) t = Less(m, half) y = If<then_branch=a () => (float[2,4,6,7] p) "
                    "{p = Conv(x, W)}, else_branch=b () => (float[2,4,6,7] q) {h = Conv(x, W) q = Neg(h)}>(t)",
                    IMAGE, "y", half=2.9, W=W)  # fmt: skip
    (weight,) = (tensor for tensor in teacher.graph.initializer if tensor.name == "W")
    for attribute in teacher.graph.node[2].attribute:
        attribute.g.initializer.append(weight)
    teacher.graph.initializer.remove(weight)
    student = enlarge(teacher).model
    inner = [attribute.g.initializer[0] for attribute in student.graph.node[2].attribute]
    assert [tuple(tensor.dims) for tensor in inner] == [(4, 3, 5, 5)] * 2
    assert Judge(teacher).error(student) < TOLERANCE


def test_what_is_no_constant_is_refused() -> None:
    result = enlarge(model("K = Mul(W, two) y = Conv(x, K)", IMAGE, "y", W=W, two=2.0))
    assert reasons(result) == {"K": "its weight is computed, by Mul 'Mul -> K'"}
    result = enlarge(model("y = Conv(x, K)", f"{IMAGE}, float[4,3,3,3] K", "y"))
    assert reasons(result) == {"K": "its weight is given from outside"}
    result = enlarge(model("o = Conv(x, U) y = DeformConv(x, W, o)", "float[1,3,8,8] x", "y", opset=19, W=W,
                           U=(18, 3, 3, 3)), include=("W",))  # fmt: skip
    assert "the offsets that it is given" in reasons(result)["W"]
    wrong = model("y = Conv<pads=[1,1]>(x, W)", IMAGE, "y", W=W)
    assert "its attribute pads does not fit its kernel" in reasons(enlarge(wrong))["W"]


def test_functions_stay_as_they_are() -> None:
    teacher = model("h = Conv(x, W) y = Conv(h, V)", IMAGE, "y", W=W, V=(3, 4, 3, 3))
    twice = helper.make_function(
        "local", "Layer", ["a", "w"], ["b"], [helper.make_node("Conv", ["a", "w"], ["b"], name="inner")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    teacher.functions.append(twice)
    teacher.graph.node[1].op_type, teacher.graph.node[1].domain = "Layer", "local"
    teacher.opset_import.append(helper.make_opsetid("local", 1))
    result = enlarge(teacher)
    assert reasons(result) == {"w": "it belongs to a function, which stays as it is"}
    assert shapes(result.model) == {"W": (4, 3, 5, 5), "V": (3, 4, 3, 3)}
    assert Judge(teacher).error(result.model) < TOLERANCE


def test_fused_convolutions() -> None:
    body = 'y = com.microsoft.FusedConv<activation="Relu", pads=[1,1,1,1], kernel_shape=[3,3]>(x, W, b, z)'
    teacher = model(body, IMAGE, "y", W=W, b=(4,), z=(2, 4, 8, 9))
    student = Enlarge()(teacher).model
    check(teacher, student)
    for form, operator, shape in [
        ((4, 5, 5, 3), "NhwcConv", (4, 3, 3, 3)),
        ((4, 3, 5, 5), "NhwcFusedConv", (4, 3, 3, 3)),
    ]:
        teacher = model(f"y = com.microsoft.{operator}<pads=[1,1,1,1]>(x, W)", "float[2,8,9,3] x", "y", W=shape)
        result = Enlarge()(teacher, proof=UNPROVEN)
        assert shapes(result.model) == {"W": form}
        assert convolution(result)["pads"] == [2, 2, 2, 2]


# --- numbers


@pytest.mark.parametrize("kind", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_every_precision(kind: Any) -> None:
    dtype, element = {np.float16: ("float16", 10), np.float64: ("double", 11)}.get(kind, ("bfloat16", 16))
    array = np.random.default_rng(0).standard_normal(W).astype(kind)
    teacher = model("y = Conv<pads=[1,1,1,1]>(x, W)", f"{dtype}[2,3,8,9] x", f"{dtype}[2,4,8,9] y", opset=22)
    teacher.graph.initializer.append(ir.serde.serialize_tensor(ir.Tensor(array, name="W")))
    student = enlarge(teacher).model
    (tensor,) = student.graph.initializer
    assert (tensor.data_type, tuple(tensor.dims)) == (element, (4, 3, 5, 5))
    found = ir.serde.deserialize_tensor(tensor).numpy()
    assert np.array_equal(found[:, :, 1:4, 1:4], array)
    assert np.count_nonzero(found) == np.count_nonzero(array)
    if kind is not ml_dtypes.bfloat16:
        runtime = refer if kind is np.float64 else run  # ONNX Runtime has no convolution of doubles
        assert Judge(teacher, runtime=runtime).error(student) < 1e-2


def quantised(seed: int = 0, dtype: type = np.int8) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, W, dtype, endpoint=True)


ZEROS = {"none": None, "one": 7, "each": np.array([1, 5, 9, 30])}


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_quantised_weights_are_padded_by_their_zero_point(zero: str, dtype: type) -> None:
    number = ZEROS[zero]
    given = {} if number is None else {"o": np.asarray(number, dtype)}
    last = "" if number is None else ", o"
    scale = np.linspace(0.01, 0.02, 4, dtype=np.float32) if zero == "each" else np.float32(0.01)
    numbers = {"W": quantised(dtype=dtype), "s": np.asarray(scale), **given}
    dequantised = model(f"K = DequantizeLinear<axis=0>(W, s{last}) y = Conv<strides=[2,1]>(x, K)", IMAGE, "y",
                        **numbers)  # fmt: skip
    dequantised.graph.value_info.append(helper.make_tensor_value_info("K", 1, W))
    student = Enlarge()(dequantised).model
    assert Judge(dequantised).error(student) < TOLERANCE
    assert [dim.dim_value for dim in student.graph.value_info[0].type.tensor_type.shape.dim] == [4, 3, 5, 5]
    larger = weights(student)["W"]
    expected = np.broadcast_to(np.reshape(0 if number is None else number, (-1, 1)), (4, 3))
    assert np.array_equal(larger[:, :, 0, 0], expected)
    assert np.array_equal(larger[:, :, 4, 2], expected)
    if zero == "each":  # ONNX Runtime has no ConvInteger, nor QLinearConv, with these
        return
    body = f"y = ConvInteger<pads=[1,0,1,0]>(x, W, n{last})"
    whole = model(body, "uint8[2,3,8,9] x", "y", n=np.uint8(3), **{"W": numbers["W"], **given})
    assert Judge(whole).error(enlarge(whole).model) == 0
    if dtype is np.uint8 or number is None:
        body = f"q = QLinearConv<pads=[1,0,1,0]>(x, t, n, W, s, {'o' if number is not None else 'm'}, u, l)"
        given = given or {"m": dtype(0)}
        linear = model(f"{body} y = Cast<to=1>(q)", "uint8[2,3,8,9] x", "y", W=numbers["W"], t=np.float32(0.02),
                       u=np.float32(0.02), n=np.uint8(3), l=np.uint8(128),
                       s=np.asarray(scale), **given)  # fmt: skip
        judge = Judge(linear)
        assert judge.meaningful
        assert judge.error(enlarge(linear).model) == 0


def test_quantised_weights_that_cannot_grow() -> None:
    w, s = quantised(), np.float32(0.01)
    shared = model("K = DequantizeLinear(W, s) a = Conv(x, K) m = ReduceMax(K) y = Mul(a, m)", IMAGE, "y", W=w, s=s)
    assert reasons(enlarge(shared)) == {"W": "its quantised weight is read by others too"}
    both = model("K = DequantizeLinear(W, s) a = Conv(x, K) b = Conv<auto_pad=\"SAME_LOWER\">(x, K) m = ReduceMax(b) "
                 "y = Mul(a, m)", IMAGE, "y", W=w, s=s)  # fmt: skip
    assert shapes(enlarge(both).model)["W"] == (4, 3, 5, 5)
    assert Judge(both).error(enlarge(both).model) < TOLERANCE
    for node, name in zip(both.graph.node, ("d", "first", "second", "m", "y"), strict=True):
        node.name = name
    assert "read by others" in reasons(enlarge(both, exclude=("second",)))["W"]
    split = model("K = DequantizeLinear(W, s) J = DequantizeLinear(W, r) a = Conv(x, K) b = ReduceMax(J) y = Mul(a, b)",
                  IMAGE, "y", W=w, s=s, r=np.float32(0.02))  # fmt: skip
    student = enlarge(split).model
    assert shapes(student)["W_2"] == (4, 3, 5, 5)
    assert Judge(split).error(student) < TOLERANCE
    blocks = model("K = DequantizeLinear<axis=2>(W, s) y = Conv(x, K)", IMAGE, "y", W=w,
                   s=np.linspace(0.01, 0.02, 3, dtype=np.float32))  # fmt: skip
    assert "quantised by blocks" in reasons(enlarge(blocks))["W"]


def test_weights_are_made_only_when_they_are_read() -> None:
    working = opened(three())
    Enlarge().change(working, UNPROVEN, None)
    assert isinstance(working.graph.initializers["first"].const_value, ir.LazyTensor)
