"""Operators that join, cut and pick stretches of an axis: sums."""

import numpy as np

from onnx_n2n.axes.algebra import EMPTY, Axis, Sum, is_pinned, product, size, total
from onnx_n2n.axes.symbolic import Size
from onnx_n2n.axes.unify import Misaligned, split_product, split_sum
from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.registry import rule

FAR = 2**31 - 1  # an end at or beyond this says "to the end" whatever the length
MOST_RUNS = 64  # indices in more runs than this are a table, not an arrangement


@rule("Concat")
def concat(site: Site) -> None:
    """Lay axes end to end; all other axes are the same."""
    operands = [site.axes(slot) for slot in range(len(site.node.inputs))]
    first = operands[0]
    axis = site.position(0, site.attribute("axis", 1))
    for other in operands[1:]:
        if len(other) != len(first):
            raise Refusal("operands differ in rank")
        for place, (one, two) in enumerate(zip(first, other, strict=True)):
            if place != axis:
                site.tie(one, two)
    site.result([*first[:axis], total(*(operand[axis] for operand in operands)), *first[axis + 1 :]])


@rule("Split")
def split(site: Site) -> None:
    """Cut an axis into parts; without sizes they are equal, and are written out when they grow apart."""
    axes = site.axes(0)
    axis = site.position(0, site.attribute("axis", 0))
    place: int | str = 1 if site.version >= 13 else "split"
    count = len(site.node.outputs)
    length = size(axes[axis])
    if site.has(1):
        lengths = [int(number) for number in site.numbers(1)]
    elif site.attribute("split") is not None:
        lengths = list(site.attribute("split"))
    elif length is None:
        raise Refusal("it cuts an axis whose length is known only at run time into equal parts")
    else:
        each = -(-length // count)
        lengths = [max(0, min(each, length - place * each)) for place in range(count)]
    parts = _cut(site, axes[axis], lengths)
    for slot, part in enumerate(parts):
        site.says(place, slot, part)
        site.result([*axes[:axis], part, *axes[axis + 1 :]], slot)


@rule("SplitToSequence")
def split_to_sequence(site: Site) -> None:
    """Cut an axis into parts of stated sizes, or into equal parts of one stated size."""
    axes = site.axes(0)
    axis = site.position(0, site.attribute("axis", 0))
    numbers = [int(number) for number in site.numbers(1)]
    found, length = site.content(1), size(axes[axis])
    if found is not None and found.scalar:
        if length is None or length % numbers[0]:
            raise Refusal("it does not cut into equal parts")
        parts = _cut(site, axes[axis], numbers * (length // numbers[0]))
        for part in parts[1:]:
            site.tie(parts[0], part)
        site.says(1, None, parts[0])
    else:
        parts = _cut(site, axes[axis], numbers)
        for position, part in enumerate(parts):
            site.says(1, position, part)
    site.sequences[0] = [(*axes[:axis], part, *axes[axis + 1 :]) for part in parts]


def _cut(site: Site, axis: Axis, lengths: list[int]) -> list[Axis]:
    rest, parts = axis, []
    try:
        for length in lengths:
            part, rest = split_sum(rest, length)
            parts.append(part)
    except Misaligned:
        site.pin(axis, "it cuts through a product")
        return [site.pinned(length, "it is cut from a product") for length in lengths]
    return parts


@rule("Slice")
def slice_(site: Site) -> None:
    """Keep a stretch of some axes: a cut before it and a cut after it."""
    by_input = site.has(1)
    axes = list(site.axes(0))
    if by_input:
        starts, ends = site.parameter(1), site.parameter(2)
        which = [int(n) for n in site.numbers(3)] if site.has(3) else list(range(len(starts)))
        steps = [int(n) for n in site.numbers(4)] if site.has(4) else [1] * len(starts)
    else:
        starts = tuple(Size(n) for n in site.attribute("starts"))
        ends = tuple(Size(n) for n in site.attribute("ends"))
        which, steps = list(site.attribute("axes", range(len(starts)))), [1] * len(starts)
    places: tuple[int | str, int | str] = (1, 2) if by_input else ("starts", "ends")
    known = site.inferred()
    for position, (start, end, which_axis, step) in enumerate(zip(starts, ends, which, steps, strict=True)):
        axis = site.position(0, which_axis)
        kept = _keep(site, axes[axis], (start, end, step), places, position)
        if kept is None:
            for measured in (axes[axis], start.axis, end.axis):
                if measured is not None:
                    site.pin(measured, "it cuts the axis at places known only at run time, or with steps")
            kept = site.pinned(known[axis] if known is not None else None, "it is cut from a pinned axis")
        axes[axis] = kept
    site.result(axes)


def _keep(
    site: Site, axis: Axis, cut: tuple[Size, Size, int], places: tuple[int | str, int | str], position: int
) -> Axis | None:
    """Return the stretch of ``axis`` that is kept, or None when growth cannot follow the cut."""
    start, end, step = cut
    length = size(axis)
    if step != 1 or length is None or start.value is None or end.value is None:
        return None
    first, last = (int(min(max(n + length if n < 0 else n, 0), length)) for n in (start.value, end.value))
    try:
        before, rest = split_sum(axis, first)
        kept, after = split_sum(rest, max(last - first, 0))
    except Misaligned:
        return None
    if start.axis is not None or start.value > 0:
        site.says(places[0], position, before)
    elif start.value < 0:
        site.says(places[0], position, rest, negative=True)
    if end.axis is not None or 0 <= end.value < FAR:
        site.says(places[1], position, total(before, kept))
    elif end.value < 0:
        site.says(places[1], position, after, negative=True)
    return kept


@rule("Pad")
def pad(site: Site) -> None:
    """Lay constant stretches before and after an axis; other ways of padding look at neighbours."""
    axes = list(site.axes(0))
    pads = list(site.numbers(1)) if site.has(1) else list(site.attribute("pads"))
    stated = site.numbers(3) if site.has(3) else range(len(axes))
    which = [site.position(0, int(axis)) for axis in stated]
    known = site.inferred() or (None,) * len(axes)
    for place, axis in enumerate(which):
        before, after = int(pads[place]), int(pads[place + len(which)])
        if before == after == 0:
            continue
        if site.attribute("mode", "constant") == "constant" and min(before, after) >= 0:
            edges = [site.pinned(n, "it is padding") if n else EMPTY for n in (before, after)]
            axes[axis] = total(edges[0], axes[axis], edges[1])
        else:
            site.pin(axes[axis], "it crops the axis, or repeats neighbouring places")
            axes[axis] = site.pinned(known[axis], "it is padded by neighbouring places")
    site.result(axes)


@rule("Gather")
def gather(site: Site) -> None:
    """Pick places of an axis; constant indices that form runs, or a shuffle, follow the axis."""
    axes = site.axes(0)
    axis = site.position(0, site.attribute("axis", 0))
    picked = _pick(site, axes[axis])
    if picked is None:
        site.pin(axes[axis], "it picks single places of the axis")
        indices = site.axes(1)
    else:
        indices = (picked,)
    site.result([*axes[:axis], *indices, *axes[axis + 1 :]])


def _pick(site: Site, axis: Axis) -> Axis | None:
    """Return what constant indices of rank 1 pick from ``axis``, or None when growth cannot follow them."""
    indices, length = site.constant(1), size(axis)
    if indices is None or indices.ndim != 1 or length is None or length < 2 or is_pinned(axis):
        return None
    indices = np.where(indices < 0, indices + length, indices)
    if indices.size == 0 or indices.min() < 0 or indices.max() >= length:
        return None
    return _shuffled(site, axis, indices, length) or _runs(site, axis, indices)


def _shuffled(site: Site, axis: Axis, indices: np.ndarray, length: int) -> Axis | None:
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
    site.pick(1, (), (outer_axis, inner_axis))
    return product(inner_axis, outer_axis)


def _runs(site: Site, axis: Axis, indices: np.ndarray) -> Axis | None:
    runs = np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)
    if len(runs) > MOST_RUNS or len(runs) == len(indices):
        return None
    pieces = []
    try:
        for run in runs:
            before, rest = split_sum(axis, int(run[0]))
            pieces.append((before, split_sum(rest, len(run))[0]))
    except Misaligned:
        return None
    site.pick(1, pieces)
    return Sum(tuple(piece for _, piece in pieces))
