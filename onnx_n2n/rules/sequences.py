"""Operators on sequences of tensors, of which every tensor keeps its own axes."""

from onnx_n2n.axes.algebra import Axis, axis_of
from onnx_n2n.axes.symbolic import ShapeDim, ShapeValue
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.registry import content, rule


def _position(context: Context, slot: int, length: int, last: int) -> int:
    """Return the stated place in a sequence, at most ``last``, which it is if not stated; -1 is the last tensor."""
    place = int(context.numbers(slot)[0]) if context.has(slot) else last
    if not -length <= place <= last:
        raise Refusal(f"place {place} does not exist in a sequence of length {length}")
    return place + length if place < 0 else place


@rule("SequenceEmpty")
def sequence_empty(context: Context) -> None:
    """Make a sequence without tensors."""
    context.sequences[0] = []


@rule("SequenceConstruct")
def sequence_construct(context: Context) -> None:
    """Make a sequence of all inputs."""
    context.sequences[0] = [context.axes(slot) for slot in range(len(context.node.inputs))]


@rule("SequenceInsert")
def sequence_insert(context: Context) -> None:
    """Put a tensor before a stated place, or at the end."""
    found = list(context.sequence(0))
    found.insert(_position(context, 2, len(found), len(found)), context.axes(1))
    context.sequences[0] = found


@rule("SequenceErase")
def sequence_erase(context: Context) -> None:
    """Take away the tensor at a stated place, or the last."""
    found = list(context.sequence(0))
    del found[_position(context, 1, len(found), len(found) - 1)]
    context.sequences[0] = found


@rule("SequenceAt")
def sequence_at(context: Context) -> None:
    """Take one tensor out of a sequence."""
    found = context.sequence(0)
    context.result(found[_position(context, 1, len(found), len(found) - 1)])


@rule("SequenceLength")
def sequence_length(context: Context) -> None:
    """Count the tensors of a sequence."""
    context.sequence(0)
    context.result([])


@content("SequenceLength")
def length_content(context: Context) -> ShapeValue | None:
    """How many tensors there are does not change when they grow."""
    return ShapeValue((ShapeDim(len(context.sequence(0))),), scalar=True)


@rule("ConcatFromSequence")
def concat_from_sequence(context: Context) -> None:
    """Lay the tensors of a sequence end to end along ``axis``, or stack them along a new one."""
    first, *others = context.sequence(0)
    new = bool(context.attribute("new_axis", 0))
    rank = len(first) + new
    place = context.attribute("axis")
    if not -rank <= place < rank:
        raise Refusal(f"axis {place} does not exist in a tensor of rank {rank}")
    place %= rank
    for other in others:
        for where, (one, two) in enumerate(zip(first, other, strict=True)):
            if new or where != place:
                context.tie(one, two)
    joined: Axis
    if new:
        joined = axis_of(1 + len(others))
        context.pin(joined, "it has one place for every tensor of the sequence")
    else:
        joined = context.laid(axes[place] for axes in (first, *others))
    context.result([*first[:place], joined, *first[place + (not new) :]])
