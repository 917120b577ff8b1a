"""Large constants, which are read from their files and entered block by block, for all primes at once."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np

from onnx_n2n.exact.chance import Bound
from onnx_n2n.exact.limit import keep
from onnx_n2n.exact.primes import BITS
from onnx_n2n.exact.residues import Modulus, Residues, centred, wrapped

LARGE = 1 << 16  # numbers; smaller constants are entered at once
DIGIT = 18  # bits: so many terms of two digits each times residues of 25 bits and a sign fit the 53 bits of a double
TERMS = 1 << 9  # numbers of a column that are multiplied and summed at once
BLOCK = 1 << 17  # numbers that are taken into digits at once: they stay in a processor's cache
HELD = 1 << 21  # residues of the other operand that are multiplied at once
FEW = 3  # so many digits' other operands are kept
SHORT = 64  # floats of up to 2 to that are taken into digits in their own precision
SMALL = 1 << 14  # numbers that are entered at once
FARTHEST = 900  # digits have exponents between these, so that nothing overflows
LOWEST, HIGHEST = -1200, 1100  # exponents of the powers of two that numbers are made of


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

    def modulo(self, primes: Sequence[int]) -> np.ndarray:
        """Return the numbers modulo primes, float64[primes, ...], in blocks that stay in a processor's cache."""
        column = np.array(primes, np.float64)[:, None]
        powers = _powers(tuple(primes))[:, self.lowest - LOWEST :]
        flat, whole, exponents = np.empty((len(column), self.whole.size)), self.whole.ravel(), self.exponents.ravel()
        width = max(1, SMALL // len(column))
        for start in range(0, len(whole), width):
            at = slice(start, start + width)
            part = np.take(powers, exponents[at], axis=1)
            part *= np.fmod(whole[at], column) if self.long else whole[at]
            flat[:, at] = wrapped(centred(part, column), column)
        return flat.reshape(len(column), *self.whole.shape)


@lru_cache(maxsize=64)
def _powers(primes: tuple[int, ...]) -> np.ndarray:
    """Return the powers of two modulo primes, from `LOWEST` to `HIGHEST`, float64[primes, powers]."""
    rows = []
    for prime in primes:
        row = [pow(2, LOWEST, prime)]
        for _ in range(LOWEST, HIGHEST):
            row.append(row[-1] * 2 % prime)
        rows.append(row)
    return np.array(rows, np.float64)


def _digits(block: np.ndarray, high: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Take finite numbers of up to 2 ** high apart, in place, as long as something is left.

    Args:
        block: float[rows, columns], either type.
        high: An exponent.

    Yields:
        Rows, all others being 0; whole numbers of `DIGIT` bits and a sign times a power of two in these rows, as
        doubles that the next digits overwrite; and the exponent of that power.
    """
    rows, exponent = np.arange(len(block)), high - DIGIT
    if high > SHORT:
        block = block.astype(np.float64)
    digits, doubles = np.empty_like(block), np.empty_like(block, np.float64)
    for count in itertools.count(1):
        far = block.dtype.type(1.5 * 2.0 ** (np.finfo(block.dtype).nmant + exponent))
        np.add(block, far, out=digits)  # it is rounded to a multiple of that power
        digits -= far
        block -= digits
        doubles[...] = digits
        yield rows, doubles, exponent
        left = rows >= 0 if count == 1 and block.any() else block.any(1)
        if not left.any():
            break
        exponent -= DIGIT + 1  # what is left is at most half of the power
        if 2 * np.count_nonzero(left) < len(rows):
            rows, block = rows[left], block[left]
            digits, doubles = np.empty_like(block), np.empty_like(block, np.float64)


def mantissa(array: np.ndarray) -> int:
    """Return how many bits the whole numbers have at most that an array's numbers are taken apart into."""
    return 24 if array.dtype.itemsize < 8 else 53


def exponents(array: np.ndarray) -> tuple[float, float]:
    """Return such powers of two that all numbers are multiples of one, and at most the other."""
    if array.dtype.kind in "bui":
        return 0.0, float(max(int(array.max(initial=0)).bit_length(), int(array.min(initial=0)).bit_length()))
    low, high = 0, 0
    for block in _blocks(array):
        if block.dtype == np.float32:  # without their signs, words are in the order of the numbers
            words = np.ascontiguousarray(block).view(np.uint32) & np.uint32(0x7FFFFFFF)
            least = words[(words - np.uint32(1)).argmin()]  # 0 becomes the largest of all
            ends = np.array([least, words.max()]).view(np.float32).astype(np.float64)
        else:
            ends = block.astype(np.float64)
        powers = np.frexp(ends[ends != 0])[1]
        low, high = int(powers.min(initial=low)), int(powers.max(initial=high))
    return float(low - mantissa(array)), float(high)


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield all numbers, block by block in the order in which they lie in memory."""
    if array.flags.c_contiguous or array.flags.f_contiguous:
        flat = array.ravel(order="A")
        yield from (flat[start : start + LARGE] for start in range(0, flat.size, LARGE))
    elif array.ndim == 1:
        yield from (array[start : start + LARGE] for start in range(0, array.size, LARGE))
    else:
        for part in array:
            yield from _blocks(part)


class Stored(Residues):
    """Numbers that are as a file has them until they are calculated with.

    Args:
        field: What they are entered in.
        array: The numbers, as floats or whole numbers of any type.
        bound: What bounds them.
    """

    __slots__ = ("_last", "array")

    def __init__(self, field: Modulus, array: np.ndarray, bound: Bound) -> None:
        self.field, self.array, self.bound, self.infinite = field, array, bound, 0
        self._last: tuple[Any, Parts] | None = None

    @property
    def values(self) -> np.ndarray:  # type: ignore[override]
        """All numbers, for all primes."""
        return self._whole()

    def _whole(self) -> np.ndarray:
        if self.array.dtype.kind in "bui":
            return np.stack([self.slab(place) for place in range(len(self.field.primes))])
        return Parts.of(self.array).modulo(self.field.primes)

    def slab(self, place: int, key: Any = ...) -> np.ndarray:
        """Return part of the numbers for one prime; the part that was asked for last is not read again."""
        prime = self.field.primes[place]
        if self.array.dtype.kind in "bui":
            part = self.array[key]
            return np.asarray(part % np.array(prime, np.uint64 if part.dtype == np.uint64 else np.int64), np.float64)
        if self._last is None or self._last[0] != key:
            self._last = key, Parts.of(self.array[key])
            _give_back(self.array)
        return np.asarray(self._last[1].modulo((prime,))[0])

    def under(self, left: Residues) -> np.ndarray | None:
        """Return the product of other numbers with this matrix: for all primes at once, digit by digit.

        Each number of the matrix is a sum of digits times powers of two, the same ones for all primes. Few numbers are
        so small beside the largest one that two digits do not do: a third one multiplies only the rows that have some.
        """
        kind, width = self.array.dtype.kind, self.array.dtype.itemsize
        far = self.bound.low < -FARTHEST or self.bound.high > FARTHEST
        if isinstance(left, Stored) or far or (kind in "bui" and width > 4):
            return None
        terms, columns = self.array.shape
        count = len(self.field.primes)
        given = left.values.reshape(count, -1, terms)
        found = np.zeros((count, given.shape[1], columns))
        most = max(1, HELD // (count * min(TERMS, max(terms, 1))))
        for start in range(0, terms, TERMS):
            some = self.array[start : start + TERMS]
            high = int(np.frexp(max(float(some.max()), -float(some.min())))[1])
            for row in range(0, given.shape[1], most):
                keep()
                part = given[:, row : row + most, start : start + TERMS]
                self._add(part, start, high, found[:, row : row + most])
            if self.array.flags.c_contiguous:  # else the next rows are on the same pages
                _give_back(self.array)
        _give_back(self.array)
        primes = self.field.column.reshape(-1, 1, 1)
        return wrapped(centred(found, primes), primes).reshape(count, *left.shape[:-1], columns)

    def _add(self, part: np.ndarray, start: int, high: int, total: np.ndarray) -> None:
        """Add the product of some numbers with some rows of this matrix.

        Args:
            part: float64[primes, n, rows], residues.
            start: The first of the rows.
            high: No number in them is above 2 ** high.
            total: float64[primes, n, columns], to which numbers of less than half of each prime are added.
        """
        rows = part.shape[-1]
        primes, width = self.field.column.reshape(-1, 1, 1), max(1, BLOCK // rows)
        factors: dict[int, np.ndarray] = {}  # the numbers times powers of two, for the digits of all columns
        for first in range(0, total.shape[-1], width):
            here = total[..., first : first + width]
            sums, room = np.zeros((), np.float64), 2 * TERMS
            for some, digits, exponent in _digits(self._part(start, start + rows, first, first + width), high):
                if (factor := factors.get(exponent)) is None:
                    factor = centred(part * self._power(exponent), primes).reshape(-1, rows)
                    factor *= 2.0**-exponent  # digits times that power of two are whole numbers
                    if len(factors) < FEW:
                        factors[exponent] = factor
                if len(some) > room:
                    sums, room = centred(sums, primes), 2 * TERMS
                product = (factor if len(some) == rows else factor[:, some]) @ digits
                sums = np.add(product.reshape(here.shape), sums, out=product.reshape(here.shape))
                room -= len(some)
            here += centred(sums, primes)

    def _part(self, start: int, stop: int, first: int, last: int) -> np.ndarray:
        """Return some rows and columns of a matrix as floats, to change them."""
        part = self.array[start:stop, first:last]
        short = part.dtype.kind == "f" and part.dtype.itemsize <= 4
        return np.asarray(part.astype(np.float32 if short else np.float64))

    def _power(self, exponent: int) -> np.ndarray:
        """Return a power of two for each prime, as near to 0 as it can be, float64[primes, 1, 1]."""
        powers = _powers(tuple(self.field.primes))[:, exponent - LOWEST, None, None]
        return centred(powers.copy(), self.field.column.reshape(-1, 1, 1))

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

    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: int | None = None) -> Self:
        kept = self.infinite if infinite is None else infinite
        return Residues(self.field, values, self.bound if bound is None else bound, kept)  # type: ignore[return-value]


def _give_back(array: np.ndarray) -> None:
    """Let go of a file's pages, which the system would keep as long as there is memory."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None) if not isinstance(base, np.memmap) or base.base is not None else None
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
