"""Operators that pick entries, put them somewhere, or sort them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it

from onnx_n2n.export import host
from onnx_n2n.export.calling import several

Tensor = torch.Tensor
REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _wrapped(indices: Tensor, length: int) -> Tensor:
    """Count from the end where an index is negative."""
    indices = indices.long()
    return torch.where(indices < 0, indices + length, indices)


def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Pick along an axis."""
    axis %= x.dim()
    places = _wrapped(indices, x.shape[axis])
    if axis == 0 and x.dim() == 2 and x.is_floating_point() and places.dim() > 0:
        return F.embedding(places, x)
    picked = x.index_select(axis, places.reshape(-1))
    return picked.reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Pick along an axis, each entry for itself."""
    return torch.gather(x, axis, _wrapped(indices, x.shape[axis]))


def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    """Pick at places that the last axis of the indices holds."""
    places = indices.long()
    own = [
        torch.arange(x.shape[k], device=x.device).reshape([-1] + [1] * (places.dim() - 2 - k))
        for k in range(batch_dims)
    ]
    return x[tuple(own) + tuple(places[..., k] for k in range(places.shape[-1]))]


def scatter_elements(x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none") -> Tensor:
    """Put along an axis, each entry for itself."""
    places = _wrapped(indices, x.shape[axis])
    updates = updates.to(x.dtype)
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, REDUCTIONS[reduction])


def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    """Put at places that the last axis of the indices holds."""
    places = indices.long()
    where = tuple(_wrapped(places[..., k], x.shape[k]) for k in range(places.shape[-1]))
    updates = updates.to(x.dtype)
    if reduction in {"none", "add"}:
        return x.index_put(where, updates, accumulate=reduction == "add")
    flat = torch.zeros(where[0].shape, dtype=torch.int64, device=x.device)
    rows = 1
    for k, place in enumerate(where):
        flat, rows = flat * x.shape[k] + place, rows * x.shape[k]
    table = x.reshape(rows, -1)
    new = updates.reshape(-1, table.shape[1])
    there = flat.reshape(-1, 1).expand(-1, table.shape[1])
    return table.scatter_reduce(0, there, new, REDUCTIONS[reduction]).reshape(x.shape)


@several(2)
def top_k(
    x: Tensor,
    k: Any,
    *,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,  # noqa: A002 - ONNX's name
) -> tuple[Tensor, Tensor]:
    """Return the largest or smallest entries along an axis, and where they are; the first of equals comes first."""
    count = host.ints(k)[0]
    if torch.onnx.is_in_onnx_export():  # which has no stable sort; ONNX's TopK, that this becomes, has the same order
        values, places = torch.topk(x, count, axis, bool(largest), bool(sorted))
        return values, places
    values, places = torch.sort(x, dim=axis, descending=bool(largest), stable=True)
    return values.narrow(axis, 0, count), places.narrow(axis, 0, count)


def arg_max(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """Return where the largest entry is."""
    if select_last_index:
        return x.shape[axis] - 1 - torch.argmax(x.flip(axis), axis, bool(keepdims))
    return torch.argmax(x, axis, bool(keepdims))


def arg_min(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """Return where the smallest entry is."""
    if select_last_index:
        return x.shape[axis] - 1 - torch.argmin(x.flip(axis), axis, bool(keepdims))
    return torch.argmin(x, axis, bool(keepdims))


def non_zero(x: Tensor) -> Tensor:
    """Return where entries are not zero. How many there are depends on the data."""
    return torch.nonzero(x).t()


def one_hot(indices: Tensor, depth: Any, values: Tensor, *, axis: int = -1) -> Tensor:
    """Return one value at an index and another elsewhere; an index beyond both ends is nowhere."""
    count = int(host.flat(depth)[0])
    spread = _wrapped(indices, count).unsqueeze(-1) == torch.arange(count, device=indices.device)
    return torch.where(spread, values[1], values[0]).movedim(-1, axis)


def compress(x: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    """Keep the entries for which a condition holds."""
    places = torch.nonzero(condition).reshape(-1)
    return x.reshape(-1).index_select(0, places) if axis is None else x.index_select(axis, places)


def reverse_sequence(x: Tensor, lengths: Tensor, *, batch_axis: int = 1, time_axis: int = 0) -> Tensor:
    """Turn the first part of every sequence round."""
    moved = x.movedim((time_axis, batch_axis), (0, 1))
    return turned(moved, lengths).movedim((0, 1), (time_axis, batch_axis))


def turned(x: Tensor, lengths: Tensor) -> Tensor:
    """Turn sequences of (time, batch, ...) round, each up to its own length."""
    steps = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
    places = torch.where(steps < lengths, lengths.long() - 1 - steps, steps)
    places = places.reshape(*places.shape, *[1] * (x.dim() - 2)).expand_as(x)
    return torch.gather(x, 0, places)


def cumulative_sum(x: Tensor, axis: Any, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    """Add up along an axis."""
    along = host.ints(axis)[0]
    y = x.flip(along) if reverse else x
    if exclusive:
        y = torch.cat([torch.zeros_like(y.narrow(along, 0, 1)), y.narrow(along, 0, y.shape[along] - 1)], along)
    total = torch.cumsum(y, along).to(x.dtype)
    return total.flip(along) if reverse else total


def grid_sample(
    x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    """Sample an image at places."""
    modes = {"linear": "bilinear", "cubic": "bicubic"}
    return F.grid_sample(x, grid, modes.get(mode, mode), padding_mode, bool(align_corners))


TABLE: dict[str, Any] = {
    "ArgMax": arg_max,
    "ArgMin": arg_min,
    "Compress": compress,
    "CumSum": cumulative_sum,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "GridSample": grid_sample,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "TopK": top_k,
}
