"""Attention as networks have it: heads, several of which may share keys and values, rotary positions, masks, norms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.wild.sheet import DOMAIN, Sheet, Skip


@dataclass(frozen=True)
class Sizes:
    """How many heads of keys there are, of queries for each, and how long queries and keys, and values, are."""

    keys: int
    per: int
    width: int
    values: int

    @property
    def queries(self) -> int:
        return self.keys * self.per


def attended(s: Sheet) -> None:
    """Queries, keys and values of layers; scores and mixtures, written out or fused; and a layer behind."""
    x = _sequence(s)
    form = s.one_of(["written", "written", "written", "five", "five", "onnx", "onnx", "grouped", "multi"])
    if form == "grouped" and not s.values[x].fixed:
        form = "five"
    same = form in {"grouped", "multi"} or s.chance()
    width = s.one_of([8, 16]) if form == "grouped" else s.one_of([2, 4, 4, 6])
    per = 1 if form == "multi" else s.one_of([1, 2, 2, 3])
    sizes = Sizes(s.one_of([1, 2, 2, 3]), per, width, width if same else s.length())
    flat = _projected(s, x, sizes)
    if form == "grouped":
        mixed = _fused_grouped(s, x, flat, sizes)
    elif form == "multi":
        mixed = s.add("MultiHeadAttention", *flat, num_heads=sizes.keys, domain=DOMAIN)
    elif form == "onnx" and s.opset >= 23 and s.chance():
        mixed = _flat(s, flat, sizes)
    else:
        mixed = _by_heads(s, x, flat, sizes, form)
    out = s.add("MatMul", mixed, s.weight(sizes.queries * sizes.values, s.values[x].shape[2] or 1))
    if s.chance():
        s.add("Add", x, out)


def _sequence(s: Sheet) -> str:
    """Choose a tensor of places with channels: [batch, places, channels]."""
    value = s.pick(lambda v: v.rank in {2, 3, 4} and v.shape[-1] is not None)
    if value.rank == 2:
        return s.add("Unsqueeze", value.name, s.constant(np.array([s.one_of([0, 1])])))
    n = value.shape[-1]
    return s.add("Reshape", value.name, s.constant(np.array([0, -1, n]))) if value.rank == 4 else value.name


def _projected(s: Sheet, x: str, sizes: Sizes) -> list[str]:
    """Queries, keys and values, [batch, places, heads * size] each; of one layer, or of three."""
    n = s.values[x].shape[2] or 1
    widths = [sizes.queries * sizes.width, sizes.keys * sizes.width, sizes.keys * sizes.values]
    if s.chance(30):
        wide = s.add("MatMul", x, s.weight(n, sum(widths)))
        wide = s.add("Add", wide, s.weight(sum(widths))) if s.chance() else wide
        return s.several(3, "Split", wide, s.constant(np.array(widths)), axis=2)
    found = [s.add("MatMul", x, s.weight(n, width)) for width in widths]
    return [s.add("Add", each, s.weight(width)) if s.chance() else each
            for each, width in zip(found, widths, strict=True)]  # fmt: skip


def _apart(s: Sheet, flat: str, heads: int, size: int) -> str:
    """[batch, places, heads * size] -> [batch, heads, places, size]."""
    kind = s.one_of(["heads", "rest", "both"])
    lengths = {"heads": (heads, -1), "rest": (-1, size), "both": (heads, size)}[kind]
    split = s.add("Reshape", flat, s.numbers(0, 0, *lengths, computed=0))
    return s.add("Transpose", split, perm=[0, 2, 1, 3])


def _joined(s: Sheet, mixed: str, sizes: Sizes) -> str:
    """[batch, heads, places, size] -> [batch, places, heads * size]."""
    back = s.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return s.add("Reshape", back, s.numbers(0, 0, s.one_of([-1, sizes.queries * sizes.values]), computed=0))


def _by_heads(s: Sheet, x: str, flat: list[str], sizes: Sizes, form: str) -> str:
    heads = [(sizes.queries, sizes.width), (sizes.keys, sizes.width), (sizes.keys, sizes.values)]
    q, k, v = (_apart(s, each, *pair) for each, pair in zip(flat, heads, strict=True))
    if s.chance(25):
        q, k = (_normed(s, each, sizes.width) for each in (q, k))
    if s.chance():
        q, k = _turned(s, x, [q, k], sizes.width)
    if form == "onnx" and s.opset >= 23:
        scale = {"scale": 0.4} if s.chance() else {}
        return _joined(s, s.add("Attention", q, k, v, is_causal=int(s.chance(30)), **scale), sizes)
    if form == "five":
        return _five(s, q, k, v, sizes)
    if sizes.per > 1:
        k, v = (_repeated(s, each, sizes, size) for each, size in ((k, sizes.width), (v, sizes.values)))
    turned = s.add("Transpose", k, perm=[0, 1, 3, 2])
    scores = _masked(s, _scaled(s, s.add("MatMul", q, turned), q, sizes.width), sizes)
    shares = s.add("Softmax", scores, axis=-1)
    if s.chance(30):
        shares = s.add("Where", s.add("IsNaN", shares), s.scalar(0), shares)
    return _joined(s, s.add("MatMul", shares, v), sizes)


def _normed(s: Sheet, name: str, width: int) -> str:
    """Normalise each head, by a gain that all share."""
    gain = s.weight(width)
    if s.opset >= 23 and s.chance():
        return s.add("RMSNormalization", name, gain, epsilon=0.1)
    if s.opset < 17:
        raise Skip
    return s.add("LayerNormalization", name, gain, epsilon=0.1)


def _turned(s: Sheet, x: str, parts: list[str], width: int) -> list[str]:
    """Rotate halves of each head by angles of their positions, with one table for all."""
    places = s.add("Squeeze", s.measure(s.values[x], 1))
    positions = s.add("Range", s.constant(np.int64(0)), places, s.constant(np.int64(1)))
    column = s.add("Unsqueeze", s.add("Cast", positions, to=1), s.constant(np.array([1])))
    frequencies = s.constant((0.9 ** np.arange(width // 2)).astype(np.float32))
    angles = s.add("Mul", column, frequencies)
    if s.opset >= 23 and s.chance():
        lead = s.constant(np.array([0]))
        batched = s.add("Unsqueeze", angles, lead)
        sizes = s.add("Concat", s.measure(s.values[x], 0), s.constant(np.array([1, 1])), axis=0)
        batched = s.add("Expand", batched, sizes)
        tables = [s.add(operator, batched) for operator in ("Cos", "Sin")]
        return [s.add("RotaryEmbedding", each, *tables) for each in parts]
    angles = s.add("Concat", angles, angles, axis=-1)
    cos, sin = (s.add(operator, angles) for operator in ("Cos", "Sin"))
    return [s.add("Add", s.add("Mul", each, cos), s.add("Mul", _half_turned(s, each, width), sin)) for each in parts]


def _half_turned(s: Sheet, name: str, width: int) -> str:
    half, axis = width // 2, s.constant(np.array([3]))
    if s.chance():
        first, second = s.several(2, "Split", name, s.constant(np.array([half, half])), axis=3)
    else:
        zero, middle, end = (s.constant(np.array([n])) for n in (0, half, 2**62))
        first, second = s.add("Slice", name, zero, middle, axis), s.add("Slice", name, middle, end, axis)
    return s.add("Concat", s.add("Neg", second), first, axis=-1)


def _repeated(s: Sheet, name: str, sizes: Sizes, size: int) -> str:
    """Let each head stand for those that share it: [batch, keys, places, size] -> [batch, queries, places, size]."""
    batch, places = (s.measure(s.values[name], axis) for axis in (0, 2))
    last = s.constant(np.array([size]))
    apart = s.add("Concat", batch, s.constant(np.array([sizes.keys, sizes.per])), places, last, axis=0)
    wide = s.add("Expand", s.add("Unsqueeze", name, s.constant(np.array([2]))), apart)
    return s.add("Reshape", wide, s.add("Concat", batch, s.constant(np.array([sizes.queries])), places, last, axis=0))


def _five(s: Sheet, q: str, k: str, v: str, sizes: Sizes) -> str:
    """Heads of queries beside those of keys, in two axes."""
    places = s.add("Concat", s.measure(s.values[q], 0), s.constant(np.array([sizes.keys, sizes.per])),
                   s.measure(s.values[q], 2), s.constant(np.array([sizes.width])), axis=0)  # fmt: skip
    q = s.add("Reshape", q, places)
    two = s.constant(np.array([2]))
    turned = s.add("Unsqueeze", s.add("Transpose", k, perm=[0, 1, 3, 2]), two)
    scores = _scaled(s, s.add("MatMul", q, turned), q, sizes.width)
    mixed = s.add("MatMul", s.add("Softmax", scores, axis=-1), s.add("Unsqueeze", v, two))
    back = s.add("Transpose", mixed, perm=[0, 3, 1, 2, 4])
    return s.add("Reshape", back, s.constant(np.array([0, 0, sizes.queries * sizes.values])))


def _scaled(s: Sheet, scores: str, q: str, width: int) -> str:
    kind = s.one_of(["none", "stated", "measured"])
    if kind == "none":
        return scores
    if kind == "stated":
        return s.add("Mul", scores, s.scalar(width**-0.5))
    measured = s.add("Cast", s.measure(s.values[q], s.values[q].rank - 1), to=1)
    return s.add("Div", scores, s.add("Sqrt", measured))


def _masked(s: Sheet, scores: str, sizes: Sizes) -> str:
    """Hide later places, or add a slope or a table for each head."""
    kind = s.one_of(["none", "none", "causal", "slopes"])
    if kind == "slopes":
        return s.add("Add", scores, s.weight(sizes.queries, 1, 1))
    if kind == "causal":
        like = s.add("Expand", s.scalar(1), s.add("Shape", scores))
        later = s.add("Equal", s.add("Trilu", like, upper=0), s.scalar(0)) if s.opset >= 14 else None
        if later is None:
            raise Skip
        hidden = s.scalar(s.one_of([-50, -3.4e38]))
        if s.chance():
            return s.add("Add", scores, s.add("Where", later, hidden, s.scalar(0)))
        return s.add("Where", later, hidden, scores)
    return scores


def _flat(s: Sheet, flat: list[str], sizes: Sizes) -> str:
    """Attention of ONNX on three axes, with what counts the heads in attributes."""
    stated = {"q_num_heads": sizes.queries, "kv_num_heads": sizes.keys}
    if s.chance(30):
        stated["is_causal"] = 1
    return s.add("Attention", *flat, **stated)


def _fused_grouped(s: Sheet, x: str, flat: list[str], sizes: Sizes) -> str:
    """GroupQueryAttention of ONNX Runtime, with positions rotated within it or not at all."""
    batch, places, _ = s.values[x].shape
    assert batch
    assert places
    filled = s.constant(np.full(batch, places - 1, np.int32))
    total = s.constant(np.array(places, np.int32))
    stated = {"num_heads": sizes.queries, "kv_num_heads": sizes.keys}
    tables: list[str] = []
    if sizes.width % 16 == 0 and s.chance():
        stated["do_rotary"] = 1
        angles = np.outer(np.arange(places), 0.9 ** np.arange(sizes.width // 2)).astype(np.float32)
        tables = [s.constant(np.cos(angles)), s.constant(np.sin(angles))]
    names = [*flat, "", "", filled, total, *tables]
    results = s.several(3, "GroupQueryAttention", *names, domain=DOMAIN, **stated)
    for name in results[1:]:
        s.values.pop(name)
    return results[0]


STEPS = {attended: 10}
