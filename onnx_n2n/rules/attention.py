"""Attention: heads are free, and so is the head dimension of the values; that of query and key is summed over.

The scale before the softmax follows the head dimension unless it is written out, so growth writes out the teacher's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from onnx_n2n.axes.algebra import EMPTY, Axis, is_unit, product, size, total
from onnx_n2n.axes.unify import Misaligned, split_product, split_sum
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.obligations import Summand
from onnx_n2n.rules.registry import rule

PLACES = "attention looks at all places of the sequence at once"


@dataclass(frozen=True)
class Heads:
    """An operand of attention: of rank 4, or of rank 3 with heads and head dimension in its last axis.

    Attributes:
        slot: The input slot.
        batch: The batch axis.
        places: The axis of the sequence.
        heads: The heads.
        inner: The head dimension.
        merged: Whether the last two are one axis.
    """

    slot: int
    batch: Axis
    places: Axis
    heads: Axis
    inner: Axis
    merged: bool

    def summand(self, along: tuple[Summand, ...] = ()) -> Summand:
        """Return the operand of the sum over the head dimension."""
        parts = ((self.heads, False), (self.inner, True)) if self.merged else ((self.inner, True),)
        return Summand(self.slot, 2 if self.merged else 3, parts, along=along)

    def arrange(self, heads: Axis, places: Axis, inner: Axis) -> list[Axis]:
        """Return a tensor laid out like this operand."""
        return [self.batch, places, product(heads, inner)] if self.merged else [self.batch, heads, places, inner]


def heads_of(context: Context, slot: int, count: int) -> Heads:
    """Tell heads and head dimension of an operand apart."""
    axes = context.axes(slot)
    if len(axes) == 4:
        batch, heads, places, inner = axes
        return Heads(slot, batch, places, heads, inner, merged=False)
    if len(axes) != 3:
        raise Refusal(f"operand {slot} has rank {len(axes)}")
    batch, places, whole = axes
    heads, inner = _split(whole, count)
    return Heads(slot, batch, places, heads, inner, merged=True)


def _split(axis: Axis, outer: int) -> tuple[Axis, Axis]:
    try:
        return split_product(axis, outer)
    except Misaligned:
        raise Refusal(f"an axis of length {size(axis)} does not split into {outer} heads") from None


def _attend(
    context: Context, query: Heads, key: Heads, value: Heads, cache: int, along: tuple[Summand, ...] = ()
) -> None:
    """Say what all attention does with its operands, except for the layout of the output.

    Args:
        context: The node.
        query: The query.
        key: The key. It alone cannot carry shares where it is joined to earlier ones, or given out.
        value: The value.
        cache: The slot of the earlier keys.
        along: What is added to the query.
    """
    for other in (key, value):
        context.tie(query.batch, other.batch)
    context.tie(key.places, value.places)
    context.tie(key.heads, value.heads)
    context.tie(query.inner, key.inner)
    for axis in (query.places, key.places):
        context.pin(axis, PLACES)
    length = size(query.inner)
    if length is None:
        raise Refusal("the head dimension is not known before run time")
    context.require_default("scale", 1 / math.sqrt(length), query.inner)
    alone = not along and not context.has(cache) and not context.given_out(1)
    context.contract([query.summand(along), *([key.summand()] if alone else [])], scale="scale")


def _grouped(context: Context, query: Heads, heads: Axis, count: int) -> None:
    """Tie the heads of the query to groups of the heads of key and value."""
    if count == size(query.heads):
        context.tie(query.heads, heads)
    else:
        context.tie(_split(query.heads, count)[0], heads)


def _masked(context: Context, slot: int, query: Heads) -> None:
    """A mask ``batch heads places places``, aligned at the right; it adds to scores, or forbids them."""
    if not context.has(slot):
        return
    axes = context.axes(slot)
    for axis in axes[-2:]:
        context.pin(axis, PLACES)
    for axis, whole in zip(axes[-3::-1], (query.heads, query.batch), strict=False):
        if not is_unit(axis):
            context.tie(axis, whole)


def _cached(context: Context, slot: int, heads: Axis, inner: Axis, batch: Axis) -> None:
    """Keys or values of earlier places, ``batch heads places inner``."""
    if context.has(slot):
        axes = context.axes(slot)
        if len(axes) != 4:
            raise Refusal(f"the cache has rank {len(axes)}")
        for axis, other in zip(axes, (batch, heads, None, inner), strict=True):
            if other is None:
                context.pin(axis, PLACES)
            else:
                context.tie(axis, other)


def _counted(context: Context, slots: Iterable[int], batch: Axis) -> None:
    """Lengths, masks and positions by place: they do not grow, and so neither does the batch."""
    for slot in slots:
        if context.has(slot):
            for axis in (batch, *context.axes(slot)):
                context.pin(axis, PLACES)


def _inferred(context: Context, slot: int, position: int) -> Axis:
    known = context.inferred(slot)
    length = known[position] if known is not None and position < len(known) else None
    return context.pinned_axis(length, PLACES)


@rule("Attention", since=23)
def attention(context: Context) -> None:
    """``n (h d) q, n (g d) k, n (g v) k -> n (h v) q``, where each of the g heads of key serves h/g of the query."""
    query = heads_of(context, 0, int(context.attribute("q_num_heads", 0)))
    key, value = (heads_of(context, slot, int(context.attribute("kv_num_heads", 0))) for slot in (1, 2))
    _attend(context, query, key, value, cache=4)
    shared = size(key.heads)
    if shared is None:
        raise Refusal("the number of heads is not known before run time")
    _grouped(context, query, key.heads, shared)
    _masked(context, 3, query)
    _cached(context, 4, key.heads, key.inner, query.batch)
    _cached(context, 5, value.heads, value.inner, query.batch)
    _counted(context, [6], query.batch)
    if query.merged:
        context.require_length("q_num_heads", None, query.heads)
        context.require_length("kv_num_heads", None, key.heads)
    context.result(query.arrange(query.heads, query.places, value.inner))
    for slot, inner in ((1, key.inner), (2, value.inner)):
        if slot < len(context.node.outputs):
            context.result([query.batch, key.heads, _inferred(context, slot, 2), inner], slot)
    if len(context.node.outputs) > 3:
        if context.attribute("qk_matmul_output_mode", 0):
            context.pin(query.heads, "it also gives its scores")
        context.result([query.batch, query.heads, query.places, _inferred(context, 3, 3)], 3)


@rule("MultiHeadAttention", domain="com.microsoft")
def multi_head_attention(context: Context) -> None:
    """``n q (h d), n k (h d), n k (h v), [h d | h d | h v]? -> n q (h v)``."""
    if not context.has(1) or not context.has(2) or len(context.axes(0)) != 3:
        raise Refusal("query, key and value are packed into one tensor")
    count = context.required("num_heads", int)
    query, key, value = (heads_of(context, slot, count) for slot in range(3))
    along: tuple[Summand, ...] = ()
    if context.has(3):
        along = (_packed(context, 3, 0, query, key, value),)
    _attend(context, query, key, value, 6, along)
    context.tie(query.heads, key.heads)
    if context.has(6) or not key.merged:
        context.tie(key.inner, value.inner, "it wants keys and values of one shape")
    _counted(context, [4], query.batch)
    _masked(context, 5, query)
    _cached(context, 6, key.heads, key.inner, query.batch)
    _cached(context, 7, value.heads, value.inner, query.batch)
    if any(context.has(slot) for slot in (8, 9)):
        raise Refusal("it shares a buffer with its cache")
    context.require_length("num_heads", None, query.heads)
    context.result([query.batch, query.places, product(query.heads, value.inner)])
    for slot, inner in ((1, key.inner), (2, value.inner)):
        if slot < len(context.node.outputs):
            context.result([query.batch, key.heads, _inferred(context, slot, 2), inner], slot)


def _packed(context: Context, slot: int, position: int, query: Heads, key: Heads, value: Heads) -> Summand:
    """Tie the axis ``[query | key | value]`` of a weight or bias, and return the stretch of the query."""
    wholes = [product(part.heads, part.inner) for part in (query, key, value)]
    context.tie(context.axes(slot)[context.position(slot, position)], total(*wholes))
    return Summand(slot, position, ((query.heads, False), (query.inner, True)), EMPTY, total(*wholes[1:]))


@rule("Attention", domain="com.microsoft")
def packed_attention(context: Context) -> None:
    """``n s i, i [h d | h d | h v], [h d | h d | h v]? -> n s (h v)``; one weight makes query, key and value."""
    if context.attribute("do_rotary", 0) or context.attribute("past_present_share_buffer", 0) or context.has(6):
        raise Refusal("it turns its channels by place, or shares a buffer with its cache")
    count = context.required("num_heads", int)
    batch, places, given = context.axes(0, 3)
    read, made = context.axes(1, 2)
    context.tie(given, read)
    length = size(made)
    if length is None:
        raise Refusal("the shape of its weight is not known")
    lengths = [int(n) for n in context.attribute("qkv_hidden_sizes", (length // 3,) * 3)]
    parts, rest = [], made
    try:
        for position, each in enumerate(lengths):
            whole, rest = split_sum(rest, each)
            parts.append(Heads(position, batch, places, *_split(whole, count), merged=True))
    except Misaligned:
        raise Refusal("its weight does not split into query, key and value") from None
    query, key, value = parts
    context.tie(query.heads, key.heads)
    context.tie(query.inner, key.inner)
    context.tie(key.heads, value.heads)
    context.pin(places, PLACES)
    context.contract([Summand(0, 2, ((given, True),)), Summand(1, 0, ((read, True),))])
    along = (_packed(context, 2, 0, query, key, value),) if context.has(2) else ()
    weight = _packed(context, 1, 1, query, key, value)
    context.require_default("scale", 1 / math.sqrt(size(query.inner) or 1), query.inner)
    context.contract([Summand(1, 1, weight.parts, weight.before, weight.after, along)], scale="scale")
    _counted(context, [3], batch)
    if context.has(4):
        pair, past_batch, heads, past, inner = context.axes(4, 5)
        for axis in (pair, past):
            context.pin(axis, PLACES)
        for one, other in ((past_batch, batch), (heads, query.heads), (inner, query.inner), (inner, value.inner)):
            context.tie(one, other)
    _masked(context, 5, query)
    context.require_length("num_heads", None, query.heads)
    for position, part in enumerate(parts):
        context.require_length("qkv_hidden_sizes", position, product(part.heads, part.inner))
    context.result([batch, places, product(query.heads, value.inner)])
    if len(context.node.outputs) > 1:
        context.tie(query.inner, value.inner)
        pair = context.pinned_axis(2, PLACES)
        context.result([pair, batch, query.heads, _inferred(context, 1, 3), query.inner], 1)


@rule("GroupQueryAttention", domain="com.microsoft")
def group_query_attention(context: Context) -> None:
    """``n s (h d), n s (g d), n s (g d), ... -> n s (h d), n g k d, n g k d``; ``d`` stays as the kernels want it."""
    if not context.has(1) or not context.has(2):
        raise Refusal("query, key and value are packed into one tensor")
    if any(context.has(slot) for slot in range(11, len(context.node.inputs))):
        raise Refusal("it takes sinks, scales or norms of heads")
    query = heads_of(context, 0, context.required("num_heads", int))
    key, value = (heads_of(context, slot, context.required("kv_num_heads", int)) for slot in (1, 2))
    _attend(context, query, key, value, cache=3)
    context.tie(key.inner, value.inner)
    context.pin(query.inner, "its kernels take only some head dimensions")
    _grouped(context, query, key.heads, context.required("kv_num_heads", int))
    for slot in (3, 4):
        _cached(context, slot, key.heads, key.inner, query.batch)
    _counted(context, range(5, 10), query.batch)
    _masked(context, 10, query)
    context.require_length("num_heads", None, query.heads)
    context.require_length("kv_num_heads", None, key.heads)
    context.result([query.batch, query.places, product(query.heads, value.inner)])
    for slot in range(1, min(len(context.node.outputs), 3)):
        context.result([query.batch, key.heads, _inferred(context, slot, 2), key.inner], slot)


@rule("RotaryEmbedding", since=23)
def rotary_embedding(context: Context) -> None:
    """``n s (h d) -> n s (h d)`` with ``d`` a pair times what the tables have; the order may be swapped."""
    _rotate(context, cos=1, sin=2, positions=3)


@rule("RotaryEmbedding", domain="com.microsoft")
def rotary_embedding_microsoft(context: Context) -> None:
    """``n s (h d) -> n s (h d)`` with ``d`` a pair times what the tables have; the order may be swapped."""
    if context.attribute("is_packed_batching", 0):
        raise Refusal("it packs the sequences of a batch")
    _rotate(context, cos=2, sin=3, positions=1)


def _rotate(context: Context, cos: int, sin: int, positions: int) -> None:
    axes, table = context.axes(0), context.axes(cos)
    half = size(table[-1])
    if context.attribute("rotary_embedding_dim", 0):
        raise Refusal("it turns only some of the channels")
    if half is None or len(axes) not in {3, 4}:
        raise Refusal("the shape of its tables or of its operand is not known")
    places = axes[1] if len(axes) == 3 else axes[2]
    whole = size(axes[-1])
    if whole is None or whole % (2 * half):
        raise Refusal("its tables do not fit the head dimension")
    heads, inner = _split(axes[-1], whole // (2 * half)) if len(axes) == 3 else (axes[1], axes[-1])
    pair, turned = _split(inner, 2) if not context.attribute("interleaved", 0) else _split(inner, half)[::-1]
    context.pin(pair, "channels are turned in pairs")
    for axis in (axes[0], places):
        context.pin(axis, PLACES)
    for slot in (cos, sin):
        context.tie(context.axes(slot)[-1], turned)
        for axis in context.axes(slot)[:-1]:
            context.pin(axis, PLACES)
    _counted(context, [positions], axes[0])
    if len(axes) == 3 and context.attribute("num_heads", 0):
        context.require_length("num_heads", None, heads)
    context.result(axes)
