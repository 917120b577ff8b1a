"""Whether a number that is stored is an exact one, rounded to its type."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_n2n.exact.undecided import Undecided

# Of a type: the bits behind the leading one, and the exponent of the smallest number that has all of them.
TYPES = {"bfloat16": (7, -126), "float16": (10, -14), "float32": (23, -126), "float64": (52, -1022)}
# A number may be less than this times a unit from what is stored. Of a number that the type holds, its neighbours are
# one unit away: so it is never taken for them.
LIMIT = 1 - 2.0**-10
_EXPONENT = np.uint64(0x7FF << 52)  # which bits of a double are its exponent


def units(
    stored: np.ndarray, exact: np.ndarray, dtype: np.dtype, radius: np.ndarray | float = 0.0
) -> np.ndarray:  # fmt: skip
    """Return how far exact numbers are from stored ones, in units in the last place of the smaller: float64[...].

    Args:
        stored: float64 or decimals.
        exact: The same, of that shape.
        dtype: The type in which numbers are stored.
        radius: How much farther they may be apart; below 0, how much nearer.

    Raises:
        Undecided: If it is no type of floating-point numbers.
    """
    if dtype.name not in TYPES:
        raise Undecided(f"numbers of type {dtype.name} are not rounded here")
    bits, least = TYPES[dtype.name]
    smaller = np.minimum(np.abs(stored.astype(np.float64)), np.abs(exact.astype(np.float64)))
    powers = (smaller.view(np.uint64) & _EXPONENT).view(np.float64)  # the largest power of two that is not above it
    off = np.asarray(np.abs(stored - exact) + radius).astype(np.float64)
    found: np.ndarray = off / np.maximum(powers, 2.0**least) * 2.0**bits
    return found


def relative(stored: np.ndarray, exact: np.ndarray) -> float:
    """Return the largest difference between stored and exact numbers, relative to these; of zeros it is not taken."""
    there = exact != 0
    if not np.any(there):
        return 0.0
    off: Any = np.abs((stored[there] - exact[there]) / exact[there])
    return float(np.max(off))
