"""Operators that work along one axis and look at its places: that axis is pinned, all others are free."""

from onnx_n2n.axes.algebra import UNIT, Axis
from onnx_n2n.rules.context import Context
from onnx_n2n.rules.registry import declare, rule

ORDER = "the operator goes along this axis, place by place"
VALID = "its numbers must stay valid places or lengths"

declare("Det", "*b i j -> *b", pinned="i j", why="it takes a determinant")
declare("Trilu", "*b i j, *_? -> *b i j", pinned="i j", why="it cuts a triangle out of the matrix")


def along(context: Context, axis: int) -> tuple[list[Axis], int]:
    """Pin ``axis`` of the first input; return all of its axes, and where that one is."""
    axes, place = list(context.axes(0)), context.position(0, axis)
    context.pin(axes[place], ORDER)
    return axes, place


def measured(context: Context, place: int, slot: int = 0) -> Axis:
    """Return the axis that an output has at ``place``: pinned, and as long as shape inference says."""
    known = context.inferred(slot)
    return context.pinned_axis(known[place] if known is not None else None, ORDER)


@rule("CumSum CumProd")
def cumulate(context: Context) -> None:
    """``*p, axis -> *p``; ``axis`` is pinned."""
    context.result(along(context, int(context.numbers(1)[0]))[0])


@rule("ArgMax ArgMin")
def best_place(context: Context) -> None:
    """Reduce ``axis`` to the place of its largest or smallest number; which one it is depends on the order."""
    axes, place = along(context, context.attribute("axis", 0))
    axes[place : place + 1] = [UNIT] if context.attribute("keepdims", 1) else []
    context.result(axes)


@rule("TopK")
def best_places(context: Context) -> None:
    """``*p, k -> *p, *p``; only some places of ``axis`` are left."""
    axes, place = along(context, context.attribute("axis", -1))
    axes[place] = measured(context, place)
    context.result(axes)
    context.result(axes, 1)


@rule("Compress")
def compress(context: Context) -> None:
    """Keep the places of ``axis`` for which a condition holds; without ``axis`` those of the flattened tensor."""
    for condition in context.axes(1):
        context.pin(condition, ORDER)
    if context.attribute("axis") is None:
        for axis in context.axes(0):
            context.pin(axis, "it is flattened, and places of that are picked")
        context.result([measured(context, 0)])
    else:
        axes, place = along(context, context.attribute("axis"))
        axes[place] = measured(context, place)
        context.result(axes)


@rule("Unique")
def unique(context: Context) -> None:
    """Drop what occurs again along ``axis``, also when other axes hold copies; without ``axis`` of all numbers."""
    axes, place = list(context.axes(0)), None
    if context.attribute("axis") is not None:
        axes, place = along(context, context.attribute("axis"))
    for other, axis in enumerate(axes):
        if place is None:
            context.pin(axis, "it is flattened, and looked through for equal numbers")
        elif other != place:
            context.require_copies(axis, "it compares slices as a whole")
    if place is None:
        axes = [measured(context, 0)]
    else:
        axes[place] = measured(context, place)
    context.result(axes)
    for slot in range(1, len(context.node.outputs)):
        context.result([measured(context, 0, slot)], slot)


@rule("ReverseSequence")
def reverse_sequence(context: Context) -> None:
    """``*p, batch -> *p``; ``time_axis`` is pinned, and each place of ``batch_axis`` has a length of its own."""
    axes, _ = along(context, context.attribute("time_axis", 0))
    (lengths,) = context.axes(1, 1)
    context.tie(axes[context.position(0, context.attribute("batch_axis", 1))], lengths)
    context.require_copies(lengths, VALID)
    context.result(axes)
