"""Control flow: what enters a body and what leaves it.

A rule ties what meets at the border of a body. What a body captures needs no rule. A refusal pins all that is inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from onnx_n2n.axes.algebra import UNIT, Axis, Reason, same, size
from onnx_n2n.axes.symbolic import ShapeValue, always_equal, settle
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.facts import Known
from onnx_n2n.rules.registry import rule

DIFFER = "what it returns may have one of two different shapes"
READ = "control flow depends on the length of this axis"
VARIES = "its length may change from one iteration to the next"
ITERATED = "it is iterated over"


@rule("If")
def branch(context: Context) -> None:
    """Both branches may be taken, so what they give at the same place has the same axes."""
    _pin(context, context.known(0), READ)
    results = []
    for name in ("then_branch", "else_branch"):
        outputs, ledger = context.walk(context.attribute(name), ())
        context.ledger.extend(ledger)
        results.append(outputs)
    for slot, (one, other) in enumerate(zip(*results, strict=True)):
        context.give(slot, _either(context, one, other))


@rule("Loop")
def loop(context: Context) -> None:
    """Trip count, condition, carried values -> carried values, stacks of what each iteration hands out."""
    for slot in (0, 1):
        if context.has(slot):
            _pin(context, context.known(slot), READ)
    body = context.attribute("body")
    carried = [context.known(slot) for slot in range(2, len(context.node.inputs))]
    counters = [Known((UNIT,) * _declared_rank(value)) for value in body.inputs[:2]]
    kept, (condition, *stacked) = _repeat(context, body, counters, carried, ())
    _pin(context, condition, READ)
    trips = context.pinned_axis(None, ITERATED)
    for slot, known in enumerate([*kept, *(_stack(context, known, 0, trips) for known in stacked)]):
        context.give(slot, known)


@rule("Scan", since=9)
def scan(context: Context) -> None:
    """States, sequences -> states, stacks; the body takes one slice of each sequence at a time."""
    count = context.required("num_scan_inputs", int)
    given = [context.known(slot) for slot in range(len(context.node.inputs))]
    states, sequences = given[: len(given) - count], given[len(given) - count :]
    places = context.attribute("scan_input_axes") or [0] * count
    slices, trips = [], context.pinned_axis(None, ITERATED)
    for known, place in zip(sequences, places, strict=True):
        tensor, trips = _slice(context, known, place, trips)
        slices.append(tensor)
    kept, stacked = _repeat(context, context.attribute("body"), (), states, slices)
    places = context.attribute("scan_output_axes") or [0] * len(stacked)
    stacks = [_stack(context, known, place, trips) for known, place in zip(stacked, places, strict=True)]
    for slot, known in enumerate([*kept, *stacks]):
        context.give(slot, known)


def _repeat(
    context: Context, body: ir.Graph, before: Sequence[Known], carried: Sequence[Known], after: Sequence[Known]
) -> tuple[list[Known], list[Known]]:
    """Walk a body that feeds what it makes of the ``carried`` values to itself; return them and its other outputs.

    At first, what is carried is taken to keep its lengths. Where the body makes something else of it, that is given up,
    and the body is walked again.
    """
    first = len(before)
    start = 1 if first else 0  # a loop gives its condition first
    inner, ends = body.inputs[first : first + len(carried)], body.outputs[start : start + len(carried)]
    steady = [_handed_on(value, end) for value, end in zip(inner, ends, strict=True)]
    entering = [known if kept else _tensor(context, known) for known, kept in zip(carried, steady, strict=True)]
    loose: list[Axis] = []
    while True:
        outputs, ledger = context.walk(body, [*before, *entering, *after])
        leaving = outputs[start : start + len(carried)]
        settled = [
            one if kept else _settle(context, one, other, loose)
            for one, other, kept in zip(entering, leaving, steady, strict=True)
        ]
        if all(one is other for one, other in zip(entering, settled, strict=True)):
            break
        entering = settled
    for one, other, kept in zip(entering, leaving, steady, strict=True):
        if not kept:
            _close(context, one, _tensor(context, other), loose)
    context.ledger.extend(ledger)
    return entering, [*outputs[:start], *outputs[start + len(carried) :]]


def _handed_on(value: ir.Value, end: ir.Value) -> bool:
    """Say whether a body gives out a carried value as it was given."""
    producer = end.producer()
    while producer is not None and producer.op_type == "Identity" and producer.inputs[0] is not None:
        end = producer.inputs[0]
        producer = end.producer()
    return end is value


def _settle(context: Context, entering: Known, leaving: Known, loose: list[Axis]) -> Known:
    """Return what may be said of a carried value when a body makes ``leaving`` of it; ``entering`` if that holds."""
    if entering.axes is None:
        return entering
    if leaving.axes is None or len(leaving.axes) != len(entering.axes):
        _pin(context, entering, VARIES, leaving.lost)
        return Known(lost=leaving.lost or context.reason(VARIES))
    axes = list(entering.axes)
    for place, (one, other) in enumerate(zip(entering.axes, leaving.axes, strict=True)):
        if not any(one is each for each in loose) and not _as_long(one, other):
            context.pin(one, VARIES)
            axes[place] = context.pinned_axis(None, VARIES)
            loose.append(axes[place])
    unchanged = all(one is other for one, other in zip(axes, entering.axes, strict=True))
    return entering if unchanged else Known(tuple(axes))


def _close(context: Context, entering: Known, leaving: Known, loose: list[Axis]) -> None:
    """Tie what a body makes of a carried value to what it was given."""
    if entering.axes is None or leaving.axes is None:
        _pin(context, entering, VARIES, leaving.lost)
        _pin(context, leaving, VARIES, entering.lost)
        return
    for one, other in zip(entering.axes, leaving.axes, strict=True):
        if any(one is each for each in loose):
            context.pin(other, VARIES)
        else:
            context.tie(one, other)


def _either(context: Context, one: Known, other: Known) -> Known:
    """Return what holds for a value that is one of two."""
    if one.sequence is not None and other.sequence is not None and len(one.sequence) == len(other.sequence):
        pairs = list(zip(one.sequence, other.sequence, strict=True))
        if all(len(ours) == len(theirs) for ours, theirs in pairs):
            return Known(sequence=[_meet(context, ours, theirs) for ours, theirs in pairs])
    if one.axes is None or other.axes is None or len(one.axes) != len(other.axes):
        _pin(context, one, DIFFER, other.lost)
        _pin(context, other, DIFFER, one.lost)
        return Known(lost=one.lost or other.lost or context.reason(DIFFER))
    return Known(_meet(context, one.axes, other.axes), _agree(context, one, other))


def _meet(context: Context, ours: Sequence[Axis], theirs: Sequence[Axis]) -> tuple[Axis, ...]:
    met = []
    for one, other in zip(ours, theirs, strict=True):
        if _as_long(one, other):
            context.tie(one, other)
            met.append(one)
        else:
            context.pin(one, DIFFER)
            context.pin(other, DIFFER)
            met.append(context.pinned_axis(None, DIFFER))
    return tuple(met)


def _agree(context: Context, one: Known, other: Known) -> ShapeValue | None:
    """Return what two small tensors say alike; what one of them says alone is not followed."""
    ours, theirs = one.content, other.content
    if ours is None or theirs is None or ours.places.shape != theirs.places.shape:
        _pin_measured(context, ours, DIFFER)
        _pin_measured(context, theirs, DIFFER)
        return None
    elements = []
    for left, right in zip(ours.elements, theirs.elements, strict=True):
        alike = left == right or (left.axis is not None and right.axis is not None and _same(left.axis, right.axis))
        elements.append(left if alike else settle(left, right, value=None, reason=context.reason(DIFFER)))
    return replace(ours, elements=tuple(elements))


def _same(one: Axis, other: Axis) -> bool:
    return size(one) is not None and always_equal(one, other)


def _as_long(one: Axis, other: Axis) -> bool:
    """Say whether two axes are known to have one length."""
    return same(one, other) or (size(one) is not None and size(one) == size(other))


def _slice(context: Context, known: Known, place: int, trips: Axis) -> tuple[Known, Axis]:
    """Return what a body is given of a sequence, and the axis that is iterated over if more is known of it."""
    tensor = _tensor(context, known)
    if tensor.axes is None:
        return tensor, trips
    place = _place(place, len(tensor.axes))
    iterated = tensor.axes[place]
    context.pin(iterated, ITERATED)
    return Known(tensor.axes[:place] + tensor.axes[place + 1 :]), iterated if size(trips) is None else trips


def _stack(context: Context, known: Known, place: int, trips: Axis) -> Known:
    """Return a stack of what a body hands out, with an axis as long as there were iterations."""
    tensor = _tensor(context, known)
    if tensor.axes is None:
        return tensor
    place = _place(place, len(tensor.axes) + 1)
    return Known((*tensor.axes[:place], trips, *tensor.axes[place:]))


def _place(place: int, rank: int) -> int:
    if not -rank <= place < rank:
        raise Refusal(f"axis {place} does not exist in a tensor of rank {rank}")
    return place % rank


def _tensor(context: Context, known: Known) -> Known:
    """Return the axes alone, of a tensor that says something else in every iteration; a sequence is not followed."""
    _pin_measured(context, known.content, READ)
    if known.sequence is not None:
        _pin(context, known, VARIES)
    return Known(known.axes, lost=known.lost)


def _pin(context: Context, known: Known, text: str, cause: Reason | None = None) -> None:
    for axes in (known.axes or (), *(known.sequence or ())):
        for axis in axes:
            context.pin(axis, text, cause)
    _pin_measured(context, known.content, text)


def _pin_measured(context: Context, content: ShapeValue | None, text: str) -> None:
    for element in content.elements if content is not None else ():
        if element.axis is not None:
            context.pin(element.axis, text)


def _declared_rank(value: ir.Value) -> int:
    """Return the rank of a loop's counter or condition, which may be a scalar or have one element."""
    return 0 if value.shape is None else len(value.shape)
