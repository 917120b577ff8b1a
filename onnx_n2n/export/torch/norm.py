"""Normalisation and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it

from onnx_n2n.export.calling import several

Tensor = torch.Tensor


def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Apply softmax along an axis."""
    return F.softmax(x, axis)


def softmax_flat(x: Tensor, *, axis: int = 1) -> Tensor:
    """Apply softmax along all axes from one on: what it was before version 13."""
    return F.softmax(x.flatten(axis), -1).reshape(x.shape)


def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Apply log-softmax along an axis."""
    return F.log_softmax(x, axis)


def log_softmax_flat(x: Tensor, *, axis: int = 1) -> Tensor:
    """Apply log-softmax along all axes from one on: what it was before version 13."""
    return F.log_softmax(x.flatten(axis), -1).reshape(x.shape)


def hardmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Return 1 at the largest entry along an axis."""
    return torch.zeros_like(x).scatter(axis, x.argmax(axis, keepdim=True), 1.0)


@several(3)
def layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    outputs: int = 1,
    known_shapes: Sequence[Sequence[int] | None] = (),
) -> tuple[Tensor, ...]:
    """Normalise over the axes from one on, and return mean and inverse deviation if they are wanted.

    ``known_shapes`` are those of the inputs that are known beforehand. While ``torch.jit`` traces, a length that is
    read off a tensor is a tensor, and its exporter takes no such one for a length of this.
    """
    axes = list(range(axis % x.dim(), x.dim()))
    known = [list(size) for size in known_shapes[1:] if size is not None]
    lengths = known[0] if known and len(known[0]) == len(axes) else list(x.shape[axes[0] :])
    whole = known if len(known) == len(known_shapes) - 1 else [list(y.shape) for y in (scale, bias) if y is not None]
    if all(size == lengths for size in whole):
        y = F.layer_norm(x, lengths, scale, bias, epsilon)
    else:
        y = F.layer_norm(x, lengths, None, None, epsilon) * scale
        y = y if bias is None else y + bias
    if outputs == 1:
        return (y,)
    variance, mean = torch.var_mean(x.float(), axes, correction=0, keepdim=True)
    return y, mean, torch.rsqrt(variance + epsilon)


@several(2)
def rms_norm(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, outputs: int = 1
) -> tuple[Tensor, ...]:
    """Divide by the root of the mean square over the axes from one on."""
    axes = list(range(axis % x.dim(), x.dim()))
    inverse = torch.rsqrt((x.float() ** 2).mean(axes, keepdim=True) + epsilon)
    y = (x.float() * inverse).to(x.dtype) * scale
    return (y,) if outputs == 1 else (y, inverse)


def instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Normalise every channel of every sample."""
    axes = list(range(2, x.dim()))
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    shape = [1, -1] + [1] * len(axes)
    return (x - mean) * torch.rsqrt(variance + epsilon) * scale.reshape(shape) + bias.reshape(shape)


def group_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5, num_groups: int) -> Tensor:
    """Normalise groups of channels; scale and bias are per channel."""
    return F.group_norm(x, num_groups, scale, bias, epsilon)


def group_norm_by_group(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5, num_groups: int) -> Tensor:
    """Do the same with scale and bias per group: what it was in version 18."""
    each = x.shape[1] // num_groups
    return F.group_norm(x, num_groups, scale.repeat_interleave(each), bias.repeat_interleave(each), epsilon)


def batch_norm_as_is(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """Normalise with given statistics."""
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


def local_response_norm(x: Tensor, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> Tensor:
    """Divide by what the neighbouring channels hold."""
    square = (x * x).unsqueeze(1)
    before = (size - 1) // 2
    flat = square.reshape(x.shape[0], 1, x.shape[1], -1)
    sums = F.avg_pool2d(F.pad(flat, (0, 0, before, size - 1 - before)), (size, 1), stride=1)
    return x / (bias + alpha * sums.reshape(x.shape)) ** beta


def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Divide by the norm along an axis; zeros stay."""
    norm = torch.linalg.vector_norm(x, p, axis, keepdim=True)
    return x / torch.where(norm == 0, 1, norm)


def mean_variance_norm(x: Tensor, *, axes: Sequence[int] = (0, 2, 3)) -> Tensor:
    """Normalise over axes."""
    variance, mean = torch.var_mean(x, list(axes), correction=0, keepdim=True)
    return (x - mean) / (torch.sqrt(variance) + 1e-9)


@several(4)
def skip_layer_norm(
    x: Tensor,
    skip: Tensor,
    scale: Tensor,
    shift: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
    outputs: int = 1,
) -> tuple[Tensor | None, ...]:
    """Normalise a residual sum, and return the sum as well."""
    total = x + skip if bias is None else x + skip + bias
    return layer_norm(total, scale, shift, epsilon=epsilon)[0], None, None, total


@several(4)
def skip_rms_norm(
    x: Tensor, skip: Tensor, scale: Tensor, bias: Tensor | None = None, *, epsilon: float = 1e-12, outputs: int = 1
) -> tuple[Tensor | None, ...]:
    """Normalise a residual sum without its mean, and return the sum as well."""
    total = x + skip if bias is None else x + skip + bias
    return rms_norm(total, scale, epsilon=epsilon)[0], None, None, total


def simplified_layer_norm(x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5) -> Tensor:
    """Divide by the root of the mean square."""
    return rms_norm(x, scale, axis=axis, epsilon=epsilon)[0]


@several(3)
def embed_layer_norm(
    tokens: Tensor,
    segments: Tensor | None,
    words: Tensor,
    positions: Tensor,
    kinds: Tensor | None = None,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    mask: Tensor | None = None,
    places: Tensor | None = None,
    *,
    epsilon: float = 1e-12,
    mask_index_type: int = 0,
    outputs: int = 1,
) -> tuple[Tensor, ...]:
    """Look words, positions and segments up, add them and normalise the sum."""
    where = torch.arange(tokens.shape[1], device=tokens.device) if places is None else places.long()
    total = F.embedding(tokens.long(), words) + F.embedding(where, positions)
    if segments is not None and kinds is not None:
        total = total + F.embedding(segments.long(), kinds)
    assert scale is not None
    y = layer_norm(total, scale, shift, epsilon=epsilon)[0]
    count = torch.zeros(tokens.shape[0], dtype=torch.int32, device=tokens.device)
    if mask is not None:
        count = mask.sum(1).to(torch.int32)
    return y, count, total


TABLE: dict[str, Any] = {
    "GroupNormalization": {18: group_norm_by_group, 21: group_norm},
    "Hardmax": hardmax,
    "InstanceNormalization": instance_norm,
    "LRN": local_response_norm,
    "LayerNormalization": layer_norm,
    "LogSoftmax": {1: log_softmax_flat, 13: log_softmax},
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_norm,
    "RMSNormalization": rms_norm,
    "SimplifiedLayerNormalization": simplified_layer_norm,
    "Softmax": {1: softmax_flat, 13: softmax},
    "com.microsoft.EmbedLayerNormalization": embed_layer_norm,
    "com.microsoft.SkipLayerNormalization": skip_layer_norm,
    "com.microsoft.SkipSimplifiedLayerNormalization": skip_rms_norm,
}
