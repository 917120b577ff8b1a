"""A table of embeddings that is the head too: looked up, added to, normalised, and read the other way round."""

from __future__ import annotations

import numpy as np

from helpers.wild.sheet import Sheet


def tied(s: Sheet) -> None:
    """Rows of a table, a stream of residuals, and a head that is the table: the same constant, or a copy of it."""
    value = s.pick(lambda v: v.rank == 3 and v.shape[2] is not None)
    width, n = value.shape[2], s.one_of([2, 3, 4, 6])
    assert width
    rows = s.rng.standard_normal((6, n)).astype(np.float32) / 2
    table = s.constant(rows)
    last = s.add("Sub", s.add("Squeeze", s.measure(value, 1)), s.constant(np.int64(1)))
    count = s.add("Min", last, s.constant(np.int64(6)))
    places = s.add("Range", s.constant(np.int64(0)), count, s.constant(np.int64(1)))
    looked = s.add("Gather", table, s.add("Concat", s.constant(np.array([5])), places, axis=0), axis=0)
    stream = s.add("Add", s.add("MatMul", value.name, s.weight(width, n)), looked)
    for _ in range(s.one_of([0, 1, 1, 2])):
        inner = s.length()
        read = normed(s, stream, n) if s.chance() else stream
        hidden = s.add(s.one_of(["Relu", "Tanh"]), s.add("MatMul", read, s.weight(n, inner)))
        stream = s.add("Add", stream, s.add("MatMul", hidden, s.weight(inner, n)))
    if s.chance(30):
        stream = s.add("Tanh", s.add("MatMul", stream, s.weight(n, n)))
    stream = normed(s, stream, n) if s.chance(70) else stream
    kind = s.one_of(["turned", "turned", "copied", "copied", "letters"])
    if kind == "letters":
        made = s.add("Einsum", stream, table if s.chance() else s.constant(rows.copy()), equation="btd,vd->btv")
    else:
        head = s.add("Transpose", table, perm=[1, 0]) if kind == "turned" else s.constant(rows.T.copy())
        made = s.add("MatMul", stream, head)
    if s.chance():
        s.add("Add", made, s.weight(6))


def normed(s: Sheet, name: str, n: int) -> str:
    """Return what a norm makes of channels: one operator, or a gain and a bias behind a norm that is written out."""
    kind = s.one_of(["layer", "layer", "root", "written"])
    if kind == "root" and s.opset >= 23:
        return s.add("RMSNormalization", name, s.weight(n), axis=-1, epsilon=0.1)
    if kind == "layer" and s.opset >= 17:
        bias = [s.weight(n)] if s.chance() else []
        return s.add("LayerNormalization", name, s.weight(n), *bias, axis=-1, epsilon=0.1)
    mean = [s.constant(np.array([-1]))] if s.opset >= 18 else []
    axes = {} if s.opset >= 18 else {"axes": [-1]}
    square = s.add("ReduceMean", s.add("Mul", name, name), *mean, keepdims=1, **axes)
    scaled = s.add("Div", name, s.add("Sqrt", s.add("Add", square, s.scalar(0.1))))
    gained = s.add("Mul", scaled, s.weight(n))
    return s.add("Add", gained, s.weight(n)) if s.chance() else gained


STEPS = {tied: 8}
