"""Operators that sum up along axes, which are attributes or numbers that come in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from onnx_n2n.export import host

Tensor = torch.Tensor
Reduced = Callable[[Tensor, list[int], bool], Tensor]


def _over(function: Reduced, x: Tensor, axes: Any, keepdims: int, noop: int) -> Tensor:
    """Reduce over axes; over all of them where none are given."""
    chosen = [] if axes is None else host.ints(axes)
    if not chosen and noop:
        return x
    chosen = [axis % x.dim() for axis in chosen] or list(range(x.dim()))
    return function(x, chosen, bool(keepdims)) if chosen else x


def _nothing(x: Tensor, axes: list[int], keep: bool, *, least: bool) -> Tensor:
    """Return what the largest, or the smallest, of nothing is."""
    lengths = [1 if k in axes else n for k, n in enumerate(x.shape) if keep or k not in axes]
    if x.dtype == torch.bool:
        return x.new_full(lengths, not least)
    if x.is_floating_point():
        return x.new_full(lengths, -torch.inf if least else torch.inf)
    return x.new_full(lengths, torch.iinfo(x.dtype).min if least else torch.iinfo(x.dtype).max)


def total(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Add up."""
    return _over(lambda t, a, k: t.sum(a, keepdim=k, dtype=t.dtype), x, axes, keepdims, noop_with_empty_axes)


def mean(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Return the mean."""

    def function(t: Tensor, chosen: list[int], keep: bool) -> Tensor:
        if t.is_floating_point():
            return t.mean(chosen, keepdim=keep)
        count = math.prod(t.shape[axis] for axis in chosen)
        return torch.div(t.sum(chosen, keepdim=keep), count, rounding_mode="trunc").to(t.dtype)

    return _over(function, x, axes, keepdims, noop_with_empty_axes)


def largest(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Return the largest."""

    def function(t: Tensor, chosen: list[int], keep: bool) -> Tensor:
        return t.amax(chosen, keepdim=keep) if t.numel() else _nothing(t, chosen, keep, least=True)

    return _over(function, x, axes, keepdims, noop_with_empty_axes)


def smallest(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Return the smallest."""

    def function(t: Tensor, chosen: list[int], keep: bool) -> Tensor:
        return t.amin(chosen, keepdim=keep) if t.numel() else _nothing(t, chosen, keep, least=False)

    return _over(function, x, axes, keepdims, noop_with_empty_axes)


def product(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Multiply."""

    def function(t: Tensor, chosen: list[int], keep: bool) -> Tensor:
        for axis in sorted(chosen, reverse=True):
            t = t.prod(axis, keepdim=keep, dtype=t.dtype)
        return t

    return _over(function, x, axes, keepdims, noop_with_empty_axes)


def norm_1(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Add up absolute values."""
    return total(x.abs(), axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes)


def norm_2(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Return the Euclidean norm."""
    return _over(lambda t, a, k: torch.linalg.vector_norm(t, 2, a, keepdim=k), x, axes, keepdims, noop_with_empty_axes)


def sum_of_squares(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Add up squares."""
    return total(x * x, axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes)


def log_sum(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Return the logarithm of the sum."""
    return torch.log(total(x, axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes))


def log_sum_exp(x: Tensor, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
    """Return the logarithm of the sum of exponentials."""
    return _over(lambda t, a, k: torch.logsumexp(t, a, keepdim=k), x, axes, keepdims, noop_with_empty_axes)


TABLE: dict[str, Any] = {
    "ReduceL1": norm_1,
    "ReduceL2": norm_2,
    "ReduceLogSum": log_sum,
    "ReduceLogSumExp": log_sum_exp,
    "ReduceMax": largest,
    "ReduceMean": mean,
    "ReduceMin": smallest,
    "ReduceProd": product,
    "ReduceSum": total,
    "ReduceSumSquare": sum_of_squares,
}
