"""Redundant channels, which training can never tell apart: those whose weights are exact copies of each other's.

Two channels of a group with equal incoming weights compute the same number. If their outgoing weights are equal too,
every gradient that reaches one reaches the other, and they stay equal for ever: they are *twins*, and one of them is
wasted. Channels that differ on either side part in the first step of training.

Almost all channels of a trained model differ in the first few weights, so a sample of each settles most of the question
and only channels that agree on the sample are read in full. Time is linear in weights, memory in the largest of them.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.groups import consumed_axes, weights_of
from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.axes.algebra import Axis, Factor, Product, leaves, resolve, size
from onnx_n2n.collector import still
from onnx_n2n.graph.subgraphs import nodes_of
from onnx_n2n.io.model import ModelLike, open_model
from onnx_n2n.words import count

SAMPLE = 16  # weights of each channel that are compared before all of them are
BLOCK = 1 << 22  # weights that are compared at a time


@dataclass(frozen=True)
class GroupClones:
    """How many channels of one group are exact copies of others in the same group.

    Attributes:
        group: Name of the group.
        channels: How many it has.
        incoming: Channels whose weights are those of another wherever the group's channels are made; None if no weight
            makes them.
        outgoing: Channels whose weights are those of another wherever they are summed over; None if no weight does.
        twins: Channels that are equal to another in all of these weights, so that training cannot tell them apart.
    """

    group: str
    channels: int
    incoming: int | None
    outgoing: int | None
    twins: int


@dataclass(frozen=True)
class Clones:
    """How many channels of a model are exact copies of others, by group and in all; unknown counts as none."""

    groups: tuple[GroupClones, ...]

    def __repr__(self) -> str:
        return f"<Clones: {self.twins:,} of {count(self.channels, 'channel')} redundant>"

    @property
    def channels(self) -> int:
        """Channels of all groups."""
        return sum(found.channels for found in self.groups)

    @property
    def incoming(self) -> int:
        """Channels whose incoming weights are those of another."""
        return sum(found.incoming or 0 for found in self.groups)

    @property
    def outgoing(self) -> int:
        """Channels whose outgoing weights are those of another."""
        return sum(found.outgoing or 0 for found in self.groups)

    @property
    def twins(self) -> int:
        """Channels that training cannot tell from another."""
        return sum(found.twins for found in self.groups)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON-ready values."""
        rows: Sequence[Clones | GroupClones] = (self, *self.groups)
        total, *groups = (
            {
                "channels": row.channels,
                "incoming_clones": row.incoming,
                "outgoing_clones": row.outgoing,
                "twins": row.twins,
            }
            for row in rows
        )
        named = [{"group": row.group, **entry} for row, entry in zip(self.groups, groups, strict=True)]
        return {**total, "groups": named}


@dataclass(frozen=True, eq=False)
class _Slices:
    """Slices of a weight along ``axis``, for each channel of the factors in it, and whether they are summed over."""

    position: int
    axis: Axis
    consumed: bool


@still()
def clones(model: ModelLike) -> Clones:
    """Count the channels of a model that are exact copies of others, whether it was just grown or not.

    >>> onnx_n2n.clones("model.onnx")
    <Clones: 0 of 8 channels redundant>

    Raises:
        ModelError: The model cannot be read.
    """
    return count_clones(analyze(open_model(model).model))


def count_clones(analysis: Analysis) -> Clones:
    """Count the channels of an analysed model that are exact copies of others."""
    classes = _classes(analysis)
    found = []
    for group in analysis.groups:
        sides = [classes.get((group.factor, consumed)) for consumed in (False, True)]
        known = [side for side in sides if side is not None]
        if not known:
            continue
        made, read = (None if side is None else _repeated(side) for side in sides)
        found.append(GroupClones(group.name, group.size, made, read, _repeated(list(zip(*known, strict=True)))))
    return Clones(tuple(found))


def _slices(analysis: Analysis) -> dict[ir.Value, list[_Slices]]:
    """Return the slices of each weight; those of one that is used twice in the same way are listed once."""
    consumed = consumed_axes(analysis.ledger, analysis)
    found: dict[ir.Value, dict[tuple[int, str, bool], _Slices]] = {}
    for node in nodes_of(analysis.model.graph):
        for slot, value, axes in weights_of(node, analysis):
            for position, axis in enumerate(axes if value in analysis.constants else ()):
                consumes = (node, slot, position) in consumed
                key, entry = (position, repr(resolve(axis)), consumes), _Slices(position, axis, consumes)
                found.setdefault(value, {}).setdefault(key, entry)
    return {value: list(entries.values()) for value, entries in found.items()}


