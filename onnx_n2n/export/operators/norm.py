"""Normalisation and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx_n2n.export.calling import several
from onnx_n2n.export.operators.arrays import Array, namespace


def softmax(x: Array, *, axis: int = -1) -> Array:
    """Apply softmax along an axis."""
    return namespace(x).softmax(x, axis)


def softmax_flat(x: Array, *, axis: int = 1) -> Array:
    """Apply softmax along all axes from one on: what it was before version 13."""
    return softmax(namespace(x).flatten(x, axis)).reshape(x.shape)


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """Apply log-softmax along an axis."""
    return namespace(x).log_softmax(x, axis)


def log_softmax_flat(x: Array, *, axis: int = 1) -> Array:
    """Apply log-softmax along all axes from one on: what it was before version 13."""
    return log_softmax(namespace(x).flatten(x, axis)).reshape(x.shape)


def hardmax(x: Array, *, axis: int = -1) -> Array:
    """Return 1 at the largest entry along an axis."""
    xp = namespace(x)
    places = xp.arange(x.shape[axis], x).reshape([-1] + [1] * (x.ndim - 1 - axis % x.ndim))
    return xp.astype(places == xp.argmax(x, axis, keepdims=True), x.dtype)


def normalised(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """Normalise over axes; returns mean and inverse deviation too."""
    xp = namespace(x)
    variance, mean = xp.var_mean(x, axes)
    inverse = xp.rsqrt(variance + epsilon)
    return (x - mean) * inverse, mean, inverse


def by_channel(v: Array, x: Array) -> Array:
    """Reshape one number per channel so that it broadcasts over an array of (batch, channels, ...)."""
    return v.reshape([1, -1] + [1] * (x.ndim - 2))


@several(2)
def rms_norm(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5) -> tuple[Array, Array]:
    """Divide by the root of the mean square over the axes from one on; returns the inverse of that root too."""
    xp = namespace(x)
    wide = xp.astype(x, xp.float32)
    inverse = xp.rsqrt(xp.mean(wide * wide, tuple(range(axis % x.ndim, x.ndim)), keepdims=True) + epsilon)
    return xp.astype(wide * inverse, x.dtype) * scale, inverse


def simplified_layer_norm(x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5) -> Array:
    """Divide by the root of the mean square."""
    return rms_norm(x, scale, axis=axis, epsilon=epsilon)[0]


def instance_norm(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    """Normalise every channel of every sample."""
    return normalised(x, tuple(range(2, x.ndim)), epsilon)[0] * by_channel(scale, x) + by_channel(bias, x)


def group_norm_by_group(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int) -> Array:
    """Normalise groups of channels; scale and bias are per group: what it was in version 18."""
    xp, each = namespace(x), x.shape[1] // num_groups
    return xp.group_norm(x, xp.repeat(scale, each, 0), xp.repeat(bias, each, 0), epsilon=epsilon, num_groups=num_groups)


def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    """Divide by the norm along an axis, which is 1 or 2; zeros stay."""
    xp = namespace(x)
    total = xp.sum(abs(x) if p == 1 else x * x, (axis,), keepdims=True)
    total = xp.where(total == 0, 1, total)
    return x / (total if p == 1 else xp.sqrt(total))


def mean_variance_norm(x: Array, *, axes: Sequence[int] = (0, 2, 3)) -> Array:
    """Normalise over axes."""
    xp = namespace(x)
    variance, mean = xp.var_mean(x, tuple(axes))
    return (x - mean) / (xp.sqrt(variance) + 1e-9)


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
    return namespace(x).layer_norm(total, scale, shift, epsilon=epsilon)[0], None, None, total


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
    xp = namespace(words)
    where = xp.arange(tokens.shape[1], words) if places is None else places
    total = xp.take(words, tokens, 0) + xp.take(positions, where, 0)
    if segments is not None and kinds is not None:
        total = total + xp.take(kinds, segments, 0)
    count = xp.zeros([tokens.shape[0]], words) if mask is None else mask.sum(1)
    return xp.layer_norm(total, scale, shift, epsilon=epsilon)[0], xp.astype(count, xp.int32), total


TABLE: dict[str, Any] = {
    "GroupNormalization": {18: group_norm_by_group, 21: "group_norm"},
    "Hardmax": hardmax,
    "InstanceNormalization": instance_norm,
    "LRN": "local_response_norm",
    "LayerNormalization": "layer_norm",
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
