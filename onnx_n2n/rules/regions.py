"""Operators that look at places which other tensors name: channels are free, places are pinned."""

import math

from onnx_n2n.axes.algebra import size
from onnx_n2n.axes.symbolic import always_equal
from onnx_n2n.axes.unify import Misaligned, split_product
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.declaration import WINDOW, Declaration
from onnx_n2n.rules.registry import declare, rule

declare("MaxRoiPool", "_ c *_, r _ -> r c _ _", pinned="r", why="it looks at regions that are computed")
declare("RoiAlign", "_ c *_, r _, r -> r c _ _", pinned="r", why="it looks at regions that are computed")
declare("NonMaxSuppression", "n s _, n c s, *_?, *_?, *_? -> _ _", pinned="n c s", why="it chooses among boxes")
declare("MaxUnpool", "n c *_, n c *_, *_? -> n c *_", pinned="n c", why="its indices count through all channels")

DEFORM_CONV = Declaration.parse("n (g c) *_, (g m) c *_, n _ *_, (g m)?, n _ *_? -> n (g m) *_", sizes={"g": "group"})


@rule("DeformConv")
def deform_conv(context: Context) -> None:
    """``n (g c) *_, (g m) c *_, n _ *_, (g m)?, n _ *_? -> n (g m) *_``; groups of channels share offsets."""
    DEFORM_CONV(context)
    count = int(context.attribute("offset_group", 1))
    if count > 1:
        try:
            groups, _ = split_product(context.axes(0)[1], count)
        except Misaligned:
            raise Refusal("its channels do not divide into groups with one offset each") from None
        context.pin(groups, "its offsets are for this many groups of channels")


@rule("Col2Im")
def col2im(context: Context) -> None:
    """``n (c *block) l, *image, *block -> n c *image``; only batch and channels are free."""
    batch, channels, places = context.axes(0, 3)
    image, block = (tuple(map(int, context.numbers(slot))) for slot in (1, 2))
    length = size(channels)
    if length is None or length % math.prod(block):
        raise Refusal("its channels do not divide into blocks")
    try:
        channels, inner = split_product(channels, length // math.prod(block))
    except Misaligned:
        raise Refusal("its channels do not divide into blocks") from None
    for axis in (inner, places):
        context.pin(axis, WINDOW)
    context.result([batch, channels, *(context.pinned_axis(each, WINDOW) for each in image)])


@rule("CenterCropPad")
def center_crop_pad(context: Context) -> None:
    """Crop or pad some axes to stated lengths; an axis that keeps its length is free."""
    axes = list(context.axes(0))
    which = [context.position(0, axis) for axis in context.attribute("axes", range(len(axes)))]
    known = context.inferred() or (None,) * len(axes)
    for position, (place, element) in enumerate(zip(which, context.parameter(1, len(which)), strict=True)):
        axis = axes[place]
        written = element.literal and element.value == size(axis)
        if written or (element.axis is not None and always_equal(element.axis, axis)):
            context.require_length(1, position, axis)
            continue
        for measured in (axis, element.axis):
            if measured is not None:
                context.pin(measured, WINDOW)
        axes[place] = context.pinned_axis(known[place], WINDOW)
    context.result(axes)


@rule("AffineGrid")
def affine_grid(context: Context) -> None:
    """``n _ _, size -> n *places _``; a grid is pinned, but how many channels there are does not matter to it."""
    batch, *matrix = context.axes(0, 3)
    count, _, *lengths = context.parameter(1)
    for axis in (batch, *matrix, *(element.axis for element in (count, *lengths))):
        if axis is not None:
            context.pin(axis, WINDOW)
    values = [element.value for element in lengths]
    sides = [context.pinned_axis(None if value is None else int(value), WINDOW) for value in values]
    context.result([batch, *sides, context.pinned_axis(len(sides), WINDOW)])
