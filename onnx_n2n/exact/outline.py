"""Arrays without numbers: a run that finds how long everything is, to tell fixed lengths from free ones.

It also finds about how many primes a run with numbers will need. This is no proof of anything: a run with numbers says
itself what its chance is.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import count
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact.chance import VARIABLE, Bound, Comparisons
from onnx_n2n.exact.numeric import Numbers, Scalar
from onnx_n2n.exact.stored import mantissa
from onnx_n2n.exact.world import World

SAMPLE = 1 << 15  # so many numbers of a constant say how many bits it has


class Outline(Numbers):
    """The shape of an array of numbers."""

    __slots__ = ("world",)

    def __init__(self, world: Outlines, values: np.ndarray, bound: Bound, infinite: bool = False) -> None:
        super().__init__(values, bound, infinite)
        self.world = world

    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: bool | None = None) -> Self:
        kept = self.infinite if infinite is None else infinite
        return type(self)(self.world, values, self.bound if bound is None else bound, kept)

    def _entered(self, other: Self | Scalar) -> Self:
        return other if isinstance(other, Outline) else self.world.enter(other)  # type: ignore[return-value]

    def __add__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        return self._with(_empty(_spread(self, two)), self.bound.plus(two.bound))

    __sub__ = __add__

    def __mul__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        return self._with(_empty(_spread(self, two)), self.bound.times(two.bound))

    def __matmul__(self, other: Self) -> Self:
        left = (1, *self.shape) if self.ndim == 1 else self.shape
        right = (*other.shape, 1) if other.ndim == 1 else other.shape
        if left[-1] != right[-2]:
            raise ValueError(f"matrices of the shapes {left} and {right} cannot be multiplied")
        lead = np.broadcast_shapes(left[:-2], right[:-2])
        shape = (*lead, *left[-2:-1][: self.ndim > 1], *right[-1:][: other.ndim > 1])
        return self._with(_empty(shape), self.bound.times(other.bound).summed(left[-1]))

    def multiplied(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the product over axes."""
        bound = Bound()
        for _ in range(self._terms(axes)):
            bound = bound.times(self.bound)
        return self._with(_empty(_without(self.shape, axes, keep=keep)), bound)

    def sum(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the sum over axes."""
        return self._with(_empty(_without(self.shape, axes, keep=keep)), self.bound.summed(self._terms(axes)))

    def cumulated(self, axis: int) -> Self:
        """Return the sums of all numbers up to each place."""
        return self._with(self.values, self.bound.summed(self.shape[axis]))


class Outlines(World[Outline]):
    """What numbers are in a run without numbers.

    Attributes:
        comparisons: About what a run with numbers will compare.
    """

    def __init__(self) -> None:
        self.comparisons = Comparisons()
        self._names = count()

    def of(self, shape: Sequence[int], bound: Bound = VARIABLE) -> Outline:
        """Return numbers of a shape."""
        return Outline(self, _empty(shape), bound)

    def enter(self, array: ArrayLike) -> Outline:
        """Return numbers."""
        return self.of(np.shape(array), _bound(np.asarray(array)))

    def places(self, array: np.ndarray) -> Outline:
        """Return what stands for places."""
        return self.of(array.shape)

    texts = places

    def fraction(self, over: int, under: int) -> Outline:
        """Return a fraction."""
        bits = float(under.bit_length())
        return self.of((), Bound(0, 0.0, float(over.bit_length()), {(abs(under), bits): 1} if abs(under) > 1 else {}))

    root_of = fraction

    def variable(self, name: Hashable, shape: Sequence[int]) -> Outline:  # noqa: ARG002
        """Return variables."""
        return self.of(tuple(shape))

    def given(self, name: str, type_: int, shape: Sequence[int]) -> Outline:  # noqa: ARG002
        """Return an input."""
        return self.of(tuple(shape))

    def reciprocal(self, x: Outline, approximately: ArrayLike | None = None) -> Outline:  # noqa: ARG002
        """Return one over numbers."""
        return self.inverse(x) if x.constant else self.apply("Reciprocal", (), x)

    def inverse(self, x: Outline) -> Outline:
        """Return one over numbers, exactly."""
        return self.of(x.shape, x.bound.over(next(self._names), x.size))

    def rsqrt(self, x: Outline, approximately: ArrayLike | None = None) -> Outline:  # noqa: ARG002
        """Return one over square roots."""
        return self.apply("Rsqrt", (), x)

    def sqrt(self, x: Outline, approximately: ArrayLike | None = None) -> Outline:
        """Return square roots."""
        return x * self.rsqrt(x, approximately)

    def apply(self, name: str, parameters: Hashable, *arguments: Outline) -> Outline:  # noqa: ARG002
        """Return a function of the numbers at each place."""
        found = self.of(_spread(*arguments))
        self._compared(name, found.size, *arguments)
        return found

    def _compared(self, name: str, size: int, *arguments: Outline) -> None:
        bound = arguments[0].bound
        for each in arguments[1:]:
            bound = bound.joined(each.bound)
        self.comparisons.add(name, size, bound)

    def extreme(self, kind: str, x: Outline, axes: Sequence[int], present: Any = None) -> Outline:  # noqa: ARG002
        """Return the largest or smallest number over axes."""
        self._compared(kind, x.size, x)
        return self.of(_without(x.shape, axes, keep=False))

    def extreme_of(self, kind: str, *arguments: Outline) -> Outline:
        """Return the largest or smallest of the numbers at each place."""
        self._compared(kind, max(each.size for each in arguments), *arguments)
        return self.apply(kind, (), *arguments)

    def of_rows(self, name: str, parameters: Hashable, x: Outline, axis: int, count: int) -> Outline:  # noqa: ARG002
        """Return functions of all numbers along an axis."""
        self._compared(name, x.size, x)
        return self.of(tuple(count if at == axis % x.ndim else n for at, n in enumerate(x.shape)))

    def weights(self, places: Outline, count: int) -> Outline:
        """Return a weight for each row."""
        self._compared("row", places.size, places)
        return self.of((*places.shape, count))


def _spread(*arguments: Outline) -> tuple[int, ...]:
    shape, *others = (each.shape for each in arguments)
    return shape if all(each in {shape, ()} for each in others) else np.broadcast_shapes(shape, *others)


def _bound(array: np.ndarray) -> Bound:
    """Return what bounds the numbers of a constant, from some of them."""
    flat = array.flat[:SAMPLE].astype(np.float64)  # what lies together in a file
    sizes = np.abs(flat[np.isfinite(flat) & (flat != 0)])
    if not sizes.size:
        return Bound()
    low, high = (math.frexp(each)[1] for each in (sizes.min(), sizes.max()))
    return Bound(0, 0.0 if array.dtype.kind in "bui" else float(min(low, 0) - mantissa(array)), float(max(high, 0)))


def _empty(shape: Sequence[int]) -> np.ndarray:
    return np.broadcast_to(np.zeros((), bool), tuple(shape))


def _without(shape: Sequence[int], axes: Sequence[int], *, keep: bool) -> tuple[int, ...]:
    gone = {axis % len(shape) for axis in axes}
    return tuple(1 if at in gone else length for at, length in enumerate(shape) if keep or at not in gone)
