"""Operators on sequences of tensors, of which every tensor keeps its own axes."""

from onnx_n2n.axes.algebra import Axis, axis_of, total
from onnx_n2n.axes.symbolic import Content, Size
from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.registry import content, rule


def _position(site: Site, slot: int, length: int, last: int) -> int:
    """Return the stated place in a sequence, at most ``last``, which it is if not stated; -1 is the last tensor."""
    place = int(site.numbers(slot)[0]) if site.has(slot) else last
    if not -length <= place <= last:
        raise Refusal(f"place {place} does not exist in a sequence of length {length}")
    return place + length if place < 0 else place


@rule("SequenceEmpty")
def sequence_empty(site: Site) -> None:
    """Make a sequence without tensors."""
    site.sequences[0] = []


@rule("SequenceConstruct")
def sequence_construct(site: Site) -> None:
    """Make a sequence of all inputs."""
    site.sequences[0] = [site.axes(slot) for slot in range(len(site.node.inputs))]


@rule("SequenceInsert")
def sequence_insert(site: Site) -> None:
    """Put a tensor before a stated place, or at the end."""
    found = list(site.sequence(0))
    found.insert(_position(site, 2, len(found), len(found)), site.axes(1))
    site.sequences[0] = found


@rule("SequenceErase")
def sequence_erase(site: Site) -> None:
    """Take away the tensor at a stated place, or the last."""
    found = list(site.sequence(0))
    del found[_position(site, 1, len(found), len(found) - 1)]
    site.sequences[0] = found


@rule("SequenceAt")
def sequence_at(site: Site) -> None:
    """Take one tensor out of a sequence."""
    found = site.sequence(0)
    site.result(found[_position(site, 1, len(found), len(found) - 1)])


@rule("SequenceLength")
def sequence_length(site: Site) -> None:
    """Count the tensors of a sequence."""
    site.sequence(0)
    site.result([])


@content("SequenceLength")
def length_content(site: Site) -> Content | None:
    """How many tensors there are does not change when they grow."""
    return Content((Size(len(site.sequence(0))),), scalar=True)


@rule("ConcatFromSequence")
def concat_from_sequence(site: Site) -> None:
    """Lay the tensors of a sequence end to end along ``axis``, or stack them along a new one."""
    first, *others = site.sequence(0)
    new = bool(site.attribute("new_axis", 0))
    rank = len(first) + new
    place = site.attribute("axis")
    if not -rank <= place < rank:
        raise Refusal(f"axis {place} does not exist in a tensor of rank {rank}")
    place %= rank
    for other in others:
        for where, (one, two) in enumerate(zip(first, other, strict=True)):
            if new or where != place:
                site.tie(one, two)
    joined: Axis
    if new:
        joined = axis_of(1 + len(others))
        site.pin(joined, "it has one place for every tensor of the sequence")
    else:
        joined = total(*(axes[place] for axes in (first, *others)))
    site.result([*first[:place], joined, *first[place + (not new) :]])
