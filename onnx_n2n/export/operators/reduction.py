"""Reductions along axes, which are an attribute or an input."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from onnx_n2n.export import lists
from onnx_n2n.export.operators.arrays import Array, namespace


def reduction(reduce: Callable[[Any, Array, tuple[int, ...], bool], Array]) -> Callable[..., Array]:
    """Make an operator of ``reduce(xp, x, axes, keepdims)``.

    Without axes all of them are meant, or every entry by itself if ``noop_with_empty_axes`` says so.
    """

    @functools.wraps(reduce)
    def operator(x: Array, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Array:
        chosen = () if axes is None else tuple(axis % x.ndim for axis in lists.flat(axes))
        if not chosen and not noop_with_empty_axes:
            chosen = tuple(range(x.ndim))
        if not chosen:
            return reduce(namespace(x), x[None], (0,), False)
        return reduce(namespace(x), x, chosen, bool(keepdims))

    del operator.__wrapped__  # its parameters are not the operator's
    return operator


@reduction
def total(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Add up."""
    return xp.sum(x, axes, keepdims=keepdims, dtype=x.dtype)


@reduction
def mean(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return the mean; that of whole numbers is rounded towards zero."""
    if xp.is_real(x):
        return xp.mean(x, axes, keepdims=keepdims)
    count = math.prod(x.shape[axis] for axis in axes)
    return xp.astype(xp.divide_whole(xp.sum(x, axes, keepdims=keepdims), count), x.dtype)


@reduction
def largest(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return the largest."""
    return xp.max(x, axes, keepdims=keepdims)


@reduction
def smallest(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return the smallest."""
    return xp.min(x, axes, keepdims=keepdims)


@reduction
def product(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Multiply."""
    return xp.prod(x, axes, keepdims=keepdims, dtype=x.dtype)


@reduction
def norm_1(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Add up absolute values."""
    return xp.sum(abs(x), axes, keepdims=keepdims, dtype=x.dtype)


@reduction
def norm_2(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return the Euclidean norm."""
    return xp.vector_norm(x, axes, keepdims=keepdims)


@reduction
def sum_of_squares(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Add up squares."""
    return xp.sum(x * x, axes, keepdims=keepdims, dtype=x.dtype)


@reduction
def log_sum(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return the logarithm of the sum."""
    return xp.log(xp.sum(x, axes, keepdims=keepdims, dtype=x.dtype))


@reduction
def log_sum_exp(xp: Any, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Return the logarithm of the sum of exponentials."""
    return xp.logsumexp(x, axes, keepdims=keepdims)


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
