"""PyTorch by the names that operators are written in; see ``onnx_n2n.export.operators.arrays``."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import (
    abs, acos, acosh, add, argmax, argmin, argwhere, asin, asinh, atan, atanh, bitwise_and, bitwise_or, bitwise_xor,
    broadcast_to, ceil, cos, cosh, einsum, erf, exp, flatten, float32, floor, fmod, iinfo, int32, int64, isnan,
    isneginf, isposinf, log, log_softmax, logical_and, logical_not, logical_or, logical_xor, logsumexp, matmul, maximum,
    mean, minimum, moveaxis, ones_like, pow, reciprocal, relu, remainder, round, rsqrt, sigmoid, sign, sin, sinh,
    softmax, split, sqrt, stack, sum, swapaxes, tan, tanh, tile, tril, triu, uint8, where, zeros_like,
)  # fmt: skip
from torch import bitwise_not as bitwise_invert
from torch import cat as concat
from torch import cumsum as cumulative_sum
from torch import div as divide
from torch import eq as equal
from torch import ge as greater_equal
from torch import gt as greater
from torch import le as less_equal
from torch import lt as less
from torch import mul as multiply
from torch import neg as negative
from torch import permute as permute_dims
from torch import repeat_interleave as repeat
from torch import sub as subtract
from torch import unsqueeze as expand_dims
from torch.nn.functional import celu, elu, hardswish, leaky_relu, linear, mish, softplus
from torch.nn.functional import scaled_dot_product_attention as fused_attention

from onnx_n2n.export import lists
from onnx_n2n.export.operators.arrays import NAMESPACES
from onnx_n2n.export.torch.convolution import (
    convolve, convolve_transposed, max_and_places, max_of_windows, mean_of_windows, sum_of_windows,
)  # fmt: skip
from onnx_n2n.export.torch.dtypes import TYPES
from onnx_n2n.export.torch.norm import group_norm, layer_norm, local_response_norm
from onnx_n2n.export.torch.recurrent import gru, lstm

widest = torch.float64

REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}

NAMESPACES[Tensor] = NAMESPACES[torch.fx.Proxy] = sys.modules[__name__]


def arange(stop: int, like: Tensor, dtype: torch.dtype = int64) -> Tensor:
    """Count from zero, beside a tensor."""
    return torch.arange(stop, device=like.device, dtype=dtype)


def asarray(value: Any, like: Tensor) -> Tensor:
    """Return numbers in the type of a tensor, and beside it."""
    return torch.tensor(value, dtype=like.dtype, device=like.device)


def astype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Change the type."""
    return x.to(dtype)


def clip(x: Tensor, low: Any, high: Any) -> Tensor:
    """Limit by numbers or tensors; None is no limit."""
    if isinstance(low, Tensor):
        x, low = torch.maximum(x, low.to(x.dtype)), None
    if isinstance(high, Tensor):
        return torch.minimum(clip(x, low, None), high.to(x.dtype))
    return x if low is None and high is None else torch.clamp(x, low, high)


def counted(values: list[Tensor]) -> Tensor:
    """Return the length of a sequence."""
    return torch.tensor(len(values))


def counting(start: Any, limit: Any, delta: Any, *, like: Tensor | None = None) -> Tensor:
    """Count."""
    numbers = [lists.flat(number)[0] for number in (start, limit, delta)]
    return torch.arange(*numbers, device=None if like is None else like.device)


def cut(x: Tensor, axis: int, part: slice) -> Tensor:
    """Cut out along one axis; PyTorch has no steps backwards."""
    if part.step is None or part.step > 0:
        return x[(slice(None),) * axis + (part,)]
    places = list(range(*part.indices(x.shape[axis])))
    return x.index_select(axis, torch.tensor(places, dtype=torch.int64, device=x.device))


def divide_whole(a: Tensor, b: Any) -> Tensor:
    """Divide whole numbers, and round towards zero."""
    return torch.div(a, b, rounding_mode="trunc")


def filled(shape: Sequence[int], *, value: float = 0.0, dtype: int = 1, like: Tensor | None = None) -> Tensor:
    """Return one number, many times."""
    return torch.full(list(shape), value, dtype=TYPES[dtype], device=None if like is None else like.device)


def flip(x: Tensor, axis: int) -> Tensor:
    """Turn an axis round."""
    return x.flip(axis)


