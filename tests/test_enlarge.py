"""Larger kernels compute what the smaller ones did, and what is new around them can learn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from click.testing import CliRunner
from graphs import TOLERANCE, WRONG, Judge, model, opened, refer, run
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx_n2n.passes import Enlarge, Sequential, parse

import onnx_n2n
from onnx_n2n import kernels
from onnx_n2n.analysis import analyze
from onnx_n2n.cli import main
from onnx_n2n.delivery import Proof
from onnx_n2n.report import Result

IMAGE = "float[2,3,8,9] x"
OUT = "float[N,M,P,Q] y"  # where ONNX cannot say more
W, V = (4, 3, 3, 3), (2, 4, 1, 1)
UNPROVEN = Proof(wanted=False)


def enlarge(teacher: onnx.ModelProto, *, proof: Proof = UNPROVEN, **options: Any) -> Result[onnx.ModelProto]:
    result = Enlarge(**options)(teacher, proof=proof)
    if result.modified:
        onnx.checker.check_model(result.model, full_check=True)
    return result


def weights(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in weights(proto).items()}


def reasons(result: Result[Any]) -> dict[str, str]:
    return {kept.name: kept.reason for kept in result.change.kept}


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def with_weight(proto: onnx.ModelProto, name: str, array: np.ndarray) -> onnx.ModelProto:
    changed = onnx.ModelProto.FromString(proto.SerializeToString())
    for tensor in changed.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    return changed


def ring(larger: np.ndarray, smaller: np.ndarray) -> tuple[slice, ...]:
    """The middle of a larger weight, where the smaller one is."""
    return tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(larger.shape, smaller.shape, strict=True))


def check(teacher: onnx.ModelProto, student: onnx.ModelProto, name: str = "W", *, judge: Judge | None = None) -> None:
    """The student is right, its weight is the teacher's with zeros around it, and neither could be otherwise."""
    judge = judge or Judge(teacher)
    assert judge.meaningful
    assert judge.error(student) < TOLERANCE
    old, new = weights(teacher)[name], weights(student)[name]
    middle = ring(new, old)
    assert new.size > old.size
    assert np.array_equal(new[middle], old)
    assert np.count_nonzero(new) == np.count_nonzero(old)
    axis = next(axis for axis in range(old.ndim) if new.shape[axis] > old.shape[axis])
    assert judge.error(with_weight(student, name, np.roll(new, 1, axis))) > WRONG  # the centre has moved
    trained = np.full_like(new, 0.5)
    trained[middle] = old
    assert judge.error(with_weight(student, name, trained)) > WRONG  # what is new is read


# --- the law


@st.composite
def layers(draw: st.DrawFn) -> dict[str, Any]:
    transposed = draw(st.booleans())
    mode = draw(st.sampled_from(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    dilated = transposed or not mode.startswith("SAME")  # what ONNX Runtime can run
    count = draw(st.integers(1, 3))

    def numbers(low: int, high: int, times: int = 1) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=count * times, max_size=count * times))

    strides, dilations = numbers(1, 3), numbers(1, 2) if dilated else [1] * count
    found = {"strides": strides, "dilations": dilations, "group": draw(st.sampled_from([1, 2]))}
    if mode != "NOTSET":
        found["auto_pad"] = mode
    elif draw(st.booleans()):
        found["pads"] = numbers(0, 1, times=2)
    if transposed and draw(st.booleans()):
        found["output_padding"] = [min(each, stride - 1) for each, stride in zip(numbers(0, 2), strides, strict=True)]
    kernel, margin = numbers(1, 4), numbers(0, 2)
    margin[0] = max(margin[0], 1)
    if draw(st.booleans()):
        found["kernel_shape"] = kernel
    return {
        "transposed": transposed, "attributes": found, "kernel": kernel, "lengths": numbers(7, 9),
        "wanted": [k + 2 * m for k, m in zip(kernel, margin, strict=True)],
        "opset": draw(st.sampled_from([7, 11, 17, 22])),
    }  # fmt: skip


