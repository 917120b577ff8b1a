"""Constants with bounds of their errors: what a form of a growth record is worth, and how certain that is.

A form may add a number and take it away again. Where the number is large, nothing is left of what it was added to,
neither in doubles nor in any other number of digits. So each number comes with a radius: what it stands for is not
further away from it. This is ball arithmetic (van der Hoeven, *Ball arithmetic*, 2009).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact.chance import Bound
from onnx_n2n.exact.numeric import Movable
from onnx_n2n.exact.undecided import Undecided

DIGITS = Context(prec=60)
CUT = float((1 << 27) + 1)  # cuts a double in two halves of 26 bits
FAR = 2.0**900  # products between one over this and this are cut


class Balls(Movable):
    """An array of numbers, ``values[0]``, and how far each is off at most, ``values[1]``."""

    LEAD: ClassVar[int] = 1
    __slots__ = ("line",)

    def __init__(self, line: Line, values: np.ndarray) -> None:
        super().__init__(values, Bound())
        self.line = line

    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: int | None = None) -> Self:  # noqa: ARG002
        return type(self)(self.line, values)

    @property
    def middle(self) -> np.ndarray:
        """The numbers."""
        return np.asarray(self.values[0])

    @property
    def radius(self) -> np.ndarray:
        """How far each is off at most."""
        return np.asarray(self.values[1])

    def __add__(self, other: Balls) -> Balls:
        """Return the sum."""
        return self.line.total([self, other])

    def __mul__(self, other: Balls) -> Balls:
        """Return the product."""
        product, off = self.line.product(self.middle, other.middle)
        off = off + abs(self.middle) * other.radius + abs(other.middle) * self.radius + self.radius * other.radius
        return self.line.of(product, off)

    def __matmul__(self, other: Balls) -> Balls:
        """Return the product of matrices."""
        terms = (self[..., at : at + 1] * other[..., at : at + 1, :] for at in range(self.shape[-1]))
        return self.line.total(terms)

    def sum(self, axis: int) -> Balls:
        """Return the sum over an axis."""
        rows = self.moveaxis(axis, 0)
        return self.line.total(rows[at] for at in range(rows.shape[0]))


class Line(ABC):
    """Numbers of one precision.

    Attributes:
        last: By how much rounding changes a number at most, relative to it.
        more: What makes up for the rounding of a radius itself.
    """

    exact: ClassVar[bool] = False
    last: ClassVar[Any]
    more: ClassVar[Any]

    def of(self, middle: ArrayLike, radius: ArrayLike = 0) -> Balls:
        """Return numbers that are off by a radius at most."""
        numbers = np.asarray(middle)
        off = np.broadcast_to(np.asarray(radius, numbers.dtype) * self.more, numbers.shape)
        return Balls(self, np.stack([numbers, off]))

    @abstractmethod
    def enter(self, array: ArrayLike) -> Balls:
        """Return stored numbers, which are what they are."""

    @abstractmethod
    def fraction(self, over: int, under: int) -> Balls:
        """Return a fraction."""

    @abstractmethod
    def product(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a product as it is rounded, and by how much it is off at most."""

    @abstractmethod
    def total(self, terms: Iterable[Balls]) -> Balls:
        """Return a sum."""

    def root_of(self, over: int, under: int) -> Balls:
        """Return the square root of a fraction above 0."""
        return self.inverse(self.rsqrt(self.fraction(over, under)))

    def inverse(self, x: Balls) -> Balls:
        """Return one over numbers.

        Raises:
            Undecided: If one of them may be 0.
        """
        least = abs(x.middle) - x.radius
        if not np.all(least > 0):
            raise Undecided("a form divides by what may be 0")
        over = 1 / x.middle
        return self.of(over, x.radius / (abs(x.middle) * least) + abs(over) * self.last)

    reciprocal = inverse

    def rsqrt(self, x: Balls, approximately: np.ndarray | None = None) -> Balls:  # noqa: ARG002
        """Return one over square roots.

        Raises:
            Undecided: If one of the numbers may not be above 0.
        """
        least = x.middle - x.radius
        if not np.all(least > 0):
            raise Undecided("a form takes the root of what may not be positive")
        over = 1 / self.root(x.middle)
        return self.of(over, x.radius / (2 * least * self.root(least)) + over * self.last * 4)

    @abstractmethod
    def root(self, numbers: np.ndarray) -> np.ndarray:
        """Return square roots, rounded."""


