"""Operators that only arrange axes: what they merge is a product, what they split was one."""

import math
from collections.abc import Sequence

from onnx_n2n.axes.algebra import (
    UNIT,
    Axis,
    Reason,
    Sum,
    axis_of,
    blame,
    is_cut,
    is_unit,
    parts_of,
    product,
    size,
    spelled,
)
from onnx_n2n.axes.symbolic import ShapeDim, always_equal, meet
from onnx_n2n.axes.unify import Misaligned, split_inner, split_product
from onnx_n2n.graph.names import reported
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.registry import declare, rule

REPEATED = "it repeats the axis a number of times known only at run time"
INSIDE = "it makes groups that end inside of others"
BLOCKS = {"b": "blocksize", "d": "blocksize"}

declare("SpaceToDepth", "n c (h b) (w d) -> n (b d c) h w", sizes=BLOCKS, pinned="b d")

DEPTH_TO_SPACE = {
    mode: Declaration.parse(f"n {channels} h w -> n c (h b) (w d)", sizes=BLOCKS, pinned="b d")
    for mode, channels in {"DCR": "(b d c)", "CRD": "(c b d)"}.items()
}


@rule("DepthToSpace")
def depth_to_space(context: Context) -> None:
    """``n (b d c) h w -> n c (h b) (w d)``, or with the blocks innermost in mode CRD."""
    DEPTH_TO_SPACE[context.attribute("mode", "DCR")](context)


@rule("Transpose")
def transpose(context: Context) -> None:
    """Permute the axes; without ``perm`` reverse them."""
    axes = context.axes(0)
    order = context.attribute("perm", range(len(axes) - 1, -1, -1))
    context.result([axes[context.position(0, place)] for place in order])


@rule("Flatten")
def flatten(context: Context) -> None:
    """Merge the axes before ``axis`` into one, and the others into another."""
    axes = context.axes(0)
    axis = context.attribute("axis", 1)
    cut = axis + len(axes) if axis < 0 else axis
    context.result([product(*axes[:cut]), product(*axes[cut:])])


def stated_axes(context: Context) -> list[int] | None:
    """Return the ``axes`` of a node, an attribute in old opsets and input 1 in new ones, or None when not given."""
    if context.has(1):
        return [int(axis) for axis in context.numbers(1)]
    stated = context.attribute("axes")
    return None if stated is None else list(stated)


@rule("Squeeze")
def squeeze(context: Context) -> None:
    """Drop axes of length 1."""
    axes = context.axes(0)
    stated = stated_axes(context)
    if stated is not None:
        dropped = {context.position(0, axis) for axis in stated}
    elif all(size(axis) is not None for axis in axes):
        dropped = {place for place, axis in enumerate(axes) if is_unit(axis)}
    else:
        cause = next((reason for axis in axes if size(axis) is None and (reason := blame(axis))), None)
        raise Refusal("which axes it drops depends on lengths known only at run time", cause)
    context.result([axis for place, axis in enumerate(axes) if place not in dropped])


@rule("Unsqueeze")
def unsqueeze(context: Context) -> None:
    """Insert axes of length 1."""
    axes = list(context.axes(0))
    stated = stated_axes(context) or []
    rank = len(axes) + len(stated)
    added = {axis % rank for axis in stated}
    rest = iter(axes)
    context.result([UNIT if place in added else next(rest) for place in range(rank)])


@rule("Expand")
def expand(context: Context) -> None:
    """Broadcast to a stated shape; an axis that arises is the same everywhere along it, so it may grow."""
    axes = context.axes(0)
    target = context.parameter(1)
    rank = max(len(axes), len(target))
    padded = [UNIT] * (rank - len(axes)) + list(axes)
    first = rank - len(target)
    for position, element in enumerate(target):
        place = first + position
        if element.literal and element.value == 1:
            continue
        if is_unit(padded[place]):
            padded[place] = _arising(context, 1, position, element)
        else:
            context.require_length(1, position, padded[place])
            padded[place] = _stretched(context, padded[place], element)
    context.result(padded)


def _stretched(context: Context, axis: Axis, element: ShapeDim) -> Axis:
    """Return what becomes of an axis, which may turn out to have length 1, where an element says the length."""
    if size(axis) is not None or (element.axis is not None and always_equal(element.axis, axis)):
        return axis
    if element.axis is not None and is_cut(axis, element.axis):
        return element.axis
    length = int(element.value) if element.value is not None and element.value > 1 else None
    return context.pinned_axis(length, "it is stretched if its length turns out to be 1")


def _arising(context: Context, slot: int, position: int, element: ShapeDim) -> Axis:
    """Return the axis that arises with the length of an element, filled with equal values."""
    if element.axis is not None:
        return element.axis
    if element.value is None or element.value < 0:
        return context.pinned_axis(None, "its length is computed from data", element.cause)
    axis = axis_of(int(element.value))
    context.require_length(slot, position, axis)
    return axis


@rule("ConstantOfShape")
def constant_of_shape(context: Context) -> None:
    """Fill a stated shape with one value."""
    axes = [_arising(context, 0, position, element) for position, element in enumerate(context.parameter(0))]
    value = context.attribute("value")
    if value is not None and not value.dtype.is_floating_point():
        for axis in axes:
            context.pin(axis, "it makes integers")
    context.result(axes)


@rule("Tile")
def tile(context: Context) -> None:
    """Repeat whole axes: the repetition is an outer factor."""
    result = []
    for position, (axis, element) in enumerate(zip(context.axes(0), context.parameter(1), strict=True)):
        if element.literal and element.value == 1:
            result.append(axis)
        elif is_unit(axis):
            result.append(_arising(context, 1, position, element))
        elif element.literal and element.value is not None:
            result.append(product(context.pinned_axis(int(element.value), "it repeats the axis that often"), axis))
        else:
            context.pin(axis, REPEATED, element.cause)
            context.pin_measured(element, REPEATED)
            result.append(context.pinned_axis(None, REPEATED, element.cause))
    context.result(result)


