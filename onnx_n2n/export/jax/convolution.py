"""Convolutions and pooling, as JAX's windows."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from onnx_n2n.export.operators.windows import Window

LAYOUTS = {1: ("NCH", "OIH", "NCH"), 2: ("NCHW", "OIHW", "NCHW"), 3: ("NCDHW", "OIDHW", "NCDHW")}
"""Axes of input, kernel and output, by the number of spatial axes."""


def _biased(y: Array, b: Array | None) -> Array:
    return y if b is None else y + b.reshape([1, -1] + [1] * (y.ndim - 2))


def convolve(x: Array, w: Array, b: Array | None, window: Window, group: int) -> Array:
    """Convolve."""
    y = lax.conv_general_dilated(
        x, w, window.strides, list(zip(window.before, window.after, strict=True)), rhs_dilation=window.dilations,
        dimension_numbers=LAYOUTS[len(window.kernel)], feature_group_count=group,
    )  # fmt: skip
    return _biased(y, b)


def convolve_transposed(
    x: Array,
    w: Array,
    b: Array | None,
    strides: list[int],
    dilations: list[int],
    before: list[int],
    after: list[int],
    extra: list[int],
    group: int,
) -> Array:
    """Apply a transposed convolution: a convolution of the dilated input with the flipped kernel."""
    rank, kernel = len(strides), w.shape[2:]
    extents = [(size - 1) * dilation for size, dilation in zip(kernel, dilations, strict=True)]
    around = [(extents[k] - before[k], extents[k] - after[k] + extra[k]) for k in range(rank)]
    inputs, outputs = w.shape[0] // group, w.shape[1]
    turned = jnp.flip(w, tuple(range(2, w.ndim))).reshape(group, inputs, outputs, *kernel)
    turned = jnp.swapaxes(turned, 1, 2).reshape(group * outputs, inputs, *kernel)
    y = lax.conv_general_dilated(
        x, turned, [1] * rank, around, lhs_dilation=strides, rhs_dilation=dilations,
        dimension_numbers=LAYOUTS[rank], feature_group_count=group,
    )  # fmt: skip
    return _biased(y, b)


def _windows(x: Any, start: Any, function: Any, window: Window) -> Any:
    """Reduce windows, of one array or of several at once; what lies around is ``start``."""
    behind = [size + more for size, more in zip(window.after, window.more, strict=True)]
    around = [(0, 0), (0, 0), *zip(window.before, behind, strict=True)]
    sides = (1, 1, *window.kernel), (1, 1, *window.strides)
    return lax.reduce_window(x, start, function, *sides, around, window_dilation=(1, 1, *window.dilations))


def max_of_windows(x: Array, window: Window) -> Array:
    """Take the largest of each window."""
    y: Array = _windows(x, _least(x), lax.max, window)
    return y


def _least(x: Array) -> Any:
    """Return the smallest number of a type; no JAX array, as JAX knows gradients of reductions that it recognises."""
    fill = -math.inf if jnp.issubdtype(x.dtype, jnp.floating) else int(jnp.iinfo(x.dtype).min)
    return np.asarray(fill, x.dtype)[()]


def max_and_places(x: Array, window: Window, *, by_column: bool) -> tuple[Array, Array]:
    """Take the largest of each window, and its place in the whole array; the first of equals."""
    places = jnp.arange(x.size).reshape(x.shape)

    def larger(one: tuple[Array, Array], other: tuple[Array, Array]) -> tuple[Array, Array]:
        """Choose the larger of two entries with their places."""
        (x, i), (y, j) = one, other
        second = (y > x) | (y == x) & (j < i)
        return jnp.where(second, y, x), jnp.where(second, j, i)

    start = _least(x), np.asarray(x.size, places.dtype)[()]
    _, found = _windows((lax.stop_gradient(x), places), start, larger, window)
    if by_column:
        plane = x[0, 0].size
        columns = jnp.arange(plane).reshape(x.shape[:1:-1]).T.reshape(-1)
        found = found // plane * plane + columns[found % plane]
    return max_of_windows(x, window), found


def mean_of_windows(x: Array, window: Window, *, around: bool) -> Array:
    """Take the mean of each window, over entries of the array only, or over its padding too."""
    ones = jnp.ones((1, 1, *x.shape[2:]), x.dtype)
    return sum_of_windows(x, window) / sum_of_windows(ones, window, outside=float(around))


def sum_of_windows(x: Array, window: Window, *, outside: float = 0.0) -> Array:
    """Add up each window; ``outside`` is what padding counts as."""
    if outside:
        pads = zip(window.before, window.after, strict=True)
        x = jnp.pad(x, [(0, 0), (0, 0), *pads], constant_values=outside)
        nothing = [0] * len(window.kernel)
        window = window._replace(before=nothing, after=nothing)
    return _windows(x, np.asarray(0, x.dtype)[()], lax.add, window)
