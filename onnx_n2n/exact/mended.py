"""Large constants some of whose numbers are others than the file has: those from before they were rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from onnx_n2n.exact.chance import Bound
from onnx_n2n.exact.residues import Modulus, Residues
from onnx_n2n.exact.stored import Stored


@dataclass(frozen=True)
class Block:
    """Numbers that stand in a part of an array: those at all combinations of some places of its axes.

    Args:
        at: For each axis int64[n]: the places in the array.
        sources: For each axis int64[n]: where in ``numbers`` each of them is from.
        numbers: The numbers, with as many axes.
    """

    at: tuple[np.ndarray, ...]
    sources: tuple[np.ndarray, ...]
    numbers: Any

    def transposed(self, order: Sequence[int]) -> Block:
        """Return the block of an array with its axes in another order."""
        at, sources = (tuple(each[axis] for axis in order) for each in (self.at, self.sources))
        return Block(at, sources, self.numbers.transpose(order))

    def cut(self, starts: Sequence[int], stops: Sequence[int]) -> Block:
        """Return the block of part of an array."""
        kept = [(each >= a) & (each < b) for each, a, b in zip(self.at, starts, stops, strict=True)]
        at = tuple(each[some] - a for each, some, a in zip(self.at, kept, starts, strict=True))
        return Block(at, tuple(each[some] for each, some in zip(self.sources, kept, strict=True)), self.numbers)

    def merged(self, shape: Sequence[int], groups: Sequence[Sequence[int]]) -> Block:
        """Return the block of an array of a shape in which groups of neighbouring axes have become one each."""
        own = self.numbers.shape
        at, sources = [], []
        for group in groups:
            at.append(_flat([self.at[axis] for axis in group], [shape[axis] for axis in group]))
            sources.append(_flat([self.sources[axis] for axis in group], [own[axis] for axis in group]))
        lengths = [int(np.prod([own[axis] for axis in group], dtype=np.int64)) for group in groups]
        return Block(tuple(at), tuple(sources), self.numbers.reshape(lengths))


def _flat(places: Sequence[np.ndarray], lengths: Sequence[int]) -> np.ndarray:
    """Return all combinations of places of some axes as places of one axis that they become."""
    found = np.zeros(1, np.int64)
    for each, length in zip(places, lengths, strict=True):
        found = (found[:, None] * length + each).reshape(-1)
    return found


class Mended(Stored):
    """Numbers as a file has them, but for some blocks.

    Args:
        field: What they are entered in.
        array: The numbers, as floats of any type.
        bound: What bounds them, those of the blocks too.
        blocks: Parts of the array in which other numbers stand; no two of them overlap.
    """

    __slots__ = ("blocks",)

    def __init__(self, field: Modulus, array: np.ndarray, bound: Bound, blocks: tuple[Block, ...]) -> None:
        super().__init__(field, array, bound)
        self.blocks = blocks

    def _whole(self) -> np.ndarray:
        found = super()._whole()
        for block in self.blocks:
            for numbers, exact in zip(found, block.numbers.values, strict=True):
                numbers[np.ix_(*block.at)] = exact[np.ix_(*block.sources)]
        return found

    def slab(self, place: int, key: Any = ...) -> np.ndarray:
        """Return part of the numbers for one prime."""
        if key is not Ellipsis:
            return self[key].slab(place)
        found = super().slab(place)
        for block in self.blocks:
            found[np.ix_(*block.at)] = block.numbers.slab(place)[np.ix_(*block.sources)]
        return found

    def under(self, left: Residues) -> np.ndarray | None:
        """Return the product of other numbers with this matrix; the blocks, in which rows or columns repeat, apart."""
        found = super().under(left)
        if found is None:
            return None
        primes = self.field.column.reshape(-1, 1, 1)
        flat = found.reshape(len(primes), -1, found.shape[-1])
        given = left.values.reshape(len(primes), flat.shape[1], -1)
        for block in self.blocks:
            rows, at = np.unique(block.sources[0], return_inverse=True)
            columns, spread = np.unique(block.sources[1], return_inverse=True)
            sums = _summed(Residues(self.field, given[..., block.at[0]], left.bound), at, len(rows))
            product = (sums @ block.numbers[rows][:, columns]).values[..., spread]
            product += flat[..., block.at[1]]
            flat[..., block.at[1]] = product - primes * (product >= primes)
        return found

    def _part(self, start: int, stop: int, first: int, last: int) -> np.ndarray:
        found = super()._part(start, stop, first, last)
        ends = [min(end, length) for end, length in zip((stop, last), self.shape, strict=True)]
        for block in self.blocks:
            found[np.ix_(*block.cut((start, first), ends).at)] = 0
        return found

    # What moves numbers

    def reshape(self, shape: Sequence[int]) -> Self:
        """Return the same numbers in another shape; one length may be -1."""
        array = self.array.reshape(tuple(shape))
        groups = _groups(self.shape, array.shape)
        if groups is None:
            return self._with(self.values).reshape(shape)
        blocks = tuple(each.merged(self.shape, groups) for each in self.blocks)
        return type(self)(self.field, array, self.bound, blocks)

    def transpose(self, order: Sequence[int]) -> Self:
        """Return the numbers with their axes in another order."""
        order = [axis % self.ndim for axis in order]
        blocks = tuple(each.transposed(order) for each in self.blocks)
        return type(self)(self.field, self.array.transpose(order), self.bound, blocks)

    def moveaxis(self, source: int, target: int) -> Self:
        """Return the numbers with one axis in another place."""
        return self.transpose(np.moveaxis(np.arange(self.ndim), source, target).tolist())

    def __getitem__(self, key: Any) -> Self:
        """Return part of the numbers, by whatever NumPy takes as a key."""
        cuts = _cuts(key, self.shape)
        if cuts is None:
            return self._with(self.values)[key]
        blocks = tuple(each.cut([a for a, _, _ in cuts], [b for _, b, _ in cuts]) for each in self.blocks)
        part = self.array[tuple(slice(a, b) for a, b, _ in cuts)]
        kept = tuple(n for n, (_, _, gone) in zip(part.shape, cuts, strict=True) if not gone)
        whole = type(self)(self.field, part, self.bound, blocks)
        return whole if kept == part.shape else whole.reshape(kept)


def _summed(x: Residues, places: np.ndarray, count: int) -> Residues:
    """Return for each of so many places the sum of the numbers along the last axis that belong to it."""
    if count == len(places):
        return x[..., np.argsort(places)]
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(count))
    sums = np.add.reduceat(x.values[..., order], starts, axis=-1)
    column = x.field.column.reshape(-1, *[1] * x.ndim)
    return Residues(x.field, np.fmod(sums, column), x.bound.summed(len(places)))


def _groups(old: Sequence[int], new: Sequence[int]) -> list[list[int]] | None:
    """Return which neighbouring axes become each axis of another shape; None where an axis is cut in several."""
    groups: list[list[int]] = []
    axis = 0
    for length in new:
        group: list[int] = []
        size = 1
        while axis < len(old) and size < length:
            size *= old[axis]
            group.append(axis)
            axis += 1
        if size != length:
            return None
        groups.append(group)
    rest = list(range(axis, len(old)))
    if any(old[each] != 1 for each in rest) or not groups:
        return None
    groups[-1] += rest
    return groups


def _cuts(key: Any, shape: Sequence[int]) -> list[tuple[int, int, bool]] | None:
    """Return where each axis is cut by whole numbers and slices without steps, and whether it goes; else None."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(not isinstance(each, int | slice) and each is not Ellipsis for each in parts):
        return None
    dots = [place for place, each in enumerate(parts) if each is Ellipsis] or [len(parts)]
    parts[dots[0] : dots[0] + 1] = [slice(None)] * (len(shape) - sum(each is not Ellipsis for each in parts))
    cuts = []
    for each, length in zip(parts, shape, strict=True):
        if isinstance(each, int):
            cuts.append((each % length, each % length + 1, True))
        else:
            start, stop, step = each.indices(length)
            if step != 1:
                return None
            cuts.append((start, max(start, stop), False))
    return cuts
