"""Shape arithmetic: what operators do to tensors whose elements are lengths."""

import math

import numpy as np

from onnx_n2n.axes.algebra import axis_of, size
from onnx_n2n.axes.symbolic import (
    LARGEST,
    ShapeDim,
    ShapeValue,
    add,
    divide,
    length_of,
    multiply,
    remainder,
    settle,
    subtract,
    volume,
)
from onnx_n2n.rules.context import Context
from onnx_n2n.rules.registry import content

EXACT = 2.0**24  # whole numbers below are exact in single precision
UNMODELLED = "its length is used in arithmetic that growth cannot follow"


@content("Size")
def size_content(context: Context) -> ShapeValue | None:
    """The product of all lengths."""
    return ShapeValue((volume(tuple(map(length_of, context.axes(0))), context.reason(UNMODELLED)),), scalar=True)


@content("Identity Cast Floor Ceil Round")
def keep(context: Context) -> ShapeValue | None:
    """Lengths are whole, so rounding and casting leave them alone."""
    return context.table(0)


@content("Squeeze Unsqueeze Reshape Flatten Expand")
def rearrange(context: Context) -> ShapeValue | None:
    """The elements stay in their order, in rows of another length."""
    found, axes = context.table(0), context.results.get(0)
    if found is None or axes is None or len(axes) > 2:
        return None
    shape = [size(axis) or 0 for axis in axes]
    return ShapeValue.of(found.elements, shape) if math.prod(shape) == len(found.elements) else None


@content("Transpose")
def transpose(context: Context) -> ShapeValue | None:
    """Rows become columns."""
    found = context.table(0)
    return None if found is None else found.moved(np.transpose(found.places, context.attribute("perm")))


@content("ConstantOfShape")
def repeat(context: Context) -> ShapeValue | None:
    """One number, as often as a written number says."""
    lengths = context.content(0)
    if lengths is None or len(lengths.elements) > 1 or not all(element.fixed for element in lengths.elements):
        return None
    count = int(lengths.elements[0].value or 0) if lengths.elements else 1
    value = context.attribute("value")
    number = 0 if value is None else value.numpy().item()
    return ShapeValue((ShapeDim(number),) * count, scalar=not lengths.elements) if count <= LARGEST else None


@content("Gather")
def gather(context: Context) -> ShapeValue | None:
    """Pick elements."""
    found, picks = context.content(0), context.content(1)
    if found is None or picks is None or found.scalar:
        return None
    places = [int(pick.value) for pick in picks.elements if pick.fixed and pick.value is not None]
    if len(places) < len(picks.elements) or any(not -len(found.elements) <= n < len(found.elements) for n in places):
        return None
    return ShapeValue(tuple(found.elements[place] for place in places), scalar=picks.scalar)


@content("Slice")
def slice_(context: Context) -> ShapeValue | None:
    """Keep a stretch of elements, or of rows and columns."""
    found = context.table(0)
    if found is None or found.scalar:
        return None
    if context.has(1):
        starts, ends, which, steps = (context.numbers(slot) if context.has(slot) else None for slot in range(1, 5))
    else:
        starts, ends, which = (context.attribute(name) for name in ("starts", "ends", "axes"))
        steps = None
    kept = [slice(None)] * found.places.ndim
    for position, (start, end) in enumerate(zip(starts or (), ends or (), strict=True)):
        axis = position if which is None else int(which[position])
        kept[axis] = slice(int(start), int(end), None if steps is None else int(steps[position]))
    return found.moved(found.places[tuple(kept)])


@content("Concat")
def concat(context: Context) -> ShapeValue | None:
    """Lay elements end to end."""
    found = [context.content(slot) for slot in range(len(context.node.inputs))]
    known = [part for part in found if part is not None]
    return ShapeValue(tuple(e for part in known for e in part.elements)) if len(known) == len(found) else None


ARITHMETIC = {"Mul": multiply, "Add": add, "Sub": subtract, "Mod": remainder}


@content("Add Sub Mul Div Min Max Mod")
def arithmetic(context: Context) -> ShapeValue | None:
    """Element by element; what lengths cannot follow is pinned."""
    one, other = context.content(0), context.content(1)
    if one is None or other is None or len(context.node.inputs) != 2:
        return None
    length = max(len(one.elements), len(other.elements))
    reason = context.reason(UNMODELLED)
    divisor = context.constant(1)
    whole = divisor is not None and divisor.dtype.kind in "iu"
    result = []
    for position, (left, right) in enumerate(zip(_spread(one, length), _spread(other, length), strict=True)):
        if context.node.op_type == "Mul":
            left, right = (
                _factor(context, slot, position, content, element)
                for slot, content, element in ((0, one, left), (1, other, right))
            )
        if context.node.op_type == "Div":
            result.append(divide(left, right, reason, rounded=whole))
        elif context.node.op_type in ARITHMETIC:
            result.append(ARITHMETIC[context.node.op_type](left, right, reason))
        else:
            result.append(settle(left, right, value=_number(context.node.op_type, left, right), reason=reason))
    return ShapeValue(tuple(result), scalar=one.scalar and other.scalar)


