"""Copies of residual blocks add zero and can learn, and what only looks like a block is not copied."""

from __future__ import annotations

import pytest

from helpers.deepening import ATTENTION, EXACT, FFN, LN, PRE_NORM, ROWS, SHAPES, added, check_learning, deepen, resnet
from helpers.graphs import Judge, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.depth.places import places

BLOCKS: dict[str, tuple[str, int]] = {  # what is between x and y, and how many blocks are copied
    "pre-norm": (PRE_NORM, 2),
    "post-norm": (f"h = MatMul(x, W) {ATTENTION.format(n='h')} i = Add(p, h) l = {LN}(i, g, b) {FFN.format(n='l')} "
                  f"j = Add(l, m) z = {LN}(j, g2, b2) y = MatMul(z, V)", 2),
    "parallel": (f"h = MatMul(x, W) n = {LN}(h, g, b) {ATTENTION.format(n='n')} {FFN.format(n='n')} c = Add(p, m) "
                 "z = Add(c, h) y = MatMul(z, V)", 1),
    "biased": (f"h = MatMul(x, W) n = {LN}(h, g, b) {FFN.format(n='n')} c = Add(bias, m) z = Add(h, c) "
               "y = MatMul(z, V)", 1),
    "a mask made of the stream": (
        f"h = MatMul(x, W) z0 = Shape(h) f = ConstantOfShape(z0) n = {LN}(h, g, b) n2 = Add(n, f) {FFN.format(n='n2')} "
        f"i = Add(h, m) l = {LN}(i, g2, b2) l2 = Mul(l, bias) l3 = Add(l2, f) p = MatMul(l3, O) z = Add(i, p) "
        "y = MatMul(z, V)", 2),
    "a gate": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, A) k = Sigmoid(u) w = Mul(u, k) m = MatMul(w, B) "
               "z = Add(h, m) y = MatMul(z, V)", 1),
    "a layer scale": (f"h = MatMul(x, W) n = {LN}(h, g, b) {FFN.format(n='n')} c = Mul(m, bias) z = Add(h, c) "
                      "y = MatMul(z, V)", 1),
    "a tied weight": (f"h = MatMul(x, W) n = {LN}(h, g, b) t = Transpose(A) u = MatMul(n, A) r = Relu(u) "
                      "m = MatMul(r, t) z = Add(h, m) y = MatMul(z, V)", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_a_copy_of_a_block_adds_zero_and_learns(name: str) -> None:
    body, count = BLOCKS[name]
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    teacher = model(body, ROWS, "y", **{key: value for key, value in SHAPES.items() if key in words})
    judge = Judge(teacher)
    found = [place for place in places(analyze(opened(teacher))).found if place.kind == "block"]
    if name == "a tied weight":  # a zero behind a Transpose would be zero in front of it, and in the other use, too
        assert not found
        return
    assert sum(len(place.block) for place in found) == count
    student = deepen(teacher, kind="block")
    assert judge.error(student) < EXACT
    check_learning(teacher, student, judge)


@pytest.mark.parametrize("norm", [True, False])
def test_residual_blocks_of_convolutions(norm: bool) -> None:
    teacher = resnet(norm=norm)
    judge = Judge(teacher)
    student = deepen(teacher)
    last = "BatchNormalization" if norm else "Conv"
    assert added(teacher, student).count(last) == 3 * (1 if norm else 2)
    assert added(teacher, student).count("Relu") == 6  # the one behind the sum is repeated with the block
    assert judge.error(student) == 0
    check_learning(teacher, student, judge)


REFUSED = {  # what may not be copied
    "a cache that goes out": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, A) m = MatMul(u, B) z = Add(h, m) "
                              "y = MatMul(z, V)", "y, u", "out of the model"),
    "dice": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, A) d = RandomNormalLike<seed=1.0>(u) w = Mul(u, d) "
             "m = MatMul(w, B) z = Add(h, m) y = MatMul(z, V)", "y", "dice"),
    "a Relu before the sum": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, A) m = MatMul(u, B) w = Relu(m) "
                              "z = Add(h, w) y = MatMul(z, V)", "y", "Relu"),
    "a formula": ("h = MatMul(x, W) c = Mul(h, h) d = Mul(c, bias) z = Add(h, d) y = MatMul(z, V)", "y", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_looks_like_a_block_and_is_not_copied(name: str) -> None:
    body, outputs, reason = REFUSED[name]
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    teacher = model(body, ROWS, outputs, **{key: value for key, value in SHAPES.items() if key in words})
    found = places(analyze(opened(teacher)))
    assert not [place for place in found.found if place.kind == "block"]
    assert any(reason in barred.reason for barred in found.barred) or not reason
