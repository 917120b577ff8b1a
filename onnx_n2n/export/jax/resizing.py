"""Resize: every coordinate mode, axis by axis, as sums of entries with weights, so that gradients flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.export.calling import refusing
from onnx_n2n.export.resampling import refusal, targets

Array = jax.Array


@refusing(refusal)
def resize(
    x: Array,
    roi: Any = None,
    scales: Any = None,
    sizes: Any = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Array:
    """Resize along axes."""
    chosen = list(axes) if axes is not None else list(range(x.ndim))
    lengths, factors = targets(list(x.shape), chosen, scales, sizes, keep_aspect_ratio_policy)
    for axis, length, factor in zip(chosen, lengths, factors, strict=True):
        if length == x.shape[axis] and factor == 1:
            continue
        places = _places(length, x.shape[axis], factor, coordinate_transformation_mode)
        if mode == "nearest":
            x = jnp.take(x, jnp.clip(_rounded(places, nearest_mode), 0, x.shape[axis] - 1), axis=axis)
        elif mode == "linear":
            x = _mixed(x, axis, places, _linear(places), first=0)
        else:
            x = _mixed(x, axis, places, _cubic(places, cubic_coeff_a), first=-1, outside=not exclude_outside)
    return x


def upsample(x: Array, scales: Any, *, mode: str = "nearest") -> Array:
    """Resize as it was before version 10: asymmetric, to the entry on the left."""
    return resize(
        x,
        None,
        scales,
        mode="linear" if mode in {"linear", "bilinear"} else mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def resize_asymmetric(x: Array, scales: Any, *, mode: str = "nearest") -> Array:
    """Resize as it was in version 10."""
    return upsample(x, scales, mode=mode)


def _places(new: int, old: int, factor: float, mode: str) -> Array:
    """Return where the new entries lie among the old ones."""
    k = jnp.arange(new, dtype=jnp.float32)
    if mode == "align_corners":
        return k * ((old - 1) / (new - 1)) if new > 1 else k * 0
    if mode == "asymmetric":
        return k / factor
    if mode == "pytorch_half_pixel" and new == 1:
        return k * 0
    if mode == "half_pixel_symmetric":
        adjusted = new / (old * factor)
        return old / 2 * (1 - adjusted) + (k + 0.5) / factor - 0.5
    return (k + 0.5) / factor - 0.5


def _rounded(places: Array, mode: str) -> Array:
    if mode == "floor":
        return jnp.floor(places).astype(int)
    if mode == "ceil":
        return jnp.ceil(places).astype(int)
    if mode == "round_prefer_ceil":
        return jnp.floor(places + 0.5).astype(int)
    return jnp.ceil(places - 0.5).astype(int)


def _linear(places: Array) -> list[Array]:
    part = places - jnp.floor(places)
    return [1 - part, part]


def _cubic(places: Array, a: float) -> list[Array]:
    """Keys' cubic convolution."""
    t = places - jnp.floor(places)

    def near(d: Array) -> Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Array) -> Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _mixed(x: Array, axis: int, places: Array, weights: list[Array], first: int, outside: bool = True) -> Array:
    """Add up neighbours, with weights; beyond the border is the last entry, or nothing."""
    base, length = jnp.floor(places).astype(int) + first, x.shape[axis]
    if not outside:
        inside = [((base + k >= 0) & (base + k < length)).astype(weight.dtype) for k, weight in enumerate(weights)]
        weights = [weight * there for weight, there in zip(weights, inside, strict=True)]
        total = jnp.stack(weights).sum(0)
        weights = [weight / total for weight in weights]
    shape = [1] * x.ndim
    shape[axis] = -1
    found = None
    for k, weight in enumerate(weights):
        part = jnp.take(x, jnp.clip(base + k, 0, length - 1), axis=axis) * weight.astype(x.dtype).reshape(shape)
        found = part if found is None else found + part
    assert found is not None
    return found


TABLE: dict[str, Any] = {
    "Resize": {10: resize_asymmetric, 11: resize},
    "Upsample": upsample,
}
