"""Operators that only arrange axes: what they merge is a product, what they split was one."""

from collections.abc import Sequence

from onnx_n2n.axes.algebra import UNIT, Axis, axis_of, is_unit, parts_of, product, size
from onnx_n2n.axes.symbolic import Size, always_equal
from onnx_n2n.axes.unify import Misaligned, split_inner, split_product
from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.registry import declare, rule

BLOCKS = {"b": "blocksize", "d": "blocksize"}

declare("SpaceToDepth", "n c (h b) (w d) -> n (b d c) h w", sizes=BLOCKS, pinned="b d")

DEPTH_TO_SPACE = {
    mode: Declaration.parse(f"n {channels} h w -> n c (h b) (w d)", sizes=BLOCKS, pinned="b d")
    for mode, channels in {"DCR": "(b d c)", "CRD": "(c b d)"}.items()
}


@rule("DepthToSpace")
def depth_to_space(site: Site) -> None:
    """``n (b d c) h w -> n c (h b) (w d)``, or with the blocks innermost in mode CRD."""
    DEPTH_TO_SPACE[site.attribute("mode", "DCR")](site)


@rule("Transpose")
def transpose(site: Site) -> None:
    """Permute the axes; without ``perm`` reverse them."""
    axes = site.axes(0)
    site.result([axes[place] for place in site.attribute("perm", range(len(axes) - 1, -1, -1))])


@rule("Flatten")
def flatten(site: Site) -> None:
    """Merge the axes before ``axis`` into one, and the others into another."""
    axes = site.axes(0)
    axis = site.attribute("axis", 1)
    cut = axis + len(axes) if axis < 0 else axis
    site.result([product(*axes[:cut]), product(*axes[cut:])])


def stated_axes(site: Site) -> list[int] | None:
    """Return the ``axes`` of a node, an attribute in old opsets and input 1 in new ones, or None when not given."""
    if site.has(1):
        return [int(axis) for axis in site.numbers(1)]
    stated = site.attribute("axes")
    return None if stated is None else list(stated)


@rule("Squeeze")
def squeeze(site: Site) -> None:
    """Drop axes of length 1."""
    axes = site.axes(0)
    stated = stated_axes(site)
    if stated is not None:
        dropped = {site.position(0, axis) for axis in stated}
    elif all(size(axis) is not None for axis in axes):
        dropped = {place for place, axis in enumerate(axes) if is_unit(axis)}
    else:
        raise Refusal("which axes it drops depends on lengths known only at run time")
    site.result([axis for place, axis in enumerate(axes) if place not in dropped])


@rule("Unsqueeze")
def unsqueeze(site: Site) -> None:
    """Insert axes of length 1."""
    axes = list(site.axes(0))
    stated = stated_axes(site) or []
    rank = len(axes) + len(stated)
    added = {axis % rank for axis in stated}
    rest = iter(axes)
    site.result([UNIT if place in added else next(rest) for place in range(rank)])


@rule("Expand")
def expand(site: Site) -> None:
    """Broadcast to a stated shape; an axis that arises is the same everywhere along it, so it may grow."""
    axes = site.axes(0)
    target = site.parameter(1)
    rank = max(len(axes), len(target))
    padded = [UNIT] * (rank - len(axes)) + list(axes)
    first = rank - len(target)
    for position, element in enumerate(target):
        place = first + position
        if element.literal and element.value == 1:
            continue
        if is_unit(padded[place]):
            padded[place] = _arising(site, 1, position, element)
        else:
            site.says(1, position, padded[place])
    site.result(padded)


def _arising(site: Site, slot: int, position: int, element: Size) -> Axis:
    """Return the axis that arises with the length of an element, filled with equal values."""
    if element.axis is not None:
        return element.axis
    if element.value is None or element.value < 0:
        return site.pinned(None, "its length is computed from data")
    axis = axis_of(int(element.value))
    site.says(slot, position, axis)
    return axis


