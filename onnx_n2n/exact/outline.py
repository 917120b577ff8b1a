"""Arrays without numbers: a run that only finds how long everything is, to tell fixed lengths from free ones."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact.chance import VARIABLE, Bound
from onnx_n2n.exact.numeric import Numbers, Scalar
from onnx_n2n.exact.world import World


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
        return other if isinstance(other, Outline) else self.world.of((), Bound())  # type: ignore[return-value]

    def _spread(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        return self._with(_empty(np.broadcast_shapes(self.shape, two.shape)), self.bound.joined(two.bound))

    __add__ = __sub__ = __mul__ = _spread

    def __matmul__(self, other: Self) -> Self:
        left = (1, *self.shape) if self.ndim == 1 else self.shape
        right = (*other.shape, 1) if other.ndim == 1 else other.shape
        if left[-1] != right[-2]:
            raise ValueError(f"matrices of the shapes {left} and {right} cannot be multiplied")
        lead = np.broadcast_shapes(left[:-2], right[:-2])
        shape = (*lead, *left[-2:-1][: self.ndim > 1], *right[-1:][: other.ndim > 1])
        return self._with(_empty(shape), self.bound.joined(other.bound))

    def multiplied(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the product over axes."""
        return self._with(_empty(_without(self.shape, axes, keep=keep)))

    def sum(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the sum over axes."""
        return self.multiplied(axes, keep)

    def cumulated(self, axis: int) -> Self:  # noqa: ARG002
        """Return the sums of all numbers up to each place."""
        return self

    def choosing(self, x: Self, y: Self) -> Self:
        """Return x where this is 1, and y where it is 0."""
        return self._spread(x)._spread(y)


class Outlines(World[Outline]):
    """What numbers are in a run without numbers."""

    def of(self, shape: Sequence[int], bound: Bound = VARIABLE) -> Outline:
        """Return numbers of a shape."""
        return Outline(self, _empty(shape), bound)

    def enter(self, array: ArrayLike) -> Outline:
        """Return numbers."""
        return self.of(np.shape(array), Bound())

    places = texts = enter

    def fraction(self, over: int, under: int) -> Outline:  # noqa: ARG002
        """Return a fraction."""
        return self.of((), Bound())

    root_of = fraction

    def variable(self, name: Hashable, shape: Sequence[int]) -> Outline:  # noqa: ARG002
        """Return variables."""
        return self.of(tuple(shape))

    def given(self, name: str, type_: int, shape: Sequence[int]) -> Outline:  # noqa: ARG002
        """Return an input."""
        return self.of(tuple(shape))

    def reciprocal(self, x: Outline, approximately: ArrayLike | None = None) -> Outline:  # noqa: ARG002
        """Return one over numbers."""
        return x

    inverse = rsqrt = sqrt = reciprocal

    def apply(self, name: str, parameters: Hashable, *arguments: Outline) -> Outline:  # noqa: ARG002
        """Return a function of the numbers at each place."""
        return self.of(np.broadcast_shapes(*(each.shape for each in arguments)))

    def extreme(self, kind: str, x: Outline, axes: Sequence[int], present: Any = None) -> Outline:  # noqa: ARG002
        """Return the largest or smallest number over axes."""
        return self.of(_without(x.shape, axes, keep=False))

    def extreme_of(self, kind: str, *arguments: Outline) -> Outline:
        """Return the largest or smallest of the numbers at each place."""
        return self.apply(kind, (), *arguments)

    def of_rows(self, name: str, parameters: Hashable, x: Outline, axis: int, count: int) -> Outline:  # noqa: ARG002
        """Return functions of all numbers along an axis."""
        return self.of(tuple(count if at == axis % x.ndim else n for at, n in enumerate(x.shape)))

    def weights(self, places: Outline, count: int) -> Outline:
        """Return a weight for each row."""
        return self.of((*places.shape, count))


def _empty(shape: Sequence[int]) -> np.ndarray:
    return np.broadcast_to(np.zeros((), bool), tuple(shape))


def _without(shape: Sequence[int], axes: Sequence[int], *, keep: bool) -> tuple[int, ...]:
    gone = {axis % len(shape) for axis in axes}
    return tuple(1 if at in gone else length for at, length in enumerate(shape) if keep or at not in gone)
