"""Attention: heads are free, and so is the head dimension of the values; that of query and key is summed over.

The scale before the softmax follows the head dimension unless it is written out, so growth writes out the teacher's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from onnx_n2n.axes.algebra import EMPTY, Axis, is_unit, product, size, total
from onnx_n2n.axes.unify import Misaligned, split_product, split_sum
from onnx_n2n.rules.context import Refusal, Site
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


def heads_of(site: Site, slot: int, count: int) -> Heads:
    """Tell heads and head dimension of an operand apart."""
    axes = site.axes(slot)
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


def _attend(site: Site, query: Heads, key: Heads, value: Heads, along: tuple[Summand, ...] = ()) -> None:
    """Say what all attention does with its operands, except for the layout of the output."""
    for other in (key, value):
        site.tie(query.batch, other.batch)
    site.tie(key.places, value.places)
    site.tie(key.heads, value.heads)
    site.tie(query.inner, key.inner)
    for axis in (query.places, key.places):
        site.pin(axis, PLACES)
    length = size(query.inner)
    if length is None:
        raise Refusal("the head dimension is not known before run time")
    site.scales("scale", 1 / math.sqrt(length), query.inner)
    site.contract([query.summand(along)] if along else [query.summand(), key.summand()], scale="scale")


def _grouped(site: Site, query: Heads, heads: Axis, count: int) -> None:
    """Tie the heads of the query to groups of the heads of key and value."""
    if count == size(query.heads):
        site.tie(query.heads, heads)
    else:
        site.tie(_split(query.heads, count)[0], heads)


def _masked(site: Site, slot: int, query: Heads) -> None:
    """A mask ``batch heads places places``, aligned at the right; it adds to scores, or forbids them."""
    if not site.has(slot):
        return
    axes = site.axes(slot)
    for axis in axes[-2:]:
        site.pin(axis, PLACES)
    for axis, whole in zip(axes[-3::-1], (query.heads, query.batch), strict=False):
        if not is_unit(axis):
            site.tie(axis, whole)


def _cached(site: Site, slot: int, heads: Axis, inner: Axis, batch: Axis) -> None:
    """Keys or values of earlier places, ``batch heads places inner``."""
    if site.has(slot):
        axes = site.axes(slot)
        if len(axes) != 4:
            raise Refusal(f"the cache has rank {len(axes)}")
        for axis, other in zip(axes, (batch, heads, None, inner), strict=True):
            if other is None:
                site.pin(axis, PLACES)
            else:
                site.tie(axis, other)


def _counted(site: Site, slots: Iterable[int], batch: Axis) -> None:
    """Lengths, masks and positions by place: they do not grow, and so neither does the batch."""
    for slot in slots:
        if site.has(slot):
            for axis in (batch, *site.axes(slot)):
                site.pin(axis, PLACES)


def _inferred(site: Site, slot: int, position: int) -> Axis:
    known = site.inferred(slot)
    length = known[position] if known is not None and position < len(known) else None
    return site.pinned(length, PLACES)


@rule("Attention", since=23)
def attention(site: Site) -> None:
    """``n (h d) q, n (g d) k, n (g v) k -> n (h v) q``, where each of the g heads of key serves h/g of the query."""
    query = heads_of(site, 0, int(site.attribute("q_num_heads", 0)))
    key, value = (heads_of(site, slot, int(site.attribute("kv_num_heads", 0))) for slot in (1, 2))
    _attend(site, query, key, value)
    shared = size(key.heads)
    if shared is None:
        raise Refusal("the number of heads is not known before run time")
    _grouped(site, query, key.heads, shared)
    _masked(site, 3, query)
    _cached(site, 4, key.heads, key.inner, query.batch)
    _cached(site, 5, value.heads, value.inner, query.batch)
    _counted(site, [6], query.batch)
    if query.merged:
        site.says("q_num_heads", None, query.heads)
        site.says("kv_num_heads", None, key.heads)
    site.result(query.arrange(query.heads, query.places, value.inner))
    for slot, inner in ((1, key.inner), (2, value.inner)):
        if slot < len(site.node.outputs):
            site.result([query.batch, key.heads, _inferred(site, slot, 2), inner], slot)
    if len(site.node.outputs) > 3:
        if site.attribute("qk_matmul_output_mode", 0):
            site.pin(query.heads, "it also gives its scores")
        site.result([query.batch, query.heads, query.places, _inferred(site, 3, 3)], 3)


@rule("MultiHeadAttention", domain="com.microsoft")
def multi_head_attention(site: Site) -> None:
    """``n q (h d), n k (h d), n k (h v), [h d | h d | h v]? -> n q (h v)``."""
    if not site.has(1) or not site.has(2) or len(site.axes(0)) != 3:
        raise Refusal("query, key and value are packed into one tensor")
    count = int(site.attribute("num_heads"))
    query, key, value = (heads_of(site, slot, count) for slot in range(3))
    along: tuple[Summand, ...] = ()
    if site.has(3):
        along = (_packed(site, 3, 0, query, key, value),)
    _attend(site, query, key, value, along)
    site.tie(query.heads, key.heads)
    if site.has(6) or not key.merged:
        site.tie(key.inner, value.inner, "it wants keys and values of one shape")
    _counted(site, [4], query.batch)
    _masked(site, 5, query)
    _cached(site, 6, key.heads, key.inner, query.batch)
    _cached(site, 7, value.heads, value.inner, query.batch)
    if any(site.has(slot) for slot in (8, 9)):
        raise Refusal("it shares a buffer with its cache")
    site.says("num_heads", None, query.heads)
    site.result([query.batch, query.places, product(query.heads, value.inner)])
    for slot, inner in ((1, key.inner), (2, value.inner)):
        if slot < len(site.node.outputs):
            site.result([query.batch, key.heads, _inferred(site, slot, 2), inner], slot)


def _packed(site: Site, slot: int, position: int, query: Heads, key: Heads, value: Heads) -> Summand:
    """Tie the axis ``[query | key | value]`` of a weight or bias, and return the stretch of the query."""
    wholes = [product(part.heads, part.inner) for part in (query, key, value)]
    site.tie(site.axes(slot)[position], total(*wholes))
    return Summand(slot, position, ((query.heads, False), (query.inner, True)), EMPTY, total(*wholes[1:]))


@rule("Attention", domain="com.microsoft")
def packed_attention(site: Site) -> None:
    """``n s i, i [h d | h d | h v], [h d | h d | h v]? -> n s (h v)``; one weight makes query, key and value."""
    if site.attribute("do_rotary", 0) or site.attribute("past_present_share_buffer", 0) or site.has(6):
        raise Refusal("it turns its channels by place, or shares a buffer with its cache")
    count = int(site.attribute("num_heads"))
    batch, places, given = site.axes(0)
    read, made = site.axes(1)
    site.tie(given, read)
    length = size(made)
    if length is None:
        raise Refusal("the shape of its weight is not known")
    lengths = [int(n) for n in site.attribute("qkv_hidden_sizes", (length // 3,) * 3)]
    parts, rest = [], made
    try:
        for position, each in enumerate(lengths):
            whole, rest = split_sum(rest, each)
            parts.append(Heads(position, batch, places, *_split(whole, count), merged=True))
    except Misaligned:
        raise Refusal("its weight does not split into query, key and value") from None
    query, key, value = parts
    site.tie(query.heads, key.heads)
    site.tie(query.inner, key.inner)
    site.tie(key.heads, value.heads)
    site.pin(places, PLACES)
    site.contract([Summand(0, 2, ((given, True),)), Summand(1, 0, ((read, True),))])
    along = (_packed(site, 2, 0, query, key, value),) if site.has(2) else ()
    weight = _packed(site, 1, 1, query, key, value)
    site.scales("scale", 1 / math.sqrt(size(query.inner) or 1), query.inner)
    site.contract([Summand(1, 1, weight.parts, weight.before, weight.after, along)], scale="scale")
    _counted(site, [3], batch)
    if site.has(4):
        pair, past_batch, heads, past, inner = site.axes(4)
        for axis in (pair, past):
            site.pin(axis, PLACES)
        for one, other in ((past_batch, batch), (heads, query.heads), (inner, query.inner), (inner, value.inner)):
            site.tie(one, other)
    _masked(site, 5, query)
    site.says("num_heads", None, query.heads)
    for position, part in enumerate(parts):
        site.says("qkv_hidden_sizes", position, product(part.heads, part.inner))
    site.result([batch, places, product(query.heads, value.inner)])
    if len(site.node.outputs) > 1:
        site.tie(query.inner, value.inner)
        pair = site.pinned(2, PLACES)
        site.result([pair, batch, query.heads, _inferred(site, 1, 3), query.inner], 1)


@rule("GroupQueryAttention", domain="com.microsoft")
def group_query_attention(site: Site) -> None:
    """``n s (h d), n s (g d), n s (g d), ... -> n s (h d), n g k d, n g k d``; ``d`` stays as the kernels want it."""
    if not site.has(1) or not site.has(2):
        raise Refusal("query, key and value are packed into one tensor")
    if any(site.has(slot) for slot in range(11, len(site.node.inputs))):
        raise Refusal("it takes sinks, scales or norms of heads")
    query = heads_of(site, 0, int(site.attribute("num_heads")))
    key, value = (heads_of(site, slot, int(site.attribute("kv_num_heads"))) for slot in (1, 2))
    _attend(site, query, key, value)
    site.tie(key.inner, value.inner)
    site.pin(query.inner, "its kernels take only some head dimensions")
    _grouped(site, query, key.heads, int(site.attribute("kv_num_heads")))
    for slot in (3, 4):
        _cached(site, slot, key.heads, key.inner, query.batch)
    _counted(site, range(5, 10), query.batch)
    _masked(site, 10, query)
    site.says("num_heads", None, query.heads)
    site.says("kv_num_heads", None, key.heads)
    site.result([query.batch, query.places, product(query.heads, value.inner)])
    for slot in range(1, min(len(site.node.outputs), 3)):
        site.result([query.batch, key.heads, _inferred(site, slot, 2), key.inner], slot)


@rule("RotaryEmbedding", since=23)
def rotary_embedding(site: Site) -> None:
    """``n s (h d) -> n s (h d)`` with ``d`` a pair times what the tables have; the order may be swapped."""
    _rotate(site, cos=1, sin=2, positions=3)


@rule("RotaryEmbedding", domain="com.microsoft")
def rotary_embedding_microsoft(site: Site) -> None:
    """``n s (h d) -> n s (h d)`` with ``d`` a pair times what the tables have; the order may be swapped."""
    if site.attribute("is_packed_batching", 0):
        raise Refusal("it packs the sequences of a batch")
    _rotate(site, cos=2, sin=3, positions=1)


def _rotate(site: Site, cos: int, sin: int, positions: int) -> None:
    axes, table = site.axes(0), site.axes(cos)
    half = size(table[-1])
    if site.attribute("rotary_embedding_dim", 0):
        raise Refusal("it turns only some of the channels")
    if half is None or len(axes) not in {3, 4}:
        raise Refusal("the shape of its tables or of its operand is not known")
    places = axes[1] if len(axes) == 3 else axes[2]
    whole = size(axes[-1])
    if whole is None or whole % (2 * half):
        raise Refusal("its tables do not fit the head dimension")
    heads, inner = _split(axes[-1], whole // (2 * half)) if len(axes) == 3 else (axes[1], axes[-1])
    pair, turned = _split(inner, 2) if not site.attribute("interleaved", 0) else _split(inner, half)[::-1]
    site.pin(pair, "channels are turned in pairs")
    for axis in (axes[0], places):
        site.pin(axis, PLACES)
    for slot in (cos, sin):
        site.tie(site.axes(slot)[-1], turned)
        for axis in site.axes(slot)[:-1]:
            site.pin(axis, PLACES)
    _counted(site, [positions], axes[0])
    if len(axes) == 3 and site.attribute("num_heads", 0):
        site.says("num_heads", None, heads)
    site.result(axes)
