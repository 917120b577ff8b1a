"""Which lengths in a model are free: those that differ between two runs with other lengths of its free axes.

What is decided by a length that is free could be decided otherwise for lengths that no run has: a part of the first 100
places is all of three places. So each such decision of the student has to be one that the teacher takes too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from onnx_n2n.exact.tensor import Tensor

if TYPE_CHECKING:
    from onnx_n2n.exact.site import Site

ENDLESS = 2**31 - 1  # as the end of a part: all that is left

Visit = tuple[str, str, int]  # a node's first output and operator, and how often it has run before
Shape = tuple[int, ...]


@dataclass
class Trail:
    """The shapes of what nodes read and make, as a run visits them.

    Attributes:
        shapes: For each visit of a node the shapes of its inputs; those of sequences are left out.
    """

    shapes: dict[Visit, tuple[Shape, ...]] = field(default_factory=dict)
    _visits: Counter[tuple[str, str]] = field(default_factory=Counter)

    def visit(self, node: onnx.NodeProto, shapes: tuple[Shape, ...]) -> Visit:
        """Note a visit of a node, and return what stands for it."""
        name = next(iter(node.output), ""), node.op_type
        visit = *name, self._visits[name]
        self._visits[name] += 1
        self.shapes[visit] = shapes
        return visit


@dataclass(frozen=True)
class Lengths:
    """Which axes are free, from the shapes at another set of lengths.

    Args:
        other: The shapes there; None if nothing is known, and each axis may be free.
    """

    other: Mapping[Visit, tuple[Shape, ...]] | None = None

    def free(self, visit: Visit, place: int, shape: Shape) -> np.ndarray:
        """Return which axes of the input at a place are free, bool[n]."""
        shapes = () if self.other is None else self.other.get(visit, ())
        if place >= len(shapes) or len(shapes[place]) != len(shape):
            return np.ones(len(shape), bool)
        return np.array(shapes[place], np.int64) != np.array(shape, np.int64)


def decisions(site: Site) -> list[tuple[Any, ...]]:
    """Return what a node decides by the length of a free axis and by numbers that it states."""
    if site.operator == "Slice":
        return _cut(site)
    if site.operator in {"Trilu", "EyeLike", "Resize", "Upsample"} and site.free(0).any():
        return [_stated(site)]
    if site.operator == "Split" and "num_outputs" in _attributes(site) and site.free(0).any():
        return [_stated(site)]
    if site.operator == "Range" and any(isinstance(each, Tensor) and each.sized for each in site.inputs):
        return [_stated(site)]
    attributes = _attributes(site)
    strided = max(attributes.get("strides", [1])) > 1
    padded = strided and str(attributes.get("auto_pad", "")).find("SAME") >= 0
    if (padded or attributes.get("ceil_mode")) and site.free(0).any():
        kept = ("auto_pad", "ceil_mode", "strides", "kernel_shape", "dilations", "pads")
        return [(site.operator, *(str(attributes.get(each)) for each in kept))]
    return []


def _cut(site: Site) -> list[tuple[Any, ...]]:
    """Return the parts that a Slice cuts out of free axes, by numbers that it states."""
    attributes = _attributes(site)
    parts = [_numbers(site, slot) for slot in range(1, 5)]
    starts = attributes.get("starts") or parts[0]
    ends = attributes.get("ends") or parts[1]
    shape, free = site.shape(0), site.free(0)
    if starts is None or ends is None:
        return []  # what is not stated is noted as it is calculated
    axes = attributes.get("axes") or parts[2] or range(len(starts))
    steps = parts[3] or [1] * len(starts)
    return [
        ("Slice", shape[axis], start, min(end, ENDLESS), step)
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
        if free[axis] and (start, min(end, ENDLESS), step) != (0, ENDLESS, 1)
    ]


def _stated(site: Site) -> tuple[Any, ...]:
    numbers = (str(_numbers(site, slot)) for slot in range(1 if site.operator != "Range" else 0, site.count))
    attributes = sorted(_attributes(site).items(), key=str)
    return site.operator, *map(str, attributes), *numbers


def _attributes(site: Site) -> dict[str, Any]:
    return {each.name: onnx.helper.get_attribute_value(each) for each in site.constants()}


def _numbers(site: Site, slot: int) -> list[Any] | None:
    """Return the elements of an input that the model states, if there are few."""
    value = site.inputs[slot] if site.given(slot) else None
    if not isinstance(value, Tensor) or not value.certain or value.known is None or value.known.size > 64:
        return None
    found: list[Any] = value.known.reshape(-1).tolist()
    return found
