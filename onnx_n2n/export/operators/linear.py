"""Matrix products, convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx_n2n.export.calling import passing, refusing, several
from onnx_n2n.export.operators.activations import activated, fused_refusal, parameters_of
from onnx_n2n.export.operators.arrays import Array, namespace
from onnx_n2n.export.operators.windows import transposed_pads, window_of


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
    a = a.T if transA else a
    if alpha == 1.0 and beta == 1.0 and (c is None or c.ndim == 1):
        return namespace(a).linear(a, b if transB else b.T, c)
    y = a @ (b.T if transB else b)
    y = y if alpha == 1.0 else alpha * y
    return y if c is None else y + (c if beta == 1.0 else beta * c)


def einsum(*operands: Array, equation: str) -> Array:
    """Sum products over indices."""
    return namespace(operands[0]).einsum(equation.replace(" ", ""), *operands)


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
    x = namespace(x).moveaxis(x, 0, -2) if batch else x
    return namespace(x).swapaxes(x, -1, -2) if matrix else x


@refusing(fused_refusal)
@passing(gemm)
def fused_gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    **settings: Any,
) -> Array:
    """Multiply two matrices, add a third, and apply an activation."""
    y = gemm(a, b, c, **settings)
    return activated(y, activation, parameters_of(activation, activation_alpha, activation_beta))


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Convolve."""
    window = window_of(w.shape[2:], x.shape[2:], auto_pad, dilations, pads, strides)
    return namespace(x).convolve(x, w, b, window, group)


@refusing(fused_refusal)
@passing(conv)
def fused_conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    z: Array | None = None,
    *,
    activation: str = "",
    activation_params: Sequence[float] = (),
    **settings: Any,
) -> Array:
    """Convolve, add another array, and apply an activation."""
    y = conv(x, w, b, **settings)
    return activated(y if z is None else y + z, activation, activation_params)


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Apply a transposed convolution. What is cut off may differ from side to side."""
    rank = w.ndim - 2
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    extra = list(output_padding or [0] * rank)
    cut = transposed_pads(auto_pad, pads, output_shape, x.shape[2:], w.shape[2:], strides, dilations, extra)
    return namespace(x).convolve_transposed(x, w, b, strides, dilations, *cut, extra, group)


@several(2)
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
    outputs: int = 1,
) -> tuple[Array, ...]:
    """Take the largest of each window, and its place in the whole array."""
    window = window_of(kernel_shape, x.shape[2:], auto_pad, dilations, pads, strides, ceil_mode)
    if outputs == 1:
        return (namespace(x).max_of_windows(x, window),)
    found: tuple[Array, Array] = namespace(x).max_and_places(x, window, by_column=bool(storage_order))
    return found


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
    """Take the mean of each window, over entries of the array only, or over its padding too."""
    window = window_of(kernel_shape, x.shape[2:], auto_pad, dilations, pads, strides, ceil_mode)
    return namespace(x).mean_of_windows(x, window, around=bool(count_include_pad))


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
    window = window_of(kernel_shape, x.shape[2:], auto_pad, dilations, pads, strides, ceil_mode)
    return namespace(x).sum_of_windows(abs(x) ** p, window) ** (1 / p)


def global_average_pool(x: Array) -> Array:
    """Take the mean of each channel."""
    return namespace(x).mean(x, tuple(range(2, x.ndim)), keepdims=True)


def global_max_pool(x: Array) -> Array:
    """Take the largest of each channel."""
    return namespace(x).max(x, tuple(range(2, x.ndim)), keepdims=True)


def global_lp_pool(x: Array, *, p: int = 2) -> Array:
    """Take the norm of each channel."""
    return namespace(x).sum(abs(x) ** p, tuple(range(2, x.ndim)), keepdims=True) ** (1 / p)


TABLE: dict[str, Any] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Einsum": einsum,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": global_max_pool,
    "LpPool": lp_pool,
    "MatMul": "matmul",
    "MaxPool": max_pool,
    "com.microsoft.FusedConv": fused_conv,
    "com.microsoft.FusedGemm": fused_gemm,
    "com.microsoft.FusedMatMul": fused_matmul,
}
