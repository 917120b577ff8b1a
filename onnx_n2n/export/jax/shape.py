"""Operators that move entries and change none. Lengths, axes and places along them come as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.export import host
from onnx_n2n.export.calling import ANY, several
from onnx_n2n.export.jax.dtypes import kind_of

Array = jax.Array


def reshape(x: Array, shape: Sequence[int], *, allowzero: int = 0) -> Array:
    """Lay out anew; 0 is the length that was there, -1 whatever is left."""
    return x.reshape([x.shape[k] if n == 0 and not allowzero else n for k, n in enumerate(shape)])


def flatten(x: Array, *, axis: int = 1) -> Array:
    """Make a matrix: the axes before one, and the rest."""
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def transpose(x: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Reorder axes."""
    return jnp.transpose(x, perm)


def concat(*values: Array, axis: int = 1) -> Array:
    """Join along an axis."""
    return jnp.concatenate(values, axis)


def unsqueeze(x: Array, axes: Any) -> Array:
    """Insert axes of length 1."""
    return jnp.expand_dims(x, tuple(host.ints(axes)))


def squeeze(x: Array, axes: Any = None) -> Array:
    """Remove axes of length 1."""
    return jnp.squeeze(x, None if axes is None else tuple(host.ints(axes)))


def expand(x: Array, shape: Sequence[int]) -> Array:
    """Repeat along axes of length 1."""
    return jnp.broadcast_to(x, jnp.broadcast_shapes(x.shape, tuple(shape)))


def slices(x: Array, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Array:
    """Cut out along axes."""
    starts, ends = host.ints(starts), host.ints(ends)
    chosen = list(range(len(starts))) if axes is None else host.ints(axes)
    strides = [1] * len(starts) if steps is None else host.ints(steps)
    cut = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, chosen, strides, strict=True):
        cut[axis] = slice(start, host.bound(end, step), step)
    return x[tuple(cut)]


@several(ANY)
def split(x: Array, split: Any = None, *, axis: int = 0, num_outputs: int = 0, outputs: int = 1) -> tuple[Array, ...]:
    """Cut into parts along an axis."""
    return tuple(_parts(x, host.sizes(x.shape[axis], split, num_outputs or outputs), axis))


def _parts(x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    cuts = [sum(sizes[: k + 1]) for k in range(len(sizes) - 1)]
    return jnp.split(x, cuts, axis)


def split_to_sequence(x: Array, split: Any = None, *, axis: int = 0, keepdims: int = 1) -> list[Array]:
    """Cut into a sequence of parts."""
    length = x.shape[axis]
    if isinstance(split, list):
        return _parts(x, split, axis)
    size = split or 1
    parts = _parts(x, [min(size, length - start) for start in range(0, length, size)], axis)
    return parts if keepdims or split else [part.squeeze(axis) for part in parts]


def sequence(*values: Array) -> list[Array]:
    """Make a sequence."""
    return list(values)


def sequence_at(values: list[Array], position: int) -> Array:
    """Pick from a sequence."""
    return values[host.ints(position)[0]]


def sequence_length(values: list[Array]) -> Array:
    """Count."""
    return jnp.asarray(len(values))


def concat_sequence(values: list[Array], *, axis: int, new_axis: int = 0) -> Array:
    """Join a sequence."""
    return jnp.stack(values, axis) if new_axis else jnp.concatenate(values, axis)


def tile(x: Array, repeats: Any) -> Array:
    """Repeat."""
    return jnp.tile(x, host.ints(repeats))


def depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Move channels into blocks of pixels."""
    n, c, h, w = x.shape
    b, depth = blocksize, c // blocksize**2
    if mode == "DCR":
        y = x.reshape(n, b, b, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, depth, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, depth, h * b, w * b)


def space_to_depth(x: Array, *, blocksize: int) -> Array:
    """Move blocks of pixels into channels."""
    n, c, h, w = x.shape
    b = blocksize
    y = x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * b * b, h // b, w // b)


def pad(x: Array, pads: Any, value: Any = 0.0, axes: Any = None, *, mode: str = "constant") -> Array:
    """Put entries around; negative numbers cut off."""
    sizes = host.ints(pads)
    chosen = list(range(x.ndim)) if axes is None else [axis % x.ndim for axis in host.ints(axes)]
    around = [(0, 0)] * x.ndim
    for k, axis in enumerate(chosen):
        around[axis] = (sizes[k], sizes[len(chosen) + k])
    if mode == "constant":
        filling = jnp.asarray(0.0 if value is None else host.flat(value)[0], x.dtype)
        return jax.lax.pad(x, filling, [(before, after, 0) for before, after in around])
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(around, x.shape, strict=True))
    return jnp.pad(x[cut], [(max(a, 0), max(b, 0)) for a, b in around], mode=mode)


def crop(x: Array, *, border: Sequence[int], scale: Sequence[int] | None = None) -> Array:
    """Cut a border off an image."""
    left, top, right, bottom = border
    if scale is not None:
        return x[..., top : top + scale[0], left : left + scale[1]]
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def filled(shape: Sequence[int], *, value: float = 0.0, dtype: int = 1) -> Array:
    """Return one number, many times."""
    return jnp.full(list(shape), value, kind_of(dtype))


def counting(start: Any, limit: Any, delta: Any) -> Array:
    """Count."""
    return jnp.arange(*(host.flat(number)[0] for number in (start, limit, delta)))


def trilu(x: Array, k: Any = 0, *, upper: int = 1) -> Array:
    """Keep a triangle."""
    diagonal = 0 if k is None else host.flat(k)[0]
    return jnp.triu(x, diagonal) if upper else jnp.tril(x, diagonal)


def eye_like(x: Array, *, dtype: int = 0, k: int = 0) -> Array:
    """Return ones on a diagonal."""
    return jnp.eye(x.shape[0], x.shape[1], k, kind_of(dtype) if dtype else x.dtype)


def shape(x: Array, *, start: int = 0, end: int | None = None) -> list[int]:
    """Return lengths, as numbers."""
    return list(x.shape)[start:end]


def size(x: Array) -> int:
    """Return the number of entries."""
    return x.size


TABLE: dict[str, Any] = {
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
