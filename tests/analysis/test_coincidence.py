"""A number that steers an operator may be the length of an axis elsewhere: that axis follows, or does not grow.

No student here is verified by the product itself.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model

LAYER = "h = MatMul(x, w) g = MatMul(h, v)"  # w makes four channels
OTHER = "s = Shape(h) n = Slice(s, one, two)"  # four, the channels of h
NUMBERS = {"one": np.array([1]), "two": np.array([2])}

TEACHERS = {
    "Resize to a length": model(
        f"{LAYER} {OTHER} sizes = Concat<axis=0>(two, three, n, five) "
        'z = Resize<mode="nearest">(image, , , sizes)',
        "float[2,3] x, float[2,3,2,2] image", "g, z", w=(3, 4), v=(4, 3), three=np.array([3]), five=np.array([5]),
        **NUMBERS,
    ),
    "Tile as often": model(
        f"{LAYER} {OTHER} often = Concat<axis=0>(one, n) z = Tile(x, often)",
        "float[2,3] x", "g, z", w=(3, 4), v=(4, 3), **NUMBERS,
    ),
    "Reshape of what has no known length": model(
        f"{LAYER} {OTHER} same = Div(n, one) to = Concat<axis=0>(same, last) z = Reshape(free, to)",
        "float[2,3] x, float[N,4] free", "g, z", w=(3, 4), v=(4, 3), last=np.array([-1]), **NUMBERS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize("init", ["zero", "net2net"])
def test_what_is_measured_elsewhere(name: str, init: str) -> None:
    teacher = TEACHERS[name]
    onnx.checker.check_model(teacher, full_check=True)
    judge = Judge(teacher)
    assert judge.meaningful
    assert judge.error(onnx_n2n.widen(teacher, 2.0, init=init, verify=False).model) < TOLERANCE
