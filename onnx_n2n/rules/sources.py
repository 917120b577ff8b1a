"""Operators that read lengths instead of values, or make tensors of nothing else."""

from onnx_n2n.axes.symbolic import Content, Size, length_of
from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.registry import content, declare, rule

COUNTED = "it counts the places of this axis"

declare("EyeLike", "a b -> a b", pinned="a b", why=COUNTED)
declare("NonZero", "*p -> _ _", pinned="p", why="it lists places")


def _measured(site: Site) -> range:
    rank = len(site.axes(0))
    start, end, _ = slice(site.attribute("start", 0), site.attribute("end", rank)).indices(rank)
    return range(start, max(start, end))


@rule("Shape")
def shape(site: Site) -> None:
    """The result has one element per axis."""
    site.result([site.pinned(len(_measured(site)), "it lists lengths")])


@rule("Size")
def size(site: Site) -> None:
    """The result is one number."""
    site.axes(0)
    site.result([])


@rule("Range")
def range_(site: Site) -> None:
    """Count from ``start`` to ``limit``; whoever counts the places of an axis makes a tensor of its length."""
    start, limit, delta = (_number(site.content(slot)) for slot in range(3))
    if start == Size(0) and delta == Size(1) and limit is not None and limit.axis is not None:
        site.parameter(1)
        site.pin(limit.axis, COUNTED)
        site.result([limit.axis])
    else:
        known = site.inferred()
        site.result([site.pinned(known[0] if known else None, COUNTED)])


def _number(found: Content | None) -> Size | None:
    return found.elements[0] if found is not None and len(found.elements) == 1 else None


@rule("Constant")
def constant(site: Site) -> None:
    """A constant that is no weight: text, or sparse."""
    known = site.inferred()
    if known is None:
        raise Refusal("its shape is not known")
    site.result([site.pinned(length, "it is text, or sparse") for length in known])


@content("Shape")
def shape_content(site: Site) -> Content | None:
    """Each element is the length of an axis."""
    axes = site.axes(0)
    return Content(tuple(length_of(axes[place]) for place in _measured(site)))