def layer(
    operator: str,
    attributes: dict[str, Any],
    kernel: Sequence[int],
    lengths: Sequence[object],
    *,
    opset: int = 17,
    output: str = "y",
) -> onnx.ModelProto:
    """``y = operator(x, W, b)``, from 4 channels to 6."""
    group = attributes.get("group", 1)
    said = ", ".join(f'{k}="{v}"' if isinstance(v, str) else f"{k}={v}" for k, v in attributes.items())
    shape = (4, 6 // group, *kernel) if operator == "ConvTranspose" else (6, 4 // group, *kernel)
    places = ",".join(map(str, lengths))
    body = f"y = {operator}<{said}>(x, W, b)" if said else f"y = {operator}(x, W, b)"
    return model(body, f"float[2,4,{places}] x", output, opset=opset, W=shape, b=(6,))


def text(kernel: Sequence[int]) -> str:
    return "x".join(map(str, kernel))


def sees_nothing(teacher: onnx.ModelProto, kernel: str) -> bool:
    """Say whether what a kernel gets along some axis makes no difference, whatever it holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_blind", lambda *_: False)
        student = enlarge(teacher, kernel=kernel).model
    judge, old, new = Judge(teacher), weights(teacher)["W"], weights(student)["W"]
    for axis in range(2, old.ndim):
        trained = np.full_like(new, 0.5)
        places = [slice(None)] * old.ndim
        places[axis] = ring(new, old)[axis]
        trained[tuple(places)] = new[tuple(places)]
        if new.shape[axis] > old.shape[axis] and judge.error(with_weight(student, "W", trained)) < TOLERANCE:
            return True
    return False


@settings(deadline=None, derandomize=True, max_examples=150)
@given(layers())
def test_any_convolution_computes_the_same(drawn: dict[str, Any]) -> None:
    operator = "ConvTranspose" if drawn["transposed"] else "Conv"
    teacher = layer(operator, drawn["attributes"], drawn["kernel"], drawn["lengths"], opset=drawn["opset"])
    result = enlarge(teacher, kernel=text(drawn["wanted"]))
    if result.change.kept:  # two things may bar it
        said, axes = drawn["attributes"], range(len(drawn["kernel"]))
        if "padding only" in reasons(result)["W"]:
            assert sees_nothing(teacher, text(drawn["wanted"]))
            return
        spans = [said["dilations"][a] * (drawn["kernel"][a] - 1) + 1 for a in axes]
        assert said["auto_pad"].startswith("SAME")
        assert any(spans[a] < said["strides"][a] for a in axes)
        assert "runtimes differ" in reasons(result)["W"]
        return
    assert [(each.place, each.what, each.weights) for each in result.change.added] == [
        ("W", f"kernel {text(drawn['kernel'])} -> {text(drawn['wanted'])}", ("W",))
    ]
    check(teacher, result.model)


@pytest.mark.parametrize("said", [{}, {"pads": [1, 1, 1, 1]}, {"dilations": [2, 2], "pads": [2, 2, 2, 2]}])
@pytest.mark.parametrize("more", [[0, 0, 0, 0], [2, 2, 0, 0], [0, 0, 2, 2]])
def test_a_kernel_without_its_padding_is_wrong(
    said: dict[str, Any], more: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = layer("Conv", said, (3, 3), (8, 9))
    check(teacher, enlarge(teacher).model)
    dilation = said.get("dilations", [1])[0]
    wrong = [pad + dilation * extra for pad, extra in zip(said.get("pads", [0] * 4), more, strict=True)]
    monkeypatch.setattr(kernels, "_pads", lambda *_: tuple(wrong))
    with pytest.raises(onnx_n2n.VerificationError):
        Enlarge()(teacher)
    if any(more):  # else the result is smaller
        assert Judge(teacher).error(Enlarge()(teacher, proof=UNPROVEN).model) > WRONG


# --- padding


def convolution(result: Result[onnx.ModelProto]) -> dict[str, Any]:
    return attributes(next(node for node in result.model.graph.node if "Conv" in node.op_type))


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("length", [7, 8, 9, 10, 12])
@pytest.mark.parametrize("lengths", ["known", "free"])
def test_automatic_padding(mode: str, length: int, lengths: str) -> None:
    """It stays where the kernel covers the stride; where not, it depends on the length."""
    for kernel, stride in [(1, 1), (3, 1), (4, 2), (3, 3), (1, 2), (2, 3), (1, 3), (1, 4), (2, 4)]:
        shape = [length, 9] if lengths == "known" else ["H", "W"]
        said = {"auto_pad": mode, "strides": [stride, 1]}
        result = enlarge(layer("Conv", said, (kernel, 3), shape), kernel=f"{kernel + 2}x5")
        known = layer("Conv", said, (kernel, 3), (length, 9))
        missing = (-(-length // stride) - 1) * stride + kernel - length
        if kernel < stride and lengths == "free":
            assert "depends on the lengths of its input" in reasons(result)["W"]
        elif missing < -1:
            assert "runtimes differ" in reasons(result)["W"]
        else:
            stays = convolution(result).get("auto_pad", b"").decode() == mode
            assert stays == (missing >= 0)
            student = onnx.ModelProto.FromString(result.model.SerializeToString())
            student.graph.input[0].CopyFrom(known.graph.input[0])
            check(known, student)


def test_automatic_padding_of_a_dilated_kernel() -> None:
    """ONNX Runtime has none, but ONNX has."""
    for mode in ("SAME_UPPER", "SAME_LOWER"):
        teacher = layer("Conv", {"auto_pad": mode, "dilations": [2, 1]}, (3, 3), (8, 9))
        check(teacher, enlarge(teacher).model, judge=Judge(teacher, runtime=refer))


@pytest.mark.parametrize("stated", [[13, 15], [14, 17], [16, 18], [17, 19]])
@pytest.mark.parametrize("mode", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
def test_stated_lengths_of_a_transposed_convolution(stated: list[int], mode: str) -> None:
    said = {"strides": [2, 2], "output_shape": stated, "auto_pad": mode}
    said |= {"pads": [7, 7, 7, 7]} if mode == "NOTSET" else {}  # which count for nothing
    teacher = layer("ConvTranspose", said, (4, 3), (8, 9), output=OUT)
    check(teacher, enlarge(teacher).model)
    free = enlarge(layer("ConvTranspose", said, (4, 3), ("H", "W"), output=OUT))
    assert "depends on the lengths" in reasons(free)["W"]
    longer = enlarge(layer("ConvTranspose", said | {"output_shape": [19, 20]}, (4, 3), (8, 9), output=OUT))
    assert "runtimes differ" in reasons(longer)["W"]


def test_free_lengths_do_not_matter_to_stated_padding() -> None:
    teacher = model("y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, W)", "float[N,3,H,W] x", "y", W=W)
    student = enlarge(teacher).model
    assert Judge(teacher).error(student) < TOLERANCE
    assert student.graph.input[0] == teacher.graph.input[0]


def test_a_kernel_that_sees_all_there_is_stays() -> None:
    """More of it would see nothing but padding, and never learn."""
    for said, kernel in [({}, (8, 3)), ({"pads": [1, 1, 1, 1]}, (10, 3)), ({"strides": [4, 1]}, (8, 3))]:
        result = enlarge(layer("Conv", said, kernel, (8, 9)))
        assert "would see padding only" in reasons(result)["W"]
        wide = enlarge(layer("Conv", said, kernel, (8, 9)), kernel=f"{kernel[0]}x5")
        check(layer("Conv", said, kernel, (8, 9)), wide.model)
        assert enlarge(layer("Conv", said, kernel, ("H", 9))).modified
    almost = layer("Conv", {}, (7, 3), (8, 9))
    check(almost, enlarge(almost).model)


# --- what is chosen


def three(**weights: Any) -> onnx.ModelProto:
    body = "h = Conv<pads=[1,1,1,1]>(x, first) r = Relu(h) a = Conv(r, second) s = Relu(a) y = Conv(s, third)"
    return model(body, IMAGE, "y", first=W, second=(4, 4, 1, 1), third=(2, 4, 5, 3))


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


# --- with others


def test_the_trace_is_that_of_the_student() -> None:
    """Every tensor is where it was; a weight has the teacher's places in its middle."""
    working = opened(three())
    trace = Enlarge().change(working, UNPROVEN, None).trace
    assert trace["h"] == (None,) * 4
    assert [None if index is None else index.tolist() for index in trace["first"]] == [
        None, None, [-1, 0, 1, 2, -1], [-1, 0, 1, 2, -1]
    ]  # fmt: skip


def test_the_record_says_how_weights_are_made() -> None:
    teacher = three()
    result = enlarge(teacher)
    (step,) = result.change.steps
    old, new = weights(teacher), weights(result.model)
    assert [each.teacher for each in step.remade] == ["first", "third"]
    for each in step.remade:
        assert np.array_equal(each.recipe.make(old[each.teacher]), new[each.student])
        gradient = each.gradient(np.ones_like(old[each.teacher]))
        assert gradient.shape == new[each.student].shape
        assert gradient.sum() == old[each.teacher].size
    assert enlarge(teacher, kernel="1").change.steps == ()


@pytest.mark.parametrize("passes", [
    "enlarge,widen{factor=1.5}", "widen{factor=1.5},enlarge", "enlarge,enlarge{kernel=9},deepen", "deepen,enlarge",
])  # fmt: skip
def test_passes_compose(passes: str) -> None:
    teacher = model("h = Conv<pads=[1,1,1,1]>(x, W) r = Relu(h) d = Conv<group=4, auto_pad=\"SAME_UPPER\">(r, D) "
                    "u = ConvTranspose<strides=[2,2]>(d, U) s = Relu(u) y = Conv(s, V)", IMAGE, "y",
                    W=W, D=(4, 1, 3, 3), U=(4, 6, 2, 2), V=(3, 6, 3, 3))  # fmt: skip
    result = parse(passes)(teacher)
    assert result.report.verdict.ok
    assert Judge(teacher).error(result.model) < TOLERANCE
    grown = shapes(result.model)
    wide, side = ("widen" in passes), (9 if "kernel=9" in passes else 5)
    assert grown["W"] == (6 if wide else 4, 3, side, side)
    if "kernel=9" in passes:
        assert reasons(result) == {"U": "its kernel is 4x4, which only grows evenly, by as much on both sides"}


@pytest.mark.parametrize("text", [
    "enlarge", "enlarge{kernel=5x5}", "enlarge{kernel=7,include=a* 3x3,exclude=b}", "widen,enlarge{kernel=1x9}",
])  # fmt: skip
def test_passes_are_read_as_they_are_written(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)
    assert isinstance(parse(text), Sequential)


def test_the_same_model_gives_the_same_bytes_and_a_history() -> None:
    one, other = (enlarge(three()).model.SerializeToString() for _ in range(2))
    assert one == other
    assert "enlarge" in {e.text for e in onnx_n2n.lineage.history(opened(enlarge(three()).model))}


def test_groups_are_what_they_were() -> None:
    """Larger kernels leave what may grow wider alone."""
    teacher = three()
    before, after = (analyze(opened(proto)) for proto in (teacher, enlarge(teacher).model))
    assert [(g.name, g.size) for g in before.groups] == [(g.name, g.size) for g in after.groups]


# --- the command line


def call(*arguments: object) -> Any:
    return CliRunner().invoke(main, list(map(str, arguments)), prog_name="onnx-n2n")


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(three(), "net.onnx")
    result = call("enlarge", "net.onnx", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert (document["pass"], document["student"]) == ("enlarge", "net.enlarged.onnx")
    assert document["added"][0]["what"] == "kernel 3x3 -> 5x5"
    assert document["verification"]["ok"]
    assert shapes(onnx.load("net.enlarged.onnx"))["first"] == (4, 3, 5, 5)
    result = call("enlarge", "net.onnx", "-o", "out.onnx", "--kernel", "7x7", "--include", "3x3")
    assert result.exit_code == 0
    assert "kernel 3x3 -> 7x7" in result.stderr
    for line, code, says in [
        ("enlarge net.onnx --kernel 6", 3, "no kernel can grow as asked: 'first': its kernel is 3x3, which only grows"),
        ("enlarge net.onnx --include 9x9", 3, "there is no convolution that matches '9x9'"),
        ("enlarge net.onnx --kernel 3y3", 2, "of the form 5x5"),
        ("enlarge flat.onnx", 3, "no kernel can grow: there is no convolution in the model"),
    ]:
        onnx.save(model("y = MatMul(x, W)", "float[4,3] x", "y", W=(3, 8)), "flat.onnx")
        result = call(*line.split(), "-o", "new.onnx")
        assert (result.exit_code, result.stdout) == (code, "")
        assert says in result.stderr
        assert not Path("new.onnx").exists()
