"""Where the numbers of one array stand in another: for each axis, which place of the old array each place is.

Two arrays hold the same numbers if their fingerprints are the same. A number that stands at one place of the old array
only says by itself where it comes from, on every axis; so each slice of the new array knows which slice it is. What all
of them say is then compared number by number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FREE, ZERO = -1, -2  # a place that is none of the old array's; and one where all numbers are 0
ROUNDS = 4  # times that places are given up that do not fit

Axes = tuple[np.ndarray | None, ...]  # for each axis the old place of each new one; None where it is as it was


@dataclass(frozen=True)
class Fit:
    """How the places of two arrays belong together.

    Args:
        axes: For each axis the old place of each new one, `FREE` or `ZERO`; None where it is as it was.
        whole: Whether all of the old array is there.
    """

    axes: Axes
    whole: bool


def fit(old: np.ndarray, new: np.ndarray, nothing: np.ndarray) -> Fit | None:
    """Say where the numbers of an array come from, or return None where that cannot be said axis by axis.

    Args:
        old: Fingerprints of the one array, uint64[2, *shape].
        new: Those of the other one.
        nothing: That of 0, uint64[2].
    """
    if old.ndim != new.ndim:
        return None
    axes = range(new.ndim - 1)
    if old.shape == new.shape and (old == new).all():
        return Fit(tuple(None for _ in axes), True)
    if not axes:
        return None
    alike = [_firsts(old[0], axis) for axis in axes]
    index = _voted(old[0], new[0], alike, nothing[0])
    if index is None:
        return None
    live = [np.flatnonzero(each >= 0) for each in index]
    for axis in axes:
        here = new[np.ix_(np.arange(2), *(np.arange(new.shape[axis + 1]) if a == axis else live[a] for a in axes))]
        _put_zeros(index[axis], _zero(old, nothing, axis), _zero(here, nothing, axis))
        _put_back(index[axis], alike[axis])
    if not _agree(old, new, index):
        return None
    whole = all(np.isin(alike[axis], alike[axis][index[axis][index[axis] >= 0]]).all() for axis in axes)
    same = (np.array_equal(each, np.arange(length)) for each, length in zip(index, old.shape[1:], strict=True))
    return Fit(tuple(None if is_same else each for is_same, each in zip(same, index, strict=True)), whole)


def _firsts(words: np.ndarray, axis: int) -> np.ndarray:
    """Return for each place of an axis the first one where the same numbers stand, int64[n]."""
    rows = np.moveaxis(words, axis, 0).reshape(words.shape[axis], -1)
    factors = np.random.default_rng(0).integers(0, 1 << 63, rows.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    _, first, which = np.unique(rows @ factors, return_index=True, return_inverse=True)
    return np.asarray(first[which.reshape(-1)])


def _voted(old: np.ndarray, new: np.ndarray, alike: list[np.ndarray], nothing: np.uint64) -> list[np.ndarray] | None:
    """Return for each axis what most of the numbers say that stand in one place of the old array only."""
    distinct = [np.unique(each) for each in alike]
    small = old[np.ix_(*distinct)]
    words, where, counts = np.unique(small, return_index=True, return_counts=True)
    alone = (counts == 1) & (words != nothing)
    words, where = words[alone], where[alone]
    if not words.size:
        return None
    at = np.minimum(np.searchsorted(words, new), words.size - 1)
    found = words[at] == new
    theirs, mine = np.unravel_index(where[at[found]], small.shape), np.nonzero(found)
    index = []
    for axis, (places, kept) in enumerate(zip(theirs, distinct, strict=True)):
        pairs, votes = np.unique(mine[axis] * len(kept) + places, return_counts=True)
        pairs = pairs[np.argsort(votes, kind="stable")]  # the last one that is put in a place stays there
        here = np.full(new.shape[axis], FREE)
        here[pairs // len(kept)] = kept[pairs % len(kept)]
        index.append(here)
    return index


def _zero(prints: np.ndarray, nothing: np.ndarray, axis: int) -> np.ndarray:
    """Return at which places of an axis all numbers are 0, bool[n]."""
    others = tuple(other for other in range(prints.ndim) if other != axis + 1)
    return np.asarray((prints == nothing.reshape(2, *[1] * (prints.ndim - 1))).all(others))


def _put_zeros(index: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
    """Say of places where all is 0 that they are so in the old array, if there is such a place, or just that."""
    index[(index == FREE) & new] = int(np.argmax(old)) if old.any() else ZERO


def _put_back(index: np.ndarray, alike: np.ndarray) -> None:
    """Say of places that are like others of the old array that they are those where they stand."""
    places = np.arange(min(len(index), len(alike)))
    here = index[: len(places)]
    stay = (here >= 0) & (alike[np.maximum(here, 0)] == alike[: len(places)])
    here[stay] = places[stay]


def _agree(old: np.ndarray, new: np.ndarray, index: list[np.ndarray]) -> bool:
    """Return whether all numbers are where they should be, after places have been given up where few are."""
    for _ in range(ROUNDS):
        live = [np.flatnonzero(each >= 0) for each in index]
        lanes = [np.arange(2)]
        theirs = [each[at] for each, at in zip(index, live, strict=True)]
        wrong = (new[np.ix_(*lanes, *live)] != old[np.ix_(*lanes, *theirs)]).any(0)
        if not wrong.size or not wrong.any():
            return bool(wrong.size)
        shares = [
            wrong.mean(tuple(other for other in range(wrong.ndim) if other != axis)) for axis in range(wrong.ndim)
        ]
        axis = int(np.argmax([each.max() for each in shares]))
        index[axis][live[axis][shares[axis] > shares[axis].max() / 2]] = FREE
    return False
