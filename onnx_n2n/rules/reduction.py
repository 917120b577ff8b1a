"""Operators that reduce axes: a maximum ignores copies, a mean wants them even, a sum needs their shares."""

from onnx_n2n.axes.algebra import UNIT, Axis
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.obligations import Mean, Summand
from onnx_n2n.rules.registry import rule
from onnx_n2n.rules.reshaping import stated_axes

POWER = {"ReduceSum": 1.0, "ReduceL1": 1.0, "ReduceLogSum": 1.0, "ReduceL2": 0.5, "ReduceSumSquare": 0.5}


def _reduce(context: Context, position: int, axis: Axis) -> None:
    operator = context.node.op_type
    if operator == "ReduceMean":
        context.require_even(axis, "it takes a mean over this axis", Mean(context.node, position))
    elif operator == "GlobalAveragePool":
        context.require_even(axis, "it takes a mean over this axis")
    elif operator in {"ReduceMax", "ReduceMin", "GlobalMaxPool"}:
        context.require_copies(axis, "it takes a maximum over this axis")
    elif operator in POWER:
        context.contract([Summand(0, position, ((axis, True),))], POWER[operator])
    else:
        context.pin(axis, "it reduces this axis in a way that copies would change")


@rule("ReduceMax ReduceMin ReduceMean ReduceSum ReduceL1 ReduceL2 ReduceSumSquare ReduceProd ReduceLogSum "
      "ReduceLogSumExp")
def reduce(context: Context) -> None:
    """Reduce some axes, all of them by default."""
    axes = context.axes(0)
    stated = stated_axes(context)
    if not stated:
        stated = [] if context.attribute("noop_with_empty_axes", 0) else list(range(len(axes)))
    reduced = {context.position(0, axis) for axis in stated}
    for position in sorted(reduced):
        _reduce(context, position, axes[position])
    keep = bool(context.attribute("keepdims", 1))
    kept = [UNIT if place in reduced else axis for place, axis in enumerate(axes) if keep or place not in reduced]
    context.result(kept)


@rule("GlobalAveragePool GlobalMaxPool GlobalLpPool")
def global_pool(context: Context) -> None:
    """Reduce all places, keep batch and channels."""
    if len(context.axes(0)) < 2:
        raise Refusal("its input has no channels")
    batch, channels, *places = context.axes(0)
    for position, axis in enumerate(places, 2):
        _reduce(context, position, axis)
    context.result([batch, channels, *(UNIT for _ in places)])
