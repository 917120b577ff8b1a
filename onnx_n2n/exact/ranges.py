"""Arrays without numbers that know between which numbers theirs are: one range for all of a tensor.

A run over them takes no time. It finds how long everything is, to tell fixed lengths from free ones. It says which
functions a model takes of numbers of which nothing shows that the function is defined for them; only these have to be
compared with what the other model takes it of. And it finds about how many primes a run with numbers will need: this is
no proof of anything, for a run with numbers says itself what its chance is.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import count
from operator import or_
from typing import Any, Self
from weakref import ref

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact import functions
from onnx_n2n.exact.chance import VARIABLE, Bound, Comparisons
from onnx_n2n.exact.domains import ANYTHING, FINITE, NOT_NEGATIVE, POSITIVE, SHARE, ZERO, Domain, Range, joined
from onnx_n2n.exact.lengths import Named
from onnx_n2n.exact.numeric import EITHER, PLUS, Numbers, Scalar, infinities, opposite
from onnx_n2n.exact.stored import mantissa
from onnx_n2n.exact.tensor import BOOL, STRING, kind
from onnx_n2n.exact.world import World, row_of

NUMBERS = Range(-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))
LARGEST = 1 << 22  # numbers of a constant that is looked through for its range
SMALL = 1 << 5  # numbers; of larger constants it is remembered what is known
SAMPLE = 1 << 15  # so many numbers of a constant say how many bits it has


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


Constants = dict[int, tuple[ref[np.ndarray], Bound, Range, int]]
Asked = tuple[Named, str]  # a node, and a function that it takes in some visit


class Ranged(Numbers):
    """The shape of an array of numbers, and the range of all of them."""

    __slots__ = ("parts", "range", "same", "world")

    def __init__(
        self, world: Ranges, values: np.ndarray, bound: Bound, infinite: int = 0, of: Range = ANYTHING
    ) -> None:  # fmt: skip
        super().__init__(values, bound, infinite)
        self.world, self.range = world, of
        self.same: Ranged | None = None  # what these are the same numbers as
        self.parts: Sequence[Ranged] = ()  # what these were put together from, one behind the other

    def _with(
        self, values: np.ndarray, bound: Bound | None = None, infinite: int | None = None, of: Range | None = None
    ) -> Self:  # fmt: skip
        kept = self.infinite if infinite is None else infinite
        kept_range = self.range if of is None else of
        return type(self)(self.world, values, self.bound if bound is None else bound, kept, kept_range)

    def _entered(self, other: Self | Scalar) -> Self:
        return other if isinstance(other, Ranged) else self.world.enter(np.asarray(other))  # type: ignore[return-value]

    def _spread(self, other: Self, bound: Bound, of: Range, infinite: int = 0) -> Self:
        return self._with(_empty(_broadcast(self, other)), bound, infinite, of)

    def __add__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        return self._summed(two, self.range + two.range, two.infinite)

    def __sub__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        return self._summed(two, self.range - two.range, opposite(two.infinite))

    def _summed(self, two: Self, of: Range, infinite: int) -> Self:
        """Return a sum or difference of both, where these are the infinities of what is added."""
        if self.infinite & opposite(infinite):
            total = self.world.apply("Total", (), self, two)
            return self._spread(two, total.bound, total.range, self.infinite | infinite)
        return self._spread(two, self.bound.plus(two.bound), of, self.infinite | infinite)

    def __mul__(self, other: Self | Scalar) -> Self:
        two = self._entered(other)
        bound = self.bound.times(two.bound)
        if (self.same or self) is (two.same or two):
            return self._spread(two, bound, self.range.squared())
        found = self._spread(two, bound, self.range * two.range)
        if self.range == Range(1, 1) and two.shape == found.shape:
            found.same = two.same or two
        return found

    def __matmul__(self, other: Self) -> Self:
        left = (1, *self.shape) if self.ndim == 1 else self.shape
        right = (*other.shape, 1) if other.ndim == 1 else other.shape
        if left[-1] != right[-2]:
            raise ValueError(f"matrices of the shapes {left} and {right} cannot be multiplied")
        lead = np.broadcast_shapes(left[:-2], right[:-2])
        shape = (*lead, *left[-2:-1][: self.ndim > 1], *right[-1:][: other.ndim > 1])
        found = (self.range * other.range).summed(left[-1])
        return self._with(_empty(shape), self.bound.times(other.bound).summed(left[-1]), False, found)

    def multiplied(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the product over axes."""
        positive = NOT_NEGATIVE if self.range.zero else POSITIVE
        found, bound = positive if self.range.low >= 0 else ANYTHING, Bound()
        for _ in range(self._terms(axes)):
            bound = bound.times(self.bound)
        return self._with(_empty(_without(self.shape, axes, keep=keep)), bound, of=found)

    def sum(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the sum over axes."""
        shape, terms = _without(self.shape, axes, keep=keep), self._terms(axes)
        return self._with(_empty(shape), self.bound.summed(terms), of=self.range.summed(terms))

    def cumulated(self, axis: int) -> Self:
        """Return the sums of all numbers up to each place."""
        terms = self.shape[axis]
        return self._with(self.values, self.bound.summed(terms), of=self.range.joined(self.range.summed(terms)))

    def choosing(self, x: Self, y: Self) -> Self:
        """Return x where this is 1, and y where it is 0."""
        bound = self.bound.times(x.bound).plus(self.bound.times(y.bound))
        both = x._spread(y, bound, x.range.joined(y.range), x.infinite | y.infinite)
        return self._spread(both, bound, both.range, both.infinite)

    def joined(self, others: Sequence[Self], axis: int) -> Self:
        """Return the numbers of several arrays one after the other."""
        every = (self, *others)
        if len({_without(each.shape, [axis], keep=True) for each in every}) > 1:
            raise ValueError(f"arrays of the shapes {[each.shape for each in every]} cannot be joined")
        shape, bound, infinite = list(self.shape), self.bound, self.infinite
        shape[axis] = sum(each.shape[axis] for each in every)
        for each in others:
            bound, infinite = bound.joined(each.bound), infinite | each.infinite
        parts = [each for each in every if each.size]
        found = self._with(_empty(shape), bound, infinite)
        found.parts = parts if self.ndim == 1 else ()
        found.range = joined(each.range for each in parts) if parts else ZERO
        return found

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
        found.range = joined(met) if met else found.range
        return found


class Ranges(World[Ranged]):
    """What numbers are in a run that finds how long everything is, and between which numbers.

    Args:
        comparisons: About what runs with numbers will compare, behind what others compare.
        constants: What is known of constants, by the identity of arrays while they live; runs may share it.

    Attributes:
        open: Functions of numbers that they may not be defined for, by who takes them.
    """

    exact = True  # rules go the way that they go with residues

    def __init__(self, comparisons: Comparisons | None = None, constants: Constants | None = None) -> None:
        self.comparisons = Comparisons() if comparisons is None else comparisons
        self.constants: Constants = {} if constants is None else constants
        self.open: dict[Asked, Open] = {}
        self._names = count()

    def of(self, shape: Sequence[int], bound: Bound = VARIABLE, of: Range = ANYTHING, infinite: int = 0) -> Ranged:
        """Return numbers of a shape."""
        return Ranged(self, _empty(shape), bound, infinite, of)

    def enter(self, array: ArrayLike) -> Ranged:
        """Return numbers."""
        array = array if isinstance(array, np.ndarray) else np.asarray(array)
        if array.size < SMALL:
            return self.of(array.shape, _bound(array), *_of(array))
        known = self.constants.get(id(array))
        if known is None or known[0]() is not array:
            known = self.constants[id(array)] = ref(array), _bound(array), *_of(array)
        return self.of(array.shape, *known[1:])

    def places(self, array: np.ndarray) -> Ranged:
        """Return what stands for places."""
        return self.of(array.shape, VARIABLE, *_of(array))

    def texts(self, array: np.ndarray) -> Ranged:
        """Return a number for each text."""
        return self.of(array.shape, Bound())

    def fraction(self, over: int, under: int) -> Ranged:
        """Return a fraction."""
        bits = float(abs(under).bit_length())
        bound = Bound(0, 0.0, float(abs(over).bit_length()), {(abs(under), bits): 1} if abs(under) > 1 else {})
        return self.of((), bound, Range(over, over) * Range(under, under).inverse())

    def root_of(self, over: int, under: int) -> Ranged:  # noqa: ARG002
        """Return the square root of a fraction above 0."""
        return self.of((), Bound(), POSITIVE)

    def variable(self, name: Hashable, shape: Sequence[int]) -> Ranged:  # noqa: ARG002
        """Return variables."""
        return self.of(shape)

    def given(self, name: str, type_: int, shape: Sequence[int]) -> Ranged:  # noqa: ARG002
        """Return an input."""
        unsigned = type_ != STRING and kind(type_).kind == "u"
        return self.of(shape, of=SHARE if type_ == BOOL else NOT_NEGATIVE if unsigned else ANYTHING)

    def reciprocal(self, x: Ranged) -> Ranged:
        """Return one over numbers."""
        self._ask("Reciprocal", "Reciprocal", x.range)
        if x.constant:
            return self.inverse(x)
        self._compared("Reciprocal", x)
        return x._with(x.values, VARIABLE, False, x.range.inverse())

    def inverse(self, x: Ranged) -> Ranged:
        """Return one over numbers that no input has a part in: none of them is 0."""
        return x._with(x.values, x.bound.over(next(self._names), x.size), False, x.range.inverse())

    def rsqrt(self, x: Ranged, approximately: ArrayLike | None = None) -> Ranged:  # noqa: ARG002
        """Return one over square roots."""
        self._ask("Rsqrt", "Rsqrt", x.range)
        root = functions.image("Sqrt", x.range)
        self._compared("Rsqrt", x)
        return x._with(x.values, VARIABLE, False, Range(root.low, root.high, False).inverse())

    def sqrt(self, x: Ranged, approximately: ArrayLike | None = None) -> Ranged:  # noqa: ARG002
        """Return square roots."""
        self._ask("Rsqrt", "Sqrt", x.range)  # residues have them as numbers times what `rsqrt` gives
        self._compared("Rsqrt", x)
        return x._with(x.values, x.bound.times(VARIABLE), False, functions.image("Sqrt", x.range))

    def apply(self, name: str, parameters: Hashable, *arguments: Ranged) -> Ranged:  # noqa: ARG002
        """Return a function of the numbers at each place."""
        ranges = [each.range for each in arguments]
        self._ask(name, name, *ranges)
        if functions.of(name).overflows and any(each.infinite & PLUS for each in arguments):
            self.open[self.node, name] = Open(name, self.place, self.node[1], len(ranges), FINITE)
        found = functions.image(name, *ranges)
        if any(each.infinite for each in arguments):  # of minus infinity an exponential is 0
            found = Range(found.low, found.high)
        self._compared(name, *arguments)
        return self.of(_broadcast(*arguments), of=found)

    def extreme(self, kind: str, x: Ranged, axes: Sequence[int], present: Any = None) -> Ranged:  # noqa: ARG002
        """Return the largest or smallest number over axes."""
        self._compared(kind, x)
        return self.of(_without(x.shape, axes, keep=False), VARIABLE, x.range, x.infinite)

    def extreme_of(self, kind: str, *arguments: Ranged) -> Ranged:
        """Return the largest or smallest of the numbers at each place."""
        best, ranges = max if kind == "Max" else min, [each.range for each in arguments]
        ends = best(each.low for each in ranges), best(each.high for each in ranges)
        found = Range(*ends, any(each.zero for each in ranges))
        for each in arguments:
            self._compared(kind, each)
        infinite = reduce(or_, (each.infinite for each in arguments))
        return self.of(_broadcast(*arguments), VARIABLE, found, infinite)

    def of_rows(self, name: str, parameters: Hashable, x: Ranged, axis: int, count: int) -> Ranged:  # noqa: ARG002
        """Return functions of all numbers along an axis."""
        self._compared(name, x)
        shape = tuple(count if at == axis % x.ndim else n for at, n in enumerate(x.shape))
        function = functions.of(name)
        return self.of(shape, of=Range(0, max(x.shape[axis] - 1, 0)) if function.places else function.range)

    def weights(self, places: Ranged, count: int, *, anywhere: bool = False) -> Ranged:
        """Return a weight for each row."""
        rows = Domain(Range(-count, count - 1), f"from {-count} to {count - 1}")
        if not anywhere and not places.range.within(rows.range):
            row, (_, operator) = row_of(count), self.node
            self.open[self.node, row] = Open(row, self.place, operator, 1, rows)
        self._compared("row", places)
        return self.of((*places.shape, count), of=SHARE)

    def _compared(self, name: str, *arguments: Ranged) -> None:
        bound = arguments[0].bound
        for each in arguments[1:]:
            bound = bound.joined(each.bound)
        self.comparisons.add(name, math.prod(_broadcast(*arguments)), bound)

    def _ask(self, taken: str, name: str, *ranges: Range) -> None:
        """Note a function that nothing shows to be defined, under the one that residues take for it."""
        domain = functions.domain_of(name, *ranges)
        inside = domain is None or ranges[functions.of(name).judged].within(domain.range)
        _, operator = self.node
        if not inside:
            self.open[self.node, taken] = Open(name, self.place, operator, len(ranges), domain)
        elif functions.of(name).overflows and operator == name and not functions.image(name, *ranges).within(NUMBERS):
            self.open.setdefault((self.node, taken), Open(name, self.place, operator, len(ranges), None))


def _of(array: np.ndarray) -> tuple[Range, int]:
    """Return the range of constants, and which infinities there may be among them."""
    if not array.size:
        return ZERO, 0
    if array.dtype.kind in "OSU" or array.size > LARGEST:
        return Range(), EITHER if array.dtype.kind not in "OSUbiu" else 0
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind in "iu":  # a double does not hold each of them
        low, high = (_outwards(end, double, away) for end, double, away in (
            (int(array.min()), low, -math.inf), (int(array.max()), high, math.inf)
        ))  # fmt: skip
    if np.isnan(low) or np.isnan(high):
        return Range(), 0
    zero = low <= 0 <= high and bool((array == 0).any())
    return Range(low, high, zero), infinities((low, high))


def _outwards(number: int, double: float, away: float) -> float:
    """Return a double that is a whole number, or the next one away from what it was rounded from."""
    return double if int(double) == number else math.nextafter(double, away)


def _bound(array: np.ndarray) -> Bound:
    """Return what bounds the numbers of a constant, from some of them."""
    if array.dtype.kind in "OSU":
        return Bound()
    flat = array.flat[:SAMPLE].astype(np.float64)  # what lies together in a file
    sizes = np.abs(flat[np.isfinite(flat) & (flat != 0)])
    if not sizes.size:
        return Bound()
    low, high = (math.frexp(each)[1] for each in (sizes.min(), sizes.max()))
    return Bound(0, 0.0 if array.dtype.kind in "bui" else float(min(low, 0) - mantissa(array)), float(max(high, 0)))


def _broadcast(*arguments: Ranged) -> tuple[int, ...]:
    shape, *others = (each.shape for each in arguments)
    return shape if all(each in {shape, ()} for each in others) else np.broadcast_shapes(shape, *others)


def _empty(shape: Sequence[int]) -> np.ndarray:
    return np.broadcast_to(np.zeros((), bool), tuple(shape))


def _without(shape: Sequence[int], axes: Sequence[int], *, keep: bool) -> tuple[int, ...]:
    gone = {axis % len(shape) for axis in axes}
    return tuple(1 if at in gone else length for at, length in enumerate(shape) if keep or at not in gone)
