"""JAX by the names that operators are written in; see ``onnx_n2n.export.operators.arrays``."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import Array
import jax.numpy as jnp
from jax.lax import erf, rsqrt
from jax.nn import celu, elu, gelu, leaky_relu, log_softmax, logsumexp, mish, relu, sigmoid, softmax, softplus
from jax.nn import hard_swish as hardswish
from jax.numpy import (
    abs, acos, acosh, add, argmax, argmin, asin, asinh, astype, atan, atanh, bitwise_and, bitwise_invert, bitwise_or,
    bitwise_xor, broadcast_to, ceil, cos, cosh, divide, einsum, equal, exp, expand_dims, flip, float32, floor, fmod,
    greater, greater_equal, iinfo, int32, isnan, isneginf, isposinf, less, less_equal, log, logical_and, logical_not,
    logical_or, logical_xor, matmul, maximum, mean, minimum, moveaxis, multiply, negative, ones_like, permute_dims,
    prod, reciprocal, remainder, repeat, round, sign, sin, sinh, sqrt, stack, subtract, sum, swapaxes, tan, tanh, tile,
    tril, triu, uint8, where, zeros_like,
)  # fmt: skip
from jax.numpy import concatenate as concat
from jax.numpy import cumsum as cumulative_sum

from onnx_n2n.export import lists
from onnx_n2n.export.jax import dtypes
from onnx_n2n.export.jax.convolution import (
    convolve, convolve_transposed, max_and_places, max_of_windows, mean_of_windows, sum_of_windows,
)  # fmt: skip
from onnx_n2n.export.jax.dtypes import kind_of
from onnx_n2n.export.jax.norm import group_norm, layer_norm, local_response_norm
from onnx_n2n.export.jax.sampling import grid_sample
from onnx_n2n.export.operators.arrays import NAMESPACES

REDUCTIONS = {"none": "set", "add": "add", "mul": "multiply", "max": "max", "min": "min"}

NAMESPACES[Array] = sys.modules[__name__]

int64 = int  # in the width that JAX has then
widest = jnp.float32

fused_attention = gru = lstm = None  # JAX makes kernels of what is written out


def arange(stop: int, like: Array, dtype: Any = int64) -> Array:
    """Count from zero."""
    return jnp.arange(stop, dtype=dtype)


def argwhere(x: Array) -> Array:
    """Return where entries are not zero, which is not known while JAX traces."""
    with dtypes.known():
        return jnp.argwhere(x)


def asarray(value: Any, like: Array) -> Array:
    """Return numbers in the type of an array."""
    return jnp.asarray(value, like.dtype)


def clip(x: Array, low: Any, high: Any) -> Array:
    """Limit by numbers or arrays; None is no limit."""
    x = x if low is None else jnp.maximum(x, jnp.asarray(low, x.dtype))
    return x if high is None else jnp.minimum(x, jnp.asarray(high, x.dtype))


def counted(values: list[Array]) -> Array:
    """Return the length of a sequence."""
    return jnp.asarray(len(values))


def counting(start: Any, limit: Any, delta: Any) -> Array:
    """Count."""
    return jnp.arange(*(lists.flat(number)[0] for number in (start, limit, delta)))


def cut(x: Array, axis: int, part: slice) -> Array:
    """Cut out along one axis."""
    return x[(slice(None),) * axis + (part,)]


def divide_whole(a: Array, b: Any) -> Array:
    """Divide whole numbers, and round towards zero."""
    return jax.lax.div(*jnp.broadcast_arrays(a, jnp.asarray(b, a.dtype)))


def filled(shape: Sequence[int], *, value: float = 0.0, dtype: int = 1) -> Array:
    """Return one number, many times."""
    return jnp.full(list(shape), value, kind_of(dtype))


def flatten(x: Array, start: int) -> Array:
    """Make one axis of those from one on."""
    start = start + x.ndim if start < 0 else start
    return x.reshape([*x.shape[:start], math.prod(x.shape[start:])])


def is_bool(x: Array) -> bool:
    """Say whether an array holds truth values."""
    return x.dtype == jnp.bool


def is_real(x: Array) -> bool:
    """Say whether an array holds floating-point numbers."""
    return bool(jnp.issubdtype(x.dtype, jnp.floating))


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """Multiply by a matrix of (outputs, inputs), and add to it."""
    y = x @ w.T
    return y if b is None else y + b


def max(x: Array, axis: tuple[int, ...], *, keepdims: bool) -> Array:
    """Return the largest; that of nothing is the smallest number of the type."""
    return x.max(axis, keepdims=keepdims, initial=_limits(x)[0])


def min(x: Array, axis: tuple[int, ...], *, keepdims: bool) -> Array:
    """Return the smallest; that of nothing is the largest number of the type."""
    return x.min(axis, keepdims=keepdims, initial=_limits(x)[1])


def pad(x: Array, around: Sequence[tuple[int, int]], *, value: float = 0.0, mode: str = "constant") -> Array:
    """Put entries before and behind each axis; a constant also less than none."""
    if mode == "constant":
        return jax.lax.pad(x, jnp.asarray(value, x.dtype), [(before, after, 0) for before, after in around])
    return jnp.pad(x, around, mode=mode)


def pow(a: Array, b: Array) -> Array:
    """Raise to a power; that of a whole number which is known has a gradient without logarithms."""
    if b.ndim == 0 and not isinstance(b, jax.core.Tracer) and float(b) == int(b):
        return jnp.asarray(a ** int(b))
    return jnp.power(a, b)


def put(x: Array, places: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    """Put slices at places."""
    return getattr(x.at[places], REDUCTIONS[reduction])(updates)


def put_along_axis(x: Array, places: Array, updates: Array, axis: int, reduction: str) -> Array:
    """Put along an axis, each entry for itself."""
    grid = list(jnp.meshgrid(*(jnp.arange(n) for n in places.shape), indexing="ij"))
    grid[axis] = places
    return put(x, tuple(grid), updates, reduction)


def split(x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    """Cut into parts along an axis."""
    return jnp.split(x, list(itertools.accumulate(sizes))[:-1], axis)


def scan(step: Callable[..., Any], states: tuple[Array, ...], xs: Array) -> tuple[tuple[Array, ...], Array]:
    """Take steps along the first axis: ``step(states, t, x) -> (states, y)``; returns the last states and every y."""
    last, y = jax.lax.scan(lambda states, given: step(states, *given), states, (jnp.arange(xs.shape[0]), xs))
    return last, y


def take(x: Array, places: Array, axis: int) -> Array:
    """Pick along an axis, at places of any shape."""
    return jnp.take(x, places, axis=axis, mode="clip")


def take_along_axis(x: Array, places: Array, axis: int) -> Array:
    """Pick along an axis, each entry for itself; along others there may be fewer places than entries."""
    there = tuple(slice(None) if k == axis else slice(n) for k, n in enumerate(places.shape))
    return jnp.take_along_axis(x[there], places, axis)


def top_k(x: Array, count: int, axis: int, *, largest: bool) -> tuple[Array, Array]:
    """Return the largest or smallest entries along an axis, and where they are; the first of equals comes first."""
    places = cut(jnp.argsort(x, axis, descending=largest, stable=True), axis, slice(0, count))
    return jnp.take_along_axis(x, places, axis), places


def var_mean(x: Array, axis: tuple[int, ...]) -> tuple[Array, Array]:
    """Return variance and mean over axes, which stay as axes of length 1."""
    middle = x.mean(axis, keepdims=True)
    return jnp.square(x - middle).mean(axis, keepdims=True), middle


def vector_norm(x: Array, axis: tuple[int, ...], *, keepdims: bool) -> Array:
    """Return the Euclidean norm."""
    return jnp.sqrt(jnp.square(x).sum(axis, keepdims=keepdims))


def zeros(shape: Sequence[int], like: Array) -> Array:
    """Return zeros in the type of an array."""
    return jnp.zeros(shape, like.dtype)


def _limits(x: Array) -> tuple[Any, Any]:
    """Return the smallest and the largest number of a type."""
    if x.dtype == bool:
        return False, True
    if is_real(x):
        return -jnp.inf, jnp.inf
    return jnp.iinfo(x.dtype).min, jnp.iinfo(x.dtype).max
