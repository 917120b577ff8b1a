"""Operators that move entries and change none. Lengths, axes and places along them come as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from onnx_n2n.export import host
from onnx_n2n.export.calling import ANY, several
from onnx_n2n.export.torch.dtypes import TYPES

Tensor = torch.Tensor


def reshape(x: Tensor, shape: Sequence[int], *, allowzero: int = 0) -> Tensor:
    """Lay out anew; 0 is the length that was there, -1 whatever is left."""
    lengths = [x.shape[k] if n == 0 and not allowzero else n for k, n in enumerate(shape)]
    return x.reshape(lengths)


def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    """Make a matrix: the axes before one, and the rest."""
    if axis < 0:
        axis += x.dim()
    if axis == 1:
        return x.flatten(1) if x.dim() > 1 else x.reshape(x.shape[0], 1)
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    """Reorder axes."""
    return x.permute(list(perm) if perm is not None else list(range(x.dim() - 1, -1, -1)))


def concat(*values: Tensor, axis: int = 1) -> Tensor:
    """Join along an axis."""
    return torch.cat(values, axis)


def unsqueeze(x: Tensor, axes: Any) -> Tensor:
    """Insert axes of length 1."""
    wanted = host.ints(axes)
    rank = x.dim() + len(wanted)
    for axis in sorted(axis % rank for axis in wanted):
        x = x.unsqueeze(axis)
    return x


def squeeze(x: Tensor, axes: Any = None) -> Tensor:
    """Remove axes of length 1."""
    return x.squeeze() if axes is None else x.squeeze([axis % x.dim() for axis in host.ints(axes)])


def expand(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Repeat along axes of length 1."""
    lengths = list(shape)
    lengths = [1] * (x.dim() - len(lengths)) + lengths
    own = [1] * (len(lengths) - x.dim()) + list(x.shape)
    return x.expand([mine if wish == 1 else wish for mine, wish in zip(own, lengths, strict=True)])


