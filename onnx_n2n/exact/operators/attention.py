"""Attention, and the rotation of queries and keys by their positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.indexing import rows_of
from onnx_n2n.exact.operators.softmax import masked_softmax
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import BOOL, Tensor
from onnx_n2n.exact.undecided import Undecided


def split(x: Numbers, heads: int) -> Numbers:
    """Return [n, s, (heads d)] as [n, heads, s, d]."""
    return x.reshape((*x.shape[:2], heads, -1)).transpose((0, 2, 1, 3))


def merged(x: Numbers) -> Numbers:
    """Return [n, heads, s, d] as [n, s, (heads d)]."""
    samples, heads, length, width = x.shape
    return x.transpose((0, 2, 1, 3)).reshape((samples, length, heads * width))


def shared(x: Numbers, heads: int) -> Numbers:
    """Return heads of keys or values, [n, g, t, d], each as often as queries share it: [n, heads, t, d]."""
    samples, groups, length, width = x.shape
    if groups == heads:
        return x
    repeated = x.reshape((samples, groups, 1, length, width))
    return repeated.broadcast_to((samples, groups, heads // groups, length, width)).reshape(
        (samples, heads, length, width)
    )


def usual_scale(site: Site, width: int) -> Numbers:
    """Return one over the root of a head's width."""
    found: Numbers = site.world.rsqrt(site.world.enter(np.asarray(width)), np.float64(width))
    return found


def capped(site: Site, x: Numbers, name: str = "softcap") -> Numbers:
    """Return numbers that a hyperbolic tangent keeps below a limit, where the attribute gives one."""
    if not site.attribute(name, 0.0):
        return x
    limit = site.setting(name)
    bent: Numbers = site.world.apply("Tanh", (), x * site.world.reciprocal(limit))
    return bent * limit


def barred(site: Site, allowed: np.ndarray | Numbers) -> Numbers:
    """Return 0 where a query may look at a key, and minus infinity elsewhere: from what is known, or decisions."""
    found: Numbers
    if isinstance(allowed, np.ndarray):
        found = site.world.enter(np.where(allowed, 0.0, -np.inf))
    else:
        found = allowed.choosing(site.world.enter(0), site.world.enter(np.asarray(-np.inf)))
    return found


def at_most(site: Site, x: np.ndarray, y: Numbers) -> Numbers:
    """Return decisions whether whole numbers are at most some others."""
    found: Numbers = site.world.apply("LessOrEqual", (), site.world.enter(x), y)
    return found


def gaps(queries: int, keys: int) -> np.ndarray:
    """Return how far each key's place is behind each query's, int64[queries, keys]."""
    return np.arange(keys) - np.arange(queries)[:, None]


@rule("Attention", since=23)
def attention(site: Site) -> list[Tensor]:
    """Mix values by how well their keys fit a query; also the keys and values with those of the past, and the fits."""
    site.ignore("softmax_precision")  # how it is rounded
    q, k, v = (site.numbers(slot) for slot in range(3))
    flat = q.ndim == 3
    heads, groups = site.attribute("q_num_heads"), site.attribute("kv_num_heads")
    if flat:
        q, k, v = split(q, heads), split(k, groups), split(v, groups)
    if (past := site.optional(4)) is not None:
        k = past.joined([k], 2)
    if (past := site.optional(5)) is not None:
        v = past.joined([v], 2)
    scale = usual_scale(site, q.shape[-1]) if site.attribute("scale") is None else site.setting("scale")
    fits = q @ shared(k, q.shape[1]).transpose((0, 1, 3, 2)) * scale
    soft = capped(site, fits)
    biased = soft
    for bias in _biases(site, q.shape[2], k.shape[2]):
        biased = biased + bias
    shares = masked_softmax(site, biased)
    y = shares @ shared(v, q.shape[1])
    mode = site.attribute("qk_matmul_output_mode", 0)
    return [
        site.result(merged(y) if flat else y),
        site.result(k, site.tensor(1).type),
        site.result(v, site.tensor(2).type),
        site.result((fits, soft, biased, shares)[mode]),
    ]


