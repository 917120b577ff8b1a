"""Fingerprints of numbers: states of two words of 64 bits, into which other words are mixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MULTIPLIERS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
_STEP = np.array(0x9E3779B97F4A7C15, np.uint64)
FEW = 32  # so many numbers are compared each with each; more are sorted
_SHIFTS = np.array([29, 32], np.uint64)


def spread(prints: np.ndarray, ndim: int) -> np.ndarray:
    """Return fingerprints with so many axes behind their lanes."""
    return prints.reshape(2, *[1] * (ndim - prints.ndim + 1), *prints.shape[1:])


def unlike(prints: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return which fingerprints along the first axis differ from all that are before them, of those that are there.

    Args:
        prints: uint64[2, n, ...].
        there: bool[n, ...].
    """
    if len(there) > FEW:
        order = np.lexsort((prints[0], ~there), 0)
        ordered, distinct = np.take_along_axis(prints, order[None], 1), np.take_along_axis(there, order, 0)
        distinct[1:] &= (ordered[:, 1:] != ordered[:, :-1]).any(0)
        found = np.empty_like(distinct)
        np.put_along_axis(found, order, distinct, 0)
        return found
    found = there.copy()
    for place in range(1, len(there)):
        for before in range(place):
            same = prints[0, place] == prints[0, before]
            if same.any():
                found[place] &= ~(same & there[before] & (prints[1, place] == prints[1, before]))
    return found


def started(key: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return states of a shape that begin with a key, uint64[2]."""
    return np.broadcast_to(key.reshape(2, *[1] * len(shape)), (2, *shape))


def absorbed(state: np.ndarray, *words: np.ndarray) -> np.ndarray:
    """Mix words of 64 bits into states, uint64[2, ...]; states and words broadcast."""
    lead = max(np.ndim(word) for word in words)
    state = state.reshape(2, *[1] * (lead - state.ndim + 1), *state.shape[1:])
    lanes = [2, *[1] * (state.ndim - 1)]
    multiplier, shift = _MULTIPLIERS.reshape(lanes), _SHIFTS.reshape(lanes)
    for word in words:
        state = state ^ np.add(word, _STEP, out=np.empty_like(word, np.uint64))
        state = state * multiplier
        state ^= state >> shift
    return state


def final(state: np.ndarray) -> np.ndarray:
    """Return states, uint64[lanes, ...], mixed once more, so that sums and differences of them mean nothing."""
    state = state ^ state >> np.uint64(30)
    state *= _MULTIPLIERS[0]
    state ^= state >> np.uint64(27)
    state *= _MULTIPLIERS[1]
    state ^= state >> np.uint64(31)
    return state
