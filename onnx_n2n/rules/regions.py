"""Operators that look at places which other tensors name: channels are free, places are pinned."""

import math

from onnx_n2n.axes.algebra import size
from onnx_n2n.axes.symbolic import always_equal
from onnx_n2n.axes.unify import Misaligned, split_product
from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.declaration import WINDOW, Declaration
from onnx_n2n.rules.registry import declare, rule

declare("MaxRoiPool", "_ c *_, r _ -> r c _ _", pinned="r", why="it looks at regions that are computed")
declare("RoiAlign", "_ c *_, r _, r -> r c _ _", pinned="r", why="it looks at regions that are computed")
declare("NonMaxSuppression", "n s _, n c s, *_?, *_?, *_? -> _ _", pinned="n c s", why="it chooses among boxes")
declare("MaxUnpool", "n c *_, n c *_, *_? -> n c *_", pinned="n c", why="its indices count through all channels")

DEFORM_CONV = Declaration.parse("n (g c) *_, (g m) c *_, n _ *_, (g m)?, n _ *_? -> n (g m) *_", sizes={"g": "group"})


@rule("DeformConv")
def deform_conv(site: Site) -> None:
    """``n (g c) *_, (g m) c *_, n _ *_, (g m)?, n _ *_? -> n (g m) *_``; groups of channels share offsets."""
    DEFORM_CONV(site)
    count = int(site.attribute("offset_group", 1))
    if count > 1:
        try:
            groups, _ = split_product(site.axes(0)[1], count)
        except Misaligned:
            raise Refusal("its channels do not divide into groups with one offset each") from None
        site.pin(groups, "its offsets are for this many groups of channels")


@rule("Col2Im")
def col2im(site: Site) -> None:
    """``n (c *block) l, *image, *block -> n c *image``; only batch and channels are free."""
    batch, channels, places = site.axes(0)
    image, block = (tuple(map(int, site.numbers(slot))) for slot in (1, 2))
    length = size(channels)
    if length is None or length % math.prod(block):
        raise Refusal("its channels do not divide into blocks")
    try:
        channels, inner = split_product(channels, length // math.prod(block))
    except Misaligned:
        raise Refusal("its channels do not divide into blocks") from None
    for axis in (inner, places):
        site.pin(axis, WINDOW)
    site.result([batch, channels, *(site.pinned(each, WINDOW) for each in image)])


@rule("CenterCropPad")
def center_crop_pad(site: Site) -> None:
    """Crop or pad some axes to stated lengths; an axis that keeps its length is free."""
    axes = list(site.axes(0))
    which = [site.position(0, axis) for axis in site.attribute("axes", range(len(axes)))]
    known = site.inferred() or (None,) * len(axes)
    for position, (place, element) in enumerate(zip(which, site.parameter(1), strict=True)):
        axis = axes[place]
        written = element.literal and element.value == size(axis)
        if written or (element.axis is not None and always_equal(element.axis, axis)):
            site.says(1, position, axis)
            continue
        for measured in (axis, element.axis):
            if measured is not None:
                site.pin(measured, WINDOW)
        axes[place] = site.pinned(known[place], WINDOW)
    site.result(axes)


@rule("AffineGrid")
def affine_grid(site: Site) -> None:
    """``n _ _, size -> n *places _``; a grid is pinned, but how many channels there are does not matter to it."""
    batch, *matrix = site.axes(0)
    count, _, *lengths = site.parameter(1)
    for axis in (batch, *matrix, *(element.axis for element in (count, *lengths))):
        if axis is not None:
            site.pin(axis, WINDOW)
    sides = [site.pinned(int(element.value) if element.value is not None else None, WINDOW) for element in lengths]
    site.result([batch, *sides, site.pinned(len(sides), WINDOW)])
