"""Operators that read lengths instead of values, or make tensors of nothing else."""

from onnx_n2n.axes.symbolic import ShapeDim, ShapeValue, length_of
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.registry import content, declare, rule

COUNTED = "it counts the places of this axis"

declare("EyeLike", "a b -> a b", pinned="a b", why=COUNTED)
declare("NonZero", "*p -> _ _", pinned="p", why="it lists places")


def _measured(context: Context) -> range:
    rank = len(context.axes(0))
    start, end, _ = slice(context.attribute("start", 0), context.attribute("end", rank)).indices(rank)
    return range(start, max(start, end))


@rule("Shape")
def shape(context: Context) -> None:
    """The result has one element per axis."""
    context.result([context.pinned_axis(len(_measured(context)), "it lists lengths")])


@rule("Size")
def size(context: Context) -> None:
    """The result is one number."""
    context.axes(0)
    context.result([])


@rule("Range")
def range_(context: Context) -> None:
    """Count from ``start`` to ``limit``; whoever counts the places of an axis makes a tensor of its length."""
    start, limit, delta = (_number(context.content(slot)) for slot in range(3))
    if start == ShapeDim(0) and delta == ShapeDim(1) and limit is not None and limit.axis is not None:
        context.parameter(1)
        context.pin(limit.axis, COUNTED)
        context.result([limit.axis])
    else:
        known = context.inferred()
        context.result([context.pinned_axis(known[0] if known else None, COUNTED)])


def _number(found: ShapeValue | None) -> ShapeDim | None:
    return found.elements[0] if found is not None and len(found.elements) == 1 else None


@rule("Constant")
def constant(context: Context) -> None:
    """A constant that is no weight: text, or sparse."""
    known = context.inferred()
    if known is None:
        raise Refusal("its shape is not known")
    context.result([context.pinned_axis(length, "it is text, or sparse") for length in known])


@content("Shape")
def shape_content(context: Context) -> ShapeValue | None:
    """Each element is the length of an axis."""
    axes = context.axes(0)
    return ShapeValue(tuple(length_of(axes[place]) for place in _measured(context)))
