"""Normalisation by PyTorch's own kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it
from torch import Tensor

from onnx_n2n.export.calling import several


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


def group_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5, num_groups: int) -> Tensor:
    """Normalise groups of channels; scale and bias are per channel."""
    return F.group_norm(x, num_groups, scale, bias, epsilon)


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
