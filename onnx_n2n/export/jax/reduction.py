"""Operators that sum up along axes, which are attributes or numbers that come in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.export import host

Array = jax.Array
Reduced = Callable[[Array, list[int], bool], Array]


def _over(function: Reduced, x: Array, axes: Any, keepdims: int, noop: int) -> Array:
    """Reduce over axes; over all of them where none are given."""
    chosen = [] if axes is None else host.ints(axes)
    if not chosen and noop:
        return x
    chosen = [axis % x.ndim for axis in chosen] or list(range(x.ndim))
    return function(x, chosen, bool(keepdims)) if chosen else x


def _limits(x: Array) -> tuple[Any, Any]:
    """Return the smallest and the largest number of a type: what the largest and the smallest of nothing are."""
    if x.dtype == bool:
        return False, True
    if jnp.issubdtype(x.dtype, jnp.floating):
        return -jnp.inf, jnp.inf
    return jnp.iinfo(x.dtype).min, jnp.iinfo(x.dtype).max


def total(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Add up."""
    return _over(lambda t, a, k: t.sum(tuple(a), keepdims=k, dtype=t.dtype), x, axes, keepdims, noop_with_empty_axes)


def mean(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Return the mean."""

    def function(t: Array, chosen: list[int], keep: bool) -> Array:
        if jnp.issubdtype(t.dtype, jnp.floating):
            return t.mean(tuple(chosen), keepdims=keep)
        count = math.prod(t.shape[axis] for axis in chosen)
        sums = t.sum(tuple(chosen), keepdims=keep)
        return jax.lax.div(sums, jnp.full_like(sums, count)).astype(t.dtype)

    return _over(function, x, axes, keepdims, noop_with_empty_axes)


def largest(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Return the largest."""
    least = _limits(x)[0]
    return _over(lambda t, a, k: t.max(tuple(a), keepdims=k, initial=least), x, axes, keepdims, noop_with_empty_axes)


def smallest(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Return the smallest."""
    most = _limits(x)[1]
    return _over(lambda t, a, k: t.min(tuple(a), keepdims=k, initial=most), x, axes, keepdims, noop_with_empty_axes)


def product(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Multiply."""
    return _over(lambda t, a, k: t.prod(tuple(a), keepdims=k, dtype=t.dtype), x, axes, keepdims, noop_with_empty_axes)


def norm_1(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Add up absolute values."""
    return total(jnp.abs(x), axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes)


def norm_2(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Return the Euclidean norm."""
    return _over(
        lambda t, a, k: jnp.sqrt(jnp.square(t).sum(tuple(a), keepdims=k)), x, axes, keepdims, noop_with_empty_axes
    )


def sum_of_squares(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Add up squares."""
    return total(x * x, axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes)


def log_sum(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Return the logarithm of the sum."""
    return jnp.log(total(x, axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes))


def log_sum_exp(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
    """Return the logarithm of the sum of exponentials."""
    return _over(lambda t, a, k: jax.nn.logsumexp(t, tuple(a), keepdims=k), x, axes, keepdims, noop_with_empty_axes)


TABLE: dict[str, Any] = {
    "ReduceL1": norm_1,
    "ReduceL2": norm_2,
    "ReduceLogSum": log_sum,
    "ReduceLogSumExp": log_sum_exp,
    "ReduceMax": largest,
    "ReduceMean": mean,
    "ReduceMin": smallest,
    "ReduceProd": product,
    "ReduceSum": total,
    "ReduceSumSquare": sum_of_squares,
}
