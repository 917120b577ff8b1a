"""Places of an axis that hold sums of old places: what fresh channels are made of.

A fresh row is ``c1 * row i + c2 * row j`` of the teacher's own rows, with ``|c1| + |c2| < 1``. So whatever it is
multiplied by, the result is smaller than the largest of what the teacher's rows give: ``|row . x| < max |row k . x|``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST = 7 / 8  # what the weights of a place sum to, in absolute value: below 1, so that rounding has room


@dataclass(frozen=True, eq=False)
class Mixture:
    """What the fresh places of an axis hold, in their order.

    Attributes:
        sources: int64[f, k], the old places that each of them is a sum of.
        weights: float64[f, k], what these are multiplied by.
    """

    sources: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.sources)

    def key(self) -> tuple[bytes, bytes]:
        """Return a value that is equal for mixtures that are."""
        return self.sources.tobytes(), self.weights.tobytes()

    def part(self, flags: np.ndarray, places: np.ndarray) -> Mixture:
        """Return what is held by those of some ``places`` of an axis that are fresh, by the ``flags`` of all places."""
        chosen = (np.cumsum(flags) - 1)[places[flags[places]]]
        return Mixture(self.sources[chosen], self.weights[chosen])

    def rows(self, teacher: np.ndarray, axis: int) -> np.ndarray:
        """Return the fresh places of a teacher, along ``axis``, in the type that weights are computed in."""
        working = np.float64 if teacher.dtype == np.float64 else np.float32
        shape = [1] * teacher.ndim
        shape[axis] = len(self)
        found = np.zeros((*teacher.shape[:axis], len(self), *teacher.shape[axis + 1 :]), working)
        for sources, weights in zip(self.sources.T, self.weights.T, strict=True):
            picked = teacher.take(sources, axis).astype(working)
            found += picked * weights.astype(working).reshape(shape)
        return found


def mixture(
    before: int, fresh: int, rng: np.random.Generator, most: float | np.ndarray = MOST, *, positive: bool = False
) -> Mixture:
    """Draw mixtures of two of ``before`` places each: the first in turn, the second and the weights at random.

    Unless they must be ``positive``, half of the weights are negative, so that what follows a Relu is not always active
    together with an old channel. In absolute value they sum to ``most``, which may be float64[before], by the first.
    """
    first = np.arange(fresh) % before
    second = (first + rng.integers(1, before, fresh)) % before if before > 1 else first
    split = rng.uniform(0.25, 0.75, fresh)
    signs = rng.choice([-1.0, 1.0], (fresh, 2)) if before > 1 and not positive else np.ones((fresh, 2))
    total = np.broadcast_to(most, before)[first]
    if before == 1:
        total = total * rng.uniform(0.5, 1.0, fresh)  # a single place differs by size alone
    weights = signs * np.stack([split, 1 - split], axis=1) * total[:, None]
    return Mixture(np.stack([first, second], axis=1).astype(np.int64), weights)
