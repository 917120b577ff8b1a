"""Operators that move entries and change none. Lengths, axes and positions are Python numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from onnx_n2n.export import host, lists
from onnx_n2n.export.calling import ANY, several
from onnx_n2n.export.operators.arrays import Array, namespace


def reshape(x: Array, shape: Sequence[int], *, allowzero: int = 0) -> Array:
    """Lay out anew; 0 is the length that was there, -1 whatever is left."""
    return x.reshape([x.shape[k] if n == 0 and not allowzero else n for k, n in enumerate(shape)])


def flatten(x: Array, *, axis: int = 1) -> Array:
    """Make a matrix: the axes before one, and the rest."""
    axis = axis + x.ndim if axis < 0 else axis
    if axis == 1 and x.ndim > 1:
        return namespace(x).flatten(x, 1)  # which the exporters of PyTorch know for what it is
    return x.reshape([math.prod(x.shape[:axis]), math.prod(x.shape[axis:])])


def transpose(x: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Reorder axes."""
    return namespace(x).permute_dims(x, list(range(x.ndim))[::-1] if perm is None else list(perm))


def concat(*values: Array, axis: int = 1) -> Array:
    """Join along an axis."""
    return namespace(values[0]).concat(values, axis)


def unsqueeze(x: Array, axes: Any) -> Array:
    """Insert axes of length 1."""
    rank = x.ndim + len(lists.flat(axes))
    for axis in sorted(axis % rank for axis in lists.flat(axes)):
        x = namespace(x).expand_dims(x, axis)
    return x


def squeeze(x: Array, axes: Any = None) -> Array:
    """Remove axes of length 1."""
    return x.squeeze() if axes is None else x.squeeze(tuple(axis % x.ndim for axis in lists.flat(axes)))


def expand(x: Array, shape: Sequence[int]) -> Array:
    """Repeat along axes of length 1."""
    wanted = [1] * (x.ndim - len(shape)) + list(shape)
    own = [1] * (len(shape) - x.ndim) + list(x.shape)
    return namespace(x).broadcast_to(x, [mine if wish == 1 else wish for mine, wish in zip(own, wanted, strict=True)])


def slices(x: Array, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Array:
    """Cut out along axes."""
    starts, ends = lists.flat(starts), lists.flat(ends)
    chosen = list(range(len(starts))) if axes is None else lists.flat(axes)
    strides = [1] * len(starts) if steps is None else lists.flat(steps)
    for start, end, axis, step in zip(starts, ends, chosen, strides, strict=True):
        x = namespace(x).cut(x, axis % x.ndim, slice(start, host.bound(end, step), step))
    return x


@several(ANY)
def split(x: Array, split: Any = None, *, axis: int = 0, num_outputs: int = 0, outputs: int = 1) -> tuple[Array, ...]:
    """Cut into parts along an axis."""
    return tuple(namespace(x).split(x, host.sizes(x.shape[axis], split, num_outputs or outputs), axis))


def split_to_sequence(x: Array, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> list[Array]:
    """Cut into a sequence of parts: of one length, the last may be shorter, or of several."""
    length, sizes = x.shape[axis], split
    if not isinstance(split, list):
        size = split or 1
        sizes = [min(size, length - start) for start in range(0, length, size)]
    parts = list(namespace(x).split(x, sizes, axis))
    return parts if keepdims or split is not None else [part.squeeze(axis) for part in parts]


def sequence(*values: Array) -> list[Array]:
    """Make a sequence."""
    return list(values)


def sequence_at(values: list[Array], position: int) -> Array:
    """Pick from a sequence."""
    return values[lists.flat(position)[0]]


def concat_sequence(values: list[Array], *, axis: int, new_axis: int = 0) -> Array:
    """Join a sequence."""
    xp = namespace(values[0])
    return xp.stack(values, axis) if new_axis else xp.concat(values, axis)


def tile(x: Array, repeats: Any) -> Array:
    """Repeat."""
    return namespace(x).tile(x, lists.flat(repeats))


def depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Move channels into blocks of pixels."""
    n, c, h, w = x.shape
    b, depth = blocksize, c // blocksize**2
    if mode == "DCR":
        y = transpose(x.reshape([n, b, b, depth, h, w]), perm=[0, 3, 4, 1, 5, 2])
    else:
        y = transpose(x.reshape([n, depth, b, b, h, w]), perm=[0, 1, 4, 2, 5, 3])
    return y.reshape([n, depth, h * b, w * b])


def space_to_depth(x: Array, *, blocksize: int) -> Array:
    """Move blocks of pixels into channels."""
    n, c, h, w = x.shape
    b = blocksize
    y = transpose(x.reshape([n, c, h // b, b, w // b, b]), perm=[0, 3, 5, 1, 2, 4])
    return y.reshape([n, c * b * b, h // b, w // b])


def pad(x: Array, pads: Any, value: Any = 0.0, axes: Any = None, *, mode: str = "constant") -> Array:
    """Pad; negative numbers crop first, and ``edge``, ``reflect`` and ``wrap`` repeat what is left."""
    xp, sizes = namespace(x), lists.flat(pads)
    chosen = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in lists.flat(axes)]
    around = [(0, 0)] * x.ndim
    for k, axis in enumerate(chosen):
        around[axis] = (sizes[k], sizes[len(chosen) + k])
    if mode == "constant":
        return xp.pad(x, around, value=0.0 if value is None else lists.flat(value)[0])
    for axis, (before, after) in enumerate(around):
        if before < 0 or after < 0:
            x = xp.cut(x, axis, slice(max(-before, 0), x.shape[axis] - max(-after, 0)))
    return xp.pad(x, [(max(before, 0), max(after, 0)) for before, after in around], mode=mode)


def crop(x: Array, *, border: Sequence[int], scale: Sequence[int] | None = None) -> Array:
    """Cut a border off an image."""
    left, top, right, bottom = border
    if scale is not None:
        return x[..., top : top + scale[0], left : left + scale[1]]
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def trilu(x: Array, k: Any = 0, *, upper: int = 1) -> Array:
    """Keep a triangle."""
    xp, diagonal = namespace(x), 0 if k is None else lists.flat(k)[0]
    return xp.triu(x, diagonal) if upper else xp.tril(x, diagonal)


def eye_like(x: Array, *, dtype: int = 0, k: int = 0) -> Array:
    """Return ones on a diagonal."""
    xp = namespace(x)
    ones = xp.arange(x.shape[1], x) - xp.arange(x.shape[0], x)[:, None] == k
    return xp.astype(ones, xp.kind_of(dtype) if dtype else x.dtype)


def center_crop_pad(x: Array, shape: Any, *, axes: Sequence[int] | None = None) -> Array:
    """Cut or fill up on both sides to given lengths."""
    for axis, wish in zip(axes if axes is not None else range(x.ndim), lists.flat(shape), strict=True):
        missing = wish - x.shape[axis]
        before = missing // 2 if missing >= 0 else -(-missing // 2)
        x = pad(x, [before, missing - before], axes=[axis])
    return x


def shape(x: Array, *, start: int = 0, end: int | None = None) -> list[int]:
    """Return lengths, as numbers."""
    return list(x.shape)[start:end]


def size(x: Array) -> int:
    """Return the number of entries."""
    return math.prod(x.shape)


TABLE: dict[str, Any] = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "ConcatFromSequence": concat_sequence,
    "ConstantOfShape": "filled",
    "Crop": crop,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Pad": pad,
    "Range": "counting",
    "Reshape": reshape,
    "SequenceAt": sequence_at,
    "SequenceConstruct": sequence,
    "SequenceLength": "counted",
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
