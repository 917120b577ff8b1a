"""What small integer tensors say: one :class:`ShapeDim` per element, so that shape arithmetic can be followed.

Exporters compute the target of a Reshape from Shape, Gather and Concat. An element is either a number that is written
somewhere in the model, or the length of an axis; the second kind follows growth by itself, the first must be rewritten
for the use that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from onnx_n2n.axes.algebra import (
    Axis,
    Product,
    Reason,
    Sum,
    axis_of,
    is_pinned,
    leaves,
    parts_of,
    pin,
    product,
    resolve,
    same,
    size,
    total,
)
from onnx_n2n.axes.unify import Misaligned, split_product, split_sum, unify

LARGEST = 64  # a tensor with more elements is data, not shape arithmetic


@dataclass(frozen=True)
class ShapeDim:
    """One element: its value in the teacher (None when only run time knows it), and the axis whose length it is.

    Arithmetic on lengths keeps whole values only: what comes of a fraction depends on how run time rounds. The cause is
    why growth has lost the axis whose length it is made of, if it has.
    """

    value: float | None
    axis: Axis | None = None
    cause: Reason | None = field(default=None, compare=False)

    @property
    def literal(self) -> bool:
        """Whether the element is a number that growth does not move."""
        return self.axis is None and self.value is not None

    @property
    def fixed(self) -> bool:
        """Whether growth does not move it, be it written or the length of an axis that is pinned by now."""
        return self.value is not None and (self.axis is None or is_pinned(self.axis))


@dataclass(frozen=True)
class ShapeValue:
    """The elements of one tensor of rank 0 (``scalar``), of rank 1, or of rank 2: a table of rows of a ``width``."""

    elements: tuple[ShapeDim, ...]
    scalar: bool = False
    width: int | None = None

    @classmethod
    def of(cls, elements: Iterable[ShapeDim], shape: Sequence[int]) -> ShapeValue:
        """Return elements, row by row, in a shape of at most two axes."""
        return cls(tuple(elements), scalar=not shape, width=shape[1] if len(shape) == 2 else None)

    @property
    def places(self) -> np.ndarray:
        """The numbers of the elements, int64 in the shape of the tensor, so that arrays say what is moved where."""
        count = len(self.elements)
        columns = () if self.width is None else (self.width,)
        return np.arange(count).reshape(() if self.scalar else (count // max(self.width or 1, 1), *columns))

    def moved(self, places: np.ndarray) -> ShapeValue:
        """Return a tensor of those elements that ``places`` says."""
        return ShapeValue.of((self.elements[place] for place in places.ravel()), places.shape)


def length_of(axis: Axis) -> ShapeDim:
    """Return the element that says the length of ``axis``."""
    length = size(axis)
    return ShapeDim(length) if length is not None and not leaves(axis) else ShapeDim(length, axis)


def always_equal(one: Axis, other: Axis) -> bool:
    """Say whether two axes have the same length however their factors grow, whatever the order of their factors.

    Factors that are pinned need not be the same ones: 2 * 2 places are 4.
    """
    ours, theirs = _unshared(one, other)
    fixed = _fixed(ours)
    return fixed is not None and fixed == _fixed(theirs)


def meet(one: Axis, other: Axis, reason: Reason) -> bool:
    """Make two axes equal in length where they share what is known only at run time; say whether they are."""
    if always_equal(one, other):
        return True
    ours, theirs = (product(*parts) for parts in _unshared(one, other))
    length = size(ours)
    if length is None or length != size(theirs):
        return False
    unify(ours, theirs, reason)
    return True


def _unshared(one: Axis, other: Axis) -> tuple[list[Axis], list[Axis]]:
    """Return the parts of two products that are not the same in both."""
    ours, theirs = [], parts_of(other)
    for part in parts_of(one):
        place = next((place for place, each in enumerate(theirs) if same(each, part)), None)
        if place is None:
            ours.append(part)
        else:
            del theirs[place]
    return ours, theirs


def _fixed(parts: list[Axis]) -> int | None:
    """Return the length of a product that cannot grow, None of any other."""
    found = size(product(*parts))
    return found if all(map(is_pinned, parts)) else None


def _left(one: Axis, other: Axis) -> list[Axis] | None:
    """Return what is left of a product when all parts of another are taken away; None if it does not have them all."""
    left = parts_of(one)
    for part in parts_of(other):
        place = next((place for place, each in enumerate(left) if same(each, part)), None)
        if place is None:
            return None
        del left[place]
    return left


def multiply(one: ShapeDim, other: ShapeDim, reason: Reason) -> ShapeDim:
    """Return the product of two elements."""
    value = None if one.value is None or other.value is None else _whole(one.value * other.value)
    if one.axis is None and other.axis is None:
        return settle(one, other, value=value, reason=reason)
    if one.axis is not None and other.axis is not None:
        return ShapeDim(value, product(one.axis, other.axis))
    axis, literal = (one.axis, other) if one.axis is not None else (other.axis, one)
    assert axis is not None
    if literal.value == 1:
        return ShapeDim(value, axis)
    if literal.value == 0:
        return literal
    if literal.value is None or literal.value < 1 or literal.value != int(literal.value):
        return settle(one, other, value=value, reason=reason)
    fixed = axis_of(int(literal.value))
    pin(fixed, reason)
    return ShapeDim(value, product(axis, fixed))


def divide(one: ShapeDim, other: ShapeDim, reason: Reason, *, rounded: bool = False) -> ShapeDim:
    """Return the quotient of two elements; an axis divided by a number keeps that number as its outer factor.

    Args:
        one: The dividend.
        other: The divisor.
        reason: Why what cannot be followed is pinned.
        rounded: Whether a quotient that is no whole number is rounded down.
    """
    value = None if one.value is None or not other.value else _whole(one.value / other.value)
    if rounded and value is None and (one.value or -1) > 0 and other.literal and (other.value or 0) > 0:
        one = _without_rest(one, int(other.value or 0))
        value = one.value // (other.value or 1) if one.value is not None else None
    if one.axis is None and other.axis is None:
        return settle(one, other, value=value, reason=reason)
    if one.axis is not None and other.literal and other.value == 1:
        return one
    if one.axis is not None and other.literal and value is not None:
        try:
            outer, inner = split_product(one.axis, int(other.value or 1), reason)
        except Misaligned:
            pass
        else:
            pin(outer, reason)
            return ShapeDim(value, inner)
    if one.axis is not None and other.axis is not None and (rest := _left(one.axis, other.axis)) is not None:
        return length_of(product(*rest))
    return settle(one, other, value=value, reason=reason)


def _without_rest(one: ShapeDim, divisor: int) -> ShapeDim:
    """Leave out a number added to a length that ``divisor`` divides, if it is lost when the sum is rounded down."""
    axis = resolve(one.axis) if one.axis is not None else None
    if not isinstance(axis, Sum) or not is_pinned(axis.parts[-1]):
        return one
    length, added = total(*axis.parts[:-1]), size(axis.parts[-1])
    known = size(length)
    return ShapeDim(known, length) if known and not known % divisor and (added or divisor) < divisor else one


def _whole(value: float) -> float | None:
    return value if float(value).is_integer() else None


def add(one: ShapeDim, other: ShapeDim, reason: Reason) -> ShapeDim:
    """Return the sum of two elements; a number that is added to an axis is an axis that keeps its length."""
    value = None if one.value is None or other.value is None else one.value + other.value
    if one.literal and one.value == 0:
        return other
    if other.literal and other.value == 0:
        return one
    if one.axis is not None and other.axis is not None and value is not None:
        return ShapeDim(value, Sum((one.axis, other.axis)))
    axis, literal = (one.axis, other) if one.axis is not None else (other.axis, one)
    if axis is not None and value is not None and literal.value is not None and literal.value > 0:
        added = axis_of(int(literal.value))
        pin(added, reason)
        return ShapeDim(value, Sum((axis, added)))
    return settle(one, other, value=value, reason=reason)


def subtract(one: ShapeDim, other: ShapeDim, reason: Reason) -> ShapeDim:
    """Return the difference of two elements: what is left of an axis without parts of it, or a number of places."""
    value = None if one.value is None or other.value is None else one.value - other.value
    if other.literal and other.value == 0:
        return one
    axis = resolve(one.axis) if one.axis is not None else None
    if axis is None or value is None or value < 0 or is_pinned(axis):
        return settle(one, other, value=value, reason=reason)
    if other.axis is None:
        return _without_last(axis, one, other, reason)
    if always_equal(axis, other.axis):
        return ShapeDim(0.0)
    rest = _without_parts(axis, other.axis)
    if rest is None and isinstance(axis, Product):
        rest = _fewer(axis, other.axis, reason)
    return settle(one, other, value=value, reason=reason) if rest is None else ShapeDim(value, rest)


def _without_last(axis: Axis, one: ShapeDim, other: ShapeDim, reason: Reason) -> ShapeDim:
    """Return the length of an axis less a number that stays: of its last places, which are as many."""
    value = (one.value or 0) - (other.value or 0)
    try:
        rest, last = split_sum(axis, int(value), reason)
    except Misaligned:
        return settle(one, other, value=value, reason=reason)
    pin(last, reason)
    return length_of(rest)


def _without_parts(axis: Axis, taken: Axis) -> Axis | None:
    """Return what is left of axes laid end to end without some of them, None if these are not among them."""
    left = list(axis.parts) if isinstance(axis, Sum) else [axis]
    taken = resolve(taken)
    for part in taken.parts if isinstance(taken, Sum) else [taken]:
        place = next((place for place, each in enumerate(left) if same(each, part)), None)
        if place is None:
            return None
        del left[place]
    return total(*left)


def _fewer(axis: Product, taken: Axis, reason: Reason) -> Axis | None:
    """Return ``(k - j) * rest`` for ``k * rest`` without ``j * rest``, where k and j are numbers that stay."""
    outer, rest = axis.parts[0], product(*axis.parts[1:])
    count, number, length = size(outer), size(taken), size(rest)
    if not is_pinned(outer) or count is None or not number or not length or number % length:
        return None
    times = number // length
    same_rest = always_equal(rest, taken) if times == 1 else _left(taken, rest) is not None
    fixed = all(map(is_pinned, _left(taken, rest) or []))
    if not same_rest or not fixed or times >= count:
        return None
    left = axis_of(count - times)
    pin(left, reason)
    return product(left, rest)


def remainder(one: ShapeDim, other: ShapeDim, reason: Reason) -> ShapeDim:
    """Return the remainder of a length: of a number of equal parts there is none, and their number stays."""
    value = None if one.value is None or not other.value else one.value % other.value
    if one.axis is not None and value == 0 and other.literal and (other.value or 0) > 0 and not is_pinned(one.axis):
        try:
            outer, _ = split_product(one.axis, int(other.value or 1), reason)
        except Misaligned:
            pass
        else:
            pin(outer, reason)
            return ShapeDim(0.0)
    return settle(one, other, value=value, reason=reason)


def settle(*elements: ShapeDim, value: float | None, reason: Reason) -> ShapeDim:
    """Pin whatever ``elements`` measure and return an element with ``value`` that growth does not move."""
    for element in elements:
        if element.axis is not None:
            pin(element.axis, reason)
    causes = [element.cause or (reason if element.axis is not None else None) for element in elements]
    return ShapeDim(value, cause=next((cause for cause in causes if cause is not None), None))


def volume(elements: tuple[ShapeDim, ...], reason: Reason) -> ShapeDim:
    """Return the product of all elements."""
    found = ShapeDim(1)
    for element in elements:
        found = multiply(found, element, reason)
    return found
