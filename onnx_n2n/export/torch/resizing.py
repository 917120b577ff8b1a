"""Resize: every coordinate mode, axis by axis, as sums of entries with weights, so that gradients flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from onnx_n2n.export.calling import refusing
from onnx_n2n.export.resampling import refusal, targets

Tensor = torch.Tensor


@refusing(refusal)
def resize(
    x: Tensor,
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
) -> Tensor:
    """Resize along axes."""
    chosen = list(axes) if axes is not None else list(range(x.dim()))
    lengths, factors = targets(list(x.shape), chosen, scales, sizes, keep_aspect_ratio_policy)
    for axis, length, factor in zip(chosen, lengths, factors, strict=True):
        if length == x.shape[axis] and factor == 1:
            continue
        places = _places(x, length, x.shape[axis], factor, coordinate_transformation_mode)
        if mode == "nearest":
            x = x.index_select(axis, _rounded(places, nearest_mode).clamp(0, x.shape[axis] - 1))
        elif mode == "linear":
            x = _mixed(x, axis, places, _linear(places), first=0)
        else:
            x = _mixed(x, axis, places, _cubic(places, cubic_coeff_a), first=-1, outside=not exclude_outside)
    return x


def upsample(x: Tensor, scales: Any, *, mode: str = "nearest") -> Tensor:
    """Resize as it was before version 10: asymmetric, to the entry on the left."""
    return resize(
        x,
        None,
        scales,
        mode="linear" if mode in {"linear", "bilinear"} else mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def resize_asymmetric(x: Tensor, scales: Any, *, mode: str = "nearest") -> Tensor:
    """Resize as it was in version 10."""
    return upsample(x, scales, mode=mode)


def _places(x: Tensor, new: int, old: int, factor: float, mode: str) -> Tensor:
    """Return where the new entries lie among the old ones."""
    k = torch.arange(new, device=x.device, dtype=torch.float32)
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


def _rounded(places: Tensor, mode: str) -> Tensor:
    if mode == "floor":
        return places.floor().long()
    if mode == "ceil":
        return places.ceil().long()
    if mode == "round_prefer_ceil":
        return (places + 0.5).floor().long()
    return (places - 0.5).ceil().long()


def _linear(places: Tensor) -> list[Tensor]:
    part = places - places.floor()
    return [1 - part, part]


def _cubic(places: Tensor, a: float) -> list[Tensor]:
    """Keys' cubic convolution."""
    t = places - places.floor()

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _mixed(x: Tensor, axis: int, places: Tensor, weights: list[Tensor], first: int, outside: bool = True) -> Tensor:
    """Add up neighbours, with weights; beyond the border is the last entry, or nothing."""
    base, length = places.floor().long() + first, x.shape[axis]
    if not outside:
        inside = [((base + k >= 0) & (base + k < length)).to(weight.dtype) for k, weight in enumerate(weights)]
        weights = [weight * there for weight, there in zip(weights, inside, strict=True)]
        total = torch.stack(weights).sum(0)
        weights = [weight / total for weight in weights]
    shape = [1] * x.dim()
    shape[axis] = -1
    found = None
    for k, weight in enumerate(weights):
        part = x.index_select(axis, (base + k).clamp(0, length - 1)) * weight.to(x.dtype).reshape(shape)
        found = part if found is None else found + part
    assert found is not None
    return found


TABLE: dict[str, Any] = {
    "Resize": {10: resize_asymmetric, 11: resize},
    "Upsample": upsample,
}
