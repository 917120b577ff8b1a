"""Arrays of residues: each number once for every prime of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact.chance import Bound
from onnx_n2n.exact.limit import keep
from onnx_n2n.exact.numeric import EITHER, Numbers, Scalar, opposite
from onnx_n2n.exact.undecided import Undecided

SPLIT = 8192.0  # 13 bits: half of a residue
LARGEST = 1 << 22  # numbers of one operand that are in memory at once, where it is a constant in a file
BLOCK = 1 << 15  # numbers that are reduced at once: they stay in a processor's cache
LONGEST = 1 << 13  # so many products of half a residue with a residue, 39 bits each, fit the 53 bits of a double


class Modulus(Protocol):
    """What residues are calculated modulo: the primes and functions of a run.

    Attributes:
        column: The primes as doubles, float64[primes].
        products: Whether to multiply numbers that inputs have a part in; else a product of two is a function of them.
    """

    column: np.ndarray
    products: bool

    @property
    def primes(self) -> Sequence[int]:
        """The primes."""
        ...

    def enter(self, array: ArrayLike) -> Residues:
        """Return numbers as residues, without rounding."""
        ...

    def opaque_product(self, one: Residues, two: Residues) -> Residues:
        """Return a random function of two numbers that may be exchanged, and is 0 where one of them is."""
        ...

    def total(self, one: Residues, two: Residues) -> Residues:
        """Return a random function of two numbers that may be opposite infinities."""
        ...


class Residues(Numbers):
    """Whole numbers in doubles, ``[0, p)`` for the prime of each place of the first axis."""

    LEAD: ClassVar[int] = 1
    __slots__ = ("field",)

    def __init__(self, field: Modulus, values: np.ndarray, bound: Bound, infinite: int = 0) -> None:
        super().__init__(values, bound, infinite)
        self.field = field

    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: int | None = None) -> Self:
        kept = self.infinite if infinite is None else infinite
        return type(self)(self.field, values, self.bound if bound is None else bound, kept)

    def _entered(self, other: Self | Scalar) -> Self:
        return other if isinstance(other, Residues) else self.field.enter(np.asarray(other))  # type: ignore[return-value]

    def _column(self, ndim: int) -> np.ndarray:
        return self.field.column.reshape(-1, *[1] * ndim)

    def __add__(self, other: Self | Scalar) -> Self:
        one, two = self._level(self._entered(other))
        if one.infinite & opposite(two.infinite):  # infinity less infinity is no number, whatever residues say
            return self.field.total(one, two)  # type: ignore[return-value]
        values = one.values + two.values
        lessened(values, self._column(values.ndim - 1))
        return self._with(values, one.bound.plus(two.bound), one.infinite | two.infinite)

    def __sub__(self, other: Self | Scalar) -> Self:
        one, two = self._level(self._entered(other))
        if one.infinite & two.infinite:
            return one + -two
        values = one.values - two.values
        wrapped(values, self._column(values.ndim - 1))
        return self._with(values, one.bound.plus(two.bound), one.infinite | opposite(two.infinite))

    def __mul__(self, other: Self | Scalar) -> Self:
        one, two = self._level(self._entered(other))
        self._finite(one, two)
        if not (self.field.products or one.constant or two.constant):
            return self.field.opaque_product(one, two)  # type: ignore[return-value]
        values = one.values * two.values
        return self._with(reduced(values, self._column(values.ndim - 1)), one.bound.times(two.bound))

    def __matmul__(self, other: Self) -> Self:
        self._finite(self, other)
        left, right = self, other
        if left.ndim == 1:
            product = left.reshape((1, -1)) @ right
            return product[0] if right.ndim == 1 else product[..., 0, :]
        if right.ndim == 1:
            return (left @ right.reshape((-1, 1)))[..., 0]
        terms = left.shape[-1]
        bound = left.bound.times(right.bound).summed(terms)
        if right.ndim == 2 and (found := right.under(left)) is not None:
            return self._with(found, bound)
        lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        columns = right.shape[-1]
        values = np.zeros((len(self.field.primes), *lead, left.shape[-2], columns))
        length = min(LONGEST, max(terms, 1))
        width = max(1, LARGEST // length) if right.ndim == 2 else columns
        for start in range(0, terms, length):
            for first in range(0, columns, width):
                here = slice(start, start + length), slice(first, first + width)
                for place, prime in enumerate(self.field.primes):
                    keep()
                    part, rest = left.slab(place, (..., here[0])), right.slab(place, (..., *here))
                    found = values[place, ..., here[1]]
                    made = _product(part, rest, float(prime))
                    found[...] = reduced(found + made, float(prime)) if start else made
        return self._with(values, bound)

    def under(self, left: Residues) -> np.ndarray | None:  # noqa: ARG002
        """Return the product of other numbers with this matrix, if there is a quicker way to it."""
        return None

    def slab(self, place: int, key: Any = ...) -> np.ndarray:
        """Return part of the numbers for one prime, by its place."""
        return np.asarray(self.values[place][key])

    def sum(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the sum over axes."""
        if self._terms(axes) >= 1 << 27:
            raise Undecided("a sum of more than 134 million numbers")
        self._of_one_sign(self._terms(axes))
        values = self.values.sum(self._axes(axes), keepdims=keep)
        return self._with(reduced(values, self._column(values.ndim - 1)), self.bound.summed(self._terms(axes)))

    def multiplied(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the product over axes."""
        found = self
        for axis in sorted({axis % self.ndim for axis in axes}, reverse=True):
            total = found.field.enter(np.asarray(1)).broadcast_to(
                tuple(1 if place == axis else length for place, length in enumerate(found.shape))
            )
            for place in range(found.shape[axis]):
                total = total * found[(slice(None),) * axis + (slice(place, place + 1),)]
            found = self._with(total.values, total.bound, total.infinite)
        gone = {axis % self.ndim for axis in axes}
        return found if keep else found.reshape([n for axis, n in enumerate(self.shape) if axis not in gone])

    def cumulated(self, axis: int) -> Self:
        """Return the sums of all numbers up to each place."""
        self._of_one_sign(self.shape[axis])
        values = np.cumsum(self.values, axis % self.ndim + 1)
        return self._with(reduced(values, self._column(self.ndim)), self.bound.summed(self.shape[axis]))

    def _level(self, other: Self) -> tuple[Self, Self]:
        """Return both with as many axes, so that they broadcast."""
        most = max(self.ndim, other.ndim)
        return (
            self if self.ndim == most else self.reshape((1,) * (most - self.ndim) + self.shape),
            other if other.ndim == most else other.reshape((1,) * (most - other.ndim) + other.shape),
        )

    def _of_one_sign(self, terms: int) -> None:
        if terms > 1 and self.infinite == EITHER:
            raise Undecided("infinity is taken from what may be infinite")

    @staticmethod
    def _finite(*parts: Numbers) -> None:
        if any(part.infinite for part in parts):
            raise Undecided("something is multiplied by what may be infinite")


def reduced(values: np.ndarray, prime: np.ndarray | float) -> np.ndarray:
    """Bring whole numbers from 0 to 2^53 into ``[0, prime)``, in place.

    Args:
        values: The numbers, float64[...].
        prime: One for all of them, or one for each place of the first axis, ``[k, 1, ...]``.
    """
    values = np.asarray(values)
    for part, one in _blocks(values, prime):
        times = np.multiply(part, 1 / one * (1 - 2.0**-50), out=np.empty_like(part))
        np.floor(times, out=times)
        times *= one
        part -= times
        _lessened(part, one, times)
    return values


def centred(values: np.ndarray, prime: np.ndarray | float) -> np.ndarray:
    """Bring whole numbers from -2^53 to 2^53 as near to 0 as they can be modulo a prime, in place."""
    for part, one in _blocks(values, prime):
        times = np.multiply(part, 1 / one, out=np.empty_like(part))
        np.rint(times, out=times)
        times *= one
        part -= times
    return values


def lessened(values: np.ndarray, prime: np.ndarray | float) -> np.ndarray:
    """Bring whole numbers from 0 to less than twice a prime into ``[0, prime)``, in place."""
    values = np.asarray(values)
    for part, one in _blocks(values, prime):
        _lessened(part, one, np.empty_like(part))
    return values


def wrapped(values: np.ndarray, prime: np.ndarray | float) -> np.ndarray:
    """Bring whole numbers between minus a prime and the prime into ``[0, prime)``, in place."""
    values = np.asarray(values)
    for part, one in _blocks(values, prime):
        part += one
        _lessened(part, one, np.empty_like(part))
    return values


def _lessened(values: np.ndarray, prime: np.ndarray | float, times: np.ndarray) -> None:
    """Do the same with an array of that shape to calculate in: the bits of what is below 0 are a larger number."""
    np.subtract(values, prime, out=times)
    words = values.view(np.uint64)
    np.minimum(words, times.view(np.uint64), out=words)


def _blocks(values: np.ndarray, prime: np.ndarray | float) -> Iterator[tuple[np.ndarray, np.ndarray | float]]:
    """Yield parts of an array, each with its prime, that stay in a processor's cache if they can."""
    if values.size <= BLOCK:
        yield values, prime
        return
    rows = [(values, prime)] if isinstance(prime, float) else zip(values, prime.reshape(-1).tolist(), strict=True)
    for row, one in rows:
        flat = row.ravel(order="K")
        if not np.may_share_memory(flat, row):
            yield row, one
            continue
        for start in range(0, len(flat), BLOCK):
            yield flat[start : start + BLOCK], one


def _product(left: np.ndarray, right: np.ndarray, prime: float) -> np.ndarray:
    """Return a matrix product modulo a prime: one operand is cut in two, so that sums stay below 2^53."""
    if left.size <= right.size:
        high = np.floor(left / SPLIT)
        upper, lower = np.matmul(high, right), np.matmul(left - high * SPLIT, right)
    else:
        high = np.floor(right / SPLIT)
        upper, lower = np.matmul(left, high), np.matmul(left, right - high * SPLIT)
    upper = reduced(upper, prime)
    upper *= SPLIT
    upper += lower
    return reduced(upper, prime)
