"""The host lane: what a model computes with lengths, in plain Python numbers and lists.

Nothing here knows of arrays, so a compiler that traces Python (``torch.compile``) keeps lengths symbolic and sees no
data leave the device.

Every function takes an operator's inputs in order and its attributes by name, like the functions of the other lane.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir

from onnx_n2n.export.calling import ANY, several
from onnx_n2n.export.lists import Host, along, cut, each, flat, fold, insert, lengths_of, rank


def _in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Round results of 32-bit numbers to 32 bits, as ONNX Runtime does: a Floor behind them may depend on it."""

    def rounded(*values: Any) -> Any:
        found = function(*values)
        if not isinstance(found, float) or any(value != _single(value) for value in values):
            return found
        return _single(found)

    return rounded


def _single(x: Any) -> Any:
    """Round to 24 binary digits, by arithmetic alone, as compilers see it too (Veltkamp's splitting)."""
    if not isinstance(x, float):
        return x
    wide = x * (2.0**29 + 1)
    return wide - (wide - x)


def add(a: Host, b: Host) -> Host:
    """Add."""
    return each(_in_single(lambda x, y: x + y), a, b)


def sub(a: Host, b: Host) -> Host:
    """Subtract."""
    return each(_in_single(lambda x, y: x - y), a, b)


def mul(a: Host, b: Host) -> Host:
    """Multiply."""
    return each(_in_single(lambda x, y: x * y), a, b)


def _quotient(x: Any, y: Any) -> Any:
    if isinstance(x, float) or isinstance(y, float):
        return x / y
    alike = y > 0 if x >= 0 else y < 0  # two answers are not compared: TorchScript traces x, and then one is a tensor
    return x // y if alike else -(-x // y)


def div(a: Host, b: Host) -> Host:
    """Divide; whole numbers are rounded towards zero."""
    return each(_in_single(_quotient), a, b)


def mod(a: Host, b: Host, *, fmod: int = 0) -> Host:
    """Return the remainder."""
    return each(math.fmod if fmod else lambda x, y: x % y, a, b)


def power(a: Host, b: Host) -> Host:
    """Raise to a power."""
    return each(_in_single(lambda x, y: x**y), a, b)


def negative(a: Host) -> Host:
    """Negate."""
    return each(lambda x: -x, a)


def absolute(a: Host) -> Host:
    """Return the absolute value."""
    return each(abs, a)


def square_root(a: Host) -> Host:
    """Return the square root."""
    return each(_in_single(lambda x: x**0.5), a)


def floor(a: Host) -> Host:
    """Round down."""
    return each(lambda x: float(math.floor(x)), a)


def ceil(a: Host) -> Host:
    """Round up."""
    return each(lambda x: float(math.ceil(x)), a)


def maximum(*values: Host) -> Host:
    """Return the largest."""
    return each(lambda *numbers: max(numbers), *values)


def minimum(*values: Host) -> Host:
    """Return the smallest."""
    return each(lambda *numbers: min(numbers), *values)


def equal(a: Host, b: Host) -> Host:
    """Compare."""
    return each(lambda x, y: x == y, a, b)


def greater(a: Host, b: Host) -> Host:
    """Compare."""
    return each(lambda x, y: x > y, a, b)


def greater_or_equal(a: Host, b: Host) -> Host:
    """Compare."""
    return each(lambda x, y: x >= y, a, b)


def less(a: Host, b: Host) -> Host:
    """Compare."""
    return each(lambda x, y: x < y, a, b)


def less_or_equal(a: Host, b: Host) -> Host:
    """Compare."""
    return each(lambda x, y: x <= y, a, b)


def both(a: Host, b: Host) -> Host:
    """Return whether both are true."""
    return each(lambda x, y: bool(x and y), a, b)


def either(a: Host, b: Host) -> Host:
    """Return whether one is true."""
    return each(lambda x, y: bool(x or y), a, b)


def negation(a: Host) -> Host:
    """Return whether it is false."""
    return each(lambda x: not x, a)


def where(condition: Host, a: Host, b: Host) -> Host:
    """Choose."""
    return each(lambda c, x, y: x if c else y, condition, a, b)


def cast(a: Host, *, to: int, saturate: int = 1) -> Host:
    """Change the type."""
    kind = ir.DataType(to)
    if kind == ir.DataType.BOOL:
        return each(bool, a)
    if kind.is_integer():
        return each(lambda x: int(x) if isinstance(x, (bool, float)) else x, a)
    return each(float, a)


def cast_like(a: Host, other: Host, *, saturate: int = 1) -> Host:
    """Change the type to that of other numbers; of none, nobody knows it, and it stays."""
    return each(type(flat(other)[0]), a) if flat(other) else a


def identity(a: Host) -> Host:
    """Return it as it is."""
    return a


def gather(data: Host, indices: Host, *, axis: int = 0) -> Host:
    """Pick entries along an axis."""
    if axis % rank(data):
        return [gather(row, indices, axis=axis % rank(data) - 1) for row in data]
    return each(lambda k: k, [gather(data, k) for k in indices]) if isinstance(indices, list) else data[indices]


def concat(*values: Host, axis: int = 0) -> Host:
    """Join along an axis."""
    if axis % rank(values[0]):
        return [concat(*rows, axis=axis % rank(values[0]) - 1) for rows in zip(*values, strict=True)]
    return [entry for value in values for entry in value]


def unsqueeze(data: Host, axes: Host) -> Host:
    """Insert axes of length 1."""
    depth = rank(data) + len(flat(axes))
    for axis in sorted(axis % depth for axis in flat(axes)):
        data = insert(data, axis)
    return data


