"""Resize: every coordinate mode, axis by axis, as sums of entries with weights, so that gradients flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx_n2n.export.calling import refusing
from onnx_n2n.export.operators.arrays import Array, namespace
from onnx_n2n.export.operators.resampling import refusal, targets


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
        places = _places(x, length, x.shape[axis], factor, coordinate_transformation_mode)
        if mode == "nearest":
            xp = namespace(x)
            x = xp.take(x, xp.clip(_rounded(places, nearest_mode), 0, x.shape[axis] - 1), axis)
        elif mode == "linear":
            x = _mixed(x, axis, places, linear(places), first=0)
        else:
            x = _mixed(x, axis, places, cubic(places, cubic_coeff_a), first=-1, outside=not exclude_outside)
    return x


def upsample(x: Array, scales: Any, *, mode: str = "nearest") -> Array:
    """Resize as it was up to version 10: asymmetric, to the entry on the left."""
    mode = "linear" if mode == "bilinear" else mode
    return resize(x, None, scales, mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def linear(places: Array) -> list[Array]:
    """Return the weights of both neighbours of each place."""
    part = places - namespace(places).floor(places)
    return [1 - part, part]


def cubic(places: Array, a: float) -> list[Array]:
    """Return the weights of the four neighbours of each place: Keys' cubic convolution."""
    t = places - namespace(places).floor(places)

    def near(d: Array) -> Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Array) -> Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _places(x: Array, new: int, old: int, factor: float, mode: str) -> Array:
    """Return where the new entries lie among the old ones."""
    xp = namespace(x)
    k = xp.arange(new, x, xp.float32)
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
    xp = namespace(places)
    if mode in {"floor", "round_prefer_ceil"}:
        found = xp.floor(places if mode == "floor" else places + 0.5)
    else:
        found = xp.ceil(places if mode == "ceil" else places - 0.5)
    return xp.astype(found, xp.int64)


def _mixed(x: Array, axis: int, places: Array, weights: list[Array], first: int, outside: bool = True) -> Array:
    """Add up neighbours, with weights; beyond the border is the last entry, or nothing."""
    xp, length = namespace(x), x.shape[axis]
    base = xp.astype(xp.floor(places), xp.int64) + first
    if not outside:
        inside = [xp.astype((base + k >= 0) & (base + k < length), weight.dtype) for k, weight in enumerate(weights)]
        weights = [weight * there for weight, there in zip(weights, inside, strict=True)]
        total = xp.stack(weights).sum(0)
        weights = [weight / total for weight in weights]
    shape = [-1 if k == axis else 1 for k in range(x.ndim)]
    parts = [
        xp.take(x, xp.clip(base + k, 0, length - 1), axis) * xp.astype(weight, x.dtype).reshape(shape)
        for k, weight in enumerate(weights)
    ]
    return sum(parts[1:], parts[0])


TABLE: dict[str, Any] = {
    "Resize": {10: upsample, 11: resize},
    "Upsample": upsample,
}
