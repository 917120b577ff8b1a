"""Samples of an image at places between its pixels."""

from __future__ import annotations

import functools
import itertools
import operator

import jax.numpy as jnp
from jax import Array

from onnx_n2n.export.operators.resizing import cubic, linear

SHARPNESS = -0.75  # of the cubic, as PyTorch and ONNX have it


def grid_sample(
    x: Array, grid: Array, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Array:
    """Sample an image at places.

    Args:
        x: ``[n, c, *lengths]``.
        grid: ``[n, *places, axes]``, from -1 to 1 within the image; the last axis of the image comes first.
        align_corners: Whether -1 and 1 are the middle of the outermost pixels, not their outer edges.
        mode: ``nearest``, ``linear`` or ``cubic``; ``bilinear`` and ``bicubic`` are the same.
        padding_mode: What lies beyond the image: ``zeros``, its ``border``, or its ``reflection``.
    """
    lengths, smooth = x.shape[2:], mode.endswith("cubic")
    neighbours = []
    for axis, length in enumerate(lengths):
        place = grid[..., len(lengths) - 1 - axis] + 1
        place = place * ((length - 1) / 2) if align_corners else place * (length / 2) - 0.5
        place = place if smooth else _inside(place, length, padding_mode, align_corners)
        first = jnp.round(place) if mode == "nearest" else jnp.floor(place) - smooth
        weights = [jnp.ones_like(place)] if mode == "nearest" else cubic(place, SHARPNESS) if smooth else linear(place)
        found = [_inside(first + k, length, padding_mode, align_corners) for k in range(len(weights))]
        there = [jnp.where((at >= 0) & (at < length), weight, 0) for at, weight in zip(found, weights, strict=True)]
        neighbours.append([(jnp.clip(at, 0, length - 1).astype(int), w) for at, w in zip(found, there, strict=True)])
    pixels = jnp.moveaxis(x, 1, -1)
    batch = jnp.arange(x.shape[0]).reshape([-1] + [1] * (grid.ndim - 2))
    parts = [
        pixels[(batch, *(at for at, _ in corner))]
        * functools.reduce(operator.mul, (weight for _, weight in corner))[..., None]
        for corner in itertools.product(*neighbours)
    ]
    return jnp.moveaxis(sum(parts[1:], parts[0]), -1, 1).astype(x.dtype)


def _inside(place: Array, length: int, padding_mode: str, align_corners: int) -> Array:
    """Bring places beyond the image back into it, unless there are zeros."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, length - 1) if align_corners else (-0.5, length)
        turns = jnp.abs(place - low) % max(2 * span, 1)
        place = jnp.minimum(turns, 2 * span - turns) + low
    return jnp.clip(place, 0, length - 1)
