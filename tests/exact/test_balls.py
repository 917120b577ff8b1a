"""A ball holds what it stands for, whatever rounding does: laws, against fractions."""

from __future__ import annotations

from decimal import localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_n2n.exact.balls import DIGITS, Balls, Digits, Doubles, Line
from onnx_n2n.exact.undecided import Undecided

LINES = pytest.mark.parametrize("line", [Doubles(), Digits()], ids=["doubles", "digits"])
NUMBERS = st.lists(st.floats(-(2.0**300), 2.0**300), min_size=2, max_size=8)
FEW = settings(deadline=None, max_examples=60)


def holds(ball: Balls, exact: Any) -> None:
    """Assert that fractions are in balls, and that these are not much larger than they need to be."""
    for middle, radius, one in zip(ball.middle.reshape(-1), ball.radius.reshape(-1), np.ravel(exact), strict=True):
        assert abs(Fraction(middle) - one) <= Fraction(radius)


def fractions(numbers: list[float]) -> np.ndarray:
    return np.array([Fraction(each) for each in numbers], object)


@LINES
@FEW
@given(NUMBERS, NUMBERS)
def test_sums_and_products_are_in_their_balls(line: Line, one: list[float], two: list[float]) -> None:
    length = min(len(one), len(two))
    a, b = fractions(one[:length]), fractions(two[:length])
    with localcontext(DIGITS):
        x, y = line.enter(one[:length]), line.enter(two[:length])
        holds(x + y, a + b)
        holds(x * y, a * b)
        holds(x * y + x * x * y, a * b + a * a * b)
        holds((x * y).sum(0), (a * b).sum())
        holds(x.reshape((1, -1)) @ y.reshape((-1, 1)), (a * b).sum())


@LINES
@FEW
@given(st.fractions(Fraction(1, 10**6), 10**6), st.floats(2.0**-300, 2.0**300))
def test_inverses_and_roots_are_in_their_balls(line: Line, by: Fraction, number: float) -> None:
    with localcontext(DIGITS):
        x = line.enter(number) * line.fraction(*by.as_integer_ratio())
        exact = by * Fraction(number)
        holds(line.inverse(x), 1 / exact)
        over = line.rsqrt(x)
        low, high = (Fraction(over.middle.item()) + sign * Fraction(over.radius.item()) for sign in (-1, 1))
        assert low**2 * exact <= 1 <= high**2 * exact
        assert high - low <= low * Fraction(1, 10**12)


@LINES
def test_what_cancels_leaves_its_error_behind(line: Line) -> None:
    with localcontext(DIGITS):
        far = line.fraction(1 << 900, 3)
        left = line.enter(1.5) + far + far * line.enter(-1.0)
        holds(left, Fraction(3, 2))
        assert left.radius > 1
        with pytest.raises(Undecided):
            line.inverse(left)
        with pytest.raises(Undecided):
            line.rsqrt(left)


@FEW
@given(NUMBERS)
def test_sums_of_doubles_lose_little(numbers: list[float]) -> None:
    ball = Doubles().enter([*numbers, *(-each for each in numbers), 1.0]).sum(0)
    holds(ball, [Fraction(1)])
    assert ball.radius <= 2.0**-50 + 2.0**-95 * sum(map(abs, numbers))
