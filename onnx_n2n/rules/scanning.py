"""Operators that work along one axis and look at its places: that axis is pinned, all others are free."""

from onnx_n2n.axes.algebra import UNIT, Axis
from onnx_n2n.rules.context import Site
from onnx_n2n.rules.registry import declare, rule

ORDER = "the operator goes along this axis, place by place"
VALID = "its numbers must stay valid places or lengths"

declare("Det", "*b i j -> *b", pinned="i j", why="it takes a determinant")
declare("Trilu", "*b i j, *_? -> *b i j", pinned="i j", why="it cuts a triangle out of the matrix")


def along(site: Site, axis: int) -> tuple[list[Axis], int]:
    """Pin ``axis`` of the first input; return all of its axes, and where that one is."""
    axes, place = list(site.axes(0)), site.position(0, axis)
    site.pin(axes[place], ORDER)
    return axes, place


def measured(site: Site, place: int, slot: int = 0) -> Axis:
    """Return the axis that an output has at ``place``: pinned, and as long as shape inference says."""
    known = site.inferred(slot)
    return site.pinned(known[place] if known is not None else None, ORDER)


@rule("CumSum CumProd")
def cumulate(site: Site) -> None:
    """``*p, axis -> *p``; ``axis`` is pinned."""
    site.result(along(site, int(site.numbers(1)[0]))[0])


@rule("ArgMax ArgMin")
def best_place(site: Site) -> None:
    """Reduce ``axis`` to the place of its largest or smallest number; which one it is depends on the order."""
    axes, place = along(site, site.attribute("axis", 0))
    axes[place : place + 1] = [UNIT] if site.attribute("keepdims", 1) else []
    site.result(axes)


@rule("TopK")
def best_places(site: Site) -> None:
    """``*p, k -> *p, *p``; only some places of ``axis`` are left."""
    axes, place = along(site, site.attribute("axis", -1))
    axes[place] = measured(site, place)
    site.result(axes)
    site.result(axes, 1)


@rule("Compress")
def compress(site: Site) -> None:
    """Keep the places of ``axis`` for which a condition holds; without ``axis`` those of the flattened tensor."""
    for condition in site.axes(1):
        site.pin(condition, ORDER)
    if site.attribute("axis") is None:
        for axis in site.axes(0):
            site.pin(axis, "it is flattened, and places of that are picked")
        site.result([measured(site, 0)])
    else:
        axes, place = along(site, site.attribute("axis"))
        axes[place] = measured(site, place)
        site.result(axes)


@rule("Unique")
def unique(site: Site) -> None:
    """Drop what occurs again along ``axis``, also when other axes hold copies; without ``axis`` of all numbers."""
    axes, place = list(site.axes(0)), None
    if site.attribute("axis") is not None:
        axes, place = along(site, site.attribute("axis"))
    for other, axis in enumerate(axes):
        if place is None:
            site.pin(axis, "it is flattened, and looked through for equal numbers")
        elif other != place:
            site.copies(axis, "it compares slices as a whole")
    site.result([measured(site, 0)] if place is None else [*axes[:place], measured(site, place), *axes[place + 1 :]])
    for slot in range(1, len(site.node.outputs)):
        site.result([measured(site, 0, slot)], slot)


@rule("ReverseSequence")
def reverse_sequence(site: Site) -> None:
    """``*p, batch -> *p``; ``time_axis`` is pinned, and each place of ``batch_axis`` has a length of its own."""
    axes, _ = along(site, site.attribute("time_axis", 0))
    (lengths,) = site.axes(1)
    site.tie(axes[site.position(0, site.attribute("batch_axis", 1))], lengths)
    site.copies(lengths, VALID)
    site.result(axes)
