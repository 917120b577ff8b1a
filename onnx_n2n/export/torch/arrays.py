"""PyTorch by the names that operators are written in; see ``onnx_n2n.export.operators.arrays``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import (
    abs, acos, acosh, add, asin, asinh, atan, atanh, bitwise_and, bitwise_or, bitwise_xor, ceil, cos, cosh, erf, exp,
    floor, fmod, iinfo, isnan, isneginf, isposinf, log, logical_and, logical_not, logical_or, logical_xor, maximum,
    minimum, pow, reciprocal, relu, remainder, sigmoid, sign, sin, sinh, sqrt, tan, tanh, where, zeros_like,
)  # fmt: skip
from torch import bitwise_not as bitwise_invert
from torch import div as divide
from torch import eq as equal
from torch import ge as greater_equal
from torch import gt as greater
from torch import le as less_equal
from torch import lt as less
from torch import mul as multiply
from torch import neg as negative
from torch import sub as subtract
from torch.nn.functional import celu, elu, hardswish, leaky_relu, mish, softplus

from onnx_n2n.export.operators.arrays import NAMESPACES
from onnx_n2n.export.torch.dtypes import TYPES

Tensor = torch.Tensor

int64 = torch.int64

NAMESPACES[Tensor] = NAMESPACES[torch.fx.Proxy] = sys.modules[__name__]


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


def divide_whole(a: Tensor, b: Any) -> Tensor:
    """Divide whole numbers, and round towards zero."""
    return torch.div(a, b, rounding_mode="trunc")


def gelu(x: Tensor, *, approximate: bool) -> Tensor:
    """Apply GELU, or its approximation by tanh."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


def is_real(x: Tensor) -> bool:
    """Say whether a tensor holds floating-point numbers."""
    return x.is_floating_point()


def kind_of(code: int) -> torch.dtype:
    """Return the type of an ONNX type."""
    return TYPES[code]


def logsumexp(x: Tensor, axis: Sequence[int], *, keepdims: bool) -> Tensor:
    """Return the logarithm of the sum of exponentials."""
    return torch.logsumexp(x, axis, keepdim=keepdims)


def max(x: Tensor, axis: Sequence[int], *, keepdims: bool) -> Tensor:
    """Return the largest; that of nothing is the smallest number of the type."""
    return x.amax(axis, keepdim=keepdims) if x.numel() else _of_nothing(x, axis, keepdims, least=True)


def mean(x: Tensor, axis: Sequence[int], *, keepdims: bool) -> Tensor:
    """Return the mean of floating-point numbers."""
    return x.mean(axis, keepdim=keepdims)


def min(x: Tensor, axis: Sequence[int], *, keepdims: bool) -> Tensor:
    """Return the smallest; that of nothing is the largest number of the type."""
    return x.amin(axis, keepdim=keepdims) if x.numel() else _of_nothing(x, axis, keepdims, least=False)


def prod(x: Tensor, axis: Sequence[int], *, keepdims: bool, dtype: torch.dtype | None = None) -> Tensor:
    """Multiply."""
    for each in sorted(axis, reverse=True):
        x = x.prod(each, keepdim=keepdims, dtype=dtype)
    return x


def round(x: Tensor) -> Tensor:
    """Round to the nearest whole number, halves to even."""
    return torch.round(x)


def sum(x: Tensor, axis: Sequence[int], *, keepdims: bool, dtype: torch.dtype | None = None) -> Tensor:
    """Add up."""
    return x.sum(axis, keepdim=keepdims, dtype=dtype)


def vector_norm(x: Tensor, axis: Sequence[int], *, keepdims: bool) -> Tensor:
    """Return the Euclidean norm."""
    return torch.linalg.vector_norm(x, 2, axis, keepdim=keepdims)


def _of_nothing(x: Tensor, axis: Sequence[int], keepdims: bool, *, least: bool) -> Tensor:
    """Return what the largest, or the smallest, of nothing is."""
    lengths = [1 if k in axis else n for k, n in enumerate(x.shape) if keepdims or k not in axis]
    if x.dtype == torch.bool:
        return x.new_full(lengths, not least)
    if x.is_floating_point():
        return x.new_full(lengths, -torch.inf if least else torch.inf)
    return x.new_full(lengths, torch.iinfo(x.dtype).min if least else torch.iinfo(x.dtype).max)