@rule("Reshape")
def reshape(context: Context) -> None:
    """Merge and split axes: align the target with the input from the left, then from the right."""
    axes = context.axes(0)
    target = context.parameter(1)
    keep_zero = bool(context.attribute("allowzero", 0))
    if keep_zero and any(element.literal and element.value == 0 for element in target):
        raise Refusal("it makes an empty tensor")
    wanted = list(target)
    for place, element in enumerate(target):
        if element.literal and element.value == 0:
            kept = axes[context.position(0, place)]
            wanted[place] = ShapeDim(size(kept), kept)
    result = _split(context, product(*axes), wanted)
    context.result(result)
    for position, (element, axis) in enumerate(zip(target, result, strict=True)):
        if element.literal and element.value == 0:
            context.tie(axis, axes[position])
        elif not (element.literal and element.value == -1):
            context.require_length(1, position, axis)


def _split(context: Context, whole: Axis, target: Sequence[ShapeDim]) -> list[Axis]:
    """Split an axis into parts of the lengths that ``target`` says, at most one of which is unknown."""
    joined = any(isinstance(part, Sum) for part in parts_of(whole))
    across = context.crossing(whole, _meant(context)) if joined else context.reason(INSIDE)
    left: list[Axis] = []
    right: list[Axis] = []
    remaining = list(target)
    for last in (False, True):
        while remaining and (found := _take(whole, remaining[0], across, from_left=True)):
            whole = found[1]
            left.append(found[0])
            del remaining[0]
        while remaining and (found := _take(whole, remaining[-1], across, from_left=False)):
            whole = found[1]
            right.insert(0, found[0])
            del remaining[-1]
        if last or len(remaining) < 2 or (told := _told(size(whole), remaining)) is None:
            break
        remaining = told
    if not remaining:
        return _with_spare(left, whole, right)
    if len(remaining) == 1:
        return [*left, whole, *right]
    cause, reason = blame(whole), _misfit(context, whole, remaining)
    context.pin(whole, reason, cause)
    lengths = _lengths(size(whole), remaining)
    if None in lengths and (known := context.inferred()) is not None:
        lengths = known[len(left) : len(known) - len(right)]
    return [*left, *(context.pinned_axis(length, reason, cause) for length in lengths), *right]


def _with_spare(left: list[Axis], spare: Axis, right: list[Axis]) -> list[Axis]:
    """Return all axes of a tensor, of which one has a spare that lies between what was split off from both sides."""
    if left:
        left[-1] = product(left[-1], spare)
    elif right:
        right[0] = product(spare, right[0])
    return [*left, *right]


def _told(whole: int | None, target: Sequence[ShapeDim]) -> list[ShapeDim] | None:
    """Return a target with the length that it leaves open; None if it leaves none open, or that is not known."""
    lengths = _lengths(whole, target)
    if None in lengths or not any(each.literal and each.value == -1 for each in target):
        return None
    return [
        ShapeDim(length) if each.literal and each.value == -1 else each
        for length, each in zip(lengths, target, strict=True)
    ]


def _lengths(whole: int | None, target: Sequence[ShapeDim]) -> Sequence[int | None]:
    """Return the lengths that a target says for a part of a tensor; one that it leaves open follows from the others."""
    stated = [int(each.value) if each.value is not None and each.value > 0 else None for each in target]
    others = [length for length in stated if length is not None]
    if whole is None or len(others) + 1 < len(stated):
        return stated
    return [whole // math.prod(others) if length is None else length for length in stated]


def _misfit(context: Context, whole: Axis, target: Sequence[ShapeDim]) -> str:
    """Say why an axis cannot be split into parts of stated lengths."""
    joined = next((part for part in parts_of(whole) if isinstance(part, Sum)), None)
    if joined is None:
        lengths = " x ".join("?" if (n := element.value) is None or n < 0 else f"{n:g}" for element in target)
        return f"the axes before and after it do not line up: {spelled(whole)} and {lengths}"
    return context.crossing(whole, _meant(context)).text.partition(": ")[2]


def _meant(context: Context) -> str:
    """Return for which norm groups are made, if one reads them."""
    readers = (use.node for use in context.node.outputs[0].uses())
    norm = next((reader for reader in readers if reader.op_type.endswith("Normalization")), None)
    return f" for {norm.op_type} {reported(norm)!r}" if norm is not None else ""


def _take(whole: Axis, element: ShapeDim, across: Reason, *, from_left: bool) -> tuple[Axis, Axis] | None:
    """Take the outermost (or innermost) part of the length of ``element`` off an axis: (part, rest), or None."""
    if element.axis is not None and always_equal(element.axis, whole):
        return whole, UNIT
    if element.axis is not None and size(element.axis) is None:
        return _take_whole_part(whole, element.axis, across, from_left=from_left)
    if element.value is None or element.value < 1:
        return None
    length = int(element.value)
    try:
        if from_left:
            return split_product(whole, length, across)
        rest, part = split_inner(whole, length, across)
    except Misaligned:
        return None
    return part, rest


def _take_whole_part(whole: Axis, axis: Axis, reason: Reason, *, from_left: bool) -> tuple[Axis, Axis] | None:
    """Take parts off a product whose length is that of ``axis``, which only run time knows."""
    parts = parts_of(whole)
    for count in range(1, len(parts)):
        part = product(*(parts[:count] if from_left else parts[-count:]))
        if meet(part, axis, reason):
            return part, product(*(parts[count:] if from_left else parts[:-count]))
    return None
