"""Quantised operators: they run as they are. Their scales and whole numbers are constants, which training leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from onnx_n2n.export.calling import refusing, several
from onnx_n2n.export.torch.dtypes import TYPES
from onnx_n2n.export.torch.linear import conv, global_average_pool

Tensor = torch.Tensor


def _along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """Bring one number per channel beside the channels."""
    if values.dim() == 0 or values.numel() == 1:
        return values.reshape(())
    return values.reshape([-1 if k == axis % x.dim() else 1 for k in range(x.dim())])


def _beside(values: Tensor, x: Tensor, axis: int, block_size: int) -> Tensor:
    """Bring one number per channel, or per block of entries, beside the entries."""
    if not block_size:
        return _along(values, x, axis)
    axis %= x.dim()
    values = values.repeat_interleave(block_size, axis)
    return values.narrow(axis, 0, x.shape[axis])  # the last block may be short


def dequantize(
    x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Tensor:
    """Return the numbers that whole numbers stand for."""
    scale = _beside(scale, x, axis, block_size)
    zero = None if zero is None else _beside(zero, x, axis, block_size)
    wide = scale.dtype if x.is_floating_point() else torch.int32  # there are floats of 8 bits, too
    y = x.to(wide) if zero is None else x.to(wide) - zero.to(wide)
    y = y.to(scale.dtype) * scale
    return y.to(TYPES[output_dtype]) if output_dtype else y


def quantize(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Tensor:
    """Return the whole numbers that stand for numbers."""
    kind = zero.dtype if zero is not None else TYPES[output_dtype] if output_dtype else torch.uint8
    scale = _beside(scale, x, axis, block_size)
    if precision:
        x, scale = x.to(TYPES[precision]), scale.to(TYPES[precision])
    y = torch.round(x / scale)
    if zero is not None:
        y = y + _beside(zero, x, axis, block_size).to(y.dtype)
    limits = torch.iinfo(kind)
    return y.clamp(limits.min, limits.max).to(kind)


@several(3)
def quantize_by_range(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Quantise by the range of what comes in."""
    low, high = torch.clamp(x.min(), max=0), torch.clamp(x.max(), min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = torch.round(-low / scale).clamp(0, 255)
    return (torch.round(x / scale) + zero).clamp(0, 255).to(torch.uint8), scale, zero.to(torch.uint8)


def _shifted(x: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    """Return whole numbers without their zero point, where sums of products of them are exact."""
    return x.double() if zero is None else x.double() - _along(zero, x, axis).double()


def matmul_integer(a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None) -> Tensor:
    """Multiply matrices of whole numbers."""
    return (_shifted(a, a_zero, -2) @ _shifted(b, b_zero, -1)).to(torch.int32)


def conv_integer(
    x: Tensor,
    w: Tensor,
    x_zero: Tensor | None = None,
    w_zero: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Convolve whole numbers."""
    settings = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "pads": pads, "strides": strides}
    return conv(_shifted(x, x_zero, 1), _shifted(w, w_zero, 0), **settings).to(torch.int32)  # type: ignore[arg-type]


def linear_conv(
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Convolve whole numbers, and quantise what comes out."""
    settings = {"auto_pad": auto_pad, "dilations": dilations, "group": group, "pads": pads, "strides": strides}
    y = conv(_shifted(x, x_zero, 1), _shifted(w, w_zero, 0), None, **settings)  # type: ignore[arg-type]
    y = y if b is None else y + _along(b.double(), y, 1)
    scale = _along((x_scale * w_scale).float(), y, 1)
    return quantize(y.float() * scale, y_scale, y_zero)


def linear_matmul(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor,
) -> Tensor:
    """Multiply matrices of whole numbers, and quantise what comes out."""
    y = _shifted(a, a_zero, -2) @ _shifted(b, b_zero, -1)
    scale = _along(a_scale, y, -2) * _along(b_scale, y, -1)
    return quantize(y.float() * scale, y_scale, y_zero)


def linear_gemm(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    c: Tensor | None = None,
    y_scale: Tensor | None = None,
    y_zero: Tensor | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's names
    transB: int = 0,  # noqa: N803
) -> Tensor:
    """Multiply matrices of whole numbers, add whole numbers, and quantise what comes out: ONNX Runtime's own."""
    left = _shifted(a, a_zero, 0)
    right = _shifted(b, b_zero, 0 if transB else 1)
    y = (left.t() if transA else left) @ (right.t() if transB else right)
    y = y if c is None else y + c.double()
    y = alpha * y.float() * _along(a_scale * b_scale, y, -1)
    return y if y_scale is None else quantize(y, y_scale, y_zero)


def linear_add(
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    y_scale: Tensor,
    y_zero: Tensor | None = None,
) -> Tensor:
    """Add what whole numbers stand for: ONNX Runtime's own."""
    return quantize(dequantize(a, a_scale, a_zero) + dequantize(b, b_scale, b_zero), y_scale, y_zero)


@refusing(
    lambda attributes: "a pool over the last axes has no counterpart in the framework yet"
    if attributes.get("channels_last") else ""
)  # fmt: skip
def linear_global_average_pool(
    x: Tensor, x_scale: Tensor, x_zero: Tensor, y_scale: Tensor, y_zero: Tensor, *, channels_last: int = 0
) -> Tensor:
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
