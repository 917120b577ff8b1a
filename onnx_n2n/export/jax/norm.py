"""Normalisation in JAX, which compiles it to kernels of its own."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from onnx_n2n.export.calling import several
from onnx_n2n.export.operators.norm import by_channel, normalised


@several(3)
def layer_norm(
    x: Array, scale: Array, bias: Array | None = None, *, axis: int = -1, epsilon: float = 1e-5
) -> tuple[Array, ...]:
    """Normalise over the axes from one on, and return mean and inverse deviation too."""
    y, mean, inverse = normalised(x.astype(jnp.float32), tuple(range(axis % x.ndim, x.ndim)), epsilon)
    y = y.astype(x.dtype) * scale
    return y if bias is None else y + bias, mean, inverse


def group_norm(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5, num_groups: int) -> Array:
    """Normalise groups of channels; scale and bias are per channel."""
    flat = x.reshape(x.shape[0], num_groups, -1)
    y = normalised(flat, (2,), epsilon)[0].reshape(x.shape)
    return y * by_channel(scale, x) + by_channel(bias, x)


def batch_norm(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, epsilon: float, momentum: float, train: bool
) -> tuple[Array, Array, Array]:
    """Normalise channels, in training by the batch; returns the statistics as they are from then on."""
    if train:
        axes = (0, *range(2, x.ndim))
        count = jnp.asarray(math.prod(x.shape[axis] for axis in axes), jnp.float32)  # TensorFlow may not know it yet
        found = x.mean(axes)
        spread = jnp.square(x - by_channel(found, x)).mean(axes)
        unbiased = lax.stop_gradient(spread) * (count / jnp.maximum(count - 1, 1)).astype(spread.dtype)
        new_mean = momentum * mean + (1 - momentum) * lax.stop_gradient(found)
        new_variance = momentum * variance + (1 - momentum) * unbiased
    else:
        found, spread, new_mean, new_variance = mean, variance, mean, variance
    y = (x - by_channel(found, x)) * lax.rsqrt(by_channel(spread, x) + epsilon)
    return y * by_channel(scale, x) + by_channel(bias, x), new_mean, new_variance


def local_response_norm(x: Array, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Array:
    """Divide by what the neighbouring channels hold."""
    before = (size - 1) // 2
    around = [(0, 0), (before, size - 1 - before)] + [(0, 0)] * (x.ndim - 2)
    window = (1, size) + (1,) * (x.ndim - 2)
    sums = lax.reduce_window(x * x, np.asarray(0.0, x.dtype)[()], lax.add, window, (1,) * x.ndim, around)
    return x / (bias + alpha / size * sums) ** beta