def _classes(analysis: Analysis) -> dict[tuple[Factor, bool], list[int]]:
    """Return a number for each channel of a factor, equal for those whose slices of all weights are equal.

    There are two numbers: those of the weights that make the channels, and those of the weights that sum over them.
    """
    slices, grouped = _slices(analysis), {group.factor for group in analysis.groups}
    sides = {
        weight: [(each, factor) for each in entries for factor in dict.fromkeys(leaves(each.axis)) if factor in grouped]
        for weight, entries in slices.items()
    }
    found = {(factor, each.consumed): [0] * (factor.size or 0) for side in sides.values() for each, factor in side}
    for whole in (False, True):  # first only a sample of every weight, so that few channels are left to be read in full
        for weight, side in sides.items():
            alike = [each for each in side if _repeated(found[each[1], each[0].consumed])]
            if alike:  # the weight may be read or made now
                _compare(analysis.constants[weight].numpy(), alike, found, whole=whole)
    return found


def _compare(
    array: np.ndarray,
    alike: Sequence[tuple[_Slices, Factor]],
    found: Mapping[tuple[Factor, bool], list[int]],
    *,
    whole: bool,
) -> None:
    """Tell channels apart by a weight, which nothing holds afterwards."""
    for each, factor in alike if array.size else ():
        for places in _places(np.moveaxis(array, each.position, 0), each.axis, factor):
            _tell_apart(found[factor, each.consumed], places, whole=whole)


def _tell_apart(classes: list[int], places: np.ndarray, *, whole: bool) -> None:
    """Give channels of one class classes of their own where their slices of a weight differ."""
    counts = Counter(classes)
    left = [channel for channel, number in enumerate(classes) if counts[number] > 1]
    keys = dict(zip(left, (_digests if whole else _samples)(places, left), strict=True))
    classes[:] = _numbered([(number, keys.get(channel)) for channel, number in enumerate(classes)])


def _places(array: np.ndarray, axis: Axis, factor: Factor) -> Iterator[np.ndarray]:
    """Yield the parts of a weight whose first axis is ``axis``, as views with the channels of ``factor`` first.

    There is one for each time that the factor stands in the axis: ``(f 3)`` has one of shape [f, 3, ...], ``f + 2 + f``
    has two of shape [f, ...].
    """
    axis = resolve(axis)
    if isinstance(axis, Factor):
        if axis is factor:
            yield array
    elif isinstance(axis, Product):
        split = array.reshape(*(size(part) or 0 for part in axis.parts), *array.shape[1:])
        for place, part in enumerate(axis.parts):
            yield from _places(np.moveaxis(split, place, 0), part, factor)
    else:
        for number in axis.having.get(factor, ()):
            yield from _places(array[axis.starts[number] : axis.starts[number + 1]], axis.parts[number], factor)


def _samples(places: np.ndarray, channels: list[int]) -> list[bytes]:
    """Return a few weights of each channel, the same places for all."""
    rest = places.shape[1:]
    if rest:
        numbers = np.unique(np.linspace(0, math.prod(rest) - 1, SAMPLE, dtype=np.int64))
        picked: tuple[Any, ...] = np.unravel_index(numbers, rest)
        places = places[(slice(None), *picked)]
    return [row.tobytes() for row in _plain(places[channels])]


def _digests(places: np.ndarray, channels: list[int]) -> list[bytes]:
    """Return a hash of all weights of each channel."""
    places = places.reshape(-1, 1) if places.ndim == 1 else places
    hashes = [hashlib.blake2b(digest_size=16) for _ in channels]
    step = max(1, BLOCK * places.shape[1] // places.size)
    for start in range(0, places.shape[1], step):
        block = _plain(places[channels, start : start + step])
        for found, row in zip(hashes, block, strict=True):
            found.update(row.tobytes())
    return [found.digest() for found in hashes]


def _plain(block: np.ndarray) -> np.ndarray:
    """Return a block in which equal numbers have equal bytes: there are two zeros."""
    plain: np.ndarray = np.ascontiguousarray(block) + block.dtype.type(0)
    return plain


def _numbered(keys: Sequence[object]) -> list[int]:
    """Return a number for each key, equal for equal ones."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _repeated(classes: Sequence[object]) -> int:
    """Return how many channels share their class with another."""
    return sum(count for count in Counter(classes).values() if count > 1)