def gelu(x: Tensor, *, approximate: bool) -> Tensor:
    """Apply GELU, or its approximation by tanh."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


def grid_sample(
    x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    """Sample an image at places."""
    modes = {"linear": "bilinear", "cubic": "bicubic"}
    return F.grid_sample(x, grid, modes.get(mode, mode), padding_mode, bool(align_corners))


def is_bool(x: Tensor) -> bool:
    """Say whether a tensor holds truth values."""
    return x.dtype == torch.bool


def is_real(x: Tensor) -> bool:
    """Say whether a tensor holds floating-point numbers."""
    return x.is_floating_point()


def kind_of(code: int) -> torch.dtype:
    """Return the type of an ONNX type."""
    return TYPES[code]


def max(x: Tensor, axis: tuple[int, ...], *, keepdims: bool) -> Tensor:
    """Return the largest; that of nothing is the smallest number of the type."""
    return x.amax(axis, keepdim=keepdims) if x.numel() else _of_nothing(x, axis, keepdims, least=True)


def min(x: Tensor, axis: tuple[int, ...], *, keepdims: bool) -> Tensor:
    """Return the smallest; that of nothing is the largest number of the type."""
    return x.amin(axis, keepdim=keepdims) if x.numel() else _of_nothing(x, axis, keepdims, least=False)


def pad(x: Tensor, around: Sequence[tuple[int, int]], *, value: float = 0.0, mode: str = "constant") -> Tensor:
    """Put entries before and behind each axis; a constant also less than none."""
    if mode == "constant":
        return F.pad(x, [size for pair in reversed(around) for size in pair], value=value)
    for axis, (before, after) in enumerate(around):
        if before or after:
            places = torch.arange(-before, x.shape[axis] + after, device=x.device)
            x = x.index_select(axis, _inside(places, x.shape[axis], mode))
    return x


def prod(x: Tensor, axis: tuple[int, ...], *, keepdims: bool, dtype: torch.dtype | None = None) -> Tensor:
    """Multiply."""
    for each in sorted(axis, reverse=True):
        x = x.prod(each, keepdim=keepdims, dtype=dtype)
    return x


def put(x: Tensor, places: tuple[Tensor, ...], updates: Tensor, reduction: str) -> Tensor:
    """Put slices at places."""
    if reduction in {"none", "add"}:
        return x.index_put(places, updates, accumulate=reduction == "add")
    flat = torch.zeros(places[0].shape, dtype=torch.int64, device=x.device)
    rows = 1
    for k, place in enumerate(places):
        flat, rows = flat * x.shape[k] + place, rows * x.shape[k]
    table = x.reshape(rows, -1)
    there = flat.reshape(-1, 1).expand(-1, table.shape[1])
    return put_along_axis(table, there, updates.reshape(-1, table.shape[1]), 0, reduction).reshape(x.shape)


def put_along_axis(x: Tensor, places: Tensor, updates: Tensor, axis: int, reduction: str) -> Tensor:
    """Put along an axis, each entry for itself."""
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, REDUCTIONS[reduction])


def scan(step: Callable[..., Any], states: tuple[Tensor, ...], xs: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Take steps along the first axis: ``step(states, t, x) -> (states, y)``; returns the last states and every y."""
    found = []
    for t, x in enumerate(xs.unbind(0)):
        states, y = step(states, t, x)
        found.append(y)
    return states, torch.stack(found)


def take(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """Pick along an axis, at places of any shape."""
    if axis == 0 and x.dim() == 2 and x.is_floating_point() and places.dim() > 0:
        return F.embedding(places, x)
    if places.dim() == 1:
        return x.index_select(axis, places)
    picked = x.index_select(axis, places.reshape(-1))
    return picked.reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


def take_along_axis(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """Pick along an axis, each entry for itself; along others there may be fewer places than entries."""
    return torch.gather(x, axis, places)


def top_k(x: Tensor, count: int, axis: int, *, largest: bool) -> tuple[Tensor, Tensor]:
    """Return the largest or smallest entries along an axis, and where they are; the first of equals comes first."""
    if torch.onnx.is_in_onnx_export():  # which has no stable sort; ONNX's TopK, that this becomes, has the same order
        values, places = torch.topk(x, count, axis, largest)
        return values, places
    values, places = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, count), places.narrow(axis, 0, count)


def var_mean(x: Tensor, axis: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return variance and mean over axes, which stay as axes of length 1."""
    found: tuple[Tensor, Tensor] = torch.var_mean(x, axis, correction=0, keepdim=True)
    return found


def vector_norm(x: Tensor, axis: tuple[int, ...], *, keepdims: bool) -> Tensor:
    """Return the Euclidean norm."""
    return torch.linalg.vector_norm(x, 2, axis, keepdim=keepdims)


def zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return zeros in the type of a tensor, and beside it."""
    return like.new_zeros(shape)


def _inside(places: Tensor, length: int, mode: str) -> Tensor:
    """Bring places beyond an axis back into it."""
    if mode == "edge":
        return places.clamp(0, length - 1)
    if mode == "wrap":
        return places % length
    period = builtins.max(2 * (length - 1), 1)
    folded = places % period
    return torch.where(folded < length, folded, period - folded)


def _of_nothing(x: Tensor, axis: tuple[int, ...], keepdims: bool, *, least: bool) -> Tensor:
    """Return what the largest, or the smallest, of nothing is."""
    lengths = [1 if k in axis else n for k, n in enumerate(x.shape) if keepdims or k not in axis]
    if x.dtype == torch.bool:
        return x.new_full(lengths, not least)
    if x.is_floating_point():
        return x.new_full(lengths, -torch.inf if least else torch.inf)
    return x.new_full(lengths, torch.iinfo(x.dtype).min if least else torch.iinfo(x.dtype).max)
