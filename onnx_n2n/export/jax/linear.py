"""Matrix products, convolutions and pooling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from onnx_n2n.export.activations import fused_refusal, parameters_of
from onnx_n2n.export.calling import refusing, several
from onnx_n2n.export.windows import behind, extents_of, pads_of, transposed_pads

Array = jax.Array

LAYOUTS = {1: ("NCH", "OIH", "NCH"), 2: ("NCHW", "OIHW", "NCHW"), 3: ("NCDHW", "OIDHW", "NCDHW")}
"""Axes of input, kernel and output, by the number of spatial axes."""


def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's names
    transB: int = 0,  # noqa: N803
    broadcast: int = 1,
) -> Array:
    """Multiply two matrices and add a third."""
    y = (a.T if transA else a) @ (b.T if transB else b)
    y = y if alpha == 1.0 else alpha * y
    return y if c is None else y + (c if beta == 1.0 else beta * c)


def matmul(a: Array, b: Array) -> Array:
    """Multiply matrices."""
    return jnp.matmul(a, b)


def einsum(*operands: Array, equation: str) -> Array:
    """Sum products over indices."""
    return jnp.einsum(equation.replace(" ", ""), *operands)


def fused_matmul(
    a: Array,
    b: Array,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
    transBatchA: int = 0,  # noqa: N803
    transBatchB: int = 0,  # noqa: N803
) -> Array:
    """Multiply matrices, transposed and scaled."""
    return alpha * (_turned(a, transA, transBatchA) @ _turned(b, transB, transBatchB))


def _turned(x: Array, matrix: int, batch: int) -> Array:
    x = jnp.moveaxis(x, 0, -2) if batch else x
    return jnp.swapaxes(x, -1, -2) if matrix else x


ACTIVATIONS: dict[str, Callable[..., Array]] = {
    "": lambda x: x,
    "Relu": jax.nn.relu,
    "Tanh": jnp.tanh,
    "Sigmoid": jax.nn.sigmoid,
    "LeakyRelu": lambda x, alpha=0.01, *_: jax.nn.leaky_relu(x, alpha),
    "Clip": lambda x, low=None, high=None: jnp.clip(x, low, high),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: jnp.clip(alpha * x + beta, 0, 1),
}


@refusing(fused_refusal)
def fused_gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Array:
    """Do the same with an activation behind."""
    y = gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return ACTIVATIONS[activation](y, *parameters_of(activation, activation_alpha, activation_beta))


def _biased(y: Array, b: Array | None) -> Array:
    return y if b is None else y + b.reshape([1, -1] + [1] * (y.ndim - 2))


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Convolve."""
    rank = w.ndim - 2
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    extents = extents_of(w.shape[2:], dilations)
    around = list(zip(*pads_of(auto_pad, pads, x.shape[2:], strides, extents), strict=True))
    y = lax.conv_general_dilated(
        x, w, strides, around, rhs_dilation=dilations, dimension_numbers=LAYOUTS[rank], feature_group_count=group
    )
    return _biased(y, b)


@refusing(fused_refusal)
def fused_conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    z: Array | None = None,
    *,
    activation: str = "",
    activation_params: Sequence[float] = (),
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Convolve, add another array, and apply an activation."""
    y = conv(x, w, b, auto_pad=auto_pad, dilations=dilations, group=group, pads=pads, strides=strides)
    return ACTIVATIONS[activation](y if z is None else y + z, *activation_params)


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Convolve the other way round: a convolution of the spread input with the turned kernel."""
    rank = w.ndim - 2
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    extra, kernel = list(output_padding or [0] * rank), w.shape[2:]
    before, after = transposed_pads(auto_pad, pads, output_shape, x.shape[2:], kernel, strides, dilations, extra)
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


def _window(
    x: Array,
    fill: float,
    function: Any,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    auto_pad: str,
    pads: Sequence[int] | None,
    ceil_mode: int,
    inside: float | None = None,
) -> Array:
    """Reduce windows; ``inside`` is what padding counts as, where that is not the same as nothing."""
    rank = len(kernel)
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    extents = extents_of(kernel, dilations)
    before, after = pads_of(auto_pad, pads, x.shape[2:], strides, extents)
    more = behind(x.shape[2:], strides, extents, (before, after), ceil_mode)
    if inside is not None:
        x = jnp.pad(x, [(0, 0), (0, 0), *zip(before, after, strict=True)], constant_values=inside)
        before, after = [0] * rank, [0] * rank
    around = [(0, 0), (0, 0), *((a, b + c) for a, b, c in zip(before, after, more, strict=True))]
    start = np.asarray(fill, x.dtype)[()]  # no JAX array: gradients are known of reductions that JAX recognises
    return lax.reduce_window(
        x, start, function, (1, 1, *kernel), (1, 1, *strides), around, window_dilation=(1, 1, *dilations)
    )


@several(1)
def max_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
) -> tuple[Array, ...]:
    """Take the largest of each window; the order of storage is about places, which JAX does not return."""
    fill = -math.inf if jnp.issubdtype(x.dtype, jnp.floating) else int(jnp.iinfo(x.dtype).min)
    return (_window(x, fill, lax.max, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode),)


def average_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Take the mean of each window, of what is in the array or also of what was put around it."""
    settings = (0.0, lax.add, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode)
    ones = jnp.ones((1, 1, *x.shape[2:]), x.dtype)
    return _window(x, *settings) / _window(ones, *settings, inside=1.0 if count_include_pad else None)


def lp_pool(
    x: Array,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Take the norm of each window."""
    y = jnp.abs(x) ** p
    return _window(y, 0.0, lax.add, kernel_shape, strides, dilations, auto_pad, pads, ceil_mode) ** (1 / p)


def global_average_pool(x: Array) -> Array:
    """Take the mean of each channel."""
    return x.mean(tuple(range(2, x.ndim)), keepdims=True)


def global_max_pool(x: Array) -> Array:
    """Take the largest of each channel."""
    return x.max(tuple(range(2, x.ndim)), keepdims=True)


TABLE: dict[str, Any] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Einsum": einsum,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "com.microsoft.FusedConv": fused_conv,
    "com.microsoft.FusedGemm": fused_gemm,
    "com.microsoft.FusedMatMul": fused_matmul,
}
