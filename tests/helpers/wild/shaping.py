"""Steps that move, cut, pick and repeat, with stated and with computed numbers."""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from helpers.wild.sheet import Sheet, Skip, Value


def _axis(s: Sheet, value: Value) -> tuple[int, int]:
    """Choose an axis; return its position, and how a node states it."""
    position = int(s.rng.integers(value.rank))
    return position, s.one_of([position, position - value.rank])


def transpose(s: Sheet) -> None:
    value = s.pick(lambda v: v.rank > 1)
    s.add("Transpose", value.name, perm=[int(i) for i in s.rng.permutation(value.rank)])


def reshape(s: Sheet) -> None:
    """Merge neighbours, split one axis, do both, or make something else of the same number of elements."""
    value = s.pick()
    dims: list[int | tuple[Value, int]] = [(value, i) if n is None else n for i, n in enumerate(value.shape)]
    kind = s.one_of(["merge", "merge", "split", "both", "flatten", "other"])
    if kind == "flatten":
        s.add("Flatten", value.name, axis=int(s.rng.integers(-value.rank, value.rank + 1)))
        return
    if kind == "other":
        if not value.fixed:
            raise Skip
        total = math.prod(value.shape)  # type: ignore[arg-type]
        one = s.divisor(total)
        dims = [one, total // one]
    if kind in {"split", "both"}:
        at = int(s.rng.integers(len(dims)))
        length = dims[at]
        if not isinstance(length, int):
            raise Skip
        one = s.divisor(length)
        dims[at : at + 1] = [one, length // one]
    if kind in {"merge", "both"} and len(dims) > 1:
        at = int(s.rng.integers(len(dims) - 1))
        pair = dims[at : at + 2]
        merged = math.prod(pair) if all(isinstance(n, int) for n in pair) else -1  # type: ignore[arg-type]
        dims[at : at + 2] = [merged]
    loose = [i for i, n in enumerate(dims) if not isinstance(n, tuple)]
    if -1 not in dims and loose and s.chance():
        dims[s.one_of(loose)] = -1
    if -1 not in dims or s.chance():  # copy leading lengths
        for i, n in enumerate(dims):
            if i < value.rank and (n == value.shape[i] or (isinstance(n, tuple) and n[1] == i)) and s.chance(40):
                dims[i] = 0
    s.add("Reshape", value.name, s.numbers(*dims))


def squeeze(s: Sheet) -> None:
    value = s.pick()
    ones = [i for i, n in enumerate(value.shape) if n == 1]
    if ones and value.rank > 1 and s.chance(70):
        s.add("Squeeze", value.name, *([s.constant(np.array([s.one_of(ones) - value.rank]))] if s.chance(80) else []))
    elif value.rank < 5:
        s.add("Unsqueeze", value.name, s.constant(np.array([int(s.rng.integers(-value.rank - 1, value.rank + 1))])))


def concat(s: Sheet) -> None:
    value = s.pick(weights=25)
    position, axis = _axis(s, value)
    parts = [value.name]
    for _ in range(s.one_of([1, 1, 2])):
        rest = [n for i, n in enumerate(value.shape) if i != position]
        if s.chance(60):

            def beside(v: Value, rest: list[int | None] = rest) -> bool:
                return v.rank == value.rank and [n for i, n in enumerate(v.shape) if i != position] == rest

            parts.append(s.pick(beside, 30).name)
        else:
            shape = [s.length() if i == position else n for i, n in enumerate(value.shape)]
            parts.append(s.operand(shape, 100))
    s.add("Concat", *s.rng.permutation(parts).tolist(), axis=axis)


def split(s: Sheet) -> None:
    """Cut an axis in pieces, which join again, meet, or go their ways."""
    value = s.pick()
    position, axis = _axis(s, value)
    n = value.shape[position]
    if n is None or n < 2:
        raise Skip
    if s.chance():
        count = s.divisor(n)
        if count == 1 or (s.opset < 18 and n % count):
            raise Skip
        stated = {"num_outputs": count} if s.opset >= 18 else {}
        pieces = s.several(count, "Split", value.name, axis=axis, **stated)
    else:
        cut = int(s.rng.integers(1, n))
        pieces = s.several(2, "Split", value.name, s.numbers(cut, n - cut), axis=axis)
    if s.chance(30):
        s.add("Concat", *reversed(pieces), axis=axis)
    elif s.chance(40) and s.values[pieces[0]].shape == s.values[pieces[1]].shape:
        s.add("Mul", pieces[0], s.add("Sigmoid", pieces[1]))


def slice_(s: Sheet) -> None:
    """Starts, ends and steps of either sign, on one or two axes, some of them computed."""
    value = s.pick(weights=20)
    axes = [int(i) for i in s.rng.permutation(value.rank)[: s.one_of([1, 1, 2])]]
    starts, ends, steps = [], [], []
    for axis in axes:
        n = value.arrays[0].shape[axis]
        step = s.one_of([1, 1, 1, 2, -1, -1, -2, 3])
        start = int(s.rng.integers(-n, n))
        end = int(s.rng.integers(-n - 1, n + 2))
        if s.chance(40):
            start, end = (0, 2**31 - 1) if step > 0 else (-1, -(2**31))
        starts, ends, steps = [*starts, start], [*ends, end], [*steps, step]
    stated = [s.one_of([axis, axis - value.rank]) for axis in axes]
    numbers = [s.numbers(*starts, computed=15), s.numbers(*ends, computed=15), s.constant(np.array(stated, np.int64))]
    s.add("Slice", value.name, *numbers, s.constant(np.array(steps, np.int64)))


def gather(s: Sheet) -> None:
    """Picks of either sign, of any rank, or computed of data."""
    value = s.pick(weights=30)
    position, axis = _axis(s, value)
    n = min(array.shape[position] for array in value.arrays)
    kind = s.one_of(["some", "some", "all", "one", "matrix", "elements", "computed", "nd"])
    if kind == "elements":
        shape = [1 if m is None else m for m in value.shape]
        s.add("GatherElements", value.name, s.constant(s.rng.integers(-n, n, shape)), axis=axis)
    elif kind == "nd":
        depth = int(s.rng.integers(1, value.rank + 1))
        picks = [s.rng.integers(-m, m, (s.one_of([1, 3]), 1)) for m in value.arrays[0].shape[:depth]]
        picks = [np.broadcast_to(pick, (3, 1)) for pick in picks]
        s.add("GatherND", value.name, s.constant(np.concatenate(picks, axis=1).astype(np.int64)))
    elif kind == "computed":
        data = s.pick()
        found = s.add("Cast", s.add("Abs", data.name), to=7)
        bounded = s.add("Mod", found, s.constant(np.int64(n)))
        s.add("Gather", value.name, bounded, axis=axis)
    else:
        picks = {
            "some": s.rng.integers(-n, n, s.one_of([1, 2, 3, 4])), "all": s.rng.permutation(n) - s.one_of([0, n]),
            "one": np.array(s.rng.integers(-n, n)), "matrix": s.rng.integers(-n, n, (2, 2)),
        }[kind]  # fmt: skip
        s.add("Gather", value.name, s.constant(picks.astype(np.int64)), axis=axis)


def scatter(s: Sheet) -> None:
    value = s.pick(lambda v: v.fixed or v.shape[-1] is not None)
    n = value.arrays[0].shape[0]
    if s.chance():
        rest = value.shape[1:]
        index = s.constant(s.rng.permutation(n)[:1].reshape(1, 1) - s.one_of([0, n]))
        s.add("ScatterND", value.name, index, s.operand((1, *rest), 70))
    else:
        position, axis = _axis(s, value)
        shape = tuple(1 for _ in value.shape)
        index = s.constant(s.rng.integers(0, min(a.shape[position] for a in value.arrays), shape))
        s.add("ScatterElements", value.name, index, s.weight(*shape), axis=axis)


def pad(s: Sheet) -> None:
    """Pads of either sign, stated or computed, of all axes or some."""
    value = s.pick()
    mode = s.one_of(["constant", "constant", "reflect", "edge"])
    position, axis = _axis(s, value)
    before, after = s.one_of([(0, 1), (1, 0), (2, 1), (-1, 1), (0, -1), (1, 1)])
    fill = [s.scalar(0.5)] if mode == "constant" and s.chance() else []
    if s.opset >= 18 and s.chance():
        fill = fill or [""]
        s.add("Pad", value.name, s.numbers(before, after), *fill, s.constant(np.array([axis])), mode=mode)
    else:
        pads = [0] * (2 * value.rank)
        pads[position], pads[position + value.rank] = before, after
        s.add("Pad", value.name, s.numbers(*pads, computed=20), *fill, mode=mode)


def pad_to(s: Sheet) -> None:
    """Pad by a difference of lengths, and concatenate, as U-Nets do."""
    value = s.pick(lambda v: v.rank >= 2)
    position = int(s.rng.integers(value.rank))
    n = value.shape[position]
    other = s.pick(lambda v: v.rank == value.rank)
    if n is None or other.shape[position] is None or other.shape[position] > n:  # type: ignore[operator]
        raise Skip
    gap = s.add("Sub", s.measure(value, position), s.measure(other, position))
    around = [np.zeros(n, np.int64) for n in (position, value.rank - 1 - position)]
    names = [gap if array is None else s.constant(array) for array in (around[0], None, around[1])
             if array is None or array.size]  # fmt: skip
    after = s.add("Concat", *names, axis=0) if len(names) > 1 else names[0]
    pads = s.add("Concat", s.constant(np.zeros(value.rank, np.int64)), after, axis=0)
    padded = s.add("Pad", other.name, pads)
    beside = int(s.rng.integers(value.rank))
    s.add("Concat", value.name, padded, axis=beside)


def expand(s: Sheet) -> None:
    """Repeat to the shape of something, which may be a weight."""
    value = s.pick(weights=40)
    if s.chance(25):
        repeats = [s.one_of([1, 1, 2]) for _ in value.shape]
        s.add("Tile", value.name, s.numbers(*repeats))
    elif s.chance():
        like = s.one_of(list(s.values.values()))
        s.add("Expand", value.name, s.add("Shape", like.name))
    else:
        dims = [s.length() if n == 1 else 1 if n is None else n for n in value.shape]
        s.add("Expand", value.name, s.numbers(*[s.length()] * s.one_of([0, 0, 1]), *dims, computed=50))


def filled(s: Sheet) -> None:
    """A tensor that only lengths make: a constant of a computed shape, a range, a mask, a length as a number."""
    kind = s.one_of(["fill", "range", "number", "size", "one hot", "eye", "mask"])
    source = s.one_of(list(s.values.values()))
    if kind == "fill":
        value = s.pick(weights=50)
        fill = helper.make_tensor("value", 1, [1], [0.5])
        made = s.add("ConstantOfShape", s.add("Shape", value.name), value=fill)
        s.add("Add", value.name, made)
        return
    if not source.rank:
        raise Skip
    position = int(s.rng.integers(source.rank))
    single = s.add("Squeeze", s.measure(source, position))
    if kind == "number":
        number = s.add("Cast", single, to=1)
        s.add(s.one_of(["Mul", "Div"]), s.pick().name, number)
    elif kind == "size":
        s.add("Mul", s.pick().name, s.add("Reciprocal", s.add("Cast", s.add("Size", source.name), to=1)))
    elif kind == "eye":
        value = s.pick(lambda v: v.rank == 2)
        s.add("Mul", value.name, s.add("EyeLike", value.name, dtype=1))
    else:
        counted = s.add("Range", s.constant(np.int64(0)), single, s.constant(np.int64(1)))
        if kind == "range":
            s.add("Cast", counted, to=1)
        elif kind == "one hot":
            hot = s.add("OneHot", counted, single, s.constant(np.array([0, 1], np.float32)), axis=s.one_of([-1, 0]))
            n = s.values[hot].shape[-1]
            s.add("MatMul", hot, s.operand((n, s.length()), 60))
        else:
            s.add("Gather", s.pick(weights=60).name, counted, axis=s.one_of([0, -1]))


def blocks(s: Sheet) -> None:
    value = s.pick(lambda v: v.rank == 4)
    if s.chance(40):
        s.add("DepthToSpace", value.name, blocksize=2, mode=s.one_of(["DCR", "CRD"]))
    elif s.chance():
        s.add("SpaceToDepth", value.name, blocksize=2)
    elif s.chance():
        scales = s.constant(np.array([1, 1, 2, s.one_of([1, 2])], np.float32))
        s.add("Resize", value.name, "", scales, mode=s.one_of(["nearest", "linear"]))
    else:
        dims = [(value, i) if n is None else n for i, n in enumerate(value.shape[:2])]
        s.add("Resize", value.name, "", "", s.numbers(*dims, 4, 6, computed=60), mode="nearest")


def listed(s: Sheet) -> None:
    """A sequence of tensors, and what is taken from it."""
    value = s.pick(lambda v: v.rank >= 2)
    position, axis = _axis(s, value)
    sequence, end = s.name("s"), s.name()
    if s.chance():
        made = helper.make_node("SplitToSequence", [value.name], [sequence], axis=axis, keepdims=1)
    else:
        other = s.operand(value.shape, 50)
        made = helper.make_node("SequenceConstruct", [value.name, other], [sequence])
    if s.chance():
        taken = helper.make_node("SequenceAt", [sequence, s.constant(np.int64(s.one_of([0, -1])))], [end])
    else:
        taken = helper.make_node("ConcatFromSequence", [sequence], [end], axis=s.one_of([axis, int(position == 0)]))
    s.emit([made, taken], [end])


STEPS = {
    transpose: 4, reshape: 10, squeeze: 3, concat: 8, split: 6, slice_: 8, gather: 8, scatter: 3, pad: 5, pad_to: 3,
    expand: 6, filled: 6, blocks: 4, listed: 2,
}  # fmt: skip
