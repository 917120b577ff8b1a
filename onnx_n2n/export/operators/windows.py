"""The windows of convolutions and pools: numbers only, for every framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Pads = tuple[list[int], list[int]]
"""Padding, or cropping, in front of and behind each spatial axis."""


class Window(NamedTuple):
    """How windows lie over an input; everything is per spatial axis.

    Attributes:
        kernel: Entries of a window.
        strides: Distance between windows.
        dilations: Distance between the entries of a window.
        extents: Length of a window with the gaps between its entries.
        before: Padding in front of the input.
        after: Padding behind it.
        more: Padding behind that, for the windows of a pool that begin inside the input and end outside.
        ceil_mode: Whether a pool has such windows.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    extents: list[int]
    before: list[int]
    after: list[int]
    more: list[int]
    ceil_mode: bool


def window_of(
    kernel: Sequence[int],
    lengths: Sequence[int],
    auto_pad: str,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    strides: Sequence[int] | None,
    ceil_mode: int = 0,
) -> Window:
    """Return the windows of some kernel over an input of some lengths, by ONNX's attributes."""
    strides, dilations = list(strides or [1] * len(kernel)), list(dilations or [1] * len(kernel))
    extents = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    before, after = pads_of(auto_pad, pads, lengths, strides, extents)
    more = behind(lengths, strides, extents, (before, after), ceil_mode)
    return Window(list(kernel), strides, dilations, extents, before, after, more, bool(ceil_mode))


def pads_of(
    auto_pad: str, pads: Sequence[int] | None, lengths: Sequence[int], strides: Sequence[int], extents: Sequence[int]
) -> Pads:
    """Return the padding of an input, for windows of some extents."""
    count = len(lengths)
    if auto_pad not in {"SAME_UPPER", "SAME_LOWER"}:
        found = list(pads or [0] * 2 * count) if auto_pad == "NOTSET" else [0] * 2 * count
        return found[:count], found[count:]
    before, after = [], []
    for length, stride, extent in zip(lengths, strides, extents, strict=True):
        total = max((-(-length // stride) - 1) * stride + extent - length, 0)
        less = total // 2
        before.append(less if auto_pad == "SAME_UPPER" else total - less)
        after.append(total - before[-1])
    return before, after


def behind(
    lengths: Sequence[int], strides: Sequence[int], extents: Sequence[int], pads: Pads, ceil_mode: int
) -> list[int]:
    """Return the padding behind each axis for the windows of a pool that begin inside and end outside.

    Such a window counts if it begins before the padding that the node states.
    """
    if not ceil_mode:
        return [0] * len(lengths)
    found = []
    for length, stride, extent, before, after in zip(lengths, strides, extents, *pads, strict=True):
        last = -(-(length + before + after - extent) // stride) * stride  # where the last window begins
        last = last if last < length + before else last - stride
        found.append(max(last + extent - length - before - after, 0))
    return found


def transposed_pads(
    auto_pad: str,
    pads: Sequence[int] | None,
    output_shape: Sequence[int] | None,
    lengths: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    extra: Sequence[int],
) -> Pads:
    """Return how much of the full result of a transposed convolution is cut off."""
    rank = len(lengths)
    if output_shape is None and auto_pad in {"NOTSET", "VALID"}:
        found = list(pads or [0] * 2 * rank)
        return found[:rank], found[rank:]
    wanted = list(output_shape or [length * stride for length, stride in zip(lengths, strides, strict=True)])
    before, after = [], []
    for k in range(rank):
        full = strides[k] * (lengths[k] - 1) + extra[k] + (kernel[k] - 1) * dilations[k] + 1
        total = full - wanted[-rank:][k]
        cut = max(total, 0)  # a result that is too short gets zeros behind it
        before.append(cut // 2 if auto_pad == "SAME_UPPER" else cut - cut // 2)
        after.append(total - before[-1])
    return before, after
