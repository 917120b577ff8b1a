"""Sequences of tensors, and values that may be missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_n2n.exact import reference
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.indexing import rows_of
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.running import Running
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import BOOL, INT64, Tensor, Value
from onnx_n2n.exact.undecided import Undecided


@rule("SequenceConstruct", since=11)
def construct(site: Site) -> Value:
    """Return a sequence of all inputs."""
    return _one([site.tensor(slot) for slot in range(site.count)])


@rule("SequenceEmpty", since=11)
def empty(site: Site) -> Value:
    """Return a sequence without tensors; its type is one for the reader of the model."""
    site.ignore("dtype")
    return _one([])


@rule("SequenceAt", since=11)
def at(site: Site) -> Value:
    """Return the tensor in a place; where the place is a number, a mixture of all, which must have one shape."""
    found, place = sequence(site, 0), site.tensor(1)
    if place.known is not None and not place.rough:
        return _one(found[_place(int(site.known(1).item()), len(found))])
    tensors = _tensors(found)
    if len({each.shape for each in tensors}) != 1:
        raise Undecided("which tensor of a sequence is meant depends on the model's inputs, and their shapes differ")
    stacked = together(site.run, tensors, 0, new=True)
    site.run.read(stacked)
    picked = rows_of(site, site.run.numbers(stacked), site.numbers(1).reshape(()))
    return Tensor(tensors[0].type, None, picked)


@rule("SequenceInsert", since=11)
def insert(site: Site) -> Value:
    """Return a sequence with one more tensor, before a place or at the end."""
    found, tensor = sequence(site, 0), site.tensor(1)
    place = site.known_optional(2)
    where = len(found) if place is None else _place(int(place.item()), len(found), end=True)
    return _one([*found[:where], tensor, *found[where:]])


@rule("SequenceErase", since=11)
def erase(site: Site) -> Value:
    """Return a sequence without the tensor in a place, or without the last one."""
    found, place = sequence(site, 0), site.known_optional(1)
    where = _place(-1 if place is None else int(place.item()), len(found))
    return _one([*found[:where], *found[where + 1 :]])


@rule("SequenceLength", since=11)
def length(site: Site) -> Tensor:
    """Return how many tensors there are; it may depend on lengths that were drawn."""
    return Tensor(INT64, np.array(len(sequence(site, 0)), np.int64), sized=True)


@rule("SplitToSequence", since=11)
def split(site: Site) -> Value:
    """Cut an axis into parts of stated lengths, into equal parts, or into single places."""
    tensor = site.tensor(0)
    axis = site.axis(0, len(tensor.shape))
    whole, lengths = tensor.shape[axis], site.known_optional(1)
    keeps = bool(site.attribute("keepdims", 1))
    if lengths is None:
        parts = [1] * whole
    elif lengths.ndim:
        parts = [int(each) for each in lengths]
    else:
        step = int(lengths)
        parts = [min(step, whole - start) for start in range(0, whole, step)]
    if sum(parts) != whole or min(parts, default=0) < 0:
        raise Undecided(f"an axis of length {whole} is cut into {parts}")
    before: tuple[Any, ...] = (slice(None),) * axis
    if lengths is None and not keeps:
        return _one([cut(tensor, (*before, place)) for place in range(whole)])
    ends = np.cumsum(parts)
    return _one([cut(tensor, (*before, slice(end - part, end))) for end, part in zip(ends, parts, strict=True)])


@rule("ConcatFromSequence", since=11)
def concat(site: Site) -> Tensor:
    """Put the tensors of a sequence one behind the other, or on top of each other along a new axis."""
    tensors = _tensors(sequence(site, 0))
    new = bool(site.attribute("new_axis", 0))
    axis = site.axis(0, len(tensors[0].shape) + new)
    return together(site.run, tensors, axis, new=new)


@rule("Optional", since=15)
def optional(site: Site) -> Value:
    """Return what is given; without it nothing, of the type that is stated."""
    site.ignore("type")
    return _one(site.value(0))


@rule("OptionalHasElement", since=15)
def has_element(site: Site) -> Tensor:
    """Return whether there is something."""
    return Tensor(BOOL, np.array(site.value(0) is not None))


@rule("OptionalGetElement", since=15)
def get_element(site: Site) -> Value:
    """Return what there is."""
    if (found := site.value(0)) is None:
        raise Undecided("there is nothing to get")
    return _one(found)


def _one(value: Value) -> Value:
    """Return the results of a node with one output, which may be a sequence."""
    return [value]


def sequence(site: Site, slot: int) -> list[Value]:
    """Return an input that has to be a sequence.

    Raises:
        Undecided: If it is something else.
    """
    found = site.value(slot)
    if not isinstance(found, list):
        raise Undecided(f"input {slot} is no sequence")
    return found


def _tensors(values: Sequence[Value]) -> list[Tensor]:
    """Return the elements of a sequence, all of which have to be tensors, and at least one."""
    tensors = [each for each in values if isinstance(each, Tensor)]
    if not tensors or len(tensors) != len(values):
        raise Undecided("a sequence has no elements, or others than tensors")
    return tensors


def cut(tensor: Tensor, key: Any) -> Tensor:
    """Return part of a tensor, by whatever NumPy takes as a key; nothing of it has been read by that."""
    ids = None if tensor.ids is None else np.asarray(tensor.ids).reshape(tensor.shape)[key]
    known = None if tensor.known is None else np.asarray(tensor.known[key])
    return tensor.but(known=known, numbers=None if tensor.numbers is None else tensor.numbers[key], ids=ids)


def together(run: Running, tensors: Sequence[Tensor], axis: int, *, new: bool) -> Tensor:
    """Return tensors one behind the other along an axis, or on top of each other along a new one.

    Raises:
        Undecided: If their types or shapes do not fit.
    """
    if len({each.type for each in tensors}) != 1 or len({len(each.shape) for each in tensors}) != 1:
        raise Undecided("the tensors of a sequence are of different types")
    put: Any = np.stack if new else np.concatenate
    rough = any(each.rough for each in tensors)
    arrays = [each.known for each in tensors if each.known is not None]
    known = put(arrays, axis) if len(arrays) == len(tensors) else None
    if known is not None and all(each.numbers is None for each in tensors):
        ids = None
        if any(each.ids is not None for each in tensors):
            parts = [np.zeros(each.shape, np.int64) if each.ids is None else np.asarray(each.ids) for each in tensors]
            ids = put([part.reshape(each.shape) for part, each in zip(parts, tensors, strict=True)], axis)
        return Tensor(tensors[0].type, known, sized=any(each.sized for each in tensors), rough=rough, ids=ids)
    for each in tensors:
        run.read(each)
    first, *others = (_with_axis(run.numbers(each), axis) if new else run.numbers(each) for each in tensors)
    if known is not None and known.size > reference.LARGEST:
        known = None
    return Tensor(tensors[0].type, known, first.joined(others, axis), sized=known is not None, rough=rough)


def _with_axis(numbers: Numbers, axis: int) -> Numbers:
    return numbers.reshape((*numbers.shape[:axis], 1, *numbers.shape[axis:]))


def _place(place: int, count: int, *, end: bool = False) -> int:
    """Return a place among so many, from 0; one more at the end where something is put in."""
    if not -count <= place < count + end:
        raise Undecided(f"there is no place {place} in a sequence of {count}")
    return place + count if place < 0 else place