@rule("ConstantOfShape")
def constant_of_shape(site: Site) -> None:
    """Fill a stated shape with one value."""
    axes = [_arising(site, 0, position, element) for position, element in enumerate(site.parameter(0))]
    value = site.attribute("value")
    if value is not None and not value.dtype.is_floating_point():
        for axis in axes:
            site.pin(axis, "it makes integers")
    site.result(axes)


@rule("Tile")
def tile(site: Site) -> None:
    """Repeat whole axes: the repetition is an outer factor."""
    result = []
    for position, (axis, element) in enumerate(zip(site.axes(0), site.parameter(1), strict=True)):
        if element.literal and element.value == 1:
            result.append(axis)
        elif is_unit(axis):
            result.append(_arising(site, 1, position, element))
        elif element.literal and element.value is not None:
            result.append(product(site.pinned(int(element.value), "it repeats the axis that often"), axis))
        else:
            site.pin(axis, "it repeats the axis a number of times known only at run time")
            result.append(site.pinned(None, "it repeats the axis a number of times known only at run time"))
    site.result(result)


@rule("Reshape")
def reshape(site: Site) -> None:
    """Merge and split axes: align the target with the input from the left, then from the right."""
    axes = site.axes(0)
    target = site.parameter(1)
    keep_zero = bool(site.attribute("allowzero", 0))
    if keep_zero and any(element.literal and element.value == 0 for element in target):
        raise Refusal("it makes an empty tensor")
    wanted = [
        Size(size(axes[place]), axes[place]) if element.literal and element.value == 0 else element
        for place, element in enumerate(target)
    ]
    result = _split(site, product(*axes), wanted)
    site.result(result)
    for position, (element, axis) in enumerate(zip(target, result, strict=True)):
        if element.literal and element.value == 0:
            site.tie(axis, axes[position])
        elif not (element.literal and element.value == -1):
            site.says(1, position, axis)


def _split(site: Site, whole: Axis, target: Sequence[Size]) -> list[Axis]:
    """Split an axis into parts of the lengths that ``target`` says, at most one of which is unknown."""
    left: list[Axis] = []
    right: list[Axis] = []
    remaining = list(target)
    while remaining and (found := _take(whole, remaining[0], from_left=True)):
        whole = found[1]
        left.append(found[0])
        del remaining[0]
    while remaining and (found := _take(whole, remaining[-1], from_left=False)):
        whole = found[1]
        right.insert(0, found[0])
        del remaining[-1]
    if not remaining:
        return [*left, *right]
    if len(remaining) == 1:
        return [*left, whole, *right]
    reason = "the axes before and after it do not line up"
    site.pin(whole, reason)
    known = site.inferred() or (None,) * len(target)
    return [*left, *(site.pinned(n, reason) for n in known[len(left) : len(known) - len(right)]), *right]


def _take(whole: Axis, element: Size, *, from_left: bool) -> tuple[Axis, Axis] | None:
    """Take the outermost (or innermost) part of the length of ``element`` off an axis: (part, rest), or None."""
    if element.axis is not None and always_equal(element.axis, whole):
        return whole, UNIT
    if element.axis is not None and size(element.axis) is None:
        return _take_whole_part(whole, element.axis, from_left=from_left)
    if element.value is None or element.value < 1:
        return None
    length = int(element.value)
    try:
        if from_left:
            return split_product(whole, length)
        rest, part = split_inner(whole, length)
    except Misaligned:
        return None
    return part, rest


def _take_whole_part(whole: Axis, axis: Axis, *, from_left: bool) -> tuple[Axis, Axis] | None:
    """Take parts off a product whose length is that of ``axis``, which only run time knows."""
    parts = parts_of(whole)
    for count in range(1, len(parts)):
        part = product(*(parts[:count] if from_left else parts[-count:]))
        if always_equal(part, axis):
            return part, product(*(parts[count:] if from_left else parts[:-count]))
    return None
