"""Where an operator is not defined for every number, new channels are copies, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.axes.algebra import Limit

NUMBERS = np.linspace(-2, 1.5, 12, dtype=np.float32)  # along the channels, none of them 0
INT = "i = Cast<to={}>(h) j = {} z = Cast<to=1>(j)"
SHIFT = 'i = Cast<to=12>(h) j = BitShift<direction="RIGHT">(i, c) z = Cast<to=1>(j)'


@pytest.mark.parametrize(
    ("body", "constant", "limited"),
    [
        ("z = Div(h, c)", 2.0, False),
        ("z = Div(h, c)", [0.5, 0.0, 1.0, 2.0, 3.0], True),  # along the rows, one of them 0
        ("z = Div(h, c)", [0.5, 0.25, 1.0, 2.0, -3.0], False),
        ("z = Div(c, h)", 2.0, True),
        ("z = Div(h, k)", NUMBERS, True),  # grows with the channels: what is new in it could be 0
        ("s = Sqrt(c) z = Div(h, s)", 2.0, False),
        ("z = Mod<fmod=1>(h, c)", 2.0, False),
        ("n = ReduceL2<axes=[2], keepdims=1>(h) z = Div(h, n) w = Identity(c)", 2.0, False),  # one for all channels
        ("n = ReduceL2<axes=[2]>(h) s = Shape(h) e = Expand(n, s) z = Div(h, e) w = Identity(c)", 2.0, False),
        ("n = ReduceL2<axes=[1], keepdims=1>(h) z = Div(h, n) w = Identity(c)", 2.0, True),
        ("n = ReduceL2<axes=[1], keepdims=1>(h) m = Max(n, c) z = Div(h, m)", 0.1, False),
        ("n = ReduceL2<axes=[1], keepdims=1>(h) m = Max(n, c) z = Div(h, m)", 0.0, True),
        ("e = Exp(h) d = Add(e, c) z = Div(h, d)", 1.0, False),
        ("e = Exp(h) d = Add(e, c) z = Div(h, d)", -1.0, True),
        ("e = Exp(h) d = Add(e, c) z = Div(h, d)", np.abs(NUMBERS), True),  # grows with the channels, too
        ("e = Exp(h) d = Add(e, c) z = Div(h, d)", [0.5, 0.25, 1.0, 2.0, 3.0], False),
        ("a = Abs(h) z = Sqrt(a) w = Identity(c)", 1.0, False),
        ("a = Abs(h) b = Add(a, c) z = Log(b)", 0.5, False),
        ("a = Abs(h) b = Add(a, c) z = Log(b)", 0.0, True),
        ("a = Clip(h, c) z = Reciprocal(a)", 0.5, False),
        ("a = Clip(h, , c) z = Reciprocal(a)", 0.5, True),
        ("a = Clip(h, k0) z = Pow(a, c)", 0.5, False),
        ("a = Clip(h, k0) z = Pow(a, c)", -1.0, True),
        ("a = Clip(h, k1) z = Pow(a, c)", -1.0, False),
        (INT.format(7, "Mod(i, c)"), np.array(3), False),
        (INT.format(7, "Div(i, c)"), np.array(-1), True),
        ("z = Pow(h, c)", 2.0, False),
        ("z = Pow(h, c)", np.array(3), False),
        ("z = Pow(h, c)", 1.0, False),
        ("z = Pow(h, c)", 0.5, True),
        ("z = Pow(h, c)", -1.0, True),
        ("z = Pow(c, h)", 2.0, True),
        ("z = Pow(h, c)", [2.0, 2.0, 0.5, 2.0, 2.0], True),
        (SHIFT, np.array(2, np.uint32), False),
        (SHIFT, np.array(32, np.uint32), True),
        (f"{SHIFT.replace('c)', 'i)')} w = Identity(c)", np.array(2, np.uint32), True),
    ],
)
def test_copies_are_asked_for_exactly_where_new_channels_may_be_undefined(
    body: str, constant: object, limited: bool
) -> None:
    if isinstance(constant, list):  # along the rows
        constant = np.array(constant, np.float32).reshape(5, 1)
    weights = {"W": (3, 12), "V": (12, 2), "c": constant, "k": NUMBERS, "k0": 0.0, "k1": 1.0}
    teacher = model(f"h = MatMul(x, W) {body} y = MatMul(z, V)", "float[2,5,3] x", "y", **weights)
    (group,) = (group for group in analyze(opened(teacher)).groups if group.members)
    assert group.limit is (Limit.COPIES if limited else None)
    if not limited:
        for init in ("zero", "net2net"):
            student, growth = grow(teacher, factor=1.5, init=init)
            assert growth.grown
            assert Judge(teacher).error(student) < TOLERANCE
