"""The values of a grown weight: take along every axis, scale by shares, add noise that cancels."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from onnx_n2n.record.division import Division
from onnx_n2n.record.forms import Form
from onnx_n2n.record.mixture import Mixture

SPREAD = 52.3  # standard deviation of the difference of two integers drawn evenly from -64..63
BLOCK = 1 << 18  # elements that are worked on at a time
PART = 1 << 24  # elements of a part of a weight that is too large to be made as a whole
SAMPLE = 1 << 20  # elements from which the standard deviation of a larger weight is taken


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
class Row:
    """What a weight of n places along an axis has in a further one.

    Attributes:
        combination: float64[n], a combination of its own places; None for ones.
        form: What the combination is before it is rounded; None where it is exact.
    """

    combination: np.ndarray | None
    form: Form | None = None

    def append(self, teacher: np.ndarray, axis: int) -> np.ndarray:
        """Return the weight with the row as its place n along ``axis``."""
        shape = list(teacher.shape)
        shape[axis] = 1
        if self.combination is None:
            row = np.ones(shape, teacher.dtype)
        else:
            row = _combined(np.moveaxis(teacher, axis, 0), self.combination).reshape(shape)
        return np.concatenate((teacher, row.astype(teacher.dtype)), axis=axis)


@dataclass(frozen=True, eq=False)
class Recipe:
    """How a grown weight is made from the teacher's.

    Attributes:
        index: Per axis the places to take, None for all of them as they are; place n is the row that ``rows`` appends.
        summed: The axes that carry shares.
        fresh: Per axis which places are fresh, None for none: they get mixtures, or random values.
        mixed: Per axis what fresh places are mixtures of, None for random values, as older records have them.
        rows: Per axis what to append to the teacher before places are taken, None for nothing.
        scale: What to multiply by.
        squared: The square of that as a fraction, over and under, where it is the root of one.
        offset: The number beside which the weight is stored: it stands for itself plus this, and that is scaled.
        noise: Standard deviation of the noise on copies, relative to that of the teacher's weight.
        seed: Seeds of the random values.
        zero: For whole numbers, which one copy has instead of a share for each, what stands for zero; broadcasts over
            the teacher.
        law: How random values are made: 1, as by the first records, noise that cancels but for rounding; 2, exactly;
            3, and what is drawn for a fresh place is as large as what the place has that it stands for.
    """

    index: tuple[np.ndarray | None, ...]
    summed: tuple[Summed, ...] = ()
    fresh: tuple[np.ndarray | None, ...] = ()
    rows: tuple[Row | None, ...] = ()
    scale: float = 1.0
    noise: float = 0.0
    seed: tuple[int, ...] = (0,)
    zero: np.ndarray | None = None
    mixed: tuple[Mixture | None, ...] = ()
    law: int = 2
    squared: tuple[int, int] | None = None
    offset: float = 0.0

    @property
    def drawn(self) -> bool:
        """Whether anything in the weight is random."""
        return bool(self.noise) or any(flags is not None for flags in self._random(self.fresh))

    @property
    def identity(self) -> bool:
        """Whether the weight stays as it is."""
        return all(index is None for index in self.index) and not self.summed and self.scale == 1

    def key(self) -> tuple[object, ...]:
        """Return a value that is equal for recipes that make the same weight of the same teacher."""
        index = tuple(None if array is None else array.tobytes() for array in self.index)
        summed = tuple((part.axis, part.share.tobytes(), part.key.tobytes()) for part in self.summed)
        fresh = tuple(None if array is None else array.tobytes() for array in self.fresh)
        rows = tuple(row and (row.combination is None or row.combination.tobytes()) for row in self.rows)
        zero = None if self.zero is None else self.zero.tobytes()
        mixed = tuple(each and each.key() for each in self.mixed)
        return index, summed, fresh, rows, self.scale, zero, mixed, self.offset

    def shape(self, before: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the grown weight."""
        return tuple(n if index is None else len(index) for n, index in zip(before, self.index, strict=True))

    def make(self, teacher: np.ndarray) -> np.ndarray:
        """Return the grown weight, of the teacher's dtype."""
        ((_, _, grown),) = self.parts(teacher)
        return grown

    def parts(self, teacher: np.ndarray, elements: float = math.inf) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield the grown weight in parts along one axis: the axis, where on it a part starts, and the part.

        Works through blocks that fit into a cache, each with random numbers of its own, so that the outcome does not
        depend on how many of them are made side by side.

        Args:
            teacher: The teacher's weight.
            elements: About how many elements a part may have. A weight that sums over all of its axes is one part.
        """
        teacher = np.require(teacher, requirements="A")  # numpy copies a mapped tensor anew for every block otherwise
        shape = self.shape(teacher.shape)
        for axis, row in enumerate(self.rows):
            teacher = teacher if row is None else row.append(teacher, axis)
        size = math.prod(shape)
        deviation = _deviation(teacher) if self.noise or (self.drawn and self.law < 3) else 0.0
        divisions = [Division(part.axis, part.share, part.key) for part in self.summed]
        across = next((axis for axis in range(len(shape)) if all(part.axis != axis for part in self.summed)), None)
        if across is None or size <= BLOCK:
            grown = np.empty(shape, teacher.dtype)
            grown[...] = self._block(teacher, self.index, self.fresh, self.mixed, deviation, divisions, 0)
            yield 0, 0, grown
            return
        rows = max(1, BLOCK * shape[across] // size)

        def fill(part: np.ndarray, first: int, start: int) -> None:
            places = np.arange(start, min(start + rows, shape[across]))
            here = (slice(None),) * across + (slice(start - first, start - first + rows),)
            index, fresh, mixed = list(self.index), list(self.fresh), list(self.mixed)
            found = index[across]
            index[across] = places if found is None else found[places]
            if across < len(fresh) and (flags := fresh[across]) is not None:
                fresh[across] = flags[places]
                if across < len(mixed) and (mixture := mixed[across]) is not None:
                    mixed[across] = mixture.part(flags, places)
            part[here] = self._block(teacher, tuple(index), tuple(fresh), tuple(mixed), deviation, divisions, start)

        length = rows * max(1, math.ceil(min(shape[across], elements * shape[across] / size) / rows))
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of the interpreter in all that matters here
            for first in range(0, shape[across], length):
                last = min(first + length, shape[across])
                part = np.empty((*shape[:across], last - first, *shape[across + 1 :]), teacher.dtype)
                list(pool.map(partial(fill, part, first), range(first, last, rows)))
                yield across, first, part

    def _block(
        self,
        teacher: np.ndarray,
        index: tuple[np.ndarray | None, ...],
        fresh: tuple[np.ndarray | None, ...],
        mixed: tuple[Mixture | None, ...],
        deviation: float,
        divisions: Sequence[Division],
        number: int,
    ) -> np.ndarray:
        block, amplitude = teacher, self.noise * deviation
        noisy = self.law > 1 and amplitude > 0 and self.zero is None
        blended = {axis for axis, mixture in enumerate(mixed) if mixture is not None}
        parted = {division.axis for division in divisions if division.groups} - blended if noisy else set[int]()
        for axis, places in sorted(enumerate(index), key=lambda entry: _length(entry[1], teacher.shape[entry[0]])):
            if places is not None and axis not in parted:
                mixture = mixed[axis] if axis < len(mixed) else None
                rows = None if mixture is None else mixture.rows(block, axis)  # before shares: new to new stays zero
                block = _take(block, places, axis)
                if rows is not None:
                    block = block.astype(rows.dtype)
                    block[(*(slice(None),) * axis, fresh[axis])] = rows
        if not self.summed and self.scale == 1 and all(flags is None for flags in fresh):
            return block
        if self.zero is not None:
            return self._undivided(block, index, self.zero)
        working = _working(teacher)
        block = (block.astype(teacher.dtype) if blended and self.law > 1 else block).astype(working)  # also of mixtures
        if self.scale != 1:
            block = self._scaled(block, teacher.dtype)
        rng = np.random.Generator(np.random.SFC64([*self.seed, number]))
        if self.law == 1:
            self._rounded(block, amplitude, rng)
        taken = set[int]()
        for division in divisions if self.law > 1 else ():
            if division.axis in parted and (places := index[division.axis]) is not None:
                if division.axis in taken:  # by another sum, over a part of this axis
                    places = np.arange(len(places))
                taken.add(division.axis)
                block = division.part(block, places, teacher.dtype, amplitude, rng)
            else:
                block = division.divide(block, teacher.dtype)
        for axis, flags in enumerate(self._random(fresh)):
            if flags is not None and flags.any():
                rows = np.moveaxis(block, axis, 0)
                drawn = rng.standard_normal((int(flags.sum()), *rows.shape[1:]), np.float32)
                rows[flags] = drawn * (np.float32(deviation) if self.law < 3 else _sizes(rows[flags]))
        return block

    def _scaled(self, block: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Multiply by the scale, and round once to the type of the weight."""
        if self.law == 1:
            block *= block.dtype.type(self.scale)
            return block
        wide = np.longdouble if block.dtype == np.float64 else np.float64
        scale = wide(self.scale) if self.squared is None else np.sqrt(wide(self.squared[0]) / wide(self.squared[1]))
        offset = wide(self.offset)
        product = (block + offset) * scale - offset if self.offset else block * scale
        scaled: np.ndarray = product.astype(dtype).astype(block.dtype)
        return scaled

    def _rounded(self, block: np.ndarray, amplitude: float, rng: np.random.Generator) -> None:
        """Multiply by shares and add noise, whose sums over copies are exact but for rounding."""
        for part in self.summed:
            block *= _along(part.share.astype(block.dtype), part.axis, block.ndim)
        for part in self.summed if amplitude > 0 else ():
            _perturb(block, _next_copy(part.key, part.share), part.axis, amplitude, rng)

    def _random(self, fresh: tuple[np.ndarray | None, ...]) -> list[np.ndarray | None]:
        """Return those of the fresh places that get random values."""
        mixed = (*self.mixed, *(None for _ in fresh[len(self.mixed) :]))
        return [flags if mixture is None else None for flags, mixture in zip(fresh, mixed, strict=False)]

    def _undivided(self, block: np.ndarray, index: tuple[np.ndarray | None, ...], zero: np.ndarray) -> np.ndarray:
        """Give whole numbers to the first of the copies that have a share, and zero to the others.

        Divided among copies they would sum to the same, but not where a processor adds products two by two in 16 bits,
        and saturates: there a weight computes what it does only in one piece.
        """
        for axis, places in enumerate(index if zero.ndim else ()):
            if places is not None and zero.shape[axis] > 1:
                zero = np.take(zero, places, axis=axis)
        whole = block.astype(np.float64) - zero
        for part in self.summed:
            whole *= _along(_first(part.key, part.share), part.axis, block.ndim)
        made: np.ndarray = (whole + zero).astype(np.int64).astype(block.dtype)
        return made


