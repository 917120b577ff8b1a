"""Steps over sequences: recurrent cells and attention, with constants in every slot."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.wild.sheet import DOMAIN, Sheet, Skip

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent(s: Sheet) -> None:
    """A cell whose every input may be a weight or computed; its results may all be read."""
    operator = s.one_of(list(GATES))
    gates, hidden = GATES[operator], s.length()
    direction = s.one_of(["forward", "reverse", "bidirectional"])
    ways = 2 if direction == "bidirectional" else 1
    value = s.pick(lambda v: v.rank == 3 and v.shape[2] is not None, weights=20)
    steps, batch, width = value.shape
    assert width
    names = [value.name, s.operand((ways, gates * hidden, width), 90), s.operand((ways, gates * hidden, hidden), 90)]
    names.append(s.operand((ways, 2 * gates * hidden), 90) if s.chance(60) else "")
    lengths = ""
    if batch is not None and steps is not None and s.chance(20):
        lengths = s.constant(s.rng.integers(1, steps + 1, batch).astype(np.int32))
    names.append(lengths)
    states = 2 if operator == "LSTM" else 1
    names += [_state(s, (ways, batch, hidden)) if s.chance(50) else "" for _ in range(states)]
    if operator == "LSTM":
        names.append(s.operand((ways, 3 * hidden), 90) if s.chance(30) else "")
    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    if operator == "GRU":
        attributes["linear_before_reset"] = int(s.chance())
    while not names[-1]:
        names.pop()
    results = s.several(3 if operator == "LSTM" else 2, operator, *names, **attributes)
    for name in results[1:]:  # the last states rarely are what later steps begin with
        if s.chance(70):
            s.values[name] = s.values.pop(name)
    whole = results[0]
    if s.chance(70):
        turned = s.add("Transpose", whole, perm=[0, 2, 1, 3])
        s.add("Reshape", turned, s.numbers(0, 0, s.one_of([-1, ways * hidden]), computed=15))
    elif ways == 1:
        s.add("Squeeze", whole, s.constant(np.array([1])))


def _state(s: Sheet, shape: tuple[int | None, ...]) -> str:
    """Return an initial state: a weight, computed, or expanded to the batch."""
    if None not in shape or s.chance():
        return s.operand(shape, 70)
    other = s.pick(lambda v: v.rank == 3)
    ways, _, hidden = shape
    assert ways
    assert hidden
    return s.add("Expand", s.weight(ways, 1, hidden), s.numbers(ways, (other, s.one_of([0, 1])), hidden))


def attention(s: Sheet) -> None:
    """Attention of ONNX: 3 or 4 axes, with a mask and a past, each computed or constant."""
    if s.opset < 23:
        raise Skip
    value = s.pick(lambda v: v.rank in {3, 4} and v.shape[-1] is not None, weights=10)
    if value.rank == 4:
        batch, heads, places, width = value.shape
        grouped = s.divisor(heads) if heads else 1
        keys = s.operand((batch, grouped, s.one_of([places, s.length()]), width), 60)
        _, _, total, _ = s.values[keys].shape
        values = s.operand((batch, grouped, total, s.one_of([width, s.length()])), 60)
        stated: dict[str, Any] = {}
    else:
        batch, places, width = value.shape
        assert width
        heads = s.divisor(width)
        keys = s.operand((batch, s.one_of([places, s.length()]), width), 60)
        _, total, _ = s.values[keys].shape
        values = s.operand((batch, total, s.one_of([width, heads])), 60)
        stated = {"q_num_heads": heads, "kv_num_heads": heads}
    names = [value.name, keys, values]
    if s.chance(30) and total is not None:
        names.append(s.operand(s.narrowed((batch, heads, places, total)), 90))
    if s.chance(25):
        per = width // heads if value.rank == 3 and heads else width
        outer = grouped if value.rank == 4 else heads
        old = s.length()
        last = s.values[values].shape[-1]
        of_values = last // heads if value.rank == 3 and heads and last else last
        names += [""] * (4 - len(names)) if s.chance() or len(names) == 4 else []
        if len(names) == 4 and names[3]:
            names[3] = ""
        names += [s.operand((batch, outer, old, per), 70), s.operand((batch, outer, old, of_values), 70)]
    if s.chance(20):
        stated["is_causal"] = 1
    if s.chance(20):
        stated["softcap"] = 2.0
    if s.chance(20):
        stated["scale"] = 0.4
    count = 3 if len(names) == 6 else 1
    results = s.several(count, "Attention", *names, **stated)
    if count == 3:
        s.values[results[0]] = s.values.pop(results[0])


def heads_of(s: Sheet) -> None:
    """MultiHeadAttention of ONNX Runtime, with constants for keys, values, bias, mask and past."""
    value = s.pick(lambda v: v.rank == 3 and v.shape[2] is not None)
    batch, places, width = value.shape
    assert width
    heads = s.divisor(width)
    if s.chance(30):
        names = [value.name, s.operand((width, 3 * width), 95), s.operand((3 * width,), 95)]
        s.add("Attention", *names, num_heads=heads, domain=DOMAIN, unidirectional=int(s.chance(20)))
        return
    keys = s.operand((batch, s.one_of([places, s.length()]), width), 60)
    total = s.values[keys].shape[1]
    values = s.operand((batch, total, width), 60)
    names = [value.name, keys, values, s.operand((3 * width,), 95) if s.chance() else "", ""]
    if s.chance(30):
        names.append(s.operand((s.one_of([1, batch]), s.one_of([1, heads]), places, total), 95))
    if batch and places and total and s.chance(25):  # ONNX Runtime crashes where free lengths differ here
        names += [""] * (6 - len(names))
        names[5] = ""
        old = s.length()
        names += [s.operand((batch, heads, old, width // heads), 70) for _ in range(2)]
        s.several(3, "MultiHeadAttention", *names, num_heads=heads, domain=DOMAIN)
        return
    s.add("MultiHeadAttention", *names, num_heads=heads, domain=DOMAIN)


def rotary(s: Sheet) -> None:
    if s.opset < 23:
        raise Skip
    value = s.pick(lambda v: v.rank == 4 and v.shape[-1] is not None and v.shape[-1] % 2 == 0)
    batch, _, places, width = value.shape
    assert width
    shape = (batch, places, width // 2)
    s.add("RotaryEmbedding", value.name, s.operand(shape, 80), s.operand(shape, 80), interleaved=int(s.chance()))


def written_attention(s: Sheet) -> None:
    """Attention in single nodes; queries, keys or values may be weights."""
    value = s.pick(lambda v: v.rank == 3 and v.shape[2] is not None)
    width = value.shape[2]
    assert width
    inner, other, heads = s.length(), s.length(), s.one_of([1, 2, 3])
    parts = []
    for kind, per in (("q", inner), ("k", inner), ("v", other)):
        if s.chance(20):
            parts.append(s.weight(*s.one_of([(heads, 4, per), (1, heads, 4, per)])) if kind != "q" else
                         s.weight(heads, 3, per))  # fmt: skip
            continue
        wide = s.add("MatMul", value.name, s.weight(width, heads * per))
        order = [heads, per]
        apart = s.add("Reshape", wide, s.numbers(0, 0, s.one_of([-1, heads]), order[1], computed=15))
        parts.append(s.add("Transpose", apart, perm=[0, 2, 1, 3]))
    rank = s.values[parts[1]].rank
    keys = s.add("Transpose", parts[1], perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = s.add("MatMul", parts[0], keys)
    if s.chance():
        scale = s.add("Sqrt", s.add("Cast", s.measure(s.values[parts[0]], s.values[parts[0]].rank - 1), to=1))
        scores = s.add("Div", scores, scale if s.chance() else s.scalar(2))
    mixed = s.add("MatMul", s.add("Softmax", scores, axis=-1), parts[2])
    if s.values[mixed].rank == 4 and s.chance(70):
        back = s.add("Transpose", mixed, perm=[0, 2, 1, 3])
        s.add("Reshape", back, s.numbers(0, 0, s.one_of([-1, heads * other]), computed=15))


STEPS = {recurrent: 12, attention: 10, heads_of: 7, rotary: 2, written_attention: 5}
