"""A channel's weight divided among its copies: as they are stored, they sum to it, to the last bit.

A floating-point number of p bits is ``m * unit``, with a whole number m of at most p bits. Its copies are whole
multiples of the same unit: the differences of whole numbers that go from 0 to m, one step for each copy. Where a step
lies, shares and noise say. No copy may have more than p bits, so that the noise on a small number is small too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import ml_dtypes
import numpy as np

EVEN = 36.95  # standard deviation of an integer drawn evenly from -64..63
LARGEST = 64  # the largest of these


@dataclass(frozen=True, eq=False)
class Type:
    """A type of floating-point numbers.

    Attributes:
        bits: How many bits a number has, with the leading one.
        tiny: The smallest that has all of them.
        largest: The largest number.
        signed: Whether there are numbers below zero.
    """

    bits: int
    tiny: float
    largest: float
    signed: bool

    @classmethod
    def of(cls, dtype: np.dtype) -> Type:
        """Describe a type."""
        info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
        return cls(info.nmant + 1, float(info.tiny), float(info.max), float(info.min) < 0)

    @property
    def most(self) -> int:
        """How many units the largest number has; for a few types one or two less than for others of as many bits."""
        return int(np.ldexp(np.frexp(self.largest)[0], self.bits))

    def units(self, numbers: np.ndarray) -> np.ndarray:
        """Return the unit of each number, a power of two; for infinity and NaN infinity."""
        bits = _bits(numbers)
        exponent = 0x7F800000 if numbers.dtype == np.float32 else 0x7FF << 52
        leading: np.ndarray = (bits & bits.dtype.type(exponent)).view(numbers.dtype)
        np.maximum(leading, numbers.dtype.type(self.tiny), out=leading)
        leading *= numbers.dtype.type(2.0 ** (1 - self.bits))
        return leading

    def nearest_to_zero(self, numbers: np.ndarray) -> float:
        """Return the magnitude of the number nearest to zero that is not zero; infinity for none."""
        bits = _bits(numbers)
        one, none = bits.dtype.type(1), np.iinfo(bits.dtype).max
        order = bits << one  # without the sign, bits are in the order of the numbers
        order -= one  # zero is behind all others
        least = order.min(initial=none)
        return np.inf if least == none else float(((least + one) >> one).view(numbers.dtype))


def _bits(numbers: np.ndarray) -> np.ndarray:
    return numbers.view(np.uint32 if numbers.dtype == np.float32 else np.uint64)


@dataclass(frozen=True, eq=False)
class Group:
    """The channels that have k copies, c of them.

    Attributes:
        places: int64[k, c], the places of the copies.
        share: float64[k, c].
    """

    places: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, eq=False)
class Division:
    """How places of an axis divide what channels have.

    Attributes:
        axis: The axis.
        share: float64[n'], the share of each place.
        key: int64[n'], equal for places that are copies of each other.
    """

    axis: int
    share: np.ndarray
    key: np.ndarray

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The channels that have copies, by how many these are; places without share are none."""
        places = np.flatnonzero(self.share > 0)
        order = places[np.argsort(self.key[places], kind="stable")]
        starts = np.flatnonzero(np.r_[True, self.key[order][1:] != self.key[order][:-1]]) if len(order) else order
        counts = np.diff(np.r_[starts, len(order)])
        found = []
        for count in np.unique(counts[counts > 1]):
            inside = order[starts[counts == count] + np.arange(count)[:, None]]
            found.append(Group(inside, self.share[inside]))
        return tuple(found)

    @cached_property
    def halves(self) -> bool:
        """Whether all shares are powers of two, by which numbers can be multiplied."""
        return bool(np.isin(np.frexp(self.share)[0], (0.0, 0.5)).all())

    @cached_property
    def least(self) -> np.ndarray:
        """float64[n'], the least share of a copy of the same channel."""
        found = np.ones(len(self.share))
        for group in self.groups:
            found[group.places] = group.share.min(0)
        return found

    def divide(self, block: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return what each place has of its channel.

        Args:
            block: float32 or float64 with n' places along the axis, what the channels have: numbers of ``dtype``.
            dtype: The type in which the outcome is stored.
        """
        kind = Type.of(dtype)
        shared: np.ndarray = block * self._along(self.share, block)
        if not kind.signed or not self.groups or (lost := self._lost(block, kind, dtype)) is None:
            return shared
        for group in self.groups:
            found = np.nonzero(np.take(lost, group.places[0], axis=self.axis))
            channels = found[self.axis]
            if not len(channels):
                continue
            at = [(*found[: self.axis], places[channels], *found[self.axis + 1 :]) for places in group.places]
            parts = _parts(block[at[0]], [share[channels] for share in group.share], kind)
            for place, part in zip(at, parts, strict=True):
                shared[place] = part
        return shared

    def part(
        self, block: np.ndarray, index: np.ndarray, dtype: np.dtype, amplitude: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Take places along the axis, and divide with noise what their channels have, so that copies differ.

        Args:
            block: float32 or float64 with n places along the axis: numbers of ``dtype``.
            index: int64[n'], which of them to take.
            dtype: The type in which the outcome is stored. Without a sign it has no noise.
            amplitude: Standard deviation of the noise on copies.
            rng: What it is drawn from.
        """
        kind = Type.of(dtype)
        if not kind.signed:
            return self.divide(np.take(block, index, axis=self.axis), dtype)
        noise = Noise(amplitude, kind, rng)
        sources, where, length = [block], index.copy(), block.shape[self.axis]
        for group in self.groups if block.size else ():
            whole = np.take(block, index[group.places[0]], axis=self.axis)
            parts = _parts(whole, [self._along(share, whole) for share in group.share], kind, noise)
            for places, part in zip(group.places, parts, strict=True):
                sources.append(part)
                where[places] = np.arange(length, length := length + len(places))
        found: np.ndarray = np.take(np.concatenate(sources, axis=self.axis), where, axis=self.axis)
        found[self._at(np.flatnonzero(self.share == 0))] *= 0
        return found

    def _at(self, places: np.ndarray) -> tuple[slice | np.ndarray, ...]:
        return (*(slice(None),) * self.axis, places)

    def _along(self, vector: np.ndarray, block: np.ndarray) -> np.ndarray:
        return vector.astype(block.dtype).reshape(-1, *[1] * (block.ndim - self.axis - 1))

    def _lost(self, block: np.ndarray, kind: Type, dtype: np.dtype) -> np.ndarray | None:
        """Return which numbers their copies cannot have by shares alone, as a half of the smallest; None for none."""
        if not self.halves:
            finite: np.ndarray = np.isfinite(block)
            return finite
        limit = kind.tiny / self.least.min()
        if kind.nearest_to_zero(block) >= limit:
            return None
        lost: np.ndarray = np.abs(block) < limit
        small, least = block[lost], np.broadcast_to(self._along(self.least, block), block.shape)[lost]
        lost[lost] = (small * least).astype(dtype).astype(block.dtype) / least != small
        return lost


def _parts(
    whole: np.ndarray, shares: Sequence[np.ndarray], kind: Type, noise: Noise | None = None
) -> Iterator[np.ndarray]:
    """Yield what the first copies have of their channels, the second ones, and so on; shares broadcast."""
    shares = [share.astype(whole.dtype) for share in shares]
    shares = [share.flat[0] if np.all(share == share.flat[0]) else share for share in shares]  # numbers are faster
    unit = kind.units(whole)
    if noise is not None:
        np.copyto(unit, whole.dtype.type(noise.unit_of_zeros), where=whole == 0)
    odd = ~np.isfinite(whole) if np.isinf(unit.max(initial=0)) else None
    with np.errstate(all="ignore"):
        number = whole / unit
        if noise is not None:
            step = noise.step(number, unit, reduce(np.maximum, shares), len(shares))
    done: np.ndarray | None = None
    for place, share in enumerate(shares):
        if place == len(shares) - 1:
            reached = number
        else:
            reached = number * sum(shares[: place + 1])
            if noise is not None:
                noise.add(reached, step)
            np.rint(reached, out=reached)
        part = reached * unit if done is None else (reached - done) * unit
        done = reached
        yield part if odd is None else np.where(odd, whole * share, part)


@dataclass(frozen=True, eq=False)
class Noise:
    """Noise on where one copy ends and the next begins.

    Attributes:
        amplitude: Its standard deviation.
        kind: The type of the numbers.
        rng: What it is drawn from.
    """

    amplitude: float
    kind: Type
    rng: np.random.Generator

    @property
    def unit_of_zeros(self) -> float:
        """The unit of zeros: one in which the largest noise has as many bits as there are."""
        reach = 2 * LARGEST * min(self.amplitude / EVEN, self.kind.largest)
        top = np.exp2(np.frexp(self.kind.largest)[1] - 1.0)
        wanted = min(np.exp2(np.ceil(np.log2(reach))), top) / 2
        return float(max(wanted, self.kind.tiny) * 2.0 ** (1 - self.kind.bits))

    def step(
        self, number: np.ndarray, unit: np.ndarray, share: np.ndarray | np.floating[Any], copies: int
    ) -> np.ndarray:
        """Return what one step of noise is, in units: as much as was asked for, and no more than a copy can hold.

        Args:
            number: What a channel has, in units.
            unit: The units.
            share: The largest share of a copy.
            copies: How many copies there are.
        """
        sides = 1 if copies == 2 else 2  # a copy between two others has the noise of both
        slack = 2 if self._narrow(number) else 4  # what rounding takes
        most = 1 / (sides * LARGEST)
        room: np.ndarray = np.abs(number)
        room *= share * number.dtype.type(-most)
        room += number.dtype.type((self.kind.most - slack) * most)
        np.maximum(room, 0, out=room)
        np.minimum(room, number.dtype.type(min(self.amplitude / EVEN, self.kind.largest)) / unit, out=room)
        return room

    def add(self, number: np.ndarray, step: np.ndarray) -> None:
        """Add noise; in types of few bits so that where it is less than a unit, some numbers get one, and most none.

        The numbers drawn are the same in all types, so that half and full precision of a checkpoint stay alike.
        """
        number += (np.frombuffer(self.rng.bytes(number.size), np.int8).reshape(number.shape) >> 1) * step
        if self._narrow(number):
            drawn = np.frombuffer(self._rest.bytes(number.size), np.uint8).reshape(number.shape)
            number += (drawn - np.float32(127.5)) / number.dtype.type(256)

    @cached_property
    def _rest(self) -> np.random.Generator:
        """What decides about less than a unit."""
        seeds = self.rng.bit_generator.seed_seq
        assert isinstance(seeds, np.random.SeedSequence)
        return np.random.Generator(np.random.SFC64(seeds.spawn(1)[0]))

    def _narrow(self, number: np.ndarray) -> bool:
        return self.kind.bits <= np.finfo(number.dtype).nmant - 8
