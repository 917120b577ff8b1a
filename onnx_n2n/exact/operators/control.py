"""Branches and loops: bodies that see the names around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.moving import chosen_of
from onnx_n2n.exact.operators.sequences import cut, sequence, together
from onnx_n2n.exact.operators.unseen import beside, constants, written
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import BOOL, INT64, Tensor, Value
from onnx_n2n.exact.undecided import Undecided

MOST = 1 << 14  # trips of a loop


@rule("If")
def branches(site: Site) -> list[Value]:
    """Take the branch that is known, or mix both by a decision c as c * x + (1 - c) * y.

    A decision about the lengths of free axes is another one for other lengths, so there too both branches are mixed.
    Where they do not fit, variables stand for what the branch gives that is not taken, the same ones for branches that
    say the same; its constants remain unread.
    """
    sides: list[onnx.GraphProto] = [site.attribute("then_branch"), site.attribute("else_branch")]
    condition = site.tensor(0)
    if int(np.prod(condition.shape)) != 1:
        raise Undecided(f"a decision has the shape {condition.shape}")
    if condition.certain:
        return body(site, sides[0 if site.known(0).item() else 1], [])
    decision = site.numbers(0).reshape(())
    if condition.known is None or condition.rough:
        return _mixed(site, decision, *(_branch(site, decision, side, place) for place, side in enumerate(sides)))
    taken, other = sides if condition.known.item() else sides[::-1]
    first = int(taken is sides[1])
    found, read = _branch(site, decision, taken, first), site.run.reads.kept()
    try:
        unlikely = _branch(site, decision, other, 1 - first)
        pair = (found, unlikely) if taken is sides[0] else (unlikely, found)
        mixed = _mixed(site, decision, *pair)
    except Undecided:
        site.run.reads.restore(read)
        site.run.reads.elsewhere |= condition.sized
        for name, array in constants(site.run, other.node, other.initializer):
            site.run.constant(name, array)
        how, share = written(site, other), decision if taken is sides[0] else 1 - decision
        mixed = [beside(site, share, value, (how, place)) for place, value in enumerate(found)]
    return [_also_known(new, old) for new, old in zip(mixed, found, strict=True)]


def _branch(site: Site, decision: Numbers, side: onnx.GraphProto, place: int) -> list[Value]:
    """Return what a branch gives, which runs only where a decision is one way."""
    with site.run.world.branch(decision, place):
        return body(site, side, [])


def _also_known(mixed: Value, taken: Value) -> Value:
    """Return a mixture with what is known of the branch that is taken: it says how long and where things are."""
    if isinstance(mixed, Tensor) and isinstance(taken, Tensor) and mixed.numbers is not None:
        return mixed.but(known=taken.known, sized=taken.known is not None, rough=taken.rough)
    return mixed


def _mixed(site: Site, decision: Numbers, ones: Sequence[Value], others: Sequence[Value]) -> list[Value]:
    if len(ones) != len(others):
        raise Undecided("the branches have different numbers of outputs")
    return [_mix(site, decision, one, two) for one, two in zip(ones, others, strict=True)]


def _mix(site: Site, decision: Numbers, one: Value, two: Value) -> Value:
    """Return one value where a decision is 1, and the other one where it is 0."""
    if one is two:
        return one
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return _mixed(site, decision, one, two)
    if not isinstance(one, Tensor) or not isinstance(two, Tensor):
        raise Undecided("the branches of a decision give sequences of different lengths, or different things")
    if one.type != two.type or one.shape != two.shape:
        raise Undecided(f"the branches of a decision give shapes {one.shape} and {two.shape}, or different types")
    for each in (one, two):
        site.run.read(each)
    if one.certain and two.certain and np.array_equal(one.known, two.known):  # type: ignore[arg-type]
        return one
    numbers = chosen_of(decision, site.run.numbers(one), site.run.numbers(two))
    if any(each.known is None or each.rough for each in (one, two)):
        return Tensor(one.type, None, numbers)
    alike = np.array_equal(one.known, two.known)  # type: ignore[arg-type]  # whatever is decided, at these lengths
    return Tensor(one.type, one.known if alike else None, numbers, sized=alike)


@rule("Loop")
def loop(site: Site) -> list[Value]:
    """Run a body as often as is known: up to a number of trips, and as long as a condition holds."""
    graph: onnx.GraphProto = site.attribute("body")
    limits = [site.tensor(slot) for slot in range(2) if site.given(slot)]
    limit, start = site.known_optional(0), site.known_optional(1)
    sized = any(not each.certain for each in limits)
    if any(each.rough for each in limits):
        raise Undecided("how many trips a loop makes depends on numbers that have been rounded")
    carried = [site.value(slot) for slot in range(2, site.count)]
    count, trips, goes_on = len(carried), 0, start is None or bool(start.item())
    handed: list[list[Value]] = [[] for _ in graph.output[1 + count :]]
    while goes_on and (limit is None or trips < limit.item()):
        if trips >= MOST:
            raise Undecided(f"a loop makes more than {MOST} trips")
        number = Tensor(INT64, np.array(trips, np.int64), sized=sized)
        condition, *found = body(site, graph, [number, Tensor(BOOL, np.array(True)), *carried])
        carried, out = found[:count], found[count:]
        for stack, value in zip(handed, out, strict=True):
            stack.append(value)
        if not isinstance(condition, Tensor) or condition.known is None or condition.rough:
            raise Undecided("whether a loop goes on depends on the model's inputs")
        site.run.read(condition)
        sized = sized or not condition.certain
        goes_on, trips = bool(condition.known.item()), trips + 1
    if sized and not trips:
        raise Undecided("a loop makes no trips with these shapes, so what it does is not seen")
    if sized and trips < 2 and _constant([site.value(slot) for slot in range(2, site.count)]):
        raise Undecided("a loop makes fewer than two trips with these shapes, so what it carries over is not seen")
    return [*carried, *(_stacked(site, stack, 0) for stack in handed)]


@rule("Scan", since=9)
def scan(site: Site) -> list[Value]:
    """Run a body for each place of some axes, with states that it hands on."""
    graph: onnx.GraphProto = site.attribute("body")
    count = int(site.attribute("num_scan_inputs"))
    states = [site.value(slot) for slot in range(site.count - count)]
    scanned = [site.tensor(slot) for slot in range(site.count - count, site.count)]
    outs = len(graph.output) - len(states)
    axes = site.attribute("scan_input_axes") or [0] * count
    backwards = site.attribute("scan_input_directions") or [0] * count
    sequences = [
        _places(each, axis, backward) for each, axis, backward in zip(scanned, axes, backwards, strict=True)
    ]  # fmt: skip
    states, handed = _scanned(site, graph, states, sequences)
    axes = site.attribute("scan_output_axes") or [0] * outs
    backwards = site.attribute("scan_output_directions") or [0] * outs
    return [*states, *(
        _stacked(site, stack[::-1] if backward else stack, axis)
        for stack, axis, backward in zip(handed, axes, backwards, strict=True)
    )]  # fmt: skip


@rule("Scan", until=8)
def scan_of_batch(site: Site) -> list[Value]:
    """Run a body for each place of axis 1 of each row of axis 0, with states for each row."""
    graph: onnx.GraphProto = site.attribute("body")
    count = int(site.attribute("num_scan_inputs"))
    states = [site.tensor(slot) for slot in range(1, site.count - count)]
    scanned = [site.tensor(slot) for slot in range(site.count - count, site.count)]
    lengths = site.known_optional(0)
    if lengths is not None and (lengths != scanned[0].shape[1]).any():
        raise Undecided("the rows of a Scan have different lengths")
    backwards = site.attribute("directions") or [0] * count
    rows: list[list[Value]] = []
    for row in range(scanned[0].shape[0]):
        sequences = [
            _places(cut(each, row), 0, backward) for each, backward in zip(scanned, backwards, strict=True)
        ]  # fmt: skip
        last, handed = _scanned(site, graph, [cut(each, row) for each in states], sequences)
        rows.append([*last, *(_stacked(site, stack, 0) for stack in handed)])
    return [_stacked(site, list(each), 0) for each in zip(*rows, strict=True)]


def _scanned(
    site: Site, graph: onnx.GraphProto, states: Sequence[Value], sequences: Sequence[Sequence[Tensor]]
) -> tuple[list[Value], list[list[Value]]]:
    """Return the last states, and for each further output of the body what it gave in each step."""
    states, count = list(states), len(states)
    handed: list[list[Value]] = [[] for _ in graph.output[count:]]
    if len({len(each) for each in sequences}) != 1:
        raise Undecided("what a Scan reads has different lengths")
    if len(sequences[0]) < 2 and _constant(states):
        raise Undecided("a Scan makes fewer than two steps with these shapes, so what it carries over is not seen")
    for step in zip(*sequences, strict=True):
        found = body(site, graph, [*states, *step])
        states = found[:count]
        for stack, value in zip(handed, found[count:], strict=True):
            stack.append(value)
    return states, handed


@rule("SequenceMap", since=17)
def sequence_map(site: Site) -> list[Value]:
    """Run a body for each element of a sequence; further sequences go along, tensors are the same each time."""
    graph: onnx.GraphProto = site.attribute("body")
    first = sequence(site, 0)
    others = [site.value(slot) for slot in range(1, site.count)]
    if any(isinstance(each, list) and len(each) != len(first) for each in others):
        raise Undecided("sequences that go along have different lengths")
    found: list[list[Value]] = [[] for _ in graph.output]
    for place, value in enumerate(first):
        given = [value, *(each[place] if isinstance(each, list) else each for each in others)]
        for out, result in zip(found, body(site, graph, given), strict=True):
            out.append(result)
    return list(found)


def _constant(states: Sequence[Value]) -> bool:
    """Return whether no input has a part in one of the states: a single trip may not show what becomes of it."""
    return any(
        not isinstance(each, Tensor) or each.numbers is None or each.numbers.constant for each in states
    )  # fmt: skip


def body(site: Site, graph: onnx.GraphProto, given: Sequence[Value]) -> list[Value]:
    """Return what a body's outputs are for its inputs.

    Raises:
        Undecided: If it has another number of inputs, or something in it cannot be decided.
    """
    names = [each.name for each in graph.input]
    if len(names) != len(given):
        raise Undecided(f"a body has {len(names)} inputs, and is given {len(given)}")
    if shadowed := set(names) & {each.name for each in graph.initializer}:
        raise Undecided(f"{min(shadowed)!r} is an input of a body and a constant")
    scope = site.scope.inner()
    scope.values.update(zip(names, given, strict=True))
    return site.run.graph(graph, scope)


def _places(tensor: Tensor, axis: int, backward: int) -> list[Tensor]:
    """Return the parts of a tensor along an axis, one for each place."""
    axis %= len(tensor.shape)
    parts = [cut(tensor, (slice(None),) * axis + (place,)) for place in range(tensor.shape[axis])]
    return parts[::-1] if backward else parts


def _stacked(site: Site, values: Sequence[Value], axis: int) -> Tensor:
    """Return tensors on top of each other."""
    tensors = [each for each in values if isinstance(each, Tensor)]
    if not tensors or len(tensors) != len(values):
        raise Undecided("a loop that makes no trips, or gives sequences, has outputs that are stacked")
    if len({each.shape for each in tensors}) != 1:
        raise Undecided("what a body gives has another shape in each trip")
    return together(site.run, tensors, axis % (len(tensors[0].shape) + 1), new=True)