class Doubles(Line):
    """Doubles; what sums lose is added up apart, so that copies that nearly cancel can be compared."""

    last: ClassVar[Any] = 2.0**-53
    more: ClassVar[Any] = 1 + 2.0**-40

    def enter(self, array: ArrayLike) -> Balls:
        """Return stored numbers, which are what they are."""
        return self.of(np.asarray(array).astype(np.float64))

    def fraction(self, over: int, under: int) -> Balls:
        """Return a fraction."""
        found = over / under
        return self.of(np.asarray(found), 0.0 if over == int(found) * under else abs(found) * self.last + 2.0**-1074)

    def product(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a product as it is rounded, and by how much it is off (Dekker 1971)."""
        product = np.asarray(one * two)
        size = abs(product)
        parts = []
        with np.errstate(all="ignore"):
            for each in (one, two):
                high = CUT * each - (CUT * each - each)
                parts.append((high, each - high))
            (high, low), (upper, lower) = parts
            off = abs(low * lower - (((product - high * upper) - low * upper) - high * lower))
        rounded = np.where((one != 0) & (two != 0), size * self.last + 2.0**-1074, 0.0)
        near = (size < FAR) & (size > 1 / FAR) & np.isfinite(off)
        return product, np.where(near, off, rounded)

    def total(self, terms: Iterable[Balls]) -> Balls:
        """Return a sum (Knuth's sum of two numbers, and what it loses)."""
        total, lost, off = np.zeros(()), np.zeros(()), np.zeros(())
        for each in terms:
            total, less = _added(total, each.middle)
            lost = lost + less
            off = off + each.radius + abs(lost) * self.last
        total, less = _added(total, lost)
        return self.of(total, off + abs(less))

    def root(self, numbers: np.ndarray) -> np.ndarray:
        """Return square roots, rounded."""
        return np.asarray(np.sqrt(numbers))


class Digits(Line):
    """Decimals of 60 digits, for constants that are stored as doubles."""

    last: ClassVar[Any] = Decimal(10) ** -59
    more: ClassVar[Any] = 1 + Decimal(10) ** -9

    def enter(self, array: ArrayLike) -> Balls:
        """Return stored numbers, which are what they are."""
        doubles = np.asarray(array).astype(np.float64)
        found = np.array([Decimal(each) for each in doubles.reshape(-1).tolist()], object)
        return self.of(found.reshape(doubles.shape))

    def of(self, middle: ArrayLike, radius: ArrayLike = 0) -> Balls:
        """Return numbers that are off by a radius at most."""
        return super().of(np.asarray(middle, object), np.asarray(radius, object))

    def fraction(self, over: int, under: int) -> Balls:
        """Return a fraction."""
        found = np.asarray(Decimal(over) / Decimal(under), object)
        return self.of(found, abs(found) * self.last)

    def product(self, one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a product as it is rounded, and by how much it is off at most."""
        product = np.asarray(one * two, object)
        return product, abs(product) * self.last

    def total(self, terms: Iterable[Balls]) -> Balls:
        """Return a sum."""
        total, off = np.asarray(Decimal(0), object), np.asarray(Decimal(0), object)
        for each in terms:
            total = np.asarray(total + each.middle, object)
            off = off + each.radius + abs(total) * self.last
        return self.of(total, off)

    def root(self, numbers: np.ndarray) -> np.ndarray:
        """Return square roots, rounded."""
        array = np.asarray(numbers, object)
        return np.array([each.sqrt() for each in array.reshape(-1)], object).reshape(array.shape)


def _added(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a sum as it is rounded, and what it lacks."""
    total = np.asarray(one + two)
    back = total - one
    return total, (one - (total - back)) + (two - back)
