"""Operators that read lengths instead of values."""

from onnx_n2n.contents import Content, length_of
from onnx_n2n.rules.registry import content, rule
from onnx_n2n.site import Site


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


@content("Shape")
def shape_content(site: Site) -> Content | None:
    """Each element is the length of an axis."""
    axes = site.axes(0)
    return Content(tuple(length_of(axes[place]) for place in _measured(site)))
