"""Attention as ONNX Runtime fuses it, in the domain com.microsoft."""

from __future__ import annotations

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.attention import (
    at_most,
    barred,
    capped,
    gaps,
    merged,
    parted,
    rotated,
    shared,
    split,
    usual_scale,
)
from onnx_n2n.exact.operators.indexing import rows_of
from onnx_n2n.exact.operators.softmax import softmax
from onnx_n2n.exact.registry import MICROSOFT, rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided

FILTER = -10000.0  # what is added where a key is masked, if the node does not say


def refuse(site: Site, **plain: float) -> None:
    """Refuse attributes that have another value than the one that is written here.

    Raises:
        Undecided: If one has.
    """
    for name, value in plain.items():
        if site.attribute(name, value) != value:
            raise Undecided(f"{name!r} is not {value:g}")


def scale_of(site: Site, width: int) -> Numbers:
    """Return what products are multiplied by: one over the root of a head's width, if it is not given or 0."""
    return site.setting("scale") if site.attribute("scale") else usual_scale(site, width)


def causal(site: Site, queries: int, keys: int) -> list[Numbers]:
    """Return a bias that keeps queries, which are the last places, from what is behind them; none if not asked for."""
    if not site.attribute("unidirectional", 0):
        return []
    return [barred(site, gaps(queries, keys) <= keys - queries)]


def masked(site: Site, slot: int, samples: int, keys: int) -> list[Numbers]:
    """Return a bias from a mask of places, or from where samples end, and start; none if not given."""
    site.setting("mask_filter_value", FILTER)
    if (mask := site.optional(slot)) is None:
        return []
    world = site.world
    if mask.shape == (samples,):
        allowed = at_most(site, np.arange(keys) + 1, mask.reshape((-1, 1, 1, 1)))
    elif mask.shape == (2 * samples,):
        ends, starts = mask[:samples].reshape((-1, 1, 1, 1)), mask[samples:].reshape((-1, 1, 1, 1))
        places = world.enter(np.arange(keys))
        allowed = at_most(site, np.arange(keys) + 1, ends) * world.apply("LessOrEqual", (), starts, places)
    elif mask.ndim in {2, 3} and mask.shape[-1] == keys:
        there = world.apply("Less", (), world.enter(np.asarray(0)), mask)
        allowed = there.reshape((there.shape[0], 1, *([1] if mask.ndim == 2 else []), *there.shape[1:]))
    else:
        raise Undecided(f"a mask of shape {mask.shape} is not known")
    return [(1 - allowed) * site.setting("mask_filter_value", FILTER)]


def mixed(site: Site, q: Numbers, k: Numbers, v: Numbers, biases: list[Numbers]) -> Numbers:
    """Return values, [n, heads, t, e], mixed by how well keys, [n, heads, t, d], fit queries, [n, heads, s, d]."""
    fits = q @ k.transpose((0, 1, 3, 2)) * scale_of(site, q.shape[-1])
    for bias in biases:
        fits = fits + bias
    return softmax(site, fits) @ v


