"""What a node decides by the length of a free axis: the student has to decide it as the teacher does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx

from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor, Value
from onnx_n2n.exact.undecided import Undecided

ENDLESS = 2**31 - 1  # as the end of a part: all that is left


def decisions(site: Site) -> list[tuple[Any, ...]]:
    """Return what a node decides by the length of a free axis and by numbers that it states."""
    if site.operator == "Slice":
        return _cut(site)
    if site.operator in {"Resize", "Upsample"}:
        return _stretched(site)
    if site.operator in {"Trilu", "EyeLike"} and site.free(0).any():
        return [_stated(site)]
    if site.operator == "Range" and any(isinstance(each, Tensor) and each.sized for each in site.inputs):
        return [_stated(site)]
    if site.operator in REACHING:
        return REACHING[site.operator](site)
    attributes = _attributes(site)
    if site.operator == "Split" and "num_outputs" in attributes and site.free(0)[attributes.get("axis", 0)]:
        return [_stated(site)]
    strided = max(attributes.get("strides", [1])) > 1
    padded = strided and str(attributes.get("auto_pad", "")).find("SAME") >= 0
    if (padded or attributes.get("ceil_mode")) and site.free(0).any():
        kept = ("auto_pad", "ceil_mode", "strides", "kernel_shape", "dilations", "pads")
        return [(site.operator, *(str(attributes.get(each)) for each in kept))]
    return []


def emptied(site: Site, results: Sequence[Value]) -> bool:
    """Return whether a node makes nothing of something, as lengths say that were drawn."""
    first = 0 if site.operator in {"ConstantOfShape", "Range"} else 1
    lengths = (each for each in site.inputs[first:] if isinstance(each, Tensor))
    some = first == 0 or (site.given(0) and 0 not in site.shape(0))
    return some and any(each.sized for each in lengths) and any(
        isinstance(each, Tensor) and 0 in each.shape for each in results
    )  # fmt: skip


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
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if free[axis] and site.run.lengths.other is not None and _empty(shape[axis], start, end, step):
            raise Undecided("nothing is left of an axis at these lengths, and something may be at others")
    return [
        ("Slice", shape[axis], start, min(end, ENDLESS), step)
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
        if free[axis] and (start, min(end, ENDLESS), step) != (0, ENDLESS, 1)
    ]


def _empty(length: int, start: int, end: int, step: int) -> bool:
    """Return whether a part of an axis has no place, although it would have some if the axis were longer."""
    if not length or range(*slice(start, end, step).indices(length)):
        return False
    never = start >= end if step > 0 else start <= end
    return not ((start < 0) is (end < 0) and never)


def _stretched(site: Site) -> list[tuple[Any, ...]]:
    """Return by what free axes are stretched, or to which lengths: what is stated for others says nothing of them."""
    attributes, free = _attributes(site), site.free(0)
    axes = [axis % len(free) for axis in attributes.get("axes", range(len(free)))]
    places = [place for place, axis in enumerate(axes) if free[axis]]
    if not places:
        return []
    kept = []
    for numbers in (attributes.pop("scales", None), *(_numbers(site, slot) for slot in range(1, site.count))):
        if numbers and len(numbers) % len(axes) == 0:  # one for each axis, or two
            numbers = [numbers[place] for place in range(len(numbers)) if place % len(axes) in places]
        kept.append(str(numbers))
    attributes["axes"] = [axes[place] for place in places]
    return [(site.operator, *map(str, sorted(attributes.items(), key=str)), *kept)]


def _stated(site: Site) -> tuple[Any, ...]:
    numbers = (str(_numbers(site, slot)) for slot in range(1 if site.operator != "Range" else 0, site.count))
    attributes = sorted(_attributes(site).items(), key=str)
    return site.operator, *map(str, attributes), *numbers


def _centred(site: Site) -> list[tuple[Any, ...]]:
    """Return to which lengths free axes are cut or padded."""
    lengths, shape, free = _numbers(site, 1), site.shape(0), site.free(0)
    axes = _attributes(site).get("axes", range(len(shape)))
    return [
        (site.operator, shape[axis], length) for axis, length in zip(axes, lengths or (), strict=False) if free[axis]
    ]  # fmt: skip


def _in_parts(site: Site) -> list[tuple[Any, ...]]:
    """Return how long the parts are into which a free axis is cut."""
    axis, step = _attributes(site).get("axis", 0), _numbers(site, 1)
    return [(site.operator, site.shape(0)[axis], *step)] if step and site.free(0)[axis] else []


def _beside(site: Site) -> list[tuple[Any, ...]]:
    """Return how many channels are looked at, where it is free how many there are."""
    return [(site.operator, _attributes(site)["size"])] if site.free(0)[1] else []


def _in_a_window(site: Site) -> list[tuple[Any, ...]]:
    """Return how far queries look, where it is free how many there are."""
    kept = {name: far for name, far in _attributes(site).items() if name.endswith("window_size") and far >= 0}
    free = any(site.free(slot)[1:].any() for slot in (0, 1, 4) if site.given(slot))
    return [(site.operator, name, far) for name, far in kept.items()] if free else []


REACHING: dict[str, Callable[[Site], list[tuple[Any, ...]]]] = {
    "Attention": _in_a_window, "CenterCropPad": _centred, "LRN": _beside, "SplitToSequence": _in_parts,
}  # fmt: skip


def _attributes(site: Site) -> dict[str, Any]:
    return {each.name: onnx.helper.get_attribute_value(each) for each in site.constants()}


def _numbers(site: Site, slot: int) -> list[Any] | None:
    """Return the elements of an input that the model states, if there are few."""
    value = site.inputs[slot] if site.given(slot) else None
    if not isinstance(value, Tensor) or not value.certain or value.known is None or value.known.size > 64:
        return None
    found: list[Any] = value.known.reshape(-1).tolist()
    return found
