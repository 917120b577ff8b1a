"""The values of a grown weight: take along every axis, scale by shares, add noise that cancels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPREAD = 104.0  # standard deviation of the difference of two integers drawn evenly from -127..127


@dataclass(frozen=True, eq=False)
class Summed:
    """An axis of a weight over which its node sums.

    Attributes:
        axis: Which axis.
        share: float64[n'], the share of each place.
        key: int64[n'], equal for places that are copies of each other within one sum.
    """

    axis: int
    share: np.ndarray
    key: np.ndarray


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a grown weight is made from the teacher's.

    Attributes:
        index: Per axis the places to take, None for all of them as they are.
        summed: The axes that carry shares.
        fresh: Per axis which places get values of their own, None for none.
        noise: Standard deviation of the noise on copies, relative to that of the teacher's weight.
        seed: Seeds of the random values.
    """

    index: tuple[np.ndarray | None, ...]
    summed: tuple[Summed, ...] = ()
    fresh: tuple[np.ndarray | None, ...] = ()
    noise: float = 0.0
    seed: tuple[int, ...] = (0,)

    @property
    def identity(self) -> bool:
        """Whether the weight stays as it is."""
        return all(index is None for index in self.index) and not self.summed

    def key(self) -> tuple[object, ...]:
        """Return a value that is equal for recipes that make the same weight of the same teacher."""
        index = tuple(None if array is None else array.tobytes() for array in self.index)
        summed = tuple((part.axis, part.share.tobytes(), part.key.tobytes()) for part in self.summed)
        fresh = tuple(None if array is None else array.tobytes() for array in self.fresh)
        return index, summed, fresh

    def shape(self, before: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the grown weight."""
        return tuple(n if index is None else len(index) for n, index in zip(before, self.index, strict=True))

    def make(self, teacher: np.ndarray) -> np.ndarray:
        """Return the grown weight, of the teacher's dtype."""
        working = np.dtype(np.float64) if teacher.dtype == np.float64 else np.dtype(np.float32)
        rng = np.random.Generator(np.random.SFC64(list(self.seed)))
        grown = teacher
        for axis, index in enumerate(self.index):
            if index is not None:
                grown = np.take(grown, index, axis=axis)
        if self.summed:
            grown = grown.astype(working)
        for part in self.summed:
            grown *= _along(part.share.astype(working), part.axis, grown.ndim)
            if self.noise:
                self._perturb(grown, part, float(np.std(teacher, dtype=np.float64)), rng)
        for axis, flags in enumerate(self.fresh):
            if flags is not None and flags.any():
                self._renew(grown, axis, flags, float(np.std(teacher, dtype=np.float64)), rng)
        return np.ascontiguousarray(grown.astype(teacher.dtype, copy=False))

    def _perturb(self, grown: np.ndarray, part: Summed, deviation: float, rng: np.random.Generator) -> None:
        """Add noise to the copies of each channel that sums to exactly zero over them.

        Each copy gets a random integer minus that of the next copy, in a circle, times a power of two.
        """
        copies, following = _circles(part.key, part.share)
        amplitude = self.noise * deviation / SPREAD
        if not len(copies) or not amplitude > 0:
            return
        rows = np.moveaxis(grown, part.axis, -1)
        step = grown.dtype.type(np.exp2(np.floor(np.log2(amplitude))))
        drawn = rng.integers(-127, 128, size=(*rows.shape[:-1], len(copies)), dtype=np.int8)
        rows[..., copies] += (drawn.astype(grown.dtype) - drawn[..., following].astype(grown.dtype)) * step

    def _renew(
        self, grown: np.ndarray, axis: int, flags: np.ndarray, deviation: float, rng: np.random.Generator
    ) -> None:
        rows = np.moveaxis(grown, axis, 0)
        count = int(flags.sum())
        rows[flags] = rng.standard_normal((count, *rows.shape[1:]), np.float32).astype(grown.dtype) * deviation


def _along(vector: np.ndarray, axis: int, rank: int) -> np.ndarray:
    return vector.reshape(-1, *[1] * (rank - axis - 1))


def _circles(key: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places that have copies, and for each of them where the next copy stands in that list."""
    places = np.flatnonzero(share > 0)
    order = places[np.argsort(key[places], kind="stable")]
    ordered = key[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    starts = np.flatnonzero(first)
    lengths = np.diff(np.r_[starts, len(order)])
    several = np.repeat(lengths > 1, lengths)
    copies = order[several]
    lengths = lengths[lengths > 1]
    begins = np.repeat(np.cumsum(np.r_[0, lengths[:-1]]) if len(lengths) else lengths, lengths)
    rank = np.arange(len(copies)) - begins
    return copies, begins + (rank + 1) % np.repeat(lengths, lengths)


