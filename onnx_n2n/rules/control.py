"""Control flow: what enters a body and what leaves it.

A rule ties what meets at the border of a body. What a body captures needs no rule. A refusal pins all that is inside.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_n2n.axes.algebra import UNIT, Axis, same, size
from onnx_n2n.axes.symbolic import Content, always_equal, settle
from onnx_n2n.rules.context import Known, Refusal, Site
from onnx_n2n.rules.registry import rule

DIFFER = "it meets a tensor of another shape here"
READ = "control flow depends on the length of this axis"
VARIES = "its length may change from one iteration to the next"
ITERATED = "it is iterated over"


@rule("If")
def branch(site: Site) -> None:
    """Both branches may be taken, so what they give at the same place has the same axes."""
    _pin(site, site.known(0), READ)
    results = []
    for name in ("then_branch", "else_branch"):
        outputs, ledger = site.walk(site.attribute(name), ())
        site.ledger.extend(ledger)
        results.append(outputs)
    for slot, (one, other) in enumerate(zip(*results, strict=True)):
        site.give(slot, _either(site, one, other))


@rule("Loop")
def loop(site: Site) -> None:
    """Trip count, condition, carried values -> carried values, stacks of what each iteration hands out."""
    for slot in (0, 1):
        if site.has(slot):
            _pin(site, site.known(slot), READ)
    body = site.attribute("body")
    carried = [site.known(slot) for slot in range(2, len(site.node.inputs))]
    counters = [Known((UNIT,) * _declared_rank(value)) for value in body.inputs[:2]]
    kept, (condition, *stacked) = _repeat(site, body, counters, carried, ())
    _pin(site, condition, READ)
    trips = site.pinned(None, ITERATED)
    for slot, known in enumerate([*kept, *(_stack(site, known, 0, trips) for known in stacked)]):
        site.give(slot, known)


@rule("Scan", since=9)
def scan(site: Site) -> None:
    """States, sequences -> states, stacks; the body takes one slice of each sequence at a time."""
    count = int(site.attribute("num_scan_inputs"))
    given = [site.known(slot) for slot in range(len(site.node.inputs))]
    states, sequences = given[: len(given) - count], given[len(given) - count :]
    places = site.attribute("scan_input_axes") or [0] * count
    slices, trips = [], site.pinned(None, ITERATED)
    for known, place in zip(sequences, places, strict=True):
        tensor, trips = _slice(site, known, place, trips)
        slices.append(tensor)
    kept, stacked = _repeat(site, site.attribute("body"), (), states, slices)
    places = site.attribute("scan_output_axes") or [0] * len(stacked)
    stacks = [_stack(site, known, place, trips) for known, place in zip(stacked, places, strict=True)]
    for slot, known in enumerate([*kept, *stacks]):
        site.give(slot, known)


def _repeat(
    site: Site, body: ir.Graph, before: Sequence[Known], carried: Sequence[Known], after: Sequence[Known]
) -> tuple[list[Known], list[Known]]:
    """Walk a body that feeds what it makes of the ``carried`` values to itself; return them and its other outputs.

    At first, what is carried is taken to keep its lengths. Where the body makes something else of it, that is given up,
    and the body is walked again.
    """
    first = len(before)
    start = 1 if first else 0  # a loop gives its condition first
    inner, ends = body.inputs[first : first + len(carried)], body.outputs[start : start + len(carried)]
    steady = [_handed_on(value, end) for value, end in zip(inner, ends, strict=True)]
    entering = [known if kept else _tensor(site, known) for known, kept in zip(carried, steady, strict=True)]
    loose: list[Axis] = []
    while True:
        outputs, ledger = site.walk(body, [*before, *entering, *after])
        leaving = outputs[start : start + len(carried)]
        settled = [
            one if kept else _settle(site, one, other, loose)
            for one, other, kept in zip(entering, leaving, steady, strict=True)
        ]
        if all(one is other for one, other in zip(entering, settled, strict=True)):
            break
        entering = settled
    for one, other, kept in zip(entering, leaving, steady, strict=True):
        if not kept:
            _close(site, one, _tensor(site, other), loose)
    site.ledger.extend(ledger)
    return entering, [*outputs[:start], *outputs[start + len(carried) :]]


def _handed_on(value: ir.Value, end: ir.Value) -> bool:
    """Say whether a body gives out a carried value as it was given."""
    producer = end.producer()
    while producer is not None and producer.op_type == "Identity" and producer.inputs[0] is not None:
        end = producer.inputs[0]
        producer = end.producer()
    return end is value


def _settle(site: Site, entering: Known, leaving: Known, loose: list[Axis]) -> Known:
    """Return what may be said of a carried value when a body makes ``leaving`` of it; ``entering`` if that holds."""
    if entering.axes is None:
        return entering
    if leaving.axes is None or len(leaving.axes) != len(entering.axes):
        _pin(site, entering, VARIES)
        return Known()
    axes = list(entering.axes)
    for place, (one, other) in enumerate(zip(entering.axes, leaving.axes, strict=True)):
        if not any(one is each for each in loose) and not _as_long(one, other):
            site.pin(one, VARIES)
            axes[place] = site.pinned(None, VARIES)
            loose.append(axes[place])
    unchanged = all(one is other for one, other in zip(axes, entering.axes, strict=True))
    return entering if unchanged else Known(tuple(axes))


def _close(site: Site, entering: Known, leaving: Known, loose: list[Axis]) -> None:
    """Tie what a body makes of a carried value to what it was given."""
    if entering.axes is None or leaving.axes is None:
        _pin(site, entering, VARIES)
        _pin(site, leaving, VARIES)
        return
    for one, other in zip(entering.axes, leaving.axes, strict=True):
        if any(one is each for each in loose):
            site.pin(other, VARIES)
        else:
            site.tie(one, other)


def _either(site: Site, one: Known, other: Known) -> Known:
    """Return what holds for a value that is one of two."""
    if one.sequence is not None and other.sequence is not None and len(one.sequence) == len(other.sequence):
        pairs = list(zip(one.sequence, other.sequence, strict=True))
        if all(len(ours) == len(theirs) for ours, theirs in pairs):
            return Known(sequence=[_meet(site, ours, theirs) for ours, theirs in pairs])
    if one.axes is None or other.axes is None or len(one.axes) != len(other.axes):
        _pin(site, one, DIFFER)
        _pin(site, other, DIFFER)
        return Known()
    return Known(_meet(site, one.axes, other.axes), _agree(site, one, other))


def _meet(site: Site, ours: Sequence[Axis], theirs: Sequence[Axis]) -> tuple[Axis, ...]:
    met = []
    for one, other in zip(ours, theirs, strict=True):
        if _as_long(one, other):
            site.tie(one, other)
            met.append(one)
        else:
            site.pin(one, DIFFER)
            site.pin(other, DIFFER)
            met.append(site.pinned(None, DIFFER))
    return tuple(met)


def _agree(site: Site, one: Known, other: Known) -> Content | None:
    """Return what two small tensors say alike; what one of them says alone is not followed."""
    ours, theirs = one.content, other.content
    if ours is None or theirs is None or len(ours.elements) != len(theirs.elements):
        _pin_measured(site, ours, DIFFER)
        _pin_measured(site, theirs, DIFFER)
        return None
    elements = []
    for left, right in zip(ours.elements, theirs.elements, strict=True):
        alike = left == right or (left.axis is not None and right.axis is not None and _same(left.axis, right.axis))
        elements.append(left if alike else settle(left, right, value=None, reason=site.reason(DIFFER)))
    return Content(tuple(elements), scalar=ours.scalar)


def _same(one: Axis, other: Axis) -> bool:
    return size(one) is not None and always_equal(one, other)


def _as_long(one: Axis, other: Axis) -> bool:
    """Say whether two axes are known to have one length."""
    return same(one, other) or (size(one) is not None and size(one) == size(other))


def _slice(site: Site, known: Known, place: int, trips: Axis) -> tuple[Known, Axis]:
    """Return what a body is given of a sequence, and the axis that is iterated over if more is known of it."""
    tensor = _tensor(site, known)
    if tensor.axes is None:
        return tensor, trips
    place = _place(place, len(tensor.axes))
    iterated = tensor.axes[place]
    site.pin(iterated, ITERATED)
    return Known(tensor.axes[:place] + tensor.axes[place + 1 :]), iterated if size(trips) is None else trips


def _stack(site: Site, known: Known, place: int, trips: Axis) -> Known:
    """Return a stack of what a body hands out, with an axis as long as there were iterations."""
    tensor = _tensor(site, known)
    if tensor.axes is None:
        return tensor
    place = _place(place, len(tensor.axes) + 1)
    return Known((*tensor.axes[:place], trips, *tensor.axes[place:]))


def _place(place: int, rank: int) -> int:
    if not -rank <= place < rank:
        raise Refusal(f"axis {place} does not exist in a tensor of rank {rank}")
    return place % rank


def _tensor(site: Site, known: Known) -> Known:
    """Return the axes alone, of a tensor that says something else in every iteration; a sequence is not followed."""
    _pin_measured(site, known.content, READ)
    if known.sequence is not None:
        _pin(site, known, VARIES)
    return Known(known.axes)


def _pin(site: Site, known: Known, text: str) -> None:
    for axes in (known.axes or (), *(known.sequence or ())):
        for axis in axes:
            site.pin(axis, text)
    _pin_measured(site, known.content, text)


def _pin_measured(site: Site, content: Content | None, text: str) -> None:
    for element in content.elements if content is not None else ():
        if element.axis is not None:
            site.pin(element.axis, text)


def _declared_rank(value: ir.Value) -> int:
    """Return the rank of a loop's counter or condition, which may be a scalar or have one element."""
    return 0 if value.shape is None else len(value.shape)
