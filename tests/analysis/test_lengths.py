"""Laws of lengths: whatever measures an axis, or counts its places, follows it, or the axis does not grow.

Every table maps a name to a teacher and to the sizes of its groups. No student here is verified by the product itself.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model, opened
from onnx_n2n.analysis.walk import analyze

Teacher = tuple[tuple[int, ...], onnx.ModelProto]

ROOT = "f = Cast<to=1>(n) r = Sqrt(f) q = Div(h, r) y = MatMul(q, V)"
SIX = {"W": (6, 6), "V": (6, 2), "U": (6, 6), "one": np.array([1]), "last": np.array([-1])}


def measured(body: str, *groups: int, x: str = "float[6,6] x", y: str = "y", opset: int = 17, **more: Any) -> Teacher:
    """Return a teacher with the constants that the graph names."""
    constants = {name: array for name, array in SIX.items() if name in re.findall(r"\w+", body)}
    return groups, model(body, x, y, opset=opset, **constants, **more)


OF_WEIGHTS = {
    "the root of a length": measured(f"h = MatMul(x, W) s = Shape(W) n = Gather(s, one) {ROOT}"),
    "the root of a count": measured(f"h = MatMul(x, W) n = Size(W) {ROOT}"),
    "the root of a length of a bias": measured(
        f"m = MatMul(x, W) h = Add(m, b) n = Shape(b) {ROOT}", 6, b=(6,)),
    "the root of a length of a moved weight": measured(
        f"t = Transpose<perm=[1,0]>(W) h = MatMul(x, t) s = Shape(t) n = Gather(s, one) {ROOT}"),
    "the root of a length of a filled tensor": measured(
        f"h = MatMul(x, W) c = ConstantOfShape(six) k = Add(h, c) n = Shape(c) {ROOT}", six=np.array([6])),
    "the target of an Expand": measured(
        "z = Gather(W, i) h = MatMul(z, U) r = Relu(h) s = Shape(W) e = Expand(r, s) t = Transpose<perm=[1,0]>(e) "
        "y = MatMul(t, V)", 6, x="int64[6] i"),
    "the target of a Reshape": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) l = Concat<axis=0>(last, n) q = Reshape(x, l) "
        "z = MatMul(q, V) u = MatMul(h, V2) y = Add(z, u)", 6, V2=(6, 2)),
    "the target of a Reshape of what grows": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) l = Concat<axis=0>(last, n) q = Reshape(h, l) "
        "y = MatMul(q, V)", 6),
    "zeros of that length": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) c = ConstantOfShape(n) k = Add(h, c) y = MatMul(k, V)", 6),
    "zeros beside an input": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, one) c = ConstantOfShape(n) k = Add(x, c) z = MatMul(k, V) "
        "u = MatMul(h, V2) y = Add(z, u)", V2=(6, 2)),
    "places that are counted": measured(
        "h = MatMul(x, W) s = Shape(W) n = Gather(s, at) r = Range(zero, n, step) f = Cast<to=1>(r) k = Mul(h, f) "
        "y = MatMul(k, V)", at=1, zero=0, step=1),
    "the largest few": measured(
        "h = MatMul(x, W) k = MatMul(h, U) s = Shape(W) n = Gather(s, one) v, i = TopK(k, n) y = Add(v, x)"),
    "a length in a branch": measured(
        "h = MatMul(x, W) d = ReduceMax<keepdims=0>(x) c = Cast<to=9>(d) q = If(c) <"
        "then_branch=a () => (p) { s = Shape(W) n = Gather(s, one) f = Cast<to=1>(n) p = Div(h, f) }, "
        "else_branch=b () => (o) { o = Relu(h) }> y = MatMul(q, V)"),
}  # fmt: skip


def check(teacher: onnx.ModelProto, **options: Any) -> None:
    """Grow without verification, and compare."""
    judge = Judge(teacher)
    assert judge.meaningful
    for init in ("zero", "net2net"):
        for factor in (1.5, 2):
            student = onnx_n2n.widen(teacher, factor=factor, init=init, verify=False, **options).model
            assert judge.error(student) < TOLERANCE


def sizes(teacher: onnx.ModelProto) -> tuple[int, ...]:
    return tuple(sorted(group.size for group in analyze(opened(teacher)).groups if group.members))


@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_the_length_of_a_weight_follows_it(name: str) -> None:
    groups, teacher = OF_WEIGHTS[name]
    assert sizes(teacher) == groups
    if groups:
        check(teacher)
