"""Arrays without numbers that know between which numbers theirs are: one range for all of a tensor.

A run over them takes no time. It says which functions a model takes of numbers of which nothing shows that the function
is defined for them; only these have to be compared with what the other model takes it of.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact import functions
from onnx_n2n.exact.chance import VARIABLE, Bound
from onnx_n2n.exact.domains import NOT_NEGATIVE, POSITIVE, SHARE, ZERO, Domain, Range, joined
from onnx_n2n.exact.numeric import Scalar
from onnx_n2n.exact.outline import Outline, Outlines
from onnx_n2n.exact.tensor import BOOL, kind

FINITE = Range(-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))
LARGEST = 1 << 22  # numbers of a constant that is looked through for its range


@dataclass(frozen=True)
class Open:
    """A function of numbers for which nothing shows that it is defined, or that it does not overflow.

    Args:
        function: The function.
        node: The node that takes it, by its name or that of its first output.
        operator: That node's operator.
        arguments: How many arguments it has.
        domain: Where it is defined; None where it is, but may be larger than any number of a type.
    """

    function: str
    node: str
    operator: str
    arguments: int
    domain: Domain | None


Asked = tuple[Hashable, str]  # a node's visit, and a function that it takes


class Ranged(Outline):
    """The shape of an array of numbers, and the range of all of them."""

    __slots__ = ("parts", "range", "same")

    def __init__(self, world: Ranges, values: np.ndarray, bound: Bound, infinite: bool = False) -> None:
        super().__init__(world, values, bound, infinite)
        self.range = Range()
        self.same: Ranged | None = None  # what these are the same numbers as
        self.parts: list[Ranged] = []  # what these were put together from, one behind the other

    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: bool | None = None) -> Self:
        return super()._with(values, bound, infinite).of(self.range)

    def of(self, found: Range, infinite: bool | None = None) -> Self:
        """Return this with a range, just made."""
        self.range = found
        self.infinite = self.infinite if infinite is None else infinite
        return self

    def __add__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        return self._spread(two).of(self.range + two.range, self.infinite or two.infinite)

    def __sub__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        return self._spread(two).of(self.range - two.range, self.infinite or two.infinite)

    def __mul__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        found = self._spread(two)
        if (self.same or self) is (two.same or two):
            return found.of(self.range.squared(), False)
        if self.range == Range(1, 1) and two.shape == found.shape:
            found.same = two.same or two
        return found.of(self.range * two.range, False)

    def __matmul__(self, other: Self) -> Self:
        return super().__matmul__(other).of((self.range * other.range).summed(self.shape[-1]), False)

    def multiplied(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the product over axes."""
        found = super().multiplied(axes, keep)
        positive = NOT_NEGATIVE if self.range.zero else POSITIVE
        return found.of(positive if self.range.low >= 0 else Range())

    def sum(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the sum over axes."""
        return super().multiplied(axes, keep).of(self.range.summed(self._terms(axes)))

    def cumulated(self, axis: int) -> Self:
        """Return the sums of all numbers up to each place."""
        return self._with(self.values).of(self.range.joined(self.range.summed(self.shape[axis])))

    def choosing(self, x: Self, y: Self) -> Self:
        """Return x where this is 1, and y where it is 0."""
        return super().choosing(x, y).of(x.range.joined(y.range), x.infinite or y.infinite)

    def joined(self, others: Sequence[Self], axis: int) -> Self:
        """Return the numbers of several arrays one after the other."""
        parts = [each for each in (self, *others) if each.size]
        found = super().joined(others, axis)
        found.parts = parts if self.ndim == 1 else []
        return found.of(joined(each.range for each in parts) if parts else ZERO)

    def taken(self, places: np.ndarray) -> Self:
        """Return the numbers at places of the flat array."""
        found = super().taken(places)
        if not self.parts or not places.size:
            return found
        first, last, end, met = places.min(), places.max(), 0, []
        for each in self.parts:
            end += each.size
            if first < end and last >= end - each.size:
                met.append(each.range)
        return found.of(joined(met)) if met else found


class Ranges(Outlines):
    """What numbers are in a run that finds how long everything is, and between which numbers.

    Attributes:
        open: Functions of numbers that they may not be defined for, by who takes them.
    """

    def __init__(self) -> None:
        self.open: dict[Asked, Open] = {}

    def of(self, shape: Sequence[int], bound: Bound = VARIABLE) -> Ranged:
        """Return numbers of a shape."""
        return Ranged(self, super().of(shape).values, bound)

    def enter(self, array: ArrayLike) -> Ranged:
        """Return numbers."""
        return self.of(np.shape(array), Bound()).of(*_of(np.asarray(array)))

    places = enter

    def texts(self, array: np.ndarray) -> Ranged:
        """Return a number for each text."""
        return self.of(array.shape, Bound())

    def fraction(self, over: int, under: int) -> Ranged:
        """Return a fraction."""
        return self.of((), Bound()).of(Range(over, over) * Range(under, under).inverse())

    def root_of(self, over: int, under: int) -> Ranged:
        """Return the square root of a fraction above 0."""
        return self.of((), Bound()).of(POSITIVE)

    def given(self, name: str, type_: int, shape: Sequence[int]) -> Ranged:
        """Return an input."""
        whole = kind(type_).kind
        return self.variable(name, shape).of(SHARE if type_ == BOOL else NOT_NEGATIVE if whole == "u" else Range())

    def reciprocal(self, x: Ranged, approximately: ArrayLike | None = None) -> Ranged:  # noqa: ARG002
        """Return one over numbers."""
        self._ask("Reciprocal", "Reciprocal", x.range)
        return x._with(x.values).of(x.range.inverse(), False)

    def inverse(self, x: Ranged, approximately: ArrayLike | None = None) -> Ranged:  # noqa: ARG002
        """Return one over numbers that no input has a part in: none of them is 0."""
        return x._with(x.values).of(x.range.inverse(), False)

    def rsqrt(self, x: Ranged, approximately: ArrayLike | None = None) -> Ranged:  # noqa: ARG002
        """Return one over square roots."""
        self._ask("Rsqrt", "Rsqrt", x.range)
        root = functions.image("Sqrt", x.range)
        return x._with(x.values).of(Range(root.low, root.high, False).inverse(), False)

    def sqrt(self, x: Ranged, approximately: ArrayLike | None = None) -> Ranged:  # noqa: ARG002
        """Return square roots."""
        self._ask("Rsqrt", "Sqrt", x.range)  # residues have them as numbers times what `rsqrt` gives
        return x._with(x.values).of(functions.image("Sqrt", x.range), False)

    def apply(self, name: str, parameters: Hashable, *arguments: Ranged) -> Ranged:
        """Return a function of the numbers at each place."""
        found: Ranged = super().apply(name, parameters, *arguments)  # type: ignore[assignment]
        ranges = [each.range for each in arguments]
        image = functions.image(name, *ranges)
        if any(each.infinite for each in arguments):
            image = Range(image.low, image.high)
        self._ask(name, name, *ranges)
        return found.of(image)

    def extreme(self, kind: str, x: Ranged, axes: Sequence[int], present: Any = None) -> Ranged:
        """Return the largest or smallest number over axes."""
        found: Ranged = super().extreme(kind, x, axes, present)  # type: ignore[assignment]
        return found.of(x.range, x.infinite)

    def extreme_of(self, kind: str, *arguments: Ranged) -> Ranged:
        """Return the largest or smallest of the numbers at each place."""
        found: Ranged = super().apply(kind, (), *arguments)  # type: ignore[assignment]
        best, ranges = max if kind == "Max" else min, [each.range for each in arguments]
        range_ = Range(
            best(each.low for each in ranges), best(each.high for each in ranges), any(each.zero for each in ranges)
        )
        return found.of(range_, any(each.infinite for each in arguments))

    def weights(self, places: Ranged, count: int) -> Ranged:
        """Return a weight for each row."""
        return self.of((*places.shape, count)).of(SHARE)

    def _ask(self, taken: str, name: str, *ranges: Range) -> None:
        """Note a function that nothing shows to be defined, under the one that residues take for it."""
        domain = functions.domain_of(name, *ranges)
        inside = domain is None or ranges[functions.of(name).judged].within(domain.range)
        _, operator, _ = self.visit
        if not inside:
            self.open[self.visit, taken] = Open(name, self.place, operator, len(ranges), domain)
        elif functions.of(name).overflows and operator == name and not functions.image(name, *ranges).within(FINITE):
            self.open.setdefault((self.visit, taken), Open(name, self.place, operator, len(ranges), None))


def _of(array: np.ndarray) -> tuple[Range, bool]:
    """Return the range of constants, and whether there are infinities among them."""
    if not array.size:
        return ZERO, False
    if array.dtype.kind in "OSU" or array.size > LARGEST:
        return Range(), array.dtype.kind not in "OSUbiu"
    low, high = float(array.min()), float(array.max())
    if np.isnan(low) or np.isnan(high):
        return Range(), False
    zero = low <= 0 <= high and bool((array == 0).any())
    return Range(low, high, zero), bool(np.isinf(low) or np.isinf(high))
