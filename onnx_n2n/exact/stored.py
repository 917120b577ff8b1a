"""Large constants, which are read from their files and entered block by block, one prime after the other."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from onnx_n2n.exact.chance import Bound
from onnx_n2n.exact.primes import BITS
from onnx_n2n.exact.residues import LONGEST, Modulus, Residues, reduced

LARGE = 1 << 16  # numbers; smaller constants are entered at once
FEW = 20  # rows for which a product by digits takes less time than entering the matrix for each prime
DIGIT = 13  # bits
BLOCK = 1 << 18  # numbers that are taken into digits at once: they stay in a processor's cache
SMALL = 1 << 14  # numbers that are entered at once


@dataclass(frozen=True)
class Parts:
    """Finite numbers, each a whole number times a power of two.

    Args:
        whole: The whole numbers, of at most 53 bits and a sign, as floats of any type.
        exponents: Which of the powers, whole numbers from 0.
        lowest: The exponent of the first power.
        long: Whether the whole numbers may be larger than a prime.
    """

    whole: np.ndarray
    exponents: np.ndarray
    lowest: int
    long: bool

    @classmethod
    def of(cls, array: np.ndarray) -> Parts:
        """Take numbers apart, without rounding."""
        if array.dtype == np.float32:
            words = np.ascontiguousarray(array).view(np.uint32).reshape(array.shape)
            exponents = (words >> np.uint32(23) & np.uint32(255)).astype(np.uint8)
            if np.all((exponents > 0) | (array == 0)):  # the smallest numbers are written otherwise
                whole = (words & np.uint32(0x807FFFFF) | np.uint32(150 << 23)).view(np.float32)
                whole *= exponents > 0
                return cls(whole, exponents, -150, False)
        mantissas, powers = np.frexp(array.astype(np.float64))
        bits = mantissa(array)
        lowest = int(powers.min(initial=0))
        return cls(mantissas * 2.0**bits, powers - lowest, lowest - bits, bits > BITS)

    def modulo(self, prime: int) -> np.ndarray:
        """Return the numbers modulo a prime, calculated in blocks that stay in a processor's cache."""
        most = int(self.exponents.max(initial=0))
        powers = np.array([pow(2, self.lowest + each, prime) for each in range(most + 1)], np.float64)
        found = np.empty(self.whole.shape)
        flat, whole, exponents = found.reshape(-1), self.whole.reshape(-1), self.exponents.reshape(-1)
        for start in range(0, len(flat), SMALL):
            at = slice(start, start + SMALL)
            part = flat[at]
            np.take(powers, exponents[at], out=part)
            part *= np.fmod(whole[at], prime) if self.long else whole[at]
            part -= np.floor(part * (1 / prime)) * prime
            part += (part < 0) * float(prime)
            part -= (part >= prime) * float(prime)
        return found


def _digits(block: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Take finite doubles apart, in place: into whole numbers below 2^13, with a sign, each times a power of two."""
    exponents = np.frexp(block[block != 0])[1]
    highest = int(exponents.max(initial=0))
    while block.any():
        highest -= DIGIT
        digits = np.trunc(block * 2.0**-highest)
        block -= digits * 2.0**highest
        yield digits, highest


def mantissa(array: np.ndarray) -> int:
    """Return how many bits the whole numbers have at most that an array's numbers are taken apart into."""
    return 24 if array.dtype.itemsize < 8 else 53


class Stored(Residues):
    """Numbers that are as a file has them until they are calculated with.

    Args:
        field: What they are entered in.
        array: The numbers, as floats or whole numbers of any type.
        bound: What bounds them.
    """

    __slots__ = ("_last", "array")

    def __init__(self, field: Modulus, array: np.ndarray, bound: Bound) -> None:
        self.field, self.array, self.bound, self.infinite = field, array, bound, False
        self._last: tuple[Any, Parts] | None = None

    @property
    def values(self) -> np.ndarray:  # type: ignore[override]
        """All numbers, for all primes."""
        return np.stack([self.slab(place) for place in range(len(self.field.primes))])

    def slab(self, place: int, key: Any = ...) -> np.ndarray:
        """Return part of the numbers for one prime; the part that was asked for last is not read again."""
        prime = self.field.primes[place]
        if self.array.dtype.kind in "bui":
            part = self.array[key]
            return np.asarray(part % np.array(prime, np.uint64 if part.dtype == np.uint64 else np.int64), np.float64)
        if self._last is None or self._last[0] != key:
            self._last = key, Parts.of(self.array[key])
            _give_back(self.array)
        return self._last[1].modulo(prime)

    def under(self, left: Residues) -> np.ndarray | None:
        """Return the product of a few rows with this matrix: for all primes at once, digit by digit.

        Each number of the matrix is a sum of digits of 13 bits, times powers of two; the digits are the same for all
        primes. A digit times a residue has 39 bits, so sums of them are exact.
        """
        rows = left.size // max(left.shape[-1], 1)
        if rows > FEW or self.array.dtype.kind in "bui":
            return None
        terms, columns = self.array.shape
        primes = np.array(self.field.primes, np.float64).reshape(-1, 1, 1)
        given = left.values.reshape(len(primes), rows, terms)
        found = np.zeros((len(primes), rows, columns))
        width = max(1, BLOCK // min(terms, LONGEST))
        for start in range(0, terms, LONGEST):
            part = np.ascontiguousarray(given[..., start : start + LONGEST]).reshape(len(primes) * rows, -1)
            for first in range(0, columns, width):
                block = self.array[start : start + LONGEST, first : first + width].astype(np.float64)
                total = found[..., first : first + width]
                for digits, exponent in _digits(block):
                    powers = np.array([pow(2, exponent, p) for p in self.field.primes], np.float64).reshape(-1, 1, 1)
                    product = (part @ digits).reshape(len(primes), rows, -1)
                    product += np.where(product < 0, primes * 2.0**27, 0.0)  # sums are above -2^52
                    total[...] = reduced(total + reduced(reduced(product, primes) * powers, primes), primes)
                _give_back(self.array)
        return found.reshape(len(primes), *left.shape[:-1], columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    def _stored(self, array: np.ndarray) -> Self:
        return type(self)(self.field, array, self.bound)

    def reshape(self, shape: Sequence[int]) -> Self:
        """Return the same numbers in another shape; one length may be -1."""
        return self._stored(self.array.reshape(tuple(shape)))

    def transpose(self, order: Sequence[int]) -> Self:
        """Return the numbers with their axes in another order."""
        return self._stored(self.array.transpose(tuple(order)))

    def moveaxis(self, source: int, target: int) -> Self:
        """Return the numbers with one axis in another place."""
        return self._stored(np.moveaxis(self.array, source, target))

    def __getitem__(self, key: Any) -> Self:
        """Return part of the numbers, by whatever NumPy takes as a key."""
        return self._stored(self.array[key])

    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: bool | None = None) -> Self:
        kept = self.infinite if infinite is None else infinite
        return Residues(self.field, values, self.bound if bound is None else bound, kept)  # type: ignore[return-value]


def _give_back(array: np.ndarray) -> None:
    """Let go of a file's pages, which the system would keep as long as there is memory."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None) if not isinstance(base, np.memmap) or base.base is not None else None
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
