"""Copies of residual blocks add zero and can learn, and what only looks like a block is not copied."""

from __future__ import annotations

import pytest

from helpers.deepening import BLOCKS, EXACT, EXPERTS, LN, added, block, check_learning, deepen, resnet
from helpers.graphs import Judge, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.depth.places import places


@pytest.mark.parametrize("name", BLOCKS)
def test_a_copy_of_a_block_adds_zero_and_learns(name: str) -> None:
    teacher, count = block(BLOCKS[name][0]), BLOCKS[name][1]
    judge = Judge(teacher)
    found = [place for place in places(analyze(opened(teacher))).found if place.kind == "block"]
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
    "experts tied within": (EXPERTS.format(last="EB = Transpose<perm=[0,1,2,4,3]>(EA)"), "y", "MatMul"),
    "a square": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, Q) m = Mul(u, u) z = Add(h, m) y = MatMul(z, V)",
                 "y", "never learn"),
    "a gate of itself": (f"h = MatMul(x, W) n = {LN}(h, g, b) u = MatMul(n, Q) t = Tanh(u) m = Mul(u, t) z = Add(h, m) "
                         "y = MatMul(z, V)", "y", "never learn"),
    "a formula": ("h = MatMul(x, W) c = Mul(h, h) d = Mul(c, bias) z = Add(h, d) y = MatMul(z, V)", "y", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_looks_like_a_block_and_is_not_copied(name: str) -> None:
    body, outputs, reason = REFUSED[name]
    found = places(analyze(opened(block(body, outputs))))
    assert not [place for place in found.found if place.kind == "block"]
    assert any(reason in barred.reason for barred in found.barred) or not reason
