"""Padding by computed differences of sizes touches places only: the channels on both sides of it grow."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze

UP = {
    "resized": ('u = Resize<mode="nearest">(d, , twice)', {"twice": np.array([1, 1, 2, 2], np.float32)}),
    "transposed": ("u = ConvTranspose<strides=[2, 2]>(d, wu)", {"wu": (6, 6, 2, 2)}),
}
PADS = {
    "in one list": "p = Concat<axis=0>(zeros, top, left, zeros, bottom, right)",
    "turned round": "e = Concat<axis=0>(left, right, top, bottom, zeros, zeros) e2 = Reshape(e, pairs) "
    "e3 = Slice(e2, last, first, none, last) e4 = Transpose<perm=[1, 0]>(e3) p = Reshape(e4, last)",
}


@pytest.mark.parametrize("up", UP)
@pytest.mark.parametrize("pads", PADS)
def test_both_sides_of_a_computed_padding_grow(up: str, pads: str) -> None:
    made, more = UP[up]
    gaps = " ".join(
        f"s{n} = Shape<start={axis}, end={stop}>(a) u{n} = Shape<start={axis}, end={stop}>(u) g{n} = Sub(s{n}, u{n}) "
        f"{one} = Div(g{n}, two) {other} = Sub(g{n}, {one})"
        for n, axis, stop, one, other in ((0, 2, 3, "top", "bottom"), (1, 3, 4, "left", "right"))
    )
    body = f"""
        h = Conv<pads=[1, 1, 1, 1]>(x, wa) a = Relu(h) m = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(a)
        d = Conv<pads=[1, 1, 1, 1]>(m, wd) {made} {gaps} {PADS[pads]} q = Pad(u, p)
        c = Concat<axis=1>(a, q) g = Reshape(c, groups) i = InstanceNormalization(g, one, zero) t = Shape(c)
        j = Reshape(i, t) k = Mul(j, gain) y = Conv(k, wo)"""
    numbers = {"two": np.array([2]), "zeros": np.array([0, 0]), "groups": np.array([0, 2, -1])}
    turned = {"pairs": np.array([-1, 2]), "last": np.array([-1]), "first": np.array([-(2**62)]), "none": np.array([0])}
    weights = {"wa": (4, 3, 3, 3), "wd": (6, 4, 3, 3), "gain": (10, 1, 1), "wo": (3, 10, 1, 1)}
    norm = {"one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32)}
    teacher = model(
        body, "float[1,3,H,W] x", "y", **numbers, **(turned if "turned" in pads else {}), **weights, **norm, **more
    )
    groups = analyze(opened(teacher)).groups
    assert {("wa", 0), ("wd", 0), ("wo", 1)} <= {(m.weight, m.axis) for group in groups for m in group.members}
    student, growth = grow(teacher, factor=2.0)
    assert growth.grown
    judge = Judge(teacher)
    assert judge.meaningful
    assert judge.error(student) < TOLERANCE