def slices(x: Tensor, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Tensor:
    """Cut out along axes."""
    starts, ends = host.ints(starts), host.ints(ends)
    chosen = list(range(len(starts))) if axes is None else host.ints(axes)
    strides = [1] * len(starts) if steps is None else host.ints(steps)
    for start, end, axis, step in zip(starts, ends, chosen, strides, strict=True):
        x = _cut(x, axis % x.dim(), start, end, step)
    return x


def _cut(x: Tensor, axis: int, start: int, end: int, step: int) -> Tensor:
    """Cut out along one axis; PyTorch has no steps backwards."""
    if step > 0:
        return x[(slice(None),) * axis + (slice(start, end, step),)]
    places = range(*slice(start, host.bound(end, step), step).indices(x.shape[axis]))
    return x.index_select(axis, torch.tensor(list(places), dtype=torch.int64, device=x.device))


@several(ANY)
def split(x: Tensor, split: Any = None, *, axis: int = 0, num_outputs: int = 0, outputs: int = 1) -> tuple[Tensor, ...]:
    """Cut into parts along an axis."""
    return torch.split(x, host.sizes(x.shape[axis], split, num_outputs or outputs), axis)


def split_to_sequence(x: Tensor, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> list[Tensor]:
    """Cut into a sequence of parts."""
    if split is None:
        parts = list(torch.split(x, 1, axis))
        return parts if keepdims else [part.squeeze(axis) for part in parts]
    return list(torch.split(x, split, axis))


def sequence(*values: Tensor) -> list[Tensor]:
    """Make a sequence."""
    return list(values)


def sequence_at(values: list[Tensor], position: int) -> Tensor:
    """Pick from a sequence."""
    return values[host.ints(position)[0]]


def sequence_length(values: list[Tensor]) -> Tensor:
    """Count."""
    return torch.tensor(len(values))


def concat_sequence(values: list[Tensor], *, axis: int, new_axis: int = 0) -> Tensor:
    """Join a sequence."""
    return torch.stack(values, axis) if new_axis else torch.cat(values, axis)


def tile(x: Tensor, repeats: Any) -> Tensor:
    """Repeat."""
    return x.repeat(host.ints(repeats))


def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """Move channels into blocks of pixels."""
    n, c, h, w = x.shape
    b, depth = blocksize, c // blocksize**2
    if mode == "DCR":
        y = x.reshape(n, b, b, depth, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, depth, b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return y.reshape(n, depth, h * b, w * b)


def space_to_depth(x: Tensor, *, blocksize: int) -> Tensor:
    """Move blocks of pixels into channels."""
    n, c, h, w = x.shape
    b = blocksize
    y = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * b * b, h // b, w // b)


def pad(x: Tensor, pads: Any, value: Any = 0.0, axes: Any = None, *, mode: str = "constant") -> Tensor:
    """Put entries around; negative numbers cut off."""
    sizes = host.ints(pads)
    chosen = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in host.ints(axes)]
    count = len(chosen)
    filling = 0.0 if value is None else host.flat(value)[0]
    if mode == "constant":
        around = [0] * 2 * x.dim()
        for k, axis in enumerate(chosen):
            place = 2 * (x.dim() - 1 - axis)
            around[place], around[place + 1] = sizes[k], sizes[count + k]
        return torch.nn.functional.pad(x, around, value=filling)
    for k, axis in enumerate(chosen):
        if sizes[k] or sizes[count + k]:
            places = torch.arange(-sizes[k], x.shape[axis] + sizes[count + k], device=x.device)
            x = x.index_select(axis, _inside(places, x.shape[axis], mode))
    return x


def _inside(places: Tensor, length: int, mode: str) -> Tensor:
    """Bring places beyond an axis back into it."""
    if mode == "edge":
        return places.clamp(0, length - 1)
    if mode == "wrap":
        return places % length
    period = max(2 * (length - 1), 1)
    folded = places % period
    return torch.where(folded < length, folded, period - folded)


def crop(x: Tensor, *, border: Sequence[int], scale: Sequence[int] | None = None) -> Tensor:
    """Cut a border off an image."""
    left, top, right, bottom = border
    if scale is not None:
        return x[..., top : top + scale[0], left : left + scale[1]]
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def filled(shape: Sequence[int], *, value: float = 0.0, dtype: int = 1, like: Tensor | None = None) -> Tensor:
    """Return one number, many times."""
    return torch.full(list(shape), value, dtype=TYPES[dtype], device=None if like is None else like.device)


def counting(start: Any, limit: Any, delta: Any, *, like: Tensor | None = None) -> Tensor:
    """Count."""
    numbers = [host.flat(number)[0] for number in (start, limit, delta)]
    return torch.arange(*numbers, device=None if like is None else like.device)


def trilu(x: Tensor, k: Any = 0, *, upper: int = 1) -> Tensor:
    """Keep a triangle."""
    diagonal = 0 if k is None else host.flat(k)[0]
    return torch.triu(x, diagonal) if upper else torch.tril(x, diagonal)


def eye_like(x: Tensor, *, dtype: int = 0, k: int = 0) -> Tensor:
    """Return ones on a diagonal."""
    kind = TYPES[dtype] if dtype else x.dtype
    return torch.triu(torch.tril(torch.ones(x.shape, device=x.device), k), k).to(kind)


def center_crop_pad(x: Tensor, shape: Any, *, axes: Sequence[int] | None = None) -> Tensor:
    """Cut or fill up on both sides to given lengths."""
    for axis, wish in zip(axes if axes is not None else range(x.dim()), host.ints(shape), strict=True):
        missing = wish - x.shape[axis]
        before = missing // 2 if missing >= 0 else -(-missing // 2)
        x = pad(x, [before, missing - before], axes=[axis])
    return x


def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> list[int]:
    """Return lengths, as numbers."""
    return list(x.shape)[start:end]


def size(x: Tensor) -> int:
    """Return the number of entries."""
    return x.numel()


TABLE: dict[str, Any] = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "ConcatFromSequence": concat_sequence,
    "ConstantOfShape": filled,
    "Crop": crop,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Pad": pad,
    "Range": counting,
    "Reshape": reshape,
    "SequenceAt": sequence_at,
    "SequenceConstruct": sequence,
    "SequenceLength": sequence_length,
    "Shape": shape,
    "Size": size,
    "Slice": slices,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "SplitToSequence": split_to_sequence,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
