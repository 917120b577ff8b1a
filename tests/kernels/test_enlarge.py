"""Larger kernels compute what the smaller ones did, and what is new around them can learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.enlarging import (
    OUT,
    UNPROVEN,
    W,
    check,
    convolution,
    enlarge,
    layer,
    reasons,
    ring,
    weights,
    with_weight,
)
from helpers.graphs import TOLERANCE, WRONG, Judge, model, refer
from onnx_n2n.kernels import padding
from onnx_n2n.passes import Enlarge

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


def text(kernel: Sequence[int]) -> str:
    return "x".join(map(str, kernel))


def sees_nothing(teacher: onnx.ModelProto, kernel: str) -> bool:
    """Say whether what a kernel gets along some axis makes no difference, whatever it holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(padding, "_blind", lambda *_: False)
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


@settings(derandomize=True, max_examples=150)
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
    monkeypatch.setattr(padding, "_pads", lambda *_: tuple(wrong))
    with pytest.raises(onnx_n2n.VerificationError):
        Enlarge()(teacher)
    if any(more):  # else the result is smaller
        assert Judge(teacher).error(Enlarge()(teacher, proof=UNPROVEN).model) > WRONG


# --- padding


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("length", [7, 8, 9, 10, 12])
@pytest.mark.parametrize("lengths", ["known", "free"])
@pytest.mark.parametrize("across", [3, 4])
def test_automatic_padding(mode: str, length: int, lengths: str, across: int) -> None:
    """It stays where the kernel covers the stride; where not, it depends on the length.

    Along the other axis an even kernel needs one place more on one side, which ``mode`` says.
    """
    for kernel, stride in [(1, 1), (3, 1), (4, 2), (3, 3), (1, 2), (2, 3), (1, 3), (1, 4), (2, 4)]:
        shape = [length, 9] if lengths == "known" else ["H", "W"]
        said = {"auto_pad": mode, "strides": [stride, 1]}
        result = enlarge(layer("Conv", said, (kernel, across), shape), kernel=f"{kernel + 2}x{across + 2}")
        known = layer("Conv", said, (kernel, across), (length, 9))
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
