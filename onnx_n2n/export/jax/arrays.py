"""JAX by the names that operators are written in; see ``onnx_n2n.export.operators.arrays``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import erf
from jax.nn import celu, elu, leaky_relu, relu, sigmoid, softplus
from jax.numpy import (
    abs, acos, acosh, add, asin, asinh, astype, atan, atanh, bitwise_and, bitwise_invert, bitwise_or, bitwise_xor,
    ceil, cos, cosh, divide, equal, exp, floor, fmod, greater, greater_equal, iinfo, isnan, isneginf, isposinf, less,
    less_equal, log, logical_and, logical_not, logical_or, logical_xor, maximum, minimum, multiply, negative,
    reciprocal, remainder, round, sign, sin, sinh, sqrt, subtract, tan, tanh, where, zeros_like,
)  # fmt: skip

from onnx_n2n.export.jax.dtypes import kind_of
from onnx_n2n.export.operators.arrays import NAMESPACES

Array = jax.Array

NAMESPACES[Array] = sys.modules[__name__]

int64 = int  # in the width that JAX has then


def asarray(value: Any, like: Array) -> Array:
    """Return numbers in the type of an array."""
    return jnp.asarray(value, like.dtype)


def clip(x: Array, low: Any, high: Any) -> Array:
    """Limit by numbers or arrays; None is no limit."""
    x = x if low is None else jnp.maximum(x, jnp.asarray(low, x.dtype))
    return x if high is None else jnp.minimum(x, jnp.asarray(high, x.dtype))


def divide_whole(a: Array, b: Any) -> Array:
    """Divide whole numbers, and round towards zero."""
    return jax.lax.div(*jnp.broadcast_arrays(a, jnp.asarray(b, a.dtype)))


def gelu(x: Array, *, approximate: bool) -> Array:
    """Apply GELU, or its approximation by tanh."""
    return jax.nn.gelu(x, approximate=approximate)


def hardswish(x: Array) -> Array:
    """Apply the hard swish."""
    return x * jnp.clip(x / 6 + 0.5, 0, 1)


def is_real(x: Array) -> bool:
    """Say whether an array holds floating-point numbers."""
    return bool(jnp.issubdtype(x.dtype, jnp.floating))


def logsumexp(x: Array, axis: Sequence[int], *, keepdims: bool) -> Array:
    """Return the logarithm of the sum of exponentials."""
    return jax.nn.logsumexp(x, tuple(axis), keepdims=keepdims)


def max(x: Array, axis: Sequence[int], *, keepdims: bool) -> Array:
    """Return the largest; that of nothing is the smallest number of the type."""
    return x.max(tuple(axis), keepdims=keepdims, initial=_limits(x)[0])


def mean(x: Array, axis: Sequence[int], *, keepdims: bool) -> Array:
    """Return the mean of floating-point numbers."""
    return x.mean(tuple(axis), keepdims=keepdims)


def min(x: Array, axis: Sequence[int], *, keepdims: bool) -> Array:
    """Return the smallest; that of nothing is the largest number of the type."""
    return x.min(tuple(axis), keepdims=keepdims, initial=_limits(x)[1])


def mish(x: Array) -> Array:
    """Apply mish."""
    return x * jnp.tanh(jax.nn.softplus(x))


def pow(a: Array, b: Array) -> Array:
    """Raise to a power; that of a whole number which is known has a gradient without logarithms."""
    if b.ndim == 0 and not isinstance(b, jax.core.Tracer) and float(b) == int(b):
        return jnp.asarray(a ** int(b))
    return jnp.power(a, b)


def prod(x: Array, axis: Sequence[int], *, keepdims: bool, dtype: Any = None) -> Array:
    """Multiply."""
    return x.prod(tuple(axis), keepdims=keepdims, dtype=dtype)


def sum(x: Array, axis: Sequence[int], *, keepdims: bool, dtype: Any = None) -> Array:
    """Add up."""
    return x.sum(tuple(axis), keepdims=keepdims, dtype=dtype)


def vector_norm(x: Array, axis: Sequence[int], *, keepdims: bool) -> Array:
    """Return the Euclidean norm."""
    return jnp.sqrt(jnp.square(x).sum(tuple(axis), keepdims=keepdims))


def _limits(x: Array) -> tuple[Any, Any]:
    """Return the smallest and the largest number of a type."""
    if x.dtype == bool:
        return False, True
    if is_real(x):
        return -jnp.inf, jnp.inf
    return jnp.iinfo(x.dtype).min, jnp.iinfo(x.dtype).max
