"""Matrix products, convolutions and pooling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it

from onnx_n2n.export.activations import fused_refusal, parameters_of
from onnx_n2n.export.calling import refusing, several
from onnx_n2n.export.windows import behind, extents_of, pads_of, transposed_pads

Tensor = torch.Tensor

CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
MAX: dict[int, Callable[..., Any]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's names
    transB: int = 0,  # noqa: N803
    broadcast: int = 1,
) -> Tensor:
    """Multiply two matrices and add a third."""
    a = a.t() if transA else a
    if alpha == 1.0 and beta == 1.0 and (c is None or c.dim() == 1):
        return F.linear(a, b if transB else b.t(), c)
    y = alpha * (a @ (b.t() if transB else b))
    return y if c is None else y + beta * c


def einsum(*operands: Tensor, equation: str) -> Tensor:
    """Sum products over indices."""
    return torch.einsum(equation.replace(" ", ""), *operands)


def fused_matmul(
    a: Tensor,
    b: Tensor,
    *,
    alpha: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
    transBatchA: int = 0,  # noqa: N803
    transBatchB: int = 0,  # noqa: N803
) -> Tensor:
    """Multiply matrices, transposed and scaled."""
    a = _turned(a, transA, transBatchA)
    b = _turned(b, transB, transBatchB)
    return alpha * (a @ b)


def _turned(x: Tensor, matrix: int, batch: int) -> Tensor:
    if batch:
        x = x.movedim(0, -2)
    return x.transpose(-1, -2) if matrix else x


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "": lambda x: x,
    "Relu": torch.relu,
    "Tanh": torch.tanh,
    "Sigmoid": torch.sigmoid,
    "LeakyRelu": lambda x, alpha=0.01, *_: F.leaky_relu(x, alpha),
    "Clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: torch.clamp(alpha * x + beta, 0, 1),
}


@refusing(fused_refusal)
def fused_gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    activation: str = "",
    activation_alpha: float | None = None,
    activation_beta: float | None = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803
    transB: int = 0,  # noqa: N803
) -> Tensor:
    """Do the same with an activation behind."""
    y = gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
    return ACTIVATIONS[activation](y, *parameters_of(activation, activation_alpha, activation_beta))


def padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    """Put constants around the last axes."""
    if not any(before) and not any(after):
        return x
    sizes = [size for pair in reversed(list(zip(before, after, strict=True))) for size in pair]
    return F.pad(x, sizes, value=value)


def conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Convolve."""
    rank = w.dim() - 2
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    extents = extents_of(w.shape[2:], dilations)
    before, after = pads_of(auto_pad, pads, x.shape[2:], strides, extents)
    if before != after:
        x, before = padded(x, before, after), [0] * rank
    return CONV[rank](x, w, b, strides, before, dilations, group)


@refusing(fused_refusal)
def fused_conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    z: Tensor | None = None,
    *,
    activation: str = "",
    activation_params: Sequence[float] = (),
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Convolve, add another tensor, and apply an activation."""
    y = conv(x, w, b, auto_pad=auto_pad, dilations=dilations, group=group, pads=pads, strides=strides)
    return ACTIVATIONS[activation](y if z is None else y + z, *activation_params)


def conv_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Sequence[int] | None = None,
    group: int = 1,
    kernel_shape: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Convolve the other way round. What is cut off is cut off in the end, so that it may differ from side to side."""
    rank = w.dim() - 2
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    extra = list(output_padding or [0] * rank)
    before, after = transposed_pads(auto_pad, pads, output_shape, x.shape[2:], w.shape[2:], strides, dilations, extra)
    if before == after and min(before) >= 0 and all(e < max(s, d) for e, s, d in zip(extra, strides, dilations)):  # noqa: B905
        return TRANSPOSED[rank](x, w, b, strides, before, extra, group, dilations)
    y = TRANSPOSED[rank](x, w, None, strides, 0, 0, group, dilations)
    y = padded(y, [-size for size in before], [add - size for add, size in zip(extra, after, strict=True)])
    return y if b is None else y + b.reshape(-1, *[1] * rank)


