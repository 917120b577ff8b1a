"""Attention, as ONNX and ONNX Runtime have it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.export.calling import several

Array = jax.Array


def _heads(x: Array, count: int) -> Array:
    """(batch, time, heads * size) -> (batch, heads, time, size)."""
    return x.reshape(x.shape[0], x.shape[1], count, -1).swapaxes(1, 2)


def _flat(x: Array) -> Array:
    """(batch, heads, time, size) -> (batch, time, heads * size)."""
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


def _seen(q: Array, k: Array) -> Array:
    """Return which keys come no later than each query."""
    return jnp.tril(jnp.ones((q.shape[2], k.shape[2]), bool), k.shape[2] - q.shape[2])


@several
def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int = 0,
    q_num_heads: int = 0,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int = 0,
) -> tuple[Array, ...]:
    """Attend; groups of query heads may share the heads of keys and values."""
    flat = q.ndim == 3
    if flat:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    if past_key is not None and past_value is not None:
        k, v = jnp.concatenate([past_key, k], 2), jnp.concatenate([past_value, v], 2)
    shared = q.shape[1] // k.shape[1]
    keys, values = jnp.repeat(k, shared, 1), jnp.repeat(v, shared, 1)
    scores = q @ keys.swapaxes(-1, -2) * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))
    stages = [scores]
    if softcap:
        scores = softcap * jnp.tanh(scores / softcap)
    if is_causal:
        scores = jnp.where(_seen(q, keys), scores, -jnp.inf)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf) if mask.dtype == bool else scores + mask
    weights = jax.nn.softmax(scores, -1)
    stages += [scores, scores, weights]
    y = weights @ values
    return _flat(y) if flat else y, k, v, stages[qk_matmul_output_mode]


def rotary_embedding(
    x: Array,
    cos: Array,
    sin: Array,
    positions: Array | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Array:
    """Turn pairs of channels by an angle that grows with the position."""
    flat = x.ndim == 3
    y = _heads(x, num_heads) if flat else x
    size = rotary_embedding_dim or y.shape[-1]
    turned, rest = y[..., :size], y[..., size:]
    if positions is not None:
        cos, sin = cos[positions], sin[positions]
    cos, sin = (table[..., : size // 2][:, None] for table in (cos, sin))
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
        turned = jnp.stack([cos * a - sin * b, sin * a + cos * b], -1).reshape(turned.shape)
    else:
        a, b = jnp.split(turned, 2, -1)
        turned = jnp.concatenate([cos * a - sin * b, sin * a + cos * b], -1)
    y = jnp.concatenate([turned, rest], -1)
    return _flat(y) if flat else y


@several
def fused_attention(
    x: Array,
    w: Array,
    b: Array | None = None,
    mask: Array | None = None,
    past: Array | None = None,
    bias: Array | None = None,
    *,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    qkv_hidden_sizes: Sequence[int] | None = None,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Array, ...]:
    """Project to queries, keys and values, and attend: ONNX Runtime's own operator."""
    projected = x @ w if b is None else x @ w + b
    sizes = list(qkv_hidden_sizes) if qkv_hidden_sizes else [w.shape[1] // 3] * 3
    q, k, v = jnp.split(projected, [sizes[0], sizes[0] + sizes[1]], -1)
    added = _added(mask, x, mask_filter_value)
    return _attend(q, k, v, [added, bias], past, num_heads, scale, unidirectional)


@several
def multi_head_attention(
    q: Array,
    k: Array | None = None,
    v: Array | None = None,
    b: Array | None = None,
    padding: Array | None = None,
    bias: Array | None = None,
    *,
    mask_filter_value: float = -10000.0,
    num_heads: int,
    scale: float | None = None,
    unidirectional: int = 0,
) -> tuple[Array, ...]:
    """Attend to projected queries, keys and values: ONNX Runtime's own operator."""
    if k is None or v is None:  # packed as (batch, time, heads, 3, size)
        q, k, v = (q[:, :, :, n].reshape(*q.shape[:2], -1) for n in range(3))
    if b is not None:
        parts = jnp.split(b, [q.shape[-1], q.shape[-1] + k.shape[-1]])
        q, k, v = q + parts[0], k + parts[1], v + parts[2]
    added = _added(padding, k, mask_filter_value)
    return _attend(q, k, v, [added, bias], None, num_heads, scale, unidirectional)


def _attend(
    q: Array,
    k: Array,
    v: Array,
    masks: list[Array | None],
    past: Array | None,
    heads: int,
    scale: float | None,
    causal: int,
) -> tuple[Array, ...]:
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    if past is not None:
        k, v = jnp.concatenate([past[0], k], 2), jnp.concatenate([past[1], v], 2)
    scores = q @ k.swapaxes(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    for mask in masks:
        scores = scores if mask is None else scores + mask
    scores = jnp.where(_seen(q, k), scores, -jnp.inf) if causal else scores
    return _flat(jax.nn.softmax(scores, -1) @ v), jnp.stack([k, v])


def _added(mask: Array | None, x: Array, value: float) -> Array | None:
    """Turn a mask of ones and zeros, or of lengths, into what is added to the scores."""
    if mask is None:
        return None
    if mask.ndim == 1:
        mask = jnp.arange(x.shape[1]) < mask[:, None]
    shape = [mask.shape[0], 1, 1, -1] if mask.ndim == 2 else [mask.shape[0], 1, *mask.shape[-2:]]
    return (1.0 - mask.astype(x.dtype).reshape(shape)) * value


TABLE: dict[str, Any] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
    "com.microsoft.Attention": fused_attention,
    "com.microsoft.MultiHeadAttention": multi_head_attention,
}
