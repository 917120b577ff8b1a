"""Normalisation and softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from onnx_n2n.export.calling import several

Array = jax.Array


def softmax(x: Array, *, axis: int = -1) -> Array:
    """Apply softmax along an axis."""
    return jax.nn.softmax(x, axis)


def _flat(x: Array, axis: int) -> Array:
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), -1)


def softmax_flat(x: Array, *, axis: int = 1) -> Array:
    """Apply softmax along all axes from one on: what it was before version 13."""
    return jax.nn.softmax(_flat(x, axis), -1).reshape(x.shape)


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """Apply log-softmax along an axis."""
    return jax.nn.log_softmax(x, axis)


def log_softmax_flat(x: Array, *, axis: int = 1) -> Array:
    """Apply log-softmax along all axes from one on: what it was before version 13."""
    return jax.nn.log_softmax(_flat(x, axis), -1).reshape(x.shape)


def hardmax(x: Array, *, axis: int = -1) -> Array:
    """Return 1 at the largest entry along an axis."""
    return jax.nn.one_hot(jnp.argmax(x, axis), x.shape[axis], axis=axis, dtype=x.dtype)


def _normalised(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    mean = x.mean(axes, keepdims=True)
    inverse = lax.rsqrt(jnp.square(x - mean).mean(axes, keepdims=True) + epsilon)
    return (x - mean) * inverse, mean, inverse


@several(3)
def layer_norm(
    x: Array, scale: Array, bias: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, ...]:
    """Normalise over the axes from one on, and return mean and inverse deviation too."""
    y, mean, inverse = _normalised(x.astype(jnp.float32), tuple(range(axis % x.ndim, x.ndim)), epsilon)
    y = y.astype(x.dtype) * scale
    return y if bias is None else y + bias, mean, inverse


@several(2)
def rms_norm(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5) -> tuple[Array, ...]:
    """Divide by the root of the mean square over the axes from one on."""
    wide = x.astype(jnp.float32)
    inverse = lax.rsqrt(jnp.square(wide).mean(tuple(range(axis % x.ndim, x.ndim)), keepdims=True) + epsilon)
    return (wide * inverse).astype(x.dtype) * scale, inverse


def simplified_layer_norm(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5) -> Array:
    """Divide by the root of the mean square."""
    return rms_norm(x, scale, axis=axis, epsilon=epsilon)[0]


def _by_channel(v: Array, x: Array) -> Array:
    return v.reshape([1, -1] + [1] * (x.ndim - 2))


def instance_norm(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    """Normalise every channel of every sample."""
    return _normalised(x, tuple(range(2, x.ndim)), epsilon)[0] * _by_channel(scale, x) + _by_channel(bias, x)


def group_norm(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int) -> Array:
    """Normalise groups of channels; scale and bias are per channel."""
    flat = x.reshape(x.shape[0], num_groups, -1)
    y = _normalised(flat, (2,), epsilon)[0].reshape(x.shape)
    return y * _by_channel(scale, x) + _by_channel(bias, x)


def group_norm_by_group(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int) -> Array:
    """Do the same with scale and bias per group: what it was in version 18."""
    each = x.shape[1] // num_groups
    return group_norm(x, jnp.repeat(scale, each), jnp.repeat(bias, each), epsilon=epsilon, num_groups=num_groups)


def batch_norm(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, epsilon: float, momentum: float, train: bool
) -> tuple[Array, Array, Array]:
    """Normalise channels, in training by the batch; returns the statistics as they are from then on."""
    if train:
        axes = (0, *range(2, x.ndim))
        count = jnp.asarray(math.prod(x.shape[axis] for axis in axes), jnp.float32)  # TensorFlow may not know it yet
        found = x.mean(axes)
        spread = jnp.square(x - _by_channel(found, x)).mean(axes)
        unbiased = lax.stop_gradient(spread) * (count / jnp.maximum(count - 1, 1)).astype(spread.dtype)
        new_mean = momentum * mean + (1 - momentum) * lax.stop_gradient(found)
        new_variance = momentum * variance + (1 - momentum) * unbiased
    else:
        found, spread, new_mean, new_variance = mean, variance, mean, variance
    y = (x - _by_channel(found, x)) * lax.rsqrt(_by_channel(spread, x) + epsilon)
    return y * _by_channel(scale, x) + _by_channel(bias, x), new_mean, new_variance


def local_response_norm(x: Array, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Array:
    """Divide by what the neighbouring channels hold."""
    before = (size - 1) // 2
    around = [(0, 0), (before, size - 1 - before)] + [(0, 0)] * (x.ndim - 2)
    window = (1, size) + (1,) * (x.ndim - 2)
    sums = lax.reduce_window(x * x, np.asarray(0.0, x.dtype)[()], lax.add, window, (1,) * x.ndim, around)
    return x / (bias + alpha / size * sums) ** beta


def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    """Divide by the norm along an axis; zeros stay."""
    total = (jnp.abs(x) if p == 1 else x * x).sum(axis, keepdims=True)
    total = jnp.where(total == 0, 1, total)
    return x / (total if p == 1 else jnp.sqrt(total))


def mean_variance_norm(x: Array, *, axes: Sequence[int] = (0, 2, 3)) -> Array:
    """Normalise over axes."""
    mean = x.mean(tuple(axes), keepdims=True)
    return (x - mean) / (x.std(tuple(axes), keepdims=True) + 1e-9)


@several(4)
def skip_layer_norm(
    x: Array,
    skip: Array,
    scale: Array,
    shift: Array | None = None,
    bias: Array | None = None,
    *,
    epsilon: float = 1e-12,
) -> tuple[Array | None, ...]:
    """Normalise a residual sum, and return the sum as well."""
    total = x + skip if bias is None else x + skip + bias
    return layer_norm(total, scale, shift, epsilon=epsilon)[0], None, None, total


@several(4)
def skip_rms_norm(
    x: Array, skip: Array, scale: Array, bias: Array | None = None, *, epsilon: float = 1e-12
) -> tuple[Array | None, ...]:
    """Normalise a residual sum without its mean, and return the sum as well."""
    total = x + skip if bias is None else x + skip + bias
    return rms_norm(total, scale, epsilon=epsilon)[0], None, None, total


@several(3)
def embed_layer_norm(
    tokens: Array,
    segments: Array | None,
    words: Array,
    positions: Array,
    kinds: Array | None = None,
    scale: Array | None = None,
    shift: Array | None = None,
    mask: Array | None = None,
    places: Array | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int = 0,
) -> tuple[Array, ...]:
    """Look words, positions and segments up, add them and normalise the sum."""
    where = jnp.arange(tokens.shape[1]) if places is None else places
    total = words[tokens] + positions[where]
    if segments is not None and kinds is not None:
        total = total + kinds[segments]
    assert scale is not None
    count = jnp.zeros(tokens.shape[0], jnp.int32) if mask is None else mask.sum(1).astype(jnp.int32)
    return layer_norm(total, scale, shift, epsilon=epsilon)[0], count, total


TABLE: dict[str, Any] = {
    "GroupNormalization": {18: group_norm_by_group, 21: group_norm},
    "Hardmax": hardmax,
    "InstanceNormalization": instance_norm,
    "LRN": local_response_norm,
    "LayerNormalization": layer_norm,
    "LogSoftmax": {1: log_softmax_flat, 13: log_softmax},
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_norm,
    "RMSNormalization": rms_norm,
    "SimplifiedLayerNormalization": simplified_layer_norm,
    "Softmax": {1: softmax_flat, 13: softmax},
    "com.microsoft.EmbedLayerNormalization": embed_layer_norm,
    "com.microsoft.SkipLayerNormalization": skip_layer_norm,
    "com.microsoft.SkipSimplifiedLayerNormalization": skip_rms_norm,
}
