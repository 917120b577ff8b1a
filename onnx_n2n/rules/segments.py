"""Operators that join, cut and pick stretches of an axis: sums."""

import numpy as np

from onnx_n2n.axes.algebra import EMPTY, Axis, Factor, Sum, blame, is_pinned, product, size, total
from onnx_n2n.axes.symbolic import ShapeDim
from onnx_n2n.axes.unify import Misaligned, split_product, split_sum
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.registry import rule
from onnx_n2n.rules.scanning import VALID

FAR = 2**31 - 1  # an end at or beyond this says "to the end" whatever the length
SINGLE = "it cuts out single channels, which cannot move"
MOST_RUNS = 64  # indices in more runs than this are a table, not an arrangement


@rule("Concat")
def concat(context: Context) -> None:
    """Lay axes end to end; all other axes are the same."""
    operands = [context.axes(slot) for slot in range(len(context.node.inputs))]
    first = operands[0]
    axis = context.position(0, context.attribute("axis", 1))
    for other in operands[1:]:
        if len(other) != len(first):
            raise Refusal("operands differ in rank")
        for place, (one, two) in enumerate(zip(first, other, strict=True)):
            if place != axis:
                context.tie(one, two)
    context.result([*first[:axis], context.laid(operand[axis] for operand in operands), *first[axis + 1 :]])


