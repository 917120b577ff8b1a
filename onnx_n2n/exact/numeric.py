"""Arrays of numbers that operators calculate with: residues modulo primes, or doubles.

Operators are written once, over what this class offers. Residues decide whether two models are equal; doubles give the
witness that they are not.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from onnx_n2n.exact.chance import Bound

Scalar = int | float
PLUS, MINUS, EITHER = 1, 2, 3  # infinity, minus infinity, and both


def opposite(infinite: int) -> int:
    """Return which infinities there may be in numbers times -1."""
    return (infinite & PLUS) * MINUS | (infinite & MINUS) // MINUS


def infinities(ends: Collection[float]) -> int:
    """Return which infinities there are among numbers whose least and largest are given."""
    return sum(sign for sign, end in ((PLUS, math.inf), (MINUS, -math.inf)) if end in ends)


class Movable(ABC):
    """An array of numbers that can be moved, each axis as in the model.

    Args:
        values: The numbers; with ``LEAD`` further axes in front.
        bound: What bounds the numbers as polynomials.
        infinite: Which infinities there may be in it: `PLUS`, `MINUS`, `EITHER`, or 0 for none.
    """

    LEAD: ClassVar[int] = 0
    __slots__ = ("bound", "infinite", "values")

    def __init__(self, values: np.ndarray, bound: Bound, infinite: int = 0) -> None:
        self.values, self.bound, self.infinite = values, bound, infinite

    @abstractmethod
    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: int | None = None) -> Self:
        """Return other numbers of the same kind."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.values.shape[self.LEAD :]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.values.ndim - self.LEAD

    @property
    def size(self) -> int:
        """The number of numbers."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def constant(self) -> bool:
        """Whether no input and no random function has a part in it."""
        return self.bound.degree == 0

    def reshape(self, shape: Sequence[int]) -> Self:
        """Return the same numbers in another shape; one length may be -1."""
        return self._with(self.values.reshape((*self.values.shape[: self.LEAD], *shape)))

    def transpose(self, order: Sequence[int]) -> Self:
        """Return the numbers with their axes in another order."""
        return self._with(self.values.transpose(*range(self.LEAD), *(axis % self.ndim + self.LEAD for axis in order)))

    def moveaxis(self, source: int, target: int) -> Self:
        """Return the numbers with one axis in another place."""
        return self._with(np.moveaxis(self.values, source % self.ndim + self.LEAD, target % self.ndim + self.LEAD))

    def broadcast_to(self, shape: Sequence[int]) -> Self:
        """Return the numbers repeated to a shape, as NumPy does."""
        padded = self.reshape((1,) * (len(shape) - self.ndim) + self.shape)
        return self._with(np.broadcast_to(padded.values, (*self.values.shape[: self.LEAD], *shape)))

    def __getitem__(self, key: Any) -> Self:
        """Return part of the numbers, by whatever NumPy takes as a key."""
        whole = (slice(None),) * self.LEAD
        return self._with(self.values[(*whole, *(key if isinstance(key, tuple) else (key,)))])

    def taken(self, places: np.ndarray) -> Self:
        """Return the numbers at places of the flat array."""
        return self._with(self.values.reshape(*self.values.shape[: self.LEAD], -1)[..., places])

    def joined(self, others: Sequence[Self], axis: int) -> Self:
        """Return the numbers of several arrays one after the other."""
        if not others:
            return self
        parts, bound, infinite = [self.values], self.bound, self.infinite
        for other in others:
            parts.append(other.values)
            bound, infinite = bound.joined(other.bound), infinite | other.infinite
        return self._with(np.concatenate(parts, axis % self.ndim + self.LEAD), bound, infinite)


class Numbers(Movable):
    """An array of numbers that operators calculate with."""

    __slots__ = ()

    @abstractmethod
    def _entered(self, other: Self | Scalar) -> Self:
        """Return a number as numbers of this kind."""

    @abstractmethod
    def __add__(self, other: Self | Scalar) -> Self:
        """Return the sum."""

    @abstractmethod
    def __sub__(self, other: Self | Scalar) -> Self:
        """Return the difference."""

    @abstractmethod
    def __mul__(self, other: Self | Scalar) -> Self:
        """Return the product."""

    @abstractmethod
    def __matmul__(self, other: Self) -> Self:
        """Return the matrix product over the last two axes, as NumPy does."""

    @abstractmethod
    def sum(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the sum over axes."""

    @abstractmethod
    def multiplied(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the product over axes."""

    @abstractmethod
    def cumulated(self, axis: int) -> Self:
        """Return the sums of all numbers up to each place."""

    def choosing(self, x: Self, y: Self) -> Self:
        """Return x where these numbers, which are 0 or 1, are 1, and y where they are 0; either may be infinite."""
        found = self * x.as_finite() + (1 - self) * y.as_finite()
        return found._with(found.values, infinite=x.infinite | y.infinite)

    def as_finite(self) -> Self:
        """Return the same numbers, where it does not matter that some may be infinite."""
        return self._with(self.values, infinite=0)

    def __neg__(self) -> Self:
        """Return the numbers times -1."""
        return self._entered(0) - self

    def __radd__(self, other: Scalar) -> Self:
        """Return the sum."""
        return self + other

    def __rsub__(self, other: Scalar) -> Self:
        """Return the difference."""
        return self._entered(other) - self

    def __rmul__(self, other: Scalar) -> Self:
        """Return the product."""
        return self * other

    def _axes(self, axes: Sequence[int]) -> tuple[int, ...]:
        return tuple(axis % self.ndim + self.LEAD for axis in axes)

    def _terms(self, axes: Sequence[int]) -> int:
        return int(np.prod([self.shape[axis] for axis in axes], dtype=np.int64))
