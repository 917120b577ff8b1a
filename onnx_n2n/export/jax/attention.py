"""Attention, as ONNX and ONNX Runtime have it."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.errors import ExportError
from onnx_n2n.export.calling import several
from onnx_n2n.export.jax.dtypes import kind_of

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


@several(4)
def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    filled: Array | None = None,
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
) -> tuple[Array, ...]:
    """Attend; groups of query heads may share the heads of keys and values. ``filled`` is how many keys there are."""
    flat = q.ndim == 3
    if flat:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    before: Any = 0  # how many keys come before the first query
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        k, v = jnp.concatenate([past_key, k], 2), jnp.concatenate([past_value, v], 2)
    elif filled is not None:
        filled = filled.reshape(-1, 1, 1, 1)
        before = filled - q.shape[2]
    shared = q.shape[1] // k.shape[1]
    keys, values = jnp.repeat(k, shared, 1), jnp.repeat(v, shared, 1)
    scores = q @ keys.swapaxes(-1, -2) * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))
    scores = softcap * jnp.tanh(scores / softcap) if softcap else scores
    stages = [scores, scores]
    right = right_window_size if not is_causal else 0
    mask = _masked(mask, _near(q, keys, before, left_window_size, right, filled), q, keys)
    kind = kind_of(softmax_precision) if softmax_precision else q.dtype
    if mask is None:
        weights = jax.nn.softmax(scores.astype(kind), -1).astype(q.dtype)
    else:
        hidden = ~mask if mask.dtype == bool else mask == -jnp.inf
        scores = jnp.where(hidden, -jnp.inf, scores) if mask.dtype == bool else scores + mask
        nothing = hidden.all(-1, keepdims=True)  # a query that sees no key gets zeros
        weights = jax.nn.softmax(jnp.where(nothing, 0, scores).astype(kind), -1).astype(q.dtype)
        weights = jnp.where(nothing, 0, weights)
    y = weights @ values
    return _flat(y) if flat else y, k, v, [*stages, scores, weights][qk_matmul_output_mode]


def _near(q: Array, k: Array, before: Any, left: int, right: int, filled: Array | None) -> Array | None:
    """Return which keys are in the window of each query, and are there at all; None for all of them."""
    place = jnp.arange(k.shape[2])
    ahead = place - (jnp.arange(q.shape[2])[:, None] + before)
    near = [ahead >= -left] if left >= 0 else []
    near += [ahead <= right] if right >= 0 else []
    near += [] if filled is None else [place < filled]
    return functools.reduce(jnp.logical_and, near) if near else None


def _masked(mask: Array | None, near: Array | None, q: Array, k: Array) -> Array | None:
    """Return a mask that also hides what is not near, and keys that the mask is too short for."""
    if mask is None:
        return near
    whole = mask.dtype == bool
    rest = [(0, 0)] * (mask.ndim - 1) + [(0, k.shape[2] - mask.shape[-1])]
    mask = jnp.pad(mask if whole else mask.astype(q.dtype), rest, constant_values=False if whole else -jnp.inf)
    if near is None:
        return mask
    return mask & near if whole else jnp.where(near, mask, -jnp.inf)


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


@several(2)
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
    added = _added(mask, x, x.shape[1] + (0 if past is None else past.shape[3]), mask_filter_value)
    y, k, v = _attend(q, k, v, [added, bias], past, num_heads, scale, unidirectional)
    return y, jnp.stack([k, v])


@several(3)
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
    added = _added(padding, k, k.shape[1], mask_filter_value)
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
) -> tuple[Array, Array, Array]:
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    if past is not None:
        k, v = jnp.concatenate([past[0], k], 2), jnp.concatenate([past[1], v], 2)
    scores = q @ k.swapaxes(-1, -2) * (scale or 1 / math.sqrt(q.shape[-1]))
    for mask in masks:
        scores = scores if mask is None else scores + mask
    scores = jnp.where(_seen(q, k), scores, -jnp.inf) if causal else scores
    return _flat(jax.nn.softmax(scores, -1) @ v), k, v


def _added(mask: Array | None, x: Array, time: int, value: float) -> Array | None:
    """Turn a mask of ones and zeros, or of lengths, into what is added to the scores."""
    if mask is None:
        return None
    if mask.ndim == 1:
        if mask.shape[0] != x.shape[0]:
            raise ExportError("a mask of beginnings and ends of sequences has no counterpart in the framework yet")
        mask = jnp.arange(time) < mask[:, None]
    shape = [mask.shape[0], 1, 1, -1] if mask.ndim == 2 else [mask.shape[0], 1, *mask.shape[-2:]]
    return (1.0 - mask.astype(x.dtype).reshape(shape)) * value


TABLE: dict[str, Any] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
    "com.microsoft.Attention": fused_attention,
    "com.microsoft.MultiHeadAttention": multi_head_attention,
}
