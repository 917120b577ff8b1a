"""Operators that reduce axes: a maximum ignores copies, a mean wants them even, a sum needs their shares."""

from onnx_n2n.axes.algebra import UNIT, Axis
from onnx_n2n.rules.context import Site
from onnx_n2n.rules.obligations import Mean, Summand
from onnx_n2n.rules.registry import rule
from onnx_n2n.rules.reshaping import stated_axes

POWER = {"ReduceSum": 1.0, "ReduceL1": 1.0, "ReduceLogSum": 1.0, "ReduceL2": 0.5, "ReduceSumSquare": 0.5}


def _reduce(site: Site, position: int, axis: Axis) -> None:
    operator = site.node.op_type
    if operator == "ReduceMean":
        site.even(axis, "it takes a mean over this axis", Mean(site.node, position))
    elif operator == "GlobalAveragePool":
        site.even(axis, "it takes a mean over this axis")
    elif operator in {"ReduceMax", "ReduceMin", "GlobalMaxPool"}:
        site.copies(axis, "it takes a maximum over this axis")
    elif operator in POWER:
        site.contract([Summand(0, position, ((axis, True),))], POWER[operator])
    else:
        site.pin(axis, "it reduces this axis in a way that copies would change")


@rule("ReduceMax ReduceMin ReduceMean ReduceSum ReduceL1 ReduceL2 ReduceSumSquare ReduceProd ReduceLogSum "
      "ReduceLogSumExp")
def reduce(site: Site) -> None:
    """Reduce some axes, all of them by default."""
    axes = site.axes(0)
    stated = stated_axes(site)
    if not stated:
        stated = [] if site.attribute("noop_with_empty_axes", 0) else list(range(len(axes)))
    reduced = {site.position(0, axis) for axis in stated}
    for position in sorted(reduced):
        _reduce(site, position, axes[position])
    keep = bool(site.attribute("keepdims", 1))
    kept = [UNIT if place in reduced else axis for place, axis in enumerate(axes) if keep or place not in reduced]
    site.result(kept)


@rule("GlobalAveragePool GlobalMaxPool GlobalLpPool")
def global_pool(site: Site) -> None:
    """Reduce all places, keep batch and channels."""
    batch, channels, *places = site.axes(0)
    for position, axis in enumerate(places, 2):
        _reduce(site, position, axis)
    site.result([batch, channels, *(UNIT for _ in places)])
