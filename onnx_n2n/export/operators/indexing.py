"""Operators that pick entries, put them somewhere, or sort them."""

from __future__ import annotations

from typing import Any

from onnx_n2n.export import lists
from onnx_n2n.export.calling import several
from onnx_n2n.export.operators.arrays import Array, namespace


def _wrapped(indices: Array, length: int) -> Array:
    """Count from the end where an index is negative."""
    xp = namespace(indices)
    indices = xp.astype(indices, xp.int64)
    return xp.where(indices < 0, indices + length, indices)


def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Pick along an axis."""
    return namespace(x).take(x, _wrapped(indices, x.shape[axis]), axis % x.ndim)


def gather_elements(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Pick along an axis, each entry for itself."""
    return namespace(x).take_along_axis(x, _wrapped(indices, x.shape[axis]), axis % x.ndim)


def gather_nd(x: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """Pick entries; the last axis of the indices holds their coordinates."""
    xp = namespace(x)
    indices = xp.astype(indices, xp.int64)
    own = [xp.arange(x.shape[k], x).reshape([-1] + [1] * (indices.ndim - 2 - k)) for k in range(batch_dims)]
    return x[(*own, *(indices[..., k] for k in range(indices.shape[-1])))]


def scatter_elements(x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    """Put along an axis, each entry for itself."""
    xp = namespace(x)
    return xp.put_along_axis(x, _wrapped(indices, x.shape[axis]), xp.astype(updates, x.dtype), axis, reduction)


def scatter_nd(x: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """Put entries; the last axis of the indices holds their coordinates."""
    xp = namespace(x)
    where = tuple(_wrapped(indices[..., k], x.shape[k]) for k in range(indices.shape[-1]))
    return xp.put(x, where, xp.astype(updates, x.dtype), reduction)


@several(2)
def top_k(
    x: Array,
    k: Any,
    *,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,  # noqa: A002 - ONNX's name
) -> tuple[Array, Array]:
    """Return the largest or smallest entries along an axis, and where they are; the first of equals comes first."""
    return namespace(x).top_k(x, lists.flat(k)[0], axis % x.ndim, largest=bool(largest))


def arg_max(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Return where the largest entry is."""
    xp = namespace(x)
    if select_last_index:
        return x.shape[axis] - 1 - xp.argmax(xp.flip(x, axis), axis, keepdims=bool(keepdims))
    return xp.argmax(x, axis, keepdims=bool(keepdims))


def arg_min(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Return where the smallest entry is."""
    xp = namespace(x)
    if select_last_index:
        return x.shape[axis] - 1 - xp.argmin(xp.flip(x, axis), axis, keepdims=bool(keepdims))
    return xp.argmin(x, axis, keepdims=bool(keepdims))


def non_zero(x: Array) -> Array:
    """Return where entries are not zero. How many there are depends on the data."""
    return namespace(x).argwhere(x).T


def one_hot(indices: Array, depth: Any, values: Array, *, axis: int = -1) -> Array:
    """Return one value at an index and another elsewhere; an index out of range is nowhere."""
    xp, count = namespace(indices), int(lists.flat(depth)[0])
    spread = _wrapped(indices, count)[..., None] == xp.arange(count, indices)
    return xp.moveaxis(xp.where(spread, values[1], values[0]), -1, axis)


def compress(x: Array, condition: Array, *, axis: int | None = None) -> Array:
    """Keep the entries for which a condition holds. How many there are depends on the data."""
    xp = namespace(x)
    places = xp.argwhere(condition).reshape(-1)
    return xp.take(x.reshape(-1), places, 0) if axis is None else xp.take(x, places, axis % x.ndim)


def reverse_sequence(x: Array, lengths: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """Reverse the beginning of every sequence, as many steps as its length says."""
    xp = namespace(x)
    moved = xp.moveaxis(x, (time_axis, batch_axis), (0, 1))
    return xp.moveaxis(turned(moved, lengths), (0, 1), (time_axis, batch_axis))


def turned(x: Array, lengths: Array) -> Array:
    """Reverse sequences of (time, batch, ...), each up to its own length."""
    xp = namespace(x)
    steps = xp.arange(x.shape[0], x)[:, None]
    places = xp.where(steps < lengths, xp.astype(lengths, xp.int64) - 1 - steps, steps)
    places = xp.broadcast_to(places.reshape([*places.shape, *[1] * (x.ndim - 2)]), x.shape)
    return xp.take_along_axis(x, places, 0)


def cumulative_sum(x: Array, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Add up along an axis."""
    xp, along = namespace(x), lists.flat(axis)[0] % x.ndim
    y = xp.flip(x, along) if reverse else x
    if exclusive:
        first, rest = xp.cut(y, along, slice(0, 1)), xp.cut(y, along, slice(0, x.shape[along] - 1))
        y = xp.concat([xp.zeros_like(first), rest], along)
    total = xp.astype(xp.cumulative_sum(y, along), x.dtype)
    return xp.flip(total, along) if reverse else total


TABLE: dict[str, Any] = {
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "Compress": compress,
    "CumSum": cumulative_sum,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "GridSample": "grid_sample",
    "NonZero": non_zero,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TopK": top_k,
}
