"""Groups that end where nothing else does: what lines up from both ends grows, or copies stand side by side."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze

JOINED = "a = Conv(x, w1) b = Conv(x, w2) c = Concat<axis=1>(a, b)"
WRITTEN = "r = Reshape(c, groups) n = InstanceNormalization(r, one, zero) s = Shape(c) g = Reshape(n, s)"
ONES, ZEROS = np.ones(2, np.float32), np.zeros(2, np.float32)
NORM = {"groups": np.array([0, 2, -1]), "one": ONES, "zero": ZEROS}
SHUFFLED = "r = Reshape(h, apart) t = Transpose<perm=[0, 2, 1, 3, 4]>(r) g = Reshape(t, back)"
X = "float[1,3,4,4] x"
TEACHERS = {
    "norm over a border": model(
        f"{JOINED} {WRITTEN} m = Mul(g, gain) y = Conv(m, w3)", X, "y", w1=(4, 3, 1, 1), w2=(2, 3, 1, 1),
        gain=(6, 1, 1), w3=(3, 6, 1, 1), **NORM,
    ),
    "GroupNormalization over a border": model(
        f"{JOINED} g = GroupNormalization<num_groups=2>(c, gain, bias) y = Conv(g, w3)", X, "float[1,3,4,4] y",
        opset=21, w1=(4, 3, 1, 1), w2=(2, 3, 1, 1), gain=(6,), bias=(6,), w3=(3, 6, 1, 1),
    ),
    "convolution over a border": model(
        f"{JOINED} g = Conv<group=2>(c, w4) y = Conv(g, w3)", X, "y", w1=(4, 3, 1, 1), w2=(2, 3, 1, 1), w4=(4, 3, 1, 1),
        w3=(3, 4, 1, 1),
    ),
    "residual around a norm over a border": model(
        f"{JOINED} {WRITTEN} m = Relu(g) k = Conv(m, w4) z = Add(c, k) y = Conv(z, w3)", X, "y", w1=(4, 3, 1, 1),
        w2=(2, 3, 1, 1), w4=(6, 6, 1, 1), w3=(3, 6, 1, 1), **NORM,
    ),
    "groups that cut a multiplier": model(
        "h = Conv(x, w1) d = Conv<group=6>(h, w2) g = Conv<group=4>(d, w4) y = Conv(g, w3)", X, "y", w1=(6, 3, 1, 1),
        w2=(24, 1, 1, 1), w4=(8, 6, 1, 1), w3=(3, 8, 1, 1),
    ),
    "groups that cut a multiplier of coprime parts": model(
        "h = Conv(x, w1) d = Conv<group=3>(h, w2) g = Conv<group=2>(d, w4) y = Conv(g, w3)", X, "y", w1=(3, 3, 1, 1),
        w2=(6, 1, 1, 1), w4=(4, 3, 1, 1), w3=(3, 4, 1, 1),
    ),
    "groups of shuffled groups": model(
        f"h = Conv(x, w1) {SHUFFLED} d = Conv<group=24>(g, w2) e = Conv<group=4>(d, w4) y = Conv(e, w3)", X, "y",
        w1=(24, 3, 1, 1), w2=(24, 1, 1, 1), w4=(8, 6, 1, 1), w3=(3, 8, 1, 1), apart=np.array([0, 4, 6, 4, 4]),
        back=np.array([0, 24, 4, 4]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize("options", [{"factor": 2.0}, {"factor": 3.0, "init": "zero"}, {"factor": 1.5}], ids=str)
def test_what_groups_cut_grows(name: str, options: dict[str, object]) -> None:
    teacher = TEACHERS[name]
    onnx.checker.check_model(teacher, full_check=True)
    found = {(m.weight, m.axis) for group in analyze(opened(teacher)).groups for m in group.members}
    assert {("w2", 0), ("w3", 1)} <= found
    student, growth = grow(teacher, **options)
    assert growth.grown
    judge = Judge(teacher)
    assert judge.meaningful
    assert judge.error(student) < TOLERANCE


def test_copies_over_a_border_stand_side_by_side() -> None:
    teacher = TEACHERS["norm over a border"]
    student, _ = grow(teacher, factor=2.0)
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in student.graph.initializer}
    for name in ("w1", "w2"):
        before = next(onnx.numpy_helper.to_array(each) for each in teacher.graph.initializer if each.name == name)
        np.testing.assert_array_equal(weights[name], np.repeat(before, 2, axis=0))


def test_a_multiple_is_of_channels_and_not_of_copies() -> None:
    _, growth = grow(TEACHERS["norm over a border"], factor=2.0, multiple_of=8)
    assert [(group.before, group.after) for group in growth.grown] == [(1, 2)]


def test_what_cannot_have_copies_side_by_side_is_pinned_with_the_first_cause() -> None:
    body = f"b = Conv(x, w2) c = Concat<axis=1>(x, b) {WRITTEN} y = Conv(g, w3)"
    analysis = analyze(opened(model(body, "float[1,4,4,4] x", "y", w2=(2, 4, 1, 1), w3=(3, 6, 1, 1), **NORM)))
    (reason,) = {str(pin.reason) for pin in analysis.pins if (pin.weight, pin.axis) == ("w2", 0)}
    assert "InstanceNormalization" in reason
    assert "4 + 2 (Concat" in reason