def _first(key: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return 1 for the first place of each channel that has a share, and 0 for the others."""
    found = np.zeros(len(key))
    places = np.flatnonzero(share > 0)
    found[places[np.unique(key[places], return_index=True)[1]]] = 1
    return found


def _working(teacher: np.ndarray) -> type[np.floating[Any]]:
    """Return the type to compute in."""
    return np.float64 if teacher.dtype == np.float64 else np.float32


def _combined(rows: np.ndarray, combination: np.ndarray) -> np.ndarray:
    """Return the combination of rows, computed so closely that it is rounded once: when it is stored."""
    length = len(combination)
    mean = bool(np.all(combination == 1 / length)) if length else False
    if rows.dtype == np.float64:
        total = np.apply_along_axis(math.fsum, 0, rows if mean else rows * _along(combination, 0, rows.ndim))
    elif mean:
        total = rows.astype(np.float32, copy=False).sum(0, dtype=np.float64)
    else:
        total = np.einsum("i,i...->...", combination, rows.astype(np.float32, copy=False), dtype=np.float64)
    found: np.ndarray = total / length if mean else total
    return found


def _length(places: np.ndarray | None, before: int) -> float:
    return 1.0 if places is None else len(places) / max(before, 1)


def _take(block: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Take places along an axis; what stays in front is copied as a whole, which is much faster."""
    length = block.shape[axis]
    if len(places) >= length and (places[:length] == np.arange(length)).all():
        return np.concatenate((block, block.take(places[length:], axis)), axis=axis)
    return block.take(places, axis)


def _perturb(block: np.ndarray, circle: np.ndarray, axis: int, amplitude: float, rng: np.random.Generator) -> None:
    """Add noise to the copies of each channel that sums to zero over them, until it is rounded.

    Each place gets a random integer minus that of the next copy of its channel, times a power of two; a channel without
    copies follows itself, and gets nothing.
    """
    step = block.dtype.type(np.exp2(np.floor(np.log2(amplitude / SPREAD))))
    drawn = np.frombuffer(rng.bytes(block.size), np.int8).reshape(block.shape) >> 1
    drawn -= np.take(drawn, circle, axis=axis)
    block += drawn * step


def _sizes(rows: np.ndarray) -> np.ndarray:
    """Return the root of the mean square of each row; 0 where it has none. Rows of more places have smaller ones."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.sqrt(np.square(rows, dtype=np.float64).mean(tuple(range(1, rows.ndim)), keepdims=True))
    sizes: np.ndarray = np.where(np.isfinite(found), found, 0).astype(rows.dtype)
    return sizes


def _deviation(teacher: np.ndarray) -> float:
    """Return the standard deviation of a weight, of a large one from a sample."""
    sample = teacher.reshape(-1)[:: max(1, teacher.size // SAMPLE)]
    with np.errstate(over="ignore", invalid="ignore"):  # numbers may be infinite, or so large that squares are
        return float(np.std(sample, dtype=np.float64)) if sample.size else 0.0


def _along(vector: np.ndarray, axis: int, rank: int) -> np.ndarray:
    return vector.reshape(-1, *[1] * (rank - axis - 1))


def _next_copy(key: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return for each place the next copy of its channel, the first after the last; places without share stay out."""
    places = np.flatnonzero(share > 0)
    order = places[np.argsort(key[places], kind="stable")]
    following = np.arange(len(key))
    if len(order):
        starts = np.flatnonzero(np.r_[True, key[order][1:] != key[order][:-1]])
        ends = np.r_[starts[1:], len(order)] - 1
        following[order[:-1]] = order[1:]
        following[order[ends]] = order[starts]
    return following