@rule("Split")
def split(context: Context) -> None:
    """Cut an axis into parts; without sizes they are equal, and are written out when they grow apart."""
    axes = context.axes(0)
    axis = context.position(0, context.attribute("axis", 0))
    place: int | str = 1 if context.version >= 13 else "split"
    count = len(context.node.outputs)
    length = size(axes[axis])
    if context.has(1):
        lengths = _stated(context)
    elif context.attribute("split") is not None:
        lengths = list(context.attribute("split"))
    elif length is None:
        raise Refusal("it cuts an axis whose length is known only at run time into equal parts", blame(axes[axis]))
    else:
        each = -(-length // count)
        lengths = [max(0, min(each, length - place * each)) for place in range(count)]
    parts = _cut(context, axes[axis], lengths)
    for slot, part in enumerate(parts):
        context.require_length(place, slot, part)
        context.result([*axes[:axis], part, *axes[axis + 1 :]], slot)


@rule("SplitToSequence")
def split_to_sequence(context: Context) -> None:
    """Cut an axis into parts of stated sizes, or into equal parts of one stated size."""
    axes = context.axes(0)
    axis = context.position(0, context.attribute("axis", 0))
    numbers = _stated(context)
    found, length = context.content(1), size(axes[axis])
    if found is not None and found.scalar:
        if not length or not numbers[0] or length % numbers[0]:
            raise Refusal("it does not cut into equal parts")
        parts = _cut(context, axes[axis], numbers * (length // numbers[0]))
        for part in parts[1:]:
            context.tie(parts[0], part)
        context.require_length(1, None, parts[0])
    else:
        parts = _cut(context, axes[axis], numbers)
        for position, part in enumerate(parts):
            context.require_length(1, position, part)
    context.sequences[0] = [(*axes[:axis], part, *axes[axis + 1 :]) for part in parts]


def _stated(context: Context) -> list[int]:
    """Return the sizes of parts that a node is given; they may follow what grows.

    Raises:
        Refusal: If one is known only at run time.
    """
    elements = context.parameter(1)
    found = [int(element.value) for element in elements if element.value is not None]
    if len(found) < len(elements):
        context.consumed.discard(1)
        cause = next((each.cause for each in elements if each.value is None and each.cause is not None), None)
        raise Refusal("it cuts at places known only at run time", cause)
    return found


def _cut(context: Context, axis: Axis, lengths: list[int]) -> list[Axis]:
    rest, parts = axis, []
    try:
        for length in lengths:
            part, rest = split_sum(rest, length, context.reason(SINGLE))
            parts.append(part)
    except Misaligned:
        context.pin(axis, "it cuts through a product")
        return [context.pinned_axis(length, "it is cut from a product") for length in lengths]
    return parts


@rule("Slice")
def slice_(context: Context) -> None:
    """Keep a stretch of some axes: a cut before it and a cut after it."""
    by_input = context.has(1)
    axes = list(context.axes(0))
    if by_input:
        starts, ends = context.parameter(1), context.parameter(2)
        which = [int(n) for n in context.numbers(3)] if context.has(3) else list(range(len(starts)))
        steps = [int(n) for n in context.numbers(4)] if context.has(4) else [1] * len(starts)
    else:
        starts = tuple(ShapeDim(n) for n in context.attribute("starts"))
        ends = tuple(ShapeDim(n) for n in context.attribute("ends"))
        which, steps = list(context.attribute("axes", range(len(starts)))), [1] * len(starts)
    places: tuple[int | str, int | str] = (1, 2) if by_input else ("starts", "ends")
    if not len(starts) == len(ends) == len(which) == len(steps):
        raise Refusal("its starts, ends, axes and steps are not equally many")
    known = context.inferred()
    for position, (start, end, which_axis, step) in enumerate(zip(starts, ends, which, steps, strict=True)):
        axis = context.position(0, which_axis)
        kept = _keep(context, axes[axis], (start, end, step), places, position)
        if kept is None:
            text = "it cuts the axis at places known only at run time, or with steps"
            cause = next((each.cause for each in (start, end) if each.value is None), None) or blame(axes[axis])
            for measured in (axes[axis], start.axis, end.axis):
                if measured is not None:
                    context.pin(measured, text, cause)
            count = _count(size(axes[axis]), start, end, step)
            if count is None and known is not None:
                count = known[axis]
            whole, kept = size(axes[axis]), context.pinned_axis(count, text, cause)
            if isinstance(kept, Factor) and start.value == 0 and end.value is None and step == 1 and (whole or 0) > 1:
                kept.cut_to = end.axis
        axes[axis] = kept
    context.result(axes)


def _count(length: int | None, start: ShapeDim, end: ShapeDim, step: int) -> int | None:
    """Return how many places of an axis are kept, if that is known."""
    if length is None or start.value is None or end.value is None or not step:
        return None
    return len(range(*slice(int(start.value), int(end.value), step).indices(length)))


def _keep(
    context: Context,
    axis: Axis,
    cut: tuple[ShapeDim, ShapeDim, int],
    places: tuple[int | str, int | str],
    position: int,
) -> Axis | None:
    """Return the stretch of ``axis`` that is kept, or None when growth cannot follow the cut."""
    start, end, step = cut
    length = size(axis)
    if step != 1 or length is None or start.value is None or end.value is None:
        return None
    first, last = (int(min(max(n + length if n < 0 else n, 0), length)) for n in (start.value, end.value))
    try:
        before, rest = split_sum(axis, first, context.reason(SINGLE))
        kept, after = split_sum(rest, max(last - first, 0), context.reason(SINGLE))
    except Misaligned:
        return None
    if start.axis is not None or start.value > 0:
        context.require_length(places[0], position, before)
    elif start.value < 0:
        context.require_length(places[0], position, rest, negative=True)
    if end.axis is not None or 0 <= end.value < FAR:
        context.require_length(places[1], position, total(before, kept))
    elif end.value < 0:
        context.require_length(places[1], position, after, negative=True)
    return kept


@rule("Pad")
def pad(context: Context) -> None:
    """Lay constant stretches before and after an axis; other ways of padding look at neighbours."""
    axes = list(context.axes(0))
    pads = context.parameter(1) if context.has(1) else tuple(map(ShapeDim, context.attribute("pads")))
    stated = context.numbers(3) if context.has(3) else range(len(axes))
    which = [context.position(0, int(axis)) for axis in stated]
    if len(pads) != 2 * len(which):
        raise Refusal("it does not pad every axis on two sides")
    known = context.inferred() or (None,) * len(axes)
    laid = context.attribute("mode", "constant") == "constant"
    for place, axis in enumerate(which):
        edges = pads[place], pads[place + len(which)]
        lengths = [int(edge.value) for edge in edges if edge.fixed and edge.value is not None]
        if lengths == [0, 0]:
            continue
        if laid and len(lengths) == 2 and min(lengths) >= 0:
            before, after = (context.pinned_axis(n, "it is padding") if n else EMPTY for n in lengths)
            axes[axis] = context.laid((before, axes[axis], after))
            continue
        text = "it crops the axis, or repeats neighbouring places"
        if len(lengths) < 2:
            text = "it is padded by a number of places that is computed"
        for each in (axes[axis], *(edge.axis for edge in edges)):
            if each is not None:
                context.pin(each, text)
        axes[axis] = context.pinned_axis(known[axis], text)
    context.result(axes)


@rule("Gather")
def gather(context: Context) -> None:
    """Pick places of an axis; constant indices that form runs, or a shuffle, follow the axis."""
    axes = context.axes(0)
    axis = context.position(0, context.attribute("axis", 0))
    picked = _pick(context, axes[axis])
    if picked is None:
        context.pin(axes[axis], "it picks single places of the axis")
        indices = context.axes(1)
        for each in indices:
            context.require_copies(each, VALID)
    else:
        for each in context.axes(1):  # they may be a weight that was cast
            context.pin(each, "its elements are places of another axis")
        indices = (picked,)
    context.result([*axes[:axis], *indices, *axes[axis + 1 :]])


def _pick(context: Context, axis: Axis) -> Axis | None:
    """Return what constant indices of rank 1 pick from ``axis``, or None when growth cannot follow them."""
    indices, length = context.constant(1), size(axis)
    if indices is None or indices.ndim != 1 or length is None or length < 2 or is_pinned(axis):
        return None
    indices = np.where(indices < 0, indices + length, indices)
    if indices.size == 0 or indices.min() < 0 or indices.max() >= length:
        return None
    return _shuffled(context, axis, indices, length) or _runs(context, axis, indices)


def _shuffled(context: Context, axis: Axis, indices: np.ndarray, length: int) -> Axis | None:
    """Recognise ``(outer inner) -> (inner outer)``."""
    if len(indices) != length or indices[0] != 0 or indices[1] < 2 or length % indices[1]:
        return None
    inner = int(indices[1])
    if not np.array_equal(indices, np.arange(length).reshape(-1, inner).T.ravel()):
        return None
    try:
        outer_axis, inner_axis = split_product(axis, length // inner)
    except Misaligned:
        return None
    context.pick(1, axis, (), (outer_axis, inner_axis))
    return product(inner_axis, outer_axis)


def _runs(context: Context, axis: Axis, indices: np.ndarray) -> Axis | None:
    runs = np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)
    if len(runs) > MOST_RUNS or len(runs) == len(indices):
        return None
    pieces = []
    try:
        for run in runs:
            before, rest = split_sum(axis, int(run[0]), context.reason(SINGLE))
            pieces.append((before, split_sum(rest, len(run), context.reason(SINGLE))[0]))
    except Misaligned:
        return None
    context.pick(1, axis, pieces)
    return Sum(tuple(piece for _, piece in pieces))
