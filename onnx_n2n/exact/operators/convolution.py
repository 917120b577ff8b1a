"""Convolutions: products of weights and windows of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onnx_n2n.exact import functions
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.arithmetic import held
from onnx_n2n.exact.operators.windows import LARGEST, Axis, folded, image, in_blocks, reach, shifted, sliding
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided


@rule("Conv")
def conv(site: Site) -> Tensor:
    """Multiply weights with each window, and add a bias."""
    axes = slid(site, site.tensor(0).shape, 1)
    x, w, b = image(site, 0, axes), site.numbers(1), site.optional(2)
    return site.result(biased(convolved(site, x, w, axes), b))


def slid(site: Site, shape: Sequence[int], w: int) -> list[Axis]:
    """Return the windows of a convolution over images, and note which of their places meet an image.

    Args:
        site: The node.
        shape: The images' shape, ``[n, c, *lengths]``.
        w: Which input has the weights, ``[m, c / groups, *kernel]``.
    """
    kernel = site.tensor(w).shape[2:]
    if tuple(site.attribute("kernel_shape") or kernel) != kernel:
        raise Undecided("the kernel has another shape than the weights")
    axes = sliding(site, shape[2:], kernel)
    reach(site, axes)
    return axes


def convolved(site: Site, x: Numbers, w: Numbers, axes: Sequence[Axis]) -> Numbers:
    """Return a convolution, by the node's number of groups.

    Args:
        site: The node.
        x: Images ``[n, c, *lengths]``.
        w: Weights ``[m, c / groups, *kernel]``.
        axes: The windows.

    Returns:
        Images ``[n, m, *outs]``.
    """
    groups = site.attribute("group", 1)
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise Undecided(f"{groups} groups of weights {w.shape} do not fit an image {x.shape}")
    weights = w.reshape([groups, w.shape[0] // groups, -1])

    def calculate(part: Sequence[Axis]) -> Numbers:
        outs = [axis.out for axis in part]
        places = [each[..., None] for each in shifted(site, x.moveaxis(1, -1), part, 1)]
        rows = places[0].joined(places[1:], -1)  # [n, *outs, c, kernel places]
        if groups == 1:  # a matrix of rows times the weights: these may be in a file
            made = rows.reshape([-1, weights.shape[-1]]) @ weights[0].transpose([1, 0])
            return made.reshape([x.shape[0], *outs, w.shape[0]]).moveaxis(-1, 1)
        columns = rows.reshape([x.shape[0], -1, groups, weights.shape[-1]]).transpose([0, 2, 3, 1])
        return (weights @ columns).reshape([x.shape[0], w.shape[0], *outs])

    return in_blocks(x, axes, calculate)


def biased(y: Numbers, b: Numbers | None) -> Numbers:
    """Return images ``[n, m, ...]`` with a number ``[m]`` added for each channel."""
    return y if b is None else y + b.reshape([-1, *[1] * (y.ndim - 2)])


@rule("ConvTranspose")
def conv_transpose(site: Site) -> Tensor:
    """Add each number of an image times the weights to a larger image."""
    shape, kernel = site.tensor(0).shape, site.tensor(1).shape[2:]
    if tuple(site.attribute("kernel_shape") or kernel) != kernel:
        raise Undecided("the kernel has another shape than the weights")
    axes = _spread(site, shape[2:], kernel)
    reach(site, axes)
    x, w, b, groups = site.numbers(0), site.numbers(1), site.optional(2), site.attribute("group", 1)
    if shape[1] != w.shape[0] or shape[1] % groups:
        raise Undecided(f"{groups} groups of weights {w.shape} do not fit an image {shape}")
    y = _transposed(site, x.reshape([shape[0], groups, shape[1] // groups, -1]), w, axes)
    return site.result(biased(y, b))


def _transposed(site: Site, x: Numbers, w: Numbers, axes: Sequence[Axis]) -> Numbers:
    """Return a transposed convolution, some output channels of each group at a time, so that memory is bounded.

    Args:
        site: The node.
        x: Images ``[n, groups, c / groups, pixels]``.
        w: Weights ``[c, m / groups, *kernel]``.
        axes: The windows over the larger images.

    Returns:
        Images ``[n, m, *lengths]``.
    """
    n, groups, channels, _ = x.shape
    outs, made = [axis.out for axis in axes], w.shape[1]
    weights = w.reshape([groups, channels, made, -1]).transpose([0, 2, 3, 1])
    places = weights.shape[2]
    most = max(1, LARGEST // max(1, n * groups * places * int(np.prod(outs, dtype=np.int64))))
    parts = []
    for start in range(0, made, most):
        some = weights[:, start : start + most]
        columns = some.reshape([groups, -1, channels]) @ x
        image_ = folded(site, columns.reshape([n, groups * some.shape[1], places, *outs]), axes)
        parts.append(image_.reshape([n, groups, some.shape[1], *(axis.length for axis in axes)]))
    whole = parts[0].joined(parts[1:], 2) if parts[1:] else parts[0]
    return whole.reshape([n, groups * made, *(axis.length for axis in axes)])


def _spread(site: Site, lengths: Sequence[int], kernel: Sequence[int]) -> list[Axis]:
    """Return the windows over the larger image that each number of the smaller one fills."""
    count = len(lengths)
    strides = site.attribute("strides") or [1] * count
    dilations = site.attribute("dilations") or [1] * count
    pads = site.attribute("pads") or [0] * 2 * count
    added = site.attribute("output_padding") or [0] * count
    wanted, auto = site.attribute("output_shape"), site.attribute("auto_pad", "NOTSET")
    if auto not in {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"}:
        raise Undecided(f"there is no auto_pad {auto!r}")
    if any(pads) and (wanted or auto != "NOTSET"):
        raise Undecided("the padding is given twice")
    same = auto.startswith("SAME") and not wanted
    if same:
        wanted = [length * stride for length, stride in zip(lengths, strides, strict=True)]
    axes = []
    for place, length in enumerate(lengths):
        axis = Axis(0, kernel[place], strides[place], dilations[place], pads[place], 0, length)
        whole = (length - 1) * axis.stride + axis.extent + added[place]
        if wanted:
            if same and whole < wanted[place]:
                raise Undecided("what is added is shorter than the output, which the runtime makes shorter then")
            total = max(whole - wanted[place - count], 0)
            axis = replace(axis, before=total // 2 if auto == "SAME_UPPER" else total - total // 2)
            axes.append(replace(axis, length=wanted[place - count]))
        else:
            axes.append(replace(axis, length=whole - pads[place] - pads[count + place]))
    return axes


@rule("Col2Im")
def col2im(site: Site) -> Tensor:
    """Add up the columns of windows where they lie in the image."""
    lengths, kernel = site.known(1).tolist(), site.known(2).tolist()
    axes = sliding(site, lengths, kernel)
    x = site.numbers(0)
    columns = x.reshape([x.shape[0], -1, int(np.prod(kernel)), *(axis.out for axis in axes)])
    reach(site, axes)
    return held(site, folded(site, columns, axes))


def _bilinear(rows: np.ndarray, *lengths: int) -> np.ndarray:
    """Return the weight of each pixel at a place between them: float64[..., 2] to float64[..., height * width]."""
    y, x = (np.maximum(0, 1 - np.abs(rows[..., axis, None] - np.arange(length))) for axis, length in enumerate(lengths))
    return np.asarray(y[..., :, None] * x[..., None, :]).reshape(*rows.shape[:-1], -1)


SAMPLED = functions.define("SampledBilinearly", _bilinear)


@rule("DeformConv")
def deform_conv(site: Site) -> Tensor:
    """Multiply weights with windows whose places are moved; each pixel's part is a function of where a place is."""
    axes = slid(site, site.tensor(0).shape, 1)
    x, w, offset = site.numbers(0), site.numbers(1), site.numbers(2)
    b, mask, sets = site.optional(3), site.optional(4), site.attribute("offset_group", 1)
    n, channels, *lengths = x.shape
    outs, places = [axis.out for axis in axes], int(np.prod(w.shape[2:]))
    if len(lengths) != 2 or channels % sets:
        raise Undecided("windows are moved over an image that is not flat")
    steps = [axis.places + np.zeros((1, 1), np.int64) for axis in axes]
    rows = np.broadcast_to(steps[0][:, None, :, None], (w.shape[2], w.shape[3], *outs))
    columns = np.broadcast_to(steps[1][None, :, None, :], (w.shape[2], w.shape[3], *outs))
    start = np.stack([rows, columns], 2).reshape(places, 2, -1)
    where = offset.reshape([n, sets, places, 2, -1]) + site.world.enter(start)
    where = where.transpose([0, 1, 2, 4, 3]).reshape([n, sets, -1, 2])
    pixels = x.reshape([n, sets, channels // sets, -1])
    sampled = picked(site, SAMPLED, tuple(lengths), where, pixels)
    sampled = sampled.reshape([n, sets, channels // sets, places, -1])
    if mask is not None:
        sampled = sampled * mask.reshape([n, sets, 1, places, -1])
    groups = site.attribute("group", 1)
    weights = w.reshape([groups, w.shape[0] // groups, -1])
    y = weights @ sampled.reshape([n, groups, weights.shape[-1], -1])
    return site.result(biased(y.reshape([n, w.shape[0], *outs]), b))


def picked(site: Site, name: str, parameters: tuple[object, ...], where: Numbers, pixels: Numbers) -> Numbers:
    """Return mixtures of pixels, with weights that are functions of places.

    Args:
        site: The node.
        name: The function that gives the weights of all pixels for the coordinates of a place.
        parameters: What it hangs on beside the place.
        where: Places ``[..., count, coordinates]``.
        pixels: Pixels ``[..., channels, pixels]``.

    Returns:
        Mixtures ``[..., channels, count]``.
    """
    size = pixels.shape[-1]
    most = max(1, (1 << 21) // max(1, size * int(np.prod(where.shape[:-2], dtype=np.int64))))
    parts = []
    for start in range(0, where.shape[-2], most):
        weights: Numbers = site.world.of_rows(name, parameters, where[..., start : start + most, :], -1, size)
        parts.append(pixels @ weights.moveaxis(-1, -2))
    return parts[0].joined(parts[1:], -1)
