"""Steps that cut an axis by lengths that are computed of its own, as exports with a free batch do."""

from __future__ import annotations

import numpy as np
from onnx import helper

from helpers.wild.sheet import Sheet, Skip, Value

END = 2**63 - 1


def _number(s: Sheet, number: int) -> str:
    return s.constant(np.array([number], np.int64))


def _cut(s: Sheet, value: Value, position: int, start: str, end: str) -> str:
    return s.add("Slice", value.name, start, end, _number(s, s.one_of([position, position - value.rank])))


def _part(s: Sheet, length: str, count: int) -> str:
    """Return the length of one of so many parts, the last of which may be shorter."""
    kind = s.one_of(["ceil", "ceil", "floor", "real"])
    if kind == "ceil":
        return s.add("Div", s.add("Add", length, _number(s, count - 1)), _number(s, count))
    if kind == "floor":
        return s.add("Div", length, _number(s, count))
    real = s.add("Cast", length, to=1)
    real = s.add("Div", real, s.scalar(count)) if s.chance() else s.add("Mul", real, s.scalar(1 / count))
    return s.add("Cast", s.add(s.one_of(["Floor", "Ceil"]), real), to=7)


def chunk(s: Sheet) -> None:
    """Equal parts, which meet, join again or go their ways; uneven ones where the length is no multiple."""
    value = s.pick(lambda v: v.rank > 1)
    position = int(s.rng.integers(value.rank))
    n = value.shape[position]
    if n is None:
        raise Skip
    if s.chance(70):  # most parts are of a layer made for that
        count = s.one_of([2, 2, 3, 4])
        value = s.values[s.layer(value, position, count * s.length() + s.one_of([0, 0, 0, 1]))]
    else:
        count = s.one_of([2, 3])
    length = s.measure(value, position)
    part = _part(s, length, count)
    kind = s.one_of(["chunk", "chunk", "halves", "rest", "split", "list"])
    if kind == "halves":
        pieces = [_cut(s, value, position, _number(s, 0), part), _cut(s, value, position, part, _number(s, END))]
    elif kind == "rest":
        rest = s.add("Sub", length, part)
        pieces = [_cut(s, value, position, part, s.add("Add", part, rest))]
        pieces.append(_cut(s, value, position, _number(s, 0), rest))
    elif kind == "split":
        sizes = [part] * (count - 1)
        gone = s.add("Mul", part, _number(s, count - 1))
        sizes.append(s.add("Sub", length, gone) if s.chance() else part)
        pieces = s.several(count, "Split", value.name, s.add("Concat", *sizes, axis=0), axis=position)
    elif kind == "list":
        each, listed = s.add("Squeeze", part), s.name("s")
        nodes = [helper.make_node("SplitToSequence", [value.name, each], [listed], axis=position, keepdims=1)]
        pieces = [s.name() for _ in range(count)]
        for index, name in enumerate(pieces):
            nodes.append(helper.make_node("SequenceAt", [listed, s.constant(np.int64(index))], [name]))
        s.emit(nodes, pieces)
    else:
        ends = [part, *(s.add("Mul", part, _number(s, k)) for k in range(2, count + 1))]
        starts = [_number(s, 0), *ends]
        pieces = [_cut(s, value, position, *pair) for pair in zip(starts, ends, strict=False)]
    _use(s, pieces, position)


def _use(s: Sheet, pieces: list[str], position: int) -> None:
    alike = len({s.values[name].shape for name in pieces}) == 1
    kind = s.one_of(["gate", "gate", "join", "cell", "apart"])
    if kind == "apart" or (kind != "join" and not alike):
        return
    if kind == "join":
        turned = s.add(s.one_of(["Neg", "Relu", "Tanh"]), pieces[-1])
        s.add("Concat", *s.rng.permutation([turned, *pieces[:-1]]).tolist(), axis=position)
    elif kind == "gate" or len(pieces) < 3:
        s.add(s.one_of(["Mul", "Add"]), pieces[0], s.add(s.one_of(["Sigmoid", "Tanh"]), pieces[1]))
    else:
        update = s.add("Sigmoid", pieces[0])
        state = s.add("Add", s.add("Mul", s.add("Sigmoid", pieces[1]), pieces[2]), s.weight())
        s.add("Add", state, s.add("Mul", update, s.add("Sub", pieces[2], state)))


STEPS = {chunk: 10}