def _biases(site: Site, queries: int, keys: int) -> list[Numbers]:
    """Return what is added to how well keys fit queries, each [n, heads, queries, keys] or what broadcasts to it."""
    found = []
    if (mask := site.optional(3)) is not None:
        bias = barred(site, mask) if site.tensor(3).type == BOOL else mask
        if 1 < bias.shape[-1] < keys or (bias.shape[-1] == 1 < keys and site.version >= 24):
            rest = site.world.enter(np.full((*bias.shape[:-1], keys - bias.shape[-1]), -np.inf))
            if bias.shape[-1] == 1:
                raise Undecided("a mask of one place may be short, or stand for all places")
            bias = bias.joined([rest], -1)
        found.append(bias)
    causal = site.attribute("is_causal", 0)
    left, right = site.attribute("left_window_size", -1), site.attribute("right_window_size", -1)
    ahead = [0] * bool(causal) + [right] * (right >= 0)
    gap = gaps(queries, keys)
    lengths = site.optional(6)
    if lengths is None:
        gap = gap - (site.tensor(4).shape[2] if site.given(4) else 0)
        allowed = np.ones(gap.shape, bool)
        for most in ahead:
            allowed &= gap <= most
        if left >= 0:
            allowed &= gap >= -left
        return found if allowed.all() else [*found, barred(site, allowed)]
    lengths = lengths.reshape((-1, 1, 1, 1))
    decided = at_most(site, np.arange(keys) + 1, lengths)
    for most in ahead:
        decided = decided * at_most(site, gap + queries - most, lengths)
    if left >= 0:
        decided = decided * site.world.apply("LessOrEqual", (), lengths, site.world.enter(gap + queries + left))
    return [*found, barred(site, decided)]


@rule("RotaryEmbedding", since=23)
def rotary(site: Site) -> Tensor:
    """Rotate pairs of numbers in each head by angles of their positions."""
    x, cos, sin = (site.numbers(slot) for slot in range(3))
    places = site.optional(3)
    heads, width = site.attribute("num_heads", 0), site.attribute("rotary_embedding_dim", 0)
    if places is not None:
        cos, sin = (rows_of(site, each, places) for each in (cos, sin))
    apart = split(x, heads) if x.ndim == 3 else x
    width = width or apart.shape[-1]
    turned = rotated(apart, cos, sin, width, pairs=bool(site.attribute("interleaved", 0)))
    return site.result(merged(turned) if x.ndim == 3 else turned)


def rotated(x: Numbers, cos: Numbers, sin: Numbers, width: int, *, pairs: bool) -> Numbers:
    """Return heads whose first numbers are rotated.

    Args:
        x: The heads, [n, heads, s, d].
        cos: Cosines of the angles, [n, s, width / 2], or 1 for n.
        sin: Their sines.
        width: So many numbers of each head are rotated.
        pairs: Whether a pair are two that stand side by side; else one of the first half and one of the second.
    """
    if cos.shape[-1] * 2 != width:
        raise Undecided(f"{width} numbers are rotated by {cos.shape[-1]} angles")
    cos, sin = (each.reshape((each.shape[0], 1, *each.shape[1:])) for each in (cos, sin))
    turning, rest = x[..., :width], x[..., width:]
    half = width // 2
    one, two = (turning[..., 0::2], turning[..., 1::2]) if pairs else (turning[..., :half], turning[..., half:])
    real, imaginary = one * cos - two * sin, one * sin + two * cos
    if not pairs:
        return real.joined([imaginary, rest], -1)
    both = real.reshape((*real.shape, 1)).joined([imaginary.reshape((*real.shape, 1))], -1)
    return both.reshape(turning.shape).joined([rest], -1)


def parted(x: Numbers, widths: Sequence[int]) -> list[Numbers]:
    """Return numbers in parts along the last axis."""
    ends = np.cumsum(widths)
    return [x[..., end - width : end] for end, width in zip(ends.tolist(), widths, strict=True)]
