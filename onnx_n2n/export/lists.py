"""Arrays as the host lane has them: a number (rank 0), or a list, of lists where the rank is above 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Host = Any
"""A number, or a list of them."""


def rank(value: Host) -> int:
    """Return how deep lists are nested."""
    depth = 0
    while isinstance(value, list):
        depth += 1
        value = value[0] if value else 0
    return depth


def lengths_of(value: Host) -> list[int]:
    """Return the lengths of a value."""
    lengths: list[int] = []
    while isinstance(value, list):
        lengths.append(len(value))
        value = value[0] if value else 0
    return lengths


def flat(value: Host) -> list[Any]:
    """Return all numbers of a value."""
    if not isinstance(value, list):
        return [value]
    return [number for entry in value for number in flat(entry)]


def each(function: Callable[..., Any], *values: Host) -> Host:
    """Apply a function to numbers, with broadcasting."""
    depth = max(rank(value) for value in values)
    if depth == 0:
        return function(*values)
    deep = [rank(value) == depth for value in values]
    lengths = {len(value) for value, whole in zip(values, deep, strict=True) if whole}
    length = 0 if 0 in lengths else max(lengths)
    return [
        each(
            function,
            *(value[k if len(value) > 1 else 0] if whole else value for value, whole in zip(values, deep, strict=True)),
        )
        for k in range(length)
    ]


def insert(data: Host, axis: int) -> Host:
    """Insert an axis of length 1."""
    return [insert(entry, axis - 1) for entry in data] if axis else [data]


def fold(numbers: list[Any], lengths: list[int]) -> Host:
    """Lay numbers out in a shape."""
    if not lengths:
        return numbers[0]
    size = len(numbers) // lengths[0] if lengths[0] else 0
    return [fold(numbers[k * size : (k + 1) * size], lengths[1:]) for k in range(lengths[0])]


def cut(data: Host, axis: int, part: slice) -> Host:
    """Cut out along an axis."""
    return [cut(entry, axis - 1, part) for entry in data] if axis else data[part]


def along(function: Callable[[Any], Any], data: Host, axis: int) -> Host:
    """Reduce an axis by a function of all its numbers."""
    if axis:
        return [along(function, row, axis - 1) for row in data]
    return function(data) if rank(data) == 1 else each(lambda *numbers: function(numbers), *data)
