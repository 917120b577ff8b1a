"""Tensors of which only what is asked for is entered: constants in files, with rows that a growth record appends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BLOCK = 1 << 20  # numbers that are entered at once


@dataclass(frozen=True, eq=False)
class Entered:
    """A constant, none of whose numbers are entered yet.

    Args:
        world: Where they are entered.
        array: The numbers.
    """

    world: Any
    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.array.shape


@dataclass(frozen=True, eq=False)
class Appended:
    """A tensor with more places along an axis behind it.

    Args:
        base: The tensor.
        more: Numbers with the same lengths of the other axes.
        axis: The axis.
    """

    base: Any
    more: Any
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        lengths = list(self.base.shape)
        lengths[self.axis] += self.more.shape[self.axis]
        return tuple(lengths)


def whole(value: Any) -> Any:
    """Return all numbers of a tensor."""
    if isinstance(value, Entered):
        return value.world.enter(value.array)
    if isinstance(value, Appended):
        return whole(value.base).joined([whole(value.more)], value.axis)
    return value


def taken(value: Any, where: np.ndarray, axis: int) -> Any:
    """Return the places of a tensor that are asked for along an axis."""
    if len(where) == value.shape[axis] and np.array_equal(where, np.arange(len(where))):
        return value
    key = (slice(None),) * axis + (where,)
    if isinstance(value, Entered):
        return Entered(value.world, value.array[key])
    if not isinstance(value, Appended):
        return value[key]
    if axis != value.axis:
        return Appended(taken(value.base, where, axis), taken(value.more, where, axis), value.axis)
    length = value.base.shape[axis]
    if (where >= length).all():
        return taken(value.more, where - length, axis)
    if (where < length).all():
        return taken(value.base, where, axis)
    return whole(value)[key]


def combined(value: Any, weights: Any, axis: int) -> Any:
    """Return the sum of the places along an axis, each times a number.

    Args:
        value: The tensor, ``[..., n, ...]``.
        weights: The numbers, ``[n]``.
        axis: The axis.

    Returns:
        Numbers with 1 for that length.
    """
    shape = tuple(1 if place == axis else length for place, length in enumerate(value.shape))
    if isinstance(value, Appended) and axis != value.axis:
        return whole(Appended(combined(value.base, weights, axis), combined(value.more, weights, axis), value.axis))
    row = weights.reshape((1, -1))
    if not isinstance(value, Entered):
        found = whole(value)
        order = [axis, *(place for place in range(len(shape)) if place != axis)]
        return (row @ found.transpose(order).reshape((value.shape[axis], -1))).reshape(shape)
    columns = np.moveaxis(value.array, axis, 0).reshape(value.shape[axis], -1)
    width = max(1, BLOCK // max(1, len(columns)))
    parts = [row @ value.world.enter(columns[:, start : start + width]) for start in range(0, columns.shape[1], width)]
    return parts[0].joined(parts[1:], 1).reshape(shape)
