"""A vector that a product sums over makes no channels, so it carries the shares of no others than those it sums."""

from __future__ import annotations

import pytest

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model

TEACHER = model(
    "a = MatMul(x, p) t = Transpose<perm=[0,2,1]>(a) h = MatMul(t, q) r = Add(h, b) s = MatMul(r, v) z = MatMul(s, y)",
    "float[2,4,4] x, float[4,3] y", "z", p=(4, 4), q=(4, 4), v=(4,), b=(4,),
)  # fmt: skip


@pytest.mark.parametrize("init", ["zero", "drawn", "net2net"])
@pytest.mark.parametrize("factor", [1.5, 2])
def test_two_axes_of_one_length(factor: float, init: str) -> None:
    judge = Judge(TEACHER)
    assert judge.meaningful
    result = onnx_n2n.widen(TEACHER, factor, init=init, verify=False)
    assert [group.before for group in result.change.grown] == [4, 4]
    assert judge.error(result.model) < TOLERANCE
