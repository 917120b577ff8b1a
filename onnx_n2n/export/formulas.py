"""Tables that a formula made: evenly spaced numbers, powers, sines. Nobody learns those.

Along one axis such a table obeys x[k + 1] + x[k - 1] = a x[k] + b, with an a of its own for each column: 2 for evenly
spaced numbers, r + 1/r for powers of r, 2 cos w for sines and cosines of the frequency w, also where they are windows.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

LARGE = 1e4  # no weight is that large
DIGITS = 4  # a number of the file that has no more of them was written by somebody, and not learned
Formula = Literal["", "progression", "sines"]
COLUMNS = 64  # as many columns are looked at: the others of a table are no different
ENTRIES = 512
SHORTEST = 5  # fewer numbers than these obey nearly any rule
NEAR = 1e-5  # of the largest number: what is left to rounding


def formula_of(array: np.ndarray) -> Formula:
    """Say what kind of formula made a table; an empty text if it is none that is known, or one number throughout."""
    array = np.squeeze(array)
    found = (_along(_columns(array, axis)) for axis in range(array.ndim) if array.size)
    return next((formula for formula in found if formula), "")


def is_written(number: Any) -> bool:
    """Say whether somebody wrote a number: it has few digits (``1e-5``, ``0.5``), or its square or its inverse has.

    Of the numbers that training could have made fewer than one in a hundred look like that. 0 and 1 say nothing: a bias
    and a scale begin there.
    """
    single = np.float32(number)
    if not np.isfinite(single) or abs(single) > LARGE:
        return True
    if single in (0, 1):
        return False
    exact = float(single)
    return _short(exact, DIGITS) or any(_short(made, DIGITS - 1) for made in (exact * exact, 1 / exact, exact**-2))


def _short(number: float, digits: int) -> bool:
    """Say whether a number has few digits, but for what is lost in 32 bits."""
    return abs(float(f"{number:.{digits - 1}e}") - number) <= 2.0**-23 * abs(number)


def _columns(array: np.ndarray, axis: int) -> np.ndarray:
    """Return the columns along an axis, the first and some of the others, without a copy of all."""
    array = np.moveaxis(array, axis, 0)[:ENTRIES]
    count = math.prod(array.shape[1:])
    places = np.arange(0, count, -(-count // COLUMNS))
    index = np.unravel_index(places, array.shape[1:]) if array.ndim > 1 else (np.newaxis,)
    return np.asarray(array[(slice(None), *index)], np.float64)


def _along(columns: np.ndarray) -> Formula:
    """Say what made some columns."""
    if len(columns) < SHORTEST or not np.isfinite(columns).all():
        return ""
    moving = columns[:, np.ptp(columns, axis=0) > 0]
    factors = [_factor(column) for column in moving.T]
    if not factors or any(factor is None for factor in factors):
        return ""
    turning = sum(abs(factor) < 2 - 1e-9 for factor in factors if factor is not None)
    return "sines" if 2 * turning > len(factors) else "progression"


def _factor(column: np.ndarray) -> float | None:
    """Return the a of a column; None if no a and b fit it."""
    left, middle = column[2:] + column[:-2], column[1:-1]
    without = float(middle @ left) / max(float(middle @ middle), 1e-300)
    size = float(np.abs(column).max())
    if np.abs(left - without * middle).max() <= NEAR * size:
        return without
    if len(column) <= SHORTEST:  # two numbers that fit three equations say little
        return None
    known = np.stack([middle, np.ones_like(middle)], axis=1)
    (factor, rest), *_ = np.linalg.lstsq(known, left, rcond=None)
    return float(factor) if np.abs(left - factor * middle - rest).max() <= NEAR * size else None