@rule("Attention", domain=MICROSOFT)
def attention(site: Site) -> list[Tensor]:
    """Make queries, keys and values by one matrix, and mix the values; also keys and values with those of the past."""
    refuse(site, do_rotary=0, past_present_share_buffer=0, rotary_embedding_dim=0)
    made, bias, past = site.numbers(0) @ site.numbers(1), site.optional(2), site.optional(4)
    made = made if bias is None else made + bias
    widths = site.attribute("qkv_hidden_sizes") or [made.shape[-1] // 3] * 3
    q, k, v = (split(each, site.attribute("num_heads")) for each in parted(made, widths))
    if past is not None:
        k, v = past[0].joined([k], 2), past[1].joined([v], 2)
    samples, queries, keys = q.shape[0], q.shape[2], k.shape[2]
    biases = [*masked(site, 3, samples, keys), *causal(site, queries, keys)]
    extra = site.optional(5)
    y = merged(mixed(site, q, k, v, biases if extra is None else [*biases, extra]))
    if not site.wants(1):
        return [site.result(y)]
    both = k.reshape((1, *k.shape)).joined([v.reshape((1, *v.shape))], 0)
    return [site.result(y), site.result(both)]


@rule("MultiHeadAttention", domain=MICROSOFT)
def multi_head(site: Site) -> list[Tensor]:
    """Mix values by how well their keys fit a query; also keys and values with those of the past."""
    if site.wants(3):
        raise Undecided("the products of queries and keys are asked for")
    q, k, v = _projected(site, site.attribute("num_heads"))
    for slot in (6, 7):
        past = site.optional(slot)
        if past is not None and slot == 6:
            k = past.joined([k], 2)
        elif past is not None:
            v = past.joined([v], 2)
    biases = [*masked(site, 4, q.shape[0], k.shape[2]), *causal(site, q.shape[2], k.shape[2])]
    extra = site.optional(5)
    y = mixed(site, q, k, v, biases if extra is None else [*biases, extra])
    return [site.result(each) for each in (merged(y), k, v)]


def _projected(site: Site, heads: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return queries, keys and values, [n, heads, s, d] each: apart, or packed in the query or the key."""
    query, key, value, bias = (site.optional(slot) for slot in range(4))
    assert query is not None
    packed = [each for each in (query, key) if each is not None and each.ndim == 5]
    if packed:
        if bias is not None:
            raise Undecided("there is a bias for what is packed")
        apart = [packed[-1][:, :, :, place].transpose((0, 2, 1, 3)) for place in range(packed[-1].shape[3])]
        q, k, v = apart if len(apart) == 3 else (split(query, heads), *apart)
        return q, k, v
    if key is None or value is None:
        raise Undecided("keys or values are not given")
    if key.ndim == 4:
        if bias is not None:
            raise Undecided("there is a bias for keys of the past")
        return split(query, heads), key, value
    if bias is not None:
        widths = [each.shape[-1] for each in (query, key, value)]
        query, key, value = (
            each + part for each, part in zip((query, key, value), parted(bias, widths), strict=True)
        )  # fmt: skip
    return split(query, heads), split(key, heads), split(value, heads)


@rule("GroupQueryAttention", domain=MICROSOFT)
def group_query(site: Site) -> list[Tensor]:
    """Mix values by how well their keys fit a query, where samples have pasts of lengths that an input gives.

    Each sample's keys and values stand after its past: which row stands at which place is a decision.
    """
    refuse(site, causal=1, qk_output=0, sliding_window_cache=0, k_quant_type="NONE", v_quant_type="NONE")  # type: ignore[arg-type]
    site.ignore("kv_cache_bit_width", "qk_norm_epsilon")  # they say how a cache is quantised, and weights used
    heads, groups = site.attribute("num_heads"), site.attribute("kv_num_heads")
    q, k, v = _grouped(site, heads, groups)
    queries, total = q.shape[2], int(site.known(6).reshape(()))
    last = site.numbers(5).reshape((-1, 1))  # the last place of each sample
    pasts = [site.optional(slot) for slot in (3, 4)]
    longest = 0 if pasts[0] is None else pasts[0].shape[2]
    prompt = queries == total
    if total != queries + (0 if prompt else longest) or (prompt and longest):
        raise Undecided("a cache is longer than what is in it")
    before = last * 0 if prompt else last + (1 - queries)  # so many places are past
    if site.attribute("do_rotary", 0):
        places = (
            site.world.places(np.arange(queries)[None]) if prompt else before + site.world.enter(np.arange(queries))
        )
        cos, sin = (rows_of(site, site.numbers(slot), places) for slot in (7, 8))
        pairs = bool(site.attribute("rotary_interleaved", 0))
        q, k = (rotated(each, cos, sin, 2 * cos.shape[-1], pairs=pairs) for each in (q, k))
    else:
        site.ignore("rotary_interleaved")
    if not prompt:
        k, v = (
            _placed(site, each if past is None else past.joined([each], 2), before, longest)
            for each, past in zip((k, v), pasts, strict=True)
        )  # fmt: skip
    before, last = before.reshape((-1, 1, 1, 1)), last.reshape((-1, 1, 1, 1))
    gap, window = gaps(queries, total), site.attribute("local_window_size", -1)
    allowed = at_most(site, np.arange(total), last) * at_most(site, gap, before)
    if window >= 0:
        allowed = allowed * site.world.apply("Less", (), before, site.world.enter(gap + window))
    fits = capped(site, q @ shared(k, heads).transpose((0, 1, 3, 2)) * scale_of(site, q.shape[-1]))
    bias = site.optional(10)
    fits = (fits if bias is None else fits + bias) + barred(site, allowed)
    y = _smooth(site, fits) @ shared(v, heads)
    return [site.result(each) for each in (merged(y), k, v)]


def _grouped(site: Site, heads: int, groups: int) -> tuple[Numbers, Numbers, Numbers]:
    """Return queries, [n, heads, s, d], keys and values, [n, groups, s, d], which may be packed in one tensor."""
    query, key, value = (site.optional(slot) for slot in range(3))
    assert query is not None
    if key is None or value is None:
        width = query.shape[-1] // (heads + 2 * groups)
        query, key, value = parted(query, [heads * width, groups * width, groups * width])
    return split(query, heads), split(key, groups), split(value, groups)


def _placed(site: Site, rows: Numbers, before: Numbers, longest: int) -> Numbers:
    """Return rows of the past and new ones, [n, g, longest + new, d], so that new ones follow each sample's past."""
    count = rows.shape[2]
    places = site.world.enter(np.arange(count))
    past = site.world.apply("Less", (), places, before)
    which = past * places + (1 - past) * (places + longest - before)
    weights = site.world.weights(which, count, anywhere=True)  # [n, places, rows]
    found: Numbers = weights.reshape((-1, 1, count, count)) @ rows
    return found


def _smooth(site: Site, fits: Numbers) -> Numbers:
    """Return Softmax of how well keys fit, perhaps with one more fit for each head that has no value."""
    smooth, sink = site.attribute("smooth_softmax", -1), site.optional(11)
    if smooth not in {1} and sink is None:
        return softmax(site, fits)
    more = site.world.enter(np.zeros(1)) if sink is None else sink
    more = more.reshape((1, -1, 1, 1)).broadcast_to((*fits.shape[:3], 1))
    return softmax(site, fits.joined([more], -1))[..., :-1]


@rule("RotaryEmbedding", domain=MICROSOFT)
def rotary(site: Site) -> Tensor:
    """Rotate pairs of numbers in each head by angles of their positions, or of those that follow the first."""
    refuse(site, is_packed_batching=0, scale=1)
    x, places, cos, sin = (site.numbers(slot) for slot in range(4))
    width, heads = site.attribute("rotary_embedding_dim", 0), site.attribute("num_heads", 0)
    heads = heads if width else x.shape[-1] // (2 * cos.shape[-1])
    apart = split(x, heads) if x.ndim == 3 else x
    if places.ndim == 1:
        places = (places + site.world.enter(np.arange(apart.shape[2]))).reshape((1, -1))
    cos, sin = (rows_of(site, each, places) for each in (cos, sin))
    pairs = bool(site.attribute("interleaved", 0))
    turned = rotated(apart, cos, sin, width or apart.shape[-1], pairs=pairs)
    return site.result(merged(turned) if x.ndim == 3 else turned)
