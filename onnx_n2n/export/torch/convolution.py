"""Convolutions and pooling by PyTorch's own kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor

from onnx_n2n.export.operators.windows import Window

CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
MAX: dict[int, Callable[..., Any]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    """Put constants around the last axes."""
    if not any(before) and not any(after):
        return x
    sizes = [size for pair in reversed(list(zip(before, after, strict=True))) for size in pair]
    return F.pad(x, sizes, value=value)


def convolve(x: Tensor, w: Tensor, b: Tensor | None, window: Window, group: int) -> Tensor:
    """Convolve."""
    rank, before = len(window.kernel), window.before
    if before != window.after:
        x, before = padded(x, before, window.after), [0] * rank
    return CONV[rank](x, w, b, window.strides, before, window.dilations, group)


def convolve_transposed(
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    strides: list[int],
    dilations: list[int],
    before: list[int],
    after: list[int],
    extra: list[int],
    group: int,
) -> Tensor:
    """Apply a transposed convolution; where both sides differ, the result is cut off in the end."""
    rank = len(strides)
    if before == after and min(before) >= 0 and all(e < max(s, d) for e, s, d in zip(extra, strides, dilations)):  # noqa: B905
        return TRANSPOSED[rank](x, w, b, strides, before, extra, group, dilations)
    y = TRANSPOSED[rank](x, w, None, strides, 0, 0, group, dilations)
    y = padded(y, [-size for size in before], [add - size for add, size in zip(extra, after, strict=True)])
    return y if b is None else y + b.reshape(-1, *[1] * rank)


def max_of_windows(x: Tensor, window: Window) -> Tensor:
    """Take the largest of each window."""
    y: Tensor = _largest(x, window)[0]
    return y


def max_and_places(x: Tensor, window: Window, *, by_column: bool) -> tuple[Tensor, Tensor]:
    """Take the largest of each window, and its place in the whole tensor; the first of equals."""
    (y, places), inside, shifted = _largest(x, window, return_indices=True)
    return y, _places(places, inside, x.shape[2:], shifted, by_column)


def _largest(x: Tensor, window: Window, **options: Any) -> tuple[Any, Sequence[int], list[int]]:
    """Pool; returns the lengths that PyTorch pooled over as well, and how far it shifted the entries."""
    rank = len(window.kernel)
    before, shifted, ceiling = window.before, [0] * rank, window.ceil_mode
    if before != window.after or any(2 * size > kernel for size, kernel in zip(before, window.kernel, strict=True)):
        least = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        x = padded(x, before, [size + add for size, add in zip(window.after, window.more, strict=True)], least)
        shifted, before, ceiling = before, [0] * rank, False
    found = MAX[rank](x, window.kernel, window.strides, before, window.dilations, ceiling, **options)
    return found, x.shape[2:], shifted


def _places(
    places: Tensor, inside: Sequence[int], lengths: Sequence[int], shifted: Sequence[int], by_column: bool
) -> Tensor:
    """Turn places in a padded plane into places in the whole tensor."""
    found, size = torch.zeros_like(places), math.prod(lengths)
    for k in reversed(range(len(lengths))):
        step = math.prod(lengths[:k] if by_column else lengths[k + 1 :])
        found = found + (places % inside[k] - shifted[k]) * step
        places = torch.div(places, inside[k], rounding_mode="floor")
    planes = torch.arange(found.shape[0] * found.shape[1], device=found.device)
    return found + planes.reshape(*found.shape[:2], *[1] * len(lengths)) * size


def mean_of_windows(x: Tensor, window: Window, *, around: bool) -> Tensor:
    """Take the mean of each window, over entries of the tensor only, or over its padding too."""
    kernel, before = window.kernel, window.before
    fits = all(2 * size <= length for size, length in zip(before, kernel, strict=True))
    if before == window.after and fits and window.extents == kernel:
        return AVERAGE[len(kernel)](x, kernel, window.strides, before, window.ceil_mode, around)
    return sum_of_windows(x, window) / sum_of_windows(torch.ones_like(x[:1, :1]), window, outside=float(around))


def sum_of_windows(x: Tensor, window: Window, *, outside: float = 0.0) -> Tensor:
    """Add up each window; ``outside`` is what padding counts as."""
    rank = len(window.kernel)
    x = padded(padded(x, window.before, window.after, outside), [0] * rank, window.more)
    planes = x.reshape(-1, 1, *x.shape[2:])
    y = CONV[rank](planes, planes.new_ones(1, 1, *window.kernel), None, window.strides, 0, window.dilations)
    return y.reshape(*x.shape[:2], *y.shape[2:])