def squeeze(data: Host, axes: Host | None = None) -> Host:
    """Remove axes of length 1."""
    lengths = lengths_of(data)
    chosen = [k for k, n in enumerate(lengths) if n == 1] if axes is None else [k % len(lengths) for k in flat(axes)]
    return fold(flat(data), [n for k, n in enumerate(lengths) if k not in chosen])


def reshape(data: Host, shape: Host, *, allowzero: int = 0) -> Host:
    """Lay out anew; 0 is the length that was there, -1 whatever is left."""
    numbers, own = flat(data), lengths_of(data)
    lengths = [own[k] if n == 0 and not allowzero else n for k, n in enumerate(shape)]
    if -1 in lengths:
        rest = math.prod(n for n in lengths if n != -1)
        lengths[lengths.index(-1)] = len(numbers) // rest
    return fold(numbers, lengths)


def transpose(data: Host, *, perm: list[int] | None = None) -> Host:
    """Reorder axes."""
    lengths = lengths_of(data)
    order = list(range(len(lengths)))[::-1] if perm is None else list(perm)
    places = itertools.product(*(range(lengths[axis]) for axis in order))
    numbers = [functools.reduce(lambda part, k: part[k], _sorted(place, order), data) for place in places]
    return fold(numbers, [lengths[axis] for axis in order])


def _sorted(place: tuple[int, ...], order: list[int]) -> list[int]:
    return [k for _, k in sorted(zip(order, place, strict=True))]


def slices(data: Host, starts: Host, ends: Host, axes: Host | None = None, steps: Host | None = None) -> Host:
    """Cut out along axes."""
    chosen = list(range(len(flat(starts)))) if axes is None else flat(axes)
    strides = [1] * len(chosen) if steps is None else flat(steps)
    for start, end, axis, step in zip(flat(starts), flat(ends), chosen, strides, strict=True):
        data = cut(data, axis % rank(data), slice(start, bound(end, step), step))
    return data


def bound(end: int, step: int) -> int | None:
    """Return where a slice ends; backwards, Python has no number for "beyond the first entry"."""
    return None if step < 0 and end < -(2**30) else end


@several(ANY)
def split(data: Host, split: Host | None = None, *, axis: int = 0, num_outputs: int = 0, outputs: int = 1) -> Any:
    """Cut into parts."""
    parts, start, axis = [], 0, axis % rank(data)
    for size in sizes(lengths_of(data)[axis], split, num_outputs or outputs):
        parts.append(cut(data, axis, slice(start, start + size)))
        start += size
    return tuple(parts)


def sizes(length: int, split: Host | None, count: int) -> list[int]:
    """Return the lengths of the parts of an axis: as stated, or as equal as they can be."""
    if split is not None:
        return flat(split)
    size = -(-length // count)
    return [size] * (count - 1) + [length - size * (count - 1)]


def product(data: Host, axes: Host | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Host:
    """Multiply."""
    return _reduced(math.prod, data, axes, keepdims, noop_with_empty_axes)


def total(data: Host, axes: Host | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Host:
    """Add up."""
    return _reduced(sum, data, axes, keepdims, noop_with_empty_axes)


def largest(data: Host, axes: Host | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Host:
    """Return the largest number."""
    return _reduced(max, data, axes, keepdims, noop_with_empty_axes)


def smallest(data: Host, axes: Host | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Host:
    """Return the smallest number."""
    return _reduced(min, data, axes, keepdims, noop_with_empty_axes)


def _reduced(function: Callable[[Any], Any], data: Host, axes: Host | None, keepdims: int, noop: int) -> Host:
    """Reduce over axes; over all of them where none are given."""
    chosen = [] if axes is None else [axis % rank(data) for axis in flat(axes)]
    if not chosen and noop:
        return data
    for axis in sorted(chosen or range(rank(data)), reverse=True):
        data = along(function, data, axis)
        data = insert(data, axis) if keepdims else data
    return data


def counting(start: Host, limit: Host, delta: Host) -> Host:
    """Count."""
    if isinstance(start, float):
        return [start + k * delta for k in range(max(math.ceil((limit - start) / delta), 0))]
    return list(range(start, limit, delta))


def filled(shape: Host, *, value: Any = 0.0, dtype: int = 1) -> Host:
    """Return one number, many times."""
    return value if not shape else [filled(shape[1:], value=value) for _ in range(shape[0])]


def expand(data: Host, shape: Host) -> Host:
    """Repeat along axes of length 1."""
    return each(lambda x, _: x, data, filled(shape, value=0))


def tile(data: Host, repeats: Host) -> Host:
    """Repeat."""
    counts = flat(repeats)
    return [tile(row, counts[1:]) for row in data] * counts[0] if counts else data


TABLE: Mapping[str, Callable[..., Any]] = {
    "Abs": absolute,
    "Add": add,
    "And": both,
    "Cast": cast,
    "CastLike": cast_like,
    "Ceil": ceil,
    "Concat": concat,
    "ConstantOfShape": filled,
    "Div": div,
    "Equal": equal,
    "Expand": expand,
    "Floor": floor,
    "Gather": gather,
    "Greater": greater,
    "GreaterOrEqual": greater_or_equal,
    "Identity": identity,
    "Less": less,
    "LessOrEqual": less_or_equal,
    "Max": maximum,
    "Min": minimum,
    "Mod": mod,
    "Mul": mul,
    "Neg": negative,
    "Not": negation,
    "Or": either,
    "Pow": power,
    "Range": counting,
    "ReduceMax": largest,
    "ReduceMin": smallest,
    "ReduceProd": product,
    "ReduceSum": total,
    "Reshape": reshape,
    "Slice": slices,
    "Split": split,
    "Sqrt": square_root,
    "Squeeze": squeeze,
    "Sub": sub,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": where,
}
"""What the host lane can do. Everything else is done with data, on the device."""
