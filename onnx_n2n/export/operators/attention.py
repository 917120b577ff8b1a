"""Attention, as ONNX and ONNX Runtime have it.

Shapes: queries, keys and values are (batch, heads, time, size); flat, (batch, time, heads * size).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnx_n2n.errors import ExportError
from onnx_n2n.export.calling import several
from onnx_n2n.export.operators.arrays import Array, namespace

DOUBLE = ir.DataType.DOUBLE.value


def _heads(x: Array, count: int) -> Array:
    """(batch, time, heads * size) -> (batch, heads, time, size)."""
    return namespace(x).swapaxes(x.reshape(x.shape[0], x.shape[1], count, -1), 1, 2)


def _flat(x: Array) -> Array:
    """(batch, heads, time, size) -> (batch, time, heads * size)."""
    return namespace(x).swapaxes(x, 1, 2).reshape(x.shape[0], x.shape[2], -1)


def _scores(q: Array, k: Array, scale: float | None) -> Array:
    return q @ namespace(k).swapaxes(k, -1, -2) * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))


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
    outputs: int = 1,
) -> tuple[Array | None, ...]:
    """Attend; several query heads may share a head of keys and values. ``filled`` counts the keys of each sequence."""
    xp = namespace(q)
    flat = q.ndim == 3
    if flat:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    before: Any = 0  # how many keys come before the first query
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        k, v = xp.concat([past_key, k], 2), xp.concat([past_value, v], 2)
    elif filled is not None:
        filled = filled.reshape(-1, 1, 1, 1)
        before = filled - q.shape[2]
    shared = q.shape[1] // k.shape[1]
    keys, values = (x if shared == 1 else xp.repeat(x, shared, 1) for x in (k, v))
    right = right_window_size if not is_causal else 0
    plain = mask is None and filled is None and past_key is None and left_window_size < 0
    quick = xp.fused_attention is not None and not softcap and outputs <= 3 and softmax_precision != DOUBLE
    if quick and plain and (is_causal or right < 0):
        y = xp.fused_attention(q, keys, values, is_causal=bool(is_causal), scale=scale)
        return _flat(y) if flat else y, k, v
    mask = _masked(mask, _near(q, keys, before, left_window_size, right, filled), q, keys)
    if quick:
        y = xp.fused_attention(q, keys, values, mask, scale=scale)
        return _flat(y) if flat else y, k, v
    scores = _scores(q, keys, scale)
    scores = softcap * xp.tanh(scores / softcap) if softcap else scores
    stages = [scores, scores]
    kind = xp.kind_of(softmax_precision) if softmax_precision else q.dtype
    if mask is None:
        weights = xp.astype(xp.softmax(xp.astype(scores, kind), -1), q.dtype)
    else:
        hidden = ~mask if xp.is_bool(mask) else mask == -math.inf
        scores = xp.where(hidden, -math.inf, scores) if xp.is_bool(mask) else scores + mask
        nothing = hidden.all(-1)[..., None]  # a query that sees no key gets zeros
        weights = xp.astype(xp.softmax(xp.astype(xp.where(nothing, 0, scores), kind), -1), q.dtype)
        weights = xp.where(nothing, 0, weights)
    y = weights @ values
    return _flat(y) if flat else y, k, v, [*stages, scores, weights][qk_matmul_output_mode]


def _near(q: Array, k: Array, before: Any, left: int, right: int, filled: Array | None) -> Array | None:
    """Return which keys each query may see: those in its window that are filled; None if it may see all."""
    xp = namespace(q)
    place = xp.arange(k.shape[2], q)
    ahead = place - (xp.arange(q.shape[2], q)[:, None] + before)
    near = [ahead >= -left] if left >= 0 else []
    near += [ahead <= right] if right >= 0 else []
    near += [] if filled is None else [place < filled]
    return functools.reduce(xp.logical_and, near) if near else None


def _masked(mask: Array | None, near: Array | None, q: Array, k: Array) -> Array | None:
    """Return a mask that also hides keys outside the window, and keys beyond the end of a mask that is too short."""
    if mask is None:
        return near
    xp = namespace(q)
    mask = mask if mask.ndim > 1 else mask[None]
    whole = xp.is_bool(mask)
    rest = [(0, 0)] * (mask.ndim - 1) + [(0, k.shape[2] - mask.shape[-1])]
    mask = xp.pad(mask if whole else xp.astype(mask, q.dtype), rest, value=False if whole else -math.inf)
    if near is None:
        return mask
    return mask & near if whole else xp.where(near, mask, -math.inf)


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
    xp = namespace(x)
    flat = x.ndim == 3
    y = _heads(x, num_heads) if flat else x
    size = rotary_embedding_dim or y.shape[-1]
    turned, rest = y[..., :size], y[..., size:]
    if positions is not None:
        cos, sin = xp.take(cos, positions, 0), xp.take(sin, positions, 0)
    cos, sin = (table[..., : size // 2][:, None] for table in (cos, sin))
    a, b = (turned[..., 0::2], turned[..., 1::2]) if interleaved else xp.split(turned, [size // 2] * 2, -1)
    pair = [cos * a - sin * b, sin * a + cos * b]
    turned = xp.stack(pair, -1).reshape(turned.shape) if interleaved else xp.concat(pair, -1)
    y = xp.concat([turned, rest], -1) if size < y.shape[-1] else turned
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
    xp = namespace(x)
    projected = x @ w if b is None else x @ w + b
    q, k, v = xp.split(projected, list(qkv_hidden_sizes or [w.shape[1] // 3] * 3), -1)
    added = _added(mask, x, x.shape[1] + (0 if past is None else past.shape[3]), mask_filter_value)
    y, k, v = _attend(q, k, v, added, past, bias, num_heads, scale, unidirectional)
    return y, xp.stack([k, v], 0)


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
        parts = namespace(b).split(b, [q.shape[-1], k.shape[-1], v.shape[-1]], 0)
        q, k, v = q + parts[0], k + parts[1], v + parts[2]
    added = _added(padding, k, k.shape[1], mask_filter_value)
    return _attend(q, k, v, added, None, bias, num_heads, scale, unidirectional)


def _attend(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    past: Array | None,
    bias: Array | None,
    heads: int,
    scale: float | None,
    causal: int,
) -> tuple[Array, Array, Array]:
    xp = namespace(q)
    q, k, v = _heads(q, heads), _heads(k, heads), _heads(v, heads)
    if past is not None:
        k, v = xp.concat([past[0], k], 2), xp.concat([past[1], v], 2)
    mask = bias if mask is None else mask if bias is None else mask + bias
    if causal:
        later = xp.arange(k.shape[2], q) > xp.arange(q.shape[2], q)[:, None] + (k.shape[2] - q.shape[2])
        hidden = xp.astype(xp.where(later, -math.inf, 0.0), q.dtype)
        mask = hidden if mask is None else hidden + mask
    if xp.fused_attention is not None:
        y = xp.fused_attention(q, k, v, mask, scale=scale or None)
    else:
        scores = _scores(q, k, scale or None)
        y = xp.softmax(scores if mask is None else scores + mask, -1) @ v
    return _flat(y), k, v


def _added(mask: Array | None, x: Array, time: int, value: float) -> Array | None:
    """Turn a mask of ones and zeros, or of lengths, into what is added to the scores."""
    if mask is None:
        return None
    xp = namespace(x)
    if mask.ndim == 1:
        if mask.shape[0] != x.shape[0]:
            raise ExportError("a mask of beginnings and ends of sequences has no counterpart in the framework yet")
        mask = xp.arange(time, x) < mask[:, None]
    shape = [mask.shape[0], 1, 1, -1] if mask.ndim == 2 else [mask.shape[0], 1, *mask.shape[-2:]]
    return (1.0 - xp.astype(mask, x.dtype).reshape(shape)) * value


TABLE: dict[str, Any] = {
    "Attention": attention,
    "RotaryEmbedding": rotary_embedding,
    "com.microsoft.Attention": fused_attention,
    "com.microsoft.MultiHeadAttention": multi_head_attention,
}
