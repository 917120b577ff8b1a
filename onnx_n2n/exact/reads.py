"""Which elements of a model's constants a run has read: what it has not read could be anything."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Turned:
    """Numbers of elements whose axes are in another order; an array is made of them only where one is needed."""

    ids: range
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the numbers as an array, in their new order."""
        return np.arange(self.ids.start, self.ids.stop, dtype=dtype).reshape(self.shape).transpose(self.order)


Ids = np.ndarray | range | Turned


@dataclass
class Reads:
    """Elements of constants, each with a number from 1; those of one constant follow one another.

    Attributes:
        names: The constants.
        starts: The number of the first element of each, and behind them the next number.
        elsewhere: Whether a run with other lengths could take a branch that this one has left out.
    """

    names: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [1])
    elsewhere: bool = False
    _read: list[np.ndarray | bool] = field(default_factory=list)  # which elements; or whether all are, or none

    def add(self, name: str, size: int) -> range:
        """Add a constant of so many elements, none of which is read yet, and return their numbers."""
        first = self.starts[-1]
        self.names.append(name)
        self.starts.append(first + size)
        self._read.append(False)
        return range(first, first + size)

    def mark(self, ids: Ids) -> None:
        """Note that elements are read: by their numbers, 0 for none."""
        ids = ids.ids if isinstance(ids, Turned) else ids
        if not len(ids):
            return
        if isinstance(ids, range):
            for place in {bisect_right(self.starts, each) - 1 for each in (ids.start, ids.stop - 1)}:
                self._read[place] = True
            return
        numbers = ids[ids > 0]
        for place in np.unique(np.searchsorted(self.starts, numbers, "right") - 1).tolist():
            first, end = self.starts[place], self.starts[place + 1]
            read = self._read[place]
            if read is True:
                continue
            read = self._read[place] = np.zeros(end - first, bool) if read is False else read
            read[numbers[(numbers >= first) & (numbers < end)] - first] = True

    def kept(self) -> list[np.ndarray | bool]:
        """Return what has been read, for `restore`."""
        return [each.copy() if isinstance(each, np.ndarray) else each for each in self._read]

    def restore(self, kept: list[np.ndarray | bool]) -> None:
        """Forget what has been read since then of the constants that there were."""
        self._read[: len(kept)] = kept

    def unread(self) -> dict[str, int]:
        """Return how many elements of each constant no one has read."""
        return {name: int(left.sum()) for name, _, left in self._left()}

    def missing(self) -> np.ndarray:
        """Return the numbers of all elements that no one has read, int64[n], in their order."""
        found = [start + np.flatnonzero(left) for _, start, left in self._left()]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _left(self) -> Iterator[tuple[str, int, np.ndarray]]:
        """Yield the name of each constant with unread elements, the number of its first one, and which are unread."""
        for name, (start, end), read in zip(self.names, pairwise(self.starts), self._read, strict=True):
            if read is not True:
                left = ~read if isinstance(read, np.ndarray) else np.ones(end - start, bool)
                if left.any():
                    yield name, start, left
