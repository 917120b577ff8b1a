"""Operators that pick entries, put them somewhere, or sort them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.export import host
from onnx_n2n.export.calling import several

Array = jax.Array


def _wrapped(indices: Array, length: int) -> Array:
    """Count from the end where an index is negative."""
    return jnp.where(indices < 0, indices + length, indices)


def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Pick along an axis."""
    return jnp.take(x, _wrapped(indices, x.shape[axis]), axis=axis, mode="clip")


def gather_elements(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Pick along an axis, each entry for itself."""
    cut = tuple(slice(None) if k == axis % x.ndim else slice(n) for k, n in enumerate(indices.shape))
    return jnp.take_along_axis(x[cut], _wrapped(indices, x.shape[axis]), axis)


def gather_nd(x: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """Pick at places that the last axis of the indices holds."""
    own = [jnp.arange(x.shape[k]).reshape([-1] + [1] * (indices.ndim - 2 - k)) for k in range(batch_dims)]
    return x[tuple(own) + tuple(indices[..., k] for k in range(indices.shape[-1]))]


def _put(x: Array, where: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    place, updates = x.at[where], updates.astype(x.dtype)
    ways: dict[str, Any] = {
        "none": place.set,
        "add": place.add,
        "mul": place.multiply,
        "max": place.max,
        "min": place.min,
    }
    found: Array = ways[reduction](updates)
    return found


def scatter_elements(x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none") -> Array:
    """Put along an axis, each entry for itself."""
    grid = list(jnp.meshgrid(*(jnp.arange(n) for n in indices.shape), indexing="ij"))
    grid[axis] = _wrapped(indices, x.shape[axis])
    return _put(x, tuple(grid), updates, reduction)


def scatter_nd(x: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """Put at places that the last axis of the indices holds."""
    where = tuple(_wrapped(indices[..., k], x.shape[k]) for k in range(indices.shape[-1]))
    return _put(x, where, updates, reduction)


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
    places = jnp.argsort(x, axis, descending=bool(largest), stable=True)
    places = jax.lax.slice_in_dim(places, 0, host.ints(k)[0], axis=axis % x.ndim)
    return jnp.take_along_axis(x, places, axis), places


def arg_max(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Return where the largest entry is."""
    if select_last_index:
        return x.shape[axis] - 1 - jnp.argmax(jnp.flip(x, axis), axis, keepdims=bool(keepdims))
    return jnp.argmax(x, axis, keepdims=bool(keepdims))


def arg_min(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Return where the smallest entry is."""
    if select_last_index:
        return x.shape[axis] - 1 - jnp.argmin(jnp.flip(x, axis), axis, keepdims=bool(keepdims))
    return jnp.argmin(x, axis, keepdims=bool(keepdims))


def one_hot(indices: Array, depth: Any, values: Array, *, axis: int = -1) -> Array:
    """Return one value at an index and another elsewhere; an index beyond both ends is nowhere."""
    count = int(host.flat(depth)[0])
    indices = indices.astype(int)
    return jnp.where(jax.nn.one_hot(_wrapped(indices, count), count, axis=axis, dtype=bool), values[1], values[0])


def non_zero(x: Array) -> Array:
    """Return where entries are not zero. How many there are depends on the data, so not inside of jit."""
    return jnp.stack(jnp.nonzero(x))


def turned(x: Array, lengths: Array) -> Array:
    """Turn sequences of (time, batch, ...) round, each up to its own length."""
    steps = jnp.arange(x.shape[0])[:, None]
    places = jnp.where(steps < lengths, lengths - 1 - steps, steps)
    return jnp.take_along_axis(x, places.reshape(*places.shape, *[1] * (x.ndim - 2)), 0)


def reverse_sequence(x: Array, lengths: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """Turn the first part of every sequence round."""
    moved = jnp.moveaxis(x, (time_axis, batch_axis), (0, 1))
    return jnp.moveaxis(turned(moved, lengths), (0, 1), (time_axis, batch_axis))


def cumulative_sum(x: Array, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Add up along an axis."""
    along = host.ints(axis)[0]
    y = jnp.flip(x, along) if reverse else x
    if exclusive:
        first = jnp.zeros_like(jax.lax.slice_in_dim(y, 0, 1, axis=along % x.ndim))
        y = jnp.concatenate([first, jax.lax.slice_in_dim(y, 0, -1, axis=along % x.ndim)], along)
    total = jnp.cumsum(y, axis=along, dtype=x.dtype)
    return jnp.flip(total, along) if reverse else total


TABLE: dict[str, Any] = {
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "CumSum": cumulative_sum,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TopK": top_k,
}
