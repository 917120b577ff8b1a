"""Operators that look at places: channels are free, spatial axes are pinned unless they are left as they are."""

from onnx_n2n.axes.algebra import size
from onnx_n2n.axes.symbolic import always_equal
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.declaration import WINDOW, Declaration
from onnx_n2n.rules.registry import declare, rule

declare("AveragePool LpPool", "n c *_ -> n c *_")
declare("GridSample", "n c *_, n *_ -> n c *_")
declare("LRN", "n c *s -> n c *s", pinned="c")
# Experimental operators of old converters that ONNX Runtime still runs.
declare("Crop", "n c *_ -> n c *_")
declare("ImageScaler", "n c *s -> n c *s", pinned="c", why="an attribute has a number for each of its places")

MAX_POOL = Declaration.parse("n c *_ -> n c *_")


@rule("MaxPool")
def max_pool(context: Context) -> None:
    """``n c *_ -> n c *_``; the optional indices count through all channels, so they must not be used."""
    if len(context.node.outputs) > 1 and (context.node.outputs[1].uses() or context.node.outputs[1].is_graph_output()):
        raise Refusal("its indices are used, and they count through all channels")
    MAX_POOL(context)


@rule("Resize Upsample")
def resize(context: Context) -> None:
    """``n c *_ -> n c *_``; an axis that keeps its length is free, and ``sizes`` follows it."""
    if context.attribute("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        raise Refusal("it crops to a region of interest")
    axes = context.axes(0)
    which = [context.position(0, axis) for axis in context.attribute("axes", range(len(axes)))]
    by_size = context.node.op_type == "Resize" and context.has(3)
    if by_size and context.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refusal("one scale is computed from all axes together")
    kept = set(range(len(axes))) - set(which)
    if by_size:
        for position, place in enumerate(which):
            element = context.parameter(3, len(which))[position]
            same_length = element.value is not None and element.value == size(axes[place])
            if same_length or (element.axis is not None and always_equal(element.axis, axes[place])):
                context.require_length(3, position, axes[place])
                kept.add(place)
            else:
                context.pin_measured(element, WINDOW)
    else:
        kept |= {place for place, scale in zip(which, _scales(context, len(which)), strict=True) if scale == 1}
    known = context.inferred() or (None,) * len(axes)
    result = []
    for position, axis in enumerate(axes):
        if position in kept:
            result.append(axis)
        else:
            context.pin(axis, WINDOW)
            result.append(context.pinned_axis(known[position], WINDOW))
    context.result(result)


def _scales(context: Context, count: int) -> tuple[float, ...]:
    if "scales" in context.node.attributes:
        return tuple(context.attribute("scales"))
    slot = 1 if context.node.op_type == "Upsample" or len(context.node.inputs) == 2 else 2
    elements = context.parameter(slot, count)
    for element in elements:
        context.pin_measured(element, WINDOW)
    return tuple(element.value if element.literal and element.value is not None else 0.0 for element in elements)
