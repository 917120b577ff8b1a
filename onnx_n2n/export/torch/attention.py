"""Attention, as ONNX and ONNX Runtime have it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it

from onnx_n2n.errors import ExportError
from onnx_n2n.export.calling import several
from onnx_n2n.export.torch.dtypes import TYPES

Tensor = torch.Tensor
DOUBLE = ir.DataType.DOUBLE.value


def _heads(x: Tensor, count: int) -> Tensor:
    """(batch, time, heads * size) -> (batch, heads, time, size)."""
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def _flat(x: Tensor) -> Tensor:
    """(batch, heads, time, size) -> (batch, time, heads * size)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


@several(4)
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    filled: Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int = 0,
    left_window_size: int = -1,
    q_num_heads: int = 0,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int = 0,
    outputs: int = 1,
) -> tuple[Tensor | None, ...]:
    """Attend; groups of query heads may share the heads of keys and values. ``filled`` is how many keys there are."""
    flat = q.dim() == 3
    if flat:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    before: Any = 0  # how many keys come before the first query
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    elif filled is not None:
        filled = filled.reshape(-1, 1, 1, 1)
        before = filled - q.shape[2]
    shared = q.shape[1] // k.shape[1]
    keys = k if shared == 1 else k.repeat_interleave(shared, 1)
    values = v if shared == 1 else v.repeat_interleave(shared, 1)
    right = right_window_size if not is_causal else 0
    plain = mask is None and filled is None and past_key is None and left_window_size < 0
    quick = not softcap and outputs <= 3 and softmax_precision != DOUBLE
    if quick and plain and (is_causal or right < 0):
        y = F.scaled_dot_product_attention(q, keys, values, None, 0.0, bool(is_causal), scale=scale)
        return _flat(y) if flat else y, k, v
    mask = _masked(mask, _near(q, keys, before, left_window_size, right, filled), q, keys)
    if quick:
        y = F.scaled_dot_product_attention(q, keys, values, mask, scale=scale)
        return _flat(y) if flat else y, k, v
    scores = q @ keys.transpose(-1, -2) * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))
    scores = softcap * torch.tanh(scores / softcap) if softcap else scores
    stages = [scores, scores]
    if mask is None:
        weights = F.softmax(scores.to(TYPES.get(softmax_precision, q.dtype)), -1).to(q.dtype)
    else:
        hidden = ~mask if mask.dtype == torch.bool else mask == -torch.inf
        scores = scores.masked_fill(hidden, -torch.inf) if mask.dtype == torch.bool else scores + mask
        nothing = hidden.all(-1, keepdim=True)  # a query that sees no key gets zeros
        weights = F.softmax(scores.masked_fill(nothing, 0).to(TYPES.get(softmax_precision, q.dtype)), -1).to(q.dtype)
        weights = weights.masked_fill(nothing, 0)
    y = weights @ values
    return _flat(y) if flat else y, k, v, [*stages, scores, weights][qk_matmul_output_mode]


def _near(q: Tensor, k: Tensor, before: Any, left: int, right: int, filled: Tensor | None) -> Tensor | None:
    """Return which keys are in the window of each query, and are there at all; None for all of them."""
    place = torch.arange(k.shape[2], device=q.device)
    ahead = place - (torch.arange(q.shape[2], device=q.device).unsqueeze(1) + before)
    near = [ahead >= -left] if left >= 0 else []
    near += [ahead <= right] if right >= 0 else []
    near += [] if filled is None else [place < filled]
    return functools.reduce(torch.logical_and, near) if near else None


def _masked(mask: Tensor | None, near: Tensor | None, q: Tensor, k: Tensor) -> Tensor | None:
    """Return a mask that also hides what is not near, and keys that the mask is too short for."""
    if mask is None:
        return near
    if mask.dim() < 2:
        mask = mask.expand(q.shape[2], -1)
    short = k.shape[2] - mask.shape[-1]
    if mask.dtype == torch.bool:
        mask = F.pad(mask, (0, short)) if short else mask
        return mask if near is None else mask & near
    mask = F.pad(mask.to(q.dtype), (0, short), value=-torch.inf)
    return mask if near is None else torch.where(near, mask, -torch.inf)