@several(2)
def max_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    storage_order: int = 0,
    strides: Sequence[int] | None = None,
    outputs: int = 1,
) -> tuple[Tensor, ...]:
    """Take the largest of each window, and its place in the whole tensor."""
    rank = len(kernel_shape)
    strides, dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
    extents = extents_of(kernel_shape, dilations)
    before, after = pads_of(auto_pad, pads, x.shape[2:], strides, extents)
    lengths, shifted = x.shape[2:], [0] * rank
    if before != after or any(2 * size > kernel for size, kernel in zip(before, kernel_shape, strict=True)):
        more = behind(lengths, strides, extents, (before, after), ceil_mode)
        least = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        x = padded(x, before, [size + add for size, add in zip(after, more, strict=True)], least)
        shifted, before, ceil_mode = before, [0] * rank, 0
    settings = (list(kernel_shape), strides, before, dilations, bool(ceil_mode))
    if outputs == 1:
        return (MAX[rank](x, *settings),)
    y, places = MAX[rank](x, *settings, return_indices=True)
    return y, _places(places, x.shape[2:], lengths, shifted, storage_order)


def _places(
    places: Tensor, inside: Sequence[int], lengths: Sequence[int], shifted: Sequence[int], by_column: int
) -> Tensor:
    """Turn places in a padded plane into places in the whole tensor."""
    found, size = torch.zeros_like(places), math.prod(lengths)
    for k in reversed(range(len(lengths))):
        step = math.prod(lengths[:k] if by_column else lengths[k + 1 :])
        found = found + (places % inside[k] - shifted[k]) * step
        places = torch.div(places, inside[k], rounding_mode="floor")
    planes = torch.arange(found.shape[0] * found.shape[1], device=found.device)
    return found + planes.reshape(*found.shape[:2], *[1] * len(lengths)) * size


def average_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Take the mean of each window, of what is in the tensor or also of what was put around it."""
    rank = len(kernel_shape)
    strides, kernel = list(strides or [1] * rank), list(kernel_shape)
    extents = extents_of(kernel, dilations)
    before, after = pads_of(auto_pad, pads, x.shape[2:], strides, extents)
    fits = all(2 * size <= length for size, length in zip(before, kernel, strict=True))
    if before == after and fits and extents == kernel:
        return AVERAGE[rank](x, kernel, strides, before, bool(ceil_mode), bool(count_include_pad))
    settings = (auto_pad, ceil_mode, dilations, kernel, pads, strides)
    return _sums(x, *settings) / _sums(torch.ones_like(x[:1, :1]), *settings, outside=float(count_include_pad))


def _sums(
    x: Tensor,
    auto_pad: str,
    ceil_mode: int,
    dilations: Sequence[int] | None,
    kernel: Sequence[int],
    pads: Sequence[int] | None,
    strides: Sequence[int] | None,
    outside: float = 0.0,
) -> Tensor:
    """Add up each window; ``outside`` is what padding counts as."""
    rank, lengths, extents = len(kernel), x.shape[2:], extents_of(kernel, dilations)
    strides = list(strides or [1] * rank)
    before, after = pads_of(auto_pad, pads, lengths, strides, extents)
    x = padded(x, before, after, outside)
    x = padded(x, [0] * rank, behind(lengths, strides, extents, (before, after), ceil_mode))
    planes = x.reshape(-1, 1, *x.shape[2:])
    y = CONV[rank](planes, planes.new_ones(1, 1, *kernel), None, strides, 0, list(dilations or [1] * rank))
    return y.reshape(*x.shape[:2], *y.shape[2:])


def lp_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Sequence[int] | None = None,
    kernel_shape: Sequence[int],
    p: int = 2,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Take the norm of each window."""
    sums = _sums(x.abs() ** p, auto_pad, ceil_mode, dilations, kernel_shape, pads, strides)
    return sums ** (1 / p)


def global_average_pool(x: Tensor) -> Tensor:
    """Take the mean of each channel."""
    return x.mean(tuple(range(2, x.dim())), keepdim=True)


def global_max_pool(x: Tensor) -> Tensor:
    """Take the largest of each channel."""
    return x.amax(tuple(range(2, x.dim())), keepdim=True)


def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    """Take the norm of each channel."""
    return (x.abs() ** p).sum(tuple(range(2, x.dim())), keepdim=True) ** (1 / p)


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
    "MatMul": torch.matmul,
    "MaxPool": max_pool,
    "com.microsoft.FusedConv": fused_conv,
    "com.microsoft.FusedGemm": fused_gemm,
    "com.microsoft.FusedMatMul": fused_matmul,
}