@content("Sqrt Pow")
def power(context: Context) -> ShapeValue | None:
    """A root or a power of lengths, which are pinned by it: its number is known if it is whole."""
    one, other = context.content(0), context.content(1) if context.has(1) else ShapeValue((ShapeDim(0.5),), scalar=True)
    if one is None or other is None:
        return None
    length, reason = max(len(one.elements), len(other.elements)), context.reason(UNMODELLED)
    pairs = zip(_spread(one, length), _spread(other, length), strict=True)
    found = tuple(settle(base, exponent, value=_power(base, exponent), reason=reason) for base, exponent in pairs)
    return ShapeValue(found, scalar=one.scalar and other.scalar)


def _power(base: ShapeDim, exponent: ShapeDim) -> float | None:
    """Return a square root or a whole power, if it is a whole number that single precision holds."""
    if base.value is None or exponent.value is None or base.value < 1:
        return None
    if exponent.value < 0 or (exponent.value != 0.5 and exponent.value % 1):
        return None
    found = float(base.value**exponent.value)
    return found if found.is_integer() and found < EXACT else None


def _factor(context: Context, slot: int, position: int, found: ShapeValue, element: ShapeDim) -> ShapeDim:
    """Give a number that multiplies a length known only at run time an axis of its own, which may grow like any."""
    other = context.content(1 - slot)
    unknown = other is not None and any(part.axis is not None and part.value is None for part in other.elements)
    if not unknown or not element.literal or not element.value or element.value < 2 or element.value % 1:
        return element
    if len(found.elements) < len(other.elements if other is not None else ()):
        return element  # one number for several lengths
    axis = axis_of(int(element.value))
    context.require_length(slot, None if found.scalar else position, axis)
    return ShapeDim(element.value, axis)


def _number(operator: str, left: ShapeDim, right: ShapeDim) -> float | None:
    if left.value is None or right.value is None:
        return None
    return {"Min": min, "Max": max}[operator](left.value, right.value)


def _spread(found: ShapeValue, length: int) -> tuple[ShapeDim, ...]:
    return found.elements * length if len(found.elements) == 1 else found.elements


@content("ReduceProd")
def reduce_prod(context: Context) -> ShapeValue | None:
    """Multiply all elements."""
    found = context.content(0)
    if found is None:
        return None
    keep_rank = bool(context.attribute("keepdims", 1)) and not found.scalar
    return ShapeValue((volume(found.elements, context.reason(UNMODELLED)),), scalar=not keep_rank)


@content("Equal")
def equal(context: Context) -> ShapeValue | None:
    """A length is never negative, so it differs from a negative number however it grows."""
    one, other = context.content(0), context.content(1)
    if one is None or other is None:
        return None
    length = max(len(one.elements), len(other.elements))
    result = []
    for left, right in zip(_spread(one, length), _spread(other, length), strict=True):
        result.append(_same(left, right, context))
    return ShapeValue(tuple(result), scalar=one.scalar and other.scalar)


def _same(left: ShapeDim, right: ShapeDim, context: Context) -> ShapeDim:
    for one, other in ((left, right), (right, left)):
        if one.axis is not None and other.literal and other.value is not None and other.value < 0:
            return ShapeDim(0.0)
    value = None if left.value is None or right.value is None else float(left.value == right.value)
    return settle(left, right, value=value, reason=context.reason(UNMODELLED))


@content("Where")
def where(context: Context) -> ShapeValue | None:
    """Choose elements by conditions that are known."""
    condition, yes, no = (context.content(slot) for slot in range(3))
    if condition is None or yes is None or no is None:
        return None
    length = max(len(part.elements) for part in (condition, yes, no))
    result = []
    for test, one, other in zip(*(_spread(part, length) for part in (condition, yes, no)), strict=True):
        if test.fixed:
            result.append(one if test.value else other)
        else:
            result.append(settle(test, one, other, value=None, reason=context.reason(UNMODELLED)))
    return ShapeValue(tuple(result), scalar=condition.scalar and yes.scalar and no.scalar)