def rotary_embedding(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    positions: Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Tensor:
    """Turn pairs of channels by an angle that grows with the position."""
    flat = x.dim() == 3
    y = _heads(x, num_heads) if flat else x
    size = rotary_embedding_dim or y.shape[-1]
    turned, rest = y[..., :size], y[..., size:]
    if positions is not None:
        cos, sin = F.embedding(positions.long(), cos), F.embedding(positions.long(), sin)
    cos, sin = (table[..., : size // 2].unsqueeze(1) for table in (cos, sin))
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack([cos * a - sin * b, sin * a + cos * b], -1).flatten(-2)
    else:
        a, b = turned.chunk(2, -1)
        turned = torch.cat([cos * a - sin * b, sin * a + cos * b], -1)
    y = torch.cat([turned, rest], -1) if size < y.shape[-1] else turned
    return _flat(y) if flat else y


@several(2)
def fused_attention(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    mask: Tensor | None = None,
    past: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    qkv_hidden_sizes: Sequence[int] | None = None,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Tensor, ...]:
    """Project to queries, keys and values, and attend: ONNX Runtime's own operator."""
    projected = x @ w if b is None else x @ w + b
    q, k, v = projected.split(list(qkv_hidden_sizes) if qkv_hidden_sizes else [w.shape[1] // 3] * 3, -1)
    added = _added(mask, x, x.shape[1] + (0 if past is None else past.shape[3]), mask_filter_value)
    y, k, v = _attend(q, k, v, added, past, bias, num_heads, scale, unidirectional)
    return y, torch.stack([k, v])


@several(3)
def multi_head_attention(
    q: Tensor,
    k: Tensor | None = None,
    v: Tensor | None = None,
    b: Tensor | None = None,
    padding: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Tensor, ...]:
    """Attend to projected queries, keys and values: ONNX Runtime's own operator."""
    if k is None or v is None:  # packed as (batch, time, heads, 3, size)
        q, k, v = (part.flatten(2) for part in q.unbind(3))
    if b is not None:
        parts = b.split([q.shape[-1], k.shape[-1], v.shape[-1]])
        q, k, v = q + parts[0], k + parts[1], v + parts[2]
    added = _added(padding, k, k.shape[1], mask_filter_value)
    return _attend(q, k, v, added, None, bias, num_heads, scale, unidirectional)


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    past: Tensor | None,
    bias: Tensor | None,
    heads: int,
    scale: float | None,
    causal: int,
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    if past is not None:
        k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
    mask = bias if mask is None else mask if bias is None else mask + bias
    if causal:
        seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(k.shape[2] - q.shape[2])
        mask = torch.zeros_like(seen, dtype=q.dtype).masked_fill(~seen, -torch.inf) + (0 if mask is None else mask)
    y = F.scaled_dot_product_attention(q, k, v, mask, scale=scale or None)
    return _flat(y), k, v


def _added(mask: Tensor | None, x: Tensor, time: int, value: float) -> Tensor | None:
    """Turn a mask of ones and zeros, or of lengths, into what is added to the scores."""
    if mask is None:
        return None
    if mask.dim() == 1:
        if mask.shape[0] != x.shape[0]:
            raise ExportError("a mask of beginnings and ends of sequences has no counterpart in the framework yet")
        mask = torch.arange(time, device=x.device) < mask.unsqueeze(1)
    shape = [mask.shape[0], 1, 1, -1] if mask.dim() == 2 else [mask.shape[0], 1, *mask.shape[-2:]]
    return (1.0 - mask.to(x.dtype).reshape(shape)) * value


TABLE: dict[str, Any] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
    "com.microsoft.Attention": fused_attention,
    "com.microsoft.MultiHeadAttention": multi_head_attention,
}
