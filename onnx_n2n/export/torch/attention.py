"""Attention, as ONNX and ONNX Runtime have it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it

from onnx_n2n.export.calling import several

Tensor = torch.Tensor


def _heads(x: Tensor, count: int) -> Tensor:
    """(batch, time, heads * size) -> (batch, heads, time, size)."""
    return x.reshape(x.shape[0], x.shape[1], count, -1).transpose(1, 2)


def _flat(x: Tensor) -> Tensor:
    """(batch, heads, time, size) -> (batch, time, heads * size)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1)


@several
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int = 0,
    q_num_heads: int = 0,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int = 0,
    outputs: int = 1,
) -> tuple[Tensor | None, ...]:
    """Attend; groups of query heads may share the heads of keys and values."""
    flat = q.dim() == 3
    if flat:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    if past_key is not None and past_value is not None:
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
    shared = q.shape[1] // k.shape[1]
    keys = k if shared == 1 else k.repeat_interleave(shared, 1)
    values = v if shared == 1 else v.repeat_interleave(shared, 1)
    if not softcap and outputs <= 3:
        both = mask is not None and is_causal
        if both:
            mask = _with_causal(mask, q, keys)
        offset = bool(is_causal) and past_key is not None
        if offset and not both:
            mask = _with_causal(None, q, keys)
        causal = bool(is_causal) and not both and not offset
        y = F.scaled_dot_product_attention(q, keys, values, mask, 0.0, causal, scale=scale)
        return _flat(y) if flat else y, k, v
    scores = q @ keys.transpose(-1, -2) * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))
    shown = scores
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    if is_causal:
        mask = _with_causal(mask, q, keys)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    shown = scores if qk_matmul_output_mode in {1, 2} else shown
    weights = F.softmax(scores, -1)
    shown = weights if qk_matmul_output_mode == 3 else shown
    y = weights @ values
    return _flat(y) if flat else y, k, v, shown


def _with_causal(mask: Tensor | None, q: Tensor, k: Tensor) -> Tensor:
    """Return a mask that also hides what comes later."""
    seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(k.shape[2] - q.shape[2])
    if mask is None:
        return seen
    return mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, -torch.inf)


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


@several
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
    outputs: int = 1,
) -> tuple[Tensor | None, ...]:
    """Project to queries, keys and values, and attend: ONNX Runtime's own operator."""
    projected = x @ w if b is None else x @ w + b
    q, k, v = projected.split(list(qkv_hidden_sizes) if qkv_hidden_sizes else [w.shape[1] // 3] * 3, -1)
    return _attend(q, k, v, _added(mask, x, mask_filter_value), past, bias, num_heads, scale, unidirectional)


@several
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
    outputs: int = 1,
) -> tuple[Tensor | None, ...]:
    """Attend to projected queries, keys and values: ONNX Runtime's own operator."""
    if k is None or v is None:  # packed as (batch, time, heads, 3, size)
        q, k, v = (part.flatten(2) for part in q.unbind(3))
    if b is not None:
        parts = b.split([q.shape[-1], k.shape[-1], v.shape[-1]])
        q, k, v = q + parts[0], k + parts[1], v + parts[2]
    return _attend(q, k, v, _added(padding, k, mask_filter_value), None, bias, num_heads, scale, unidirectional)


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
) -> tuple[Tensor | None, ...]:
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    if past is not None:
        k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
    for more in (bias,):
        mask = more if mask is None else mask if more is None else mask + more
    if causal:
        seen = _with_causal(None, q, k)
        mask = torch.zeros_like(seen, dtype=q.dtype).masked_fill(~seen, -torch.inf) + (0 if mask is None else mask)
    y = F.scaled_dot_product_attention(q, k, v, mask, scale=scale or None)
    return _flat(y), torch.stack([k, v])


def _added(mask: Tensor | None, x: Tensor, value: float) -> Tensor | None:
    """Turn a mask of ones and zeros, or of lengths, into what is added to the scores."""
    if mask is None:
        return None
    if mask.dim() == 1:
        mask = torch.arange(x.shape[1], device=x.device) < mask.unsqueeze(1)
    shape = [mask.shape[0], 1, 1, -1] if mask.dim() == 2 else [mask.shape[0], 1, *mask.shape[-2:]]
    return (1.0 - mask.to(x.dtype).reshape(shape)) * value


TABLE: dict[str, Any] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
    "com.microsoft.Attention": fused_attention,
    "com.microsoft.MultiHeadAttention": multi_head_attention,
}
