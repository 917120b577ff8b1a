"""Quantised operators run as they are: their scales and integers are constants, which training does not change."""

from __future__ import annotations

import math
from typing import Any

from onnx_n2n.export.calling import passing, refusing, several
from onnx_n2n.export.operators.arrays import Array, namespace
from onnx_n2n.export.operators.linear import conv, global_average_pool


def _along(values: Array, x: Array, axis: int) -> Array:
    """Reshape one number per channel so that it broadcasts along an axis."""
    one = values.ndim == 0 or math.prod(values.shape) == 1
    return values.reshape([] if one else [-1 if k == axis % x.ndim else 1 for k in range(x.ndim)])


def _beside(values: Array, x: Array, axis: int, block_size: int) -> Array:
    """Do the same with one number per channel, or per block of entries along the axis."""
    if not block_size:
        return _along(values, x, axis)
    xp, axis = namespace(x), axis % x.ndim
    return xp.cut(xp.repeat(values, block_size, axis), axis, slice(0, x.shape[axis]))  # the last block may be short


def dequantize(
    x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Array:
    """Dequantise: (x - zero) * scale."""
    xp, scale = namespace(x), _beside(scale, x, axis, block_size)
    wide = scale.dtype if xp.is_real(x) else xp.int32  # there are floats of 8 bits, too
    y = xp.astype(x, wide)
    y = y if zero is None else y - xp.astype(_beside(zero, x, axis, block_size), wide)
    y = xp.astype(y, scale.dtype) * scale
    return xp.astype(y, xp.kind_of(output_dtype)) if output_dtype else y


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
    """Quantise: round(x / scale) + zero, limited to the numbers of the type."""
    xp, scale = namespace(x), _beside(scale, x, axis, block_size)
    kind = zero.dtype if zero is not None else xp.kind_of(output_dtype) if output_dtype else xp.uint8
    if precision:
        x, scale = xp.astype(x, xp.kind_of(precision)), xp.astype(scale, xp.kind_of(precision))
    y = xp.round(x / scale)
    if zero is not None:
        y = y + xp.astype(_beside(zero, x, axis, block_size), y.dtype)
    limits = xp.iinfo(kind)
    return xp.astype(xp.clip(y, limits.min, limits.max), kind)


@several(3)
def quantize_by_range(x: Array) -> tuple[Array, Array, Array]:
    """Quantise to 8 bits by the range of the input."""
    xp = namespace(x)
    low, high = xp.clip(x.min(), None, 0), xp.clip(x.max(), 0, None)
    scale = (high - low) / 255
    scale = xp.where(scale == 0, xp.ones_like(scale), scale)
    zero = xp.clip(xp.round(-low / scale), 0, 255)
    y = xp.clip(xp.round(x / scale) + zero, 0, 255)
    return xp.astype(y, xp.uint8), scale, xp.astype(zero, xp.uint8)


def _shifted(x: Array, zero: Array | None, axis: int) -> Array:
    """Return whole numbers without their zero point, in the type that adds up most of their products exactly."""
    xp = namespace(x)
    y = xp.astype(x, xp.widest)
    return y if zero is None else y - xp.astype(_along(zero, x, axis), xp.widest)


def matmul_integer(a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None) -> Array:
    """Multiply matrices of whole numbers."""
    xp = namespace(a)
    return xp.astype(_shifted(a, a_zero, -2) @ _shifted(b, b_zero, -1), xp.int32)


@passing(conv)
def conv_integer(
    x: Array, w: Array, x_zero: Array | None = None, w_zero: Array | None = None, **settings: Any
) -> Array:
    """Convolve whole numbers."""
    xp = namespace(x)
    return xp.astype(conv(_shifted(x, x_zero, 1), _shifted(w, w_zero, 0), **settings), xp.int32)


@passing(conv)
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
    **settings: Any,
) -> Array:
    """Convolve whole numbers, and quantise the result."""
    xp = namespace(x)
    y = conv(_shifted(x, x_zero, 1), _shifted(w, w_zero, 0), **settings)
    y = y if b is None else y + _along(xp.astype(b, xp.widest), y, 1)
    scale = _along(xp.astype(x_scale * w_scale, xp.float32), y, 1)
    return quantize(xp.astype(y, xp.float32) * scale, y_scale, y_zero)


def linear_matmul(
    a: Array, a_scale: Array, a_zero: Array, b: Array, b_scale: Array, b_zero: Array, y_scale: Array, y_zero: Array
) -> Array:
    """Multiply matrices of whole numbers, and quantise the result."""
    y = _shifted(a, a_zero, -2) @ _shifted(b, b_zero, -1)
    scale = _along(a_scale, y, -2) * _along(b_scale, y, -1)
    xp = namespace(a)
    return quantize(xp.astype(y, xp.float32) * scale, y_scale, y_zero)


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
    """Multiply matrices of whole numbers, add whole numbers, and quantise the result: ONNX Runtime's own."""
    xp = namespace(a)
    left = _shifted(a, a_zero, 0)
    right = _shifted(b, b_zero, 0 if transB else 1)
    y = (left.T if transA else left) @ (right.T if transB else right)
    y = y if c is None else y + xp.astype(c, xp.widest)
    y = alpha * xp.astype(y, xp.float32) * _along(a_scale * b_scale, y, -1)
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
    """Add dequantised arrays, and quantise the sum: ONNX Runtime's own."""
    return quantize(dequantize(a, a_scale, a_zero) + dequantize(b, b_scale, b_zero), y_scale, y_zero)


@refusing(
    lambda attributes: "a pool over the last axes has no counterpart in the framework yet"
    if attributes.get("channels_last") else ""
)  # fmt: skip
def linear_global_average_pool(
    x: Array, x_scale: Array, x_zero: Array, y_scale: Array, y_zero: Array, *, channels_last: int = 0
) -> Array:
    """Take the mean of a dequantised array, and quantise it: ONNX Runtime's own."""
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
