"""Quantised operators: they run as they are. Their scales and whole numbers are constants, which training leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.export.calling import refusing, several
from onnx_n2n.export.jax.dtypes import kind_of
from onnx_n2n.export.jax.linear import conv, global_average_pool

Array = jax.Array


def _along(values: Array, x: Array, axis: int) -> Array:
    """Bring one number per channel beside the channels."""
    if values.ndim == 0 or values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])


def _beside(values: Array, x: Array, axis: int, block_size: int) -> Array:
    """Bring one number per channel, or per block of entries, beside the entries."""
    if not block_size:
        return _along(values, x, axis)
    axis %= x.ndim
    values = jnp.repeat(values, block_size, axis)
    return jax.lax.slice_in_dim(values, 0, x.shape[axis], axis=axis)  # the last block may be short


def dequantize(
    x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Array:
    """Return the numbers that whole numbers stand for."""
    scale = _beside(scale, x, axis, block_size)
    zero = None if zero is None else _beside(zero, x, axis, block_size)
    wide = scale.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.int32  # there are floats of 8 bits, too
    y = x.astype(wide) if zero is None else x.astype(wide) - zero.astype(wide)
    y = y.astype(scale.dtype) * scale
    return y.astype(kind_of(output_dtype)) if output_dtype else y


def quantize(
    x: Array,
    scale: Array,
    zero: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Array:
    """Return the whole numbers that stand for numbers."""
    kind = zero.dtype if zero is not None else kind_of(output_dtype) if output_dtype else jnp.uint8
    scale = _beside(scale, x, axis, block_size)
    if precision:
        x, scale = x.astype(kind_of(precision)), scale.astype(kind_of(precision))
    y = jnp.round(x / scale)
    if zero is not None:
        y = y + _beside(zero, x, axis, block_size).astype(y.dtype)
    limits = jnp.iinfo(kind)
    return jnp.clip(y, limits.min, limits.max).astype(kind)


@several(3)
def quantize_by_range(x: Array) -> tuple[Array, Array, Array]:
    """Quantise by the range of what comes in."""
    low, high = jnp.minimum(x.min(), 0), jnp.maximum(x.max(), 0)
    scale = (high - low) / 255
    scale = jnp.where(scale == 0, 1.0, scale)
    zero = jnp.clip(jnp.round(-low / scale), 0, 255)
    return jnp.clip(jnp.round(x / scale) + zero, 0, 255).astype(jnp.uint8), scale, zero.astype(jnp.uint8)


def _shifted(x: Array, zero: Array | None, axis: int) -> Array:
    """Return whole numbers without their zero point; sums of their products are exact as long as they are short."""
    return x.astype(jnp.float32) if zero is None else x.astype(jnp.float32) - _along(zero, x, axis).astype(jnp.float32)


def matmul_integer(a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None) -> Array:
    """Multiply matrices of whole numbers."""
    return (_shifted(a, a_zero, -2) @ _shifted(b, b_zero, -1)).astype(jnp.int32)


def conv_integer(
    x: Array,
    w: Array,
    x_zero: Array | None = None,
    w_zero: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Convolve whole numbers."""
    settings = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "pads": pads, "strides": strides}
    return conv(_shifted(x, x_zero, 1), _shifted(w, w_zero, 0), **settings).astype(jnp.int32)  # type: ignore[arg-type]


def linear_conv(
    x: Array,
    x_scale: Array,
    x_zero: Array,
    w: Array,
    w_scale: Array,
    w_zero: Array,
    y_scale: Array,
    y_zero: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Convolve whole numbers, and quantise what comes out."""
    settings = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "pads": pads, "strides": strides}
    y = conv(_shifted(x, x_zero, 1), _shifted(w, w_zero, 0), None, **settings)  # type: ignore[arg-type]
    y = y if b is None else y + _along(b.astype(jnp.float32), y, 1)
    scale = _along(x_scale * w_scale, y, 1)
    return quantize(y * scale, y_scale, y_zero)


def linear_matmul(
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    y_scale: Array,
    y_zero: Array,
) -> Array:
    """Multiply matrices of whole numbers, and quantise what comes out."""
    y = _shifted(a, a_zero, -2) @ _shifted(b, b_zero, -1)
    scale = _along(a_scale, y, -2) * _along(b_scale, y, -1)
    return quantize(y * scale, y_scale, y_zero)


def linear_gemm(
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    c: Array | None = None,
    y_scale: Array | None = None,
    y_zero: Array | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's names
    transB: int = 0,  # noqa: N803
) -> Array:
    """Multiply matrices of whole numbers, add whole numbers, and quantise what comes out: ONNX Runtime's own."""
    left = _shifted(a, a_zero, 0)
    right = _shifted(b, b_zero, 0 if transB else 1)
    y = (left.T if transA else left) @ (right.T if transB else right)
    y = y if c is None else y + c.astype(jnp.float32)
    y = alpha * y * _along(a_scale * b_scale, y, -1)
    return y if y_scale is None else quantize(y, y_scale, y_zero)


def linear_add(
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    y_scale: Array,
    y_zero: Array | None = None,
) -> Array:
    """Add what whole numbers stand for: ONNX Runtime's own."""
    return quantize(dequantize(a, a_scale, a_zero) + dequantize(b, b_scale, b_zero), y_scale, y_zero)


@refusing(
    lambda attributes: "a pool over the last axes has no counterpart in the framework yet"
    if attributes.get("channels_last") else ""
)  # fmt: skip
def linear_global_average_pool(
    x: Array, x_scale: Array, x_zero: Array, y_scale: Array, y_zero: Array, *, channels_last: int = 0
) -> Array:
    """Take the mean of what whole numbers stand for: ONNX Runtime's own."""
    return quantize(global_average_pool(dequantize(x, x_scale, x_zero)), y_scale, y_zero)


TABLE: dict[str, Any] = {
    "ConvInteger": conv_integer,
    "DequantizeLinear": dequantize,
    "DynamicQuantizeLinear": quantize_by_range,
    "MatMulInteger": matmul_integer,
    "QLinearConv": linear_conv,
    "QLinearMatMul": linear_matmul,
    "QuantizeLinear": quantize,
    "com.microsoft.QGemm": linear_gemm,
    "com.microsoft.QLinearAdd": linear_add,
    "com.microsoft.QLinearGlobalAveragePool": linear_global_average_pool,
}
