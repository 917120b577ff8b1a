"""Images at places that are calculated: each pixel's part in one is a function of the place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnx_n2n.exact import functions
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.convolution import picked
from onnx_n2n.exact.operators.indexing import rows_of
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided

MODES = {"bilinear": "linear", "linear": "linear", "nearest": "nearest", "bicubic": "cubic", "cubic": "cubic"}
CUBIC = -0.75


def _grid(rows: np.ndarray, mode: str, padding: str, align: int, *lengths: int) -> np.ndarray:
    """Return the part of each pixel in what lies at a place from -1 to 1: [..., axes] to [..., pixels]."""
    found = np.ones((*rows.shape[:-1], 1))
    for axis, length in enumerate(lengths):
        at = rows[..., len(lengths) - 1 - axis]
        at = (at + 1) / 2 * (length - 1) if align else ((at + 1) * length - 1) / 2
        low, high = (0.0, length - 1.0) if align else (-0.5, length - 0.5)
        within = _within(padding, low, high, length)
        if mode == "nearest":
            pixels, shares = np.rint(within(at))[..., None], np.ones(1)
        elif mode == "linear":
            at = within(at)
            pixels = np.floor(at)[..., None] + np.arange(2)
            shares = 1 - np.abs(at[..., None] - pixels)
        else:
            pixels = np.floor(at)[..., None] + np.arange(-1, 3)
            shares = _cubic(np.abs(at[..., None] - pixels))
        pixels = within(pixels)
        parts = ((np.rint(pixels)[..., None] == np.arange(length)) * shares[..., None]).sum(-2)
        found = (found[..., :, None] * parts[..., None, :]).reshape(*rows.shape[:-1], -1)
    return found


def _within(padding: str, low: float, high: float, length: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return what brings coordinates back into an image, or leaves them outside."""
    if padding == "border":
        return lambda at: np.clip(at, 0, length - 1)
    if padding == "reflection":
        width = high - low
        return lambda at: np.clip(low + width - np.abs((at - low) % (2 * width) - width), 0, length - 1)
    return lambda at: at


def _cubic(away: np.ndarray) -> np.ndarray:
    near = np.asarray(((CUBIC + 2) * away - (CUBIC + 3)) * away**2 + 1)
    return np.where(away <= 1, near, (((away - 5) * away + 8) * away - 4) * CUBIC)


GRID = functions.define("GridSampled", _grid)


@rule("GridSample", since=16)
def grid_sample(site: Site) -> Tensor:
    """Look an image up at the places of a grid."""
    mode, padding = site.attribute("mode", "linear"), site.attribute("padding_mode", "zeros")
    if mode not in MODES or padding not in {"zeros", "border", "reflection"}:
        raise Undecided(f"there is no mode {mode!r} with {padding!r}")
    x, grid = site.numbers(0), site.numbers(1)
    n, channels, *lengths = x.shape
    parameters = (MODES[mode], padding, site.attribute("align_corners", 0), *lengths)
    where = grid.reshape([n, -1, grid.shape[-1]])
    found = picked(site, GRID, parameters, where, x.reshape([n, channels, -1]))
    return site.result(found.reshape([n, channels, *grid.shape[1:-1]]))


@rule("AffineGrid", since=20)
def affine_grid(site: Site) -> Tensor:
    """Return the places of an image's pixels, from -1 to 1, after an affine map."""
    theta, lengths = site.numbers(0), [int(each) for each in site.known(1)[2:]]
    align = site.attribute("align_corners", 0)
    if align and 1 in lengths:
        raise Undecided("the corners of a single pixel")
    count = len(lengths)
    parts = [_line(site, length, align, count, axis) for axis, length in enumerate(lengths)]
    columns = [part.broadcast_to(lengths).reshape([1, -1]) for part in reversed(parts)]
    columns.append(site.world.enter(np.ones((1, int(np.prod(lengths))), np.int64)))
    grid = (theta @ columns[0].joined(columns[1:], 0)).transpose([0, 2, 1])
    return site.result(grid.reshape([theta.shape[0], *lengths, count]))


def _line(site: Site, length: int, align: int, count: int, axis: int) -> Numbers:
    """Return the coordinates of pixels along an axis, in a shape that broadcasts over all of them."""
    places = np.arange(length)
    over = 2 * places if align else 2 * places + 1
    fraction = site.world.enter(over) * site.world.fraction(1, length - 1 if align else length) - 1
    line: Numbers = fraction.reshape([-1 if place == axis else 1 for place in range(count)])
    return line


def _aligned(
    rows: np.ndarray, height: int, width: int, rows_out: int, columns_out: int, ratio: int, scale: float, half: int
) -> np.ndarray:
    """Return the part of each pixel in the means over the bins of regions, float64[..., bins * pixels].

    As in Mask R-CNN (He et al. 2017): bilinear samples on a grid in each bin.
    """
    flat = rows.reshape(-1, 4) * scale - (0.5 if half else 0)
    found = np.zeros((len(flat), rows_out, columns_out, height, width))
    for number, (x1, y1, x2, y2) in enumerate(flat):
        sides = []
        for start, end, bins, length in ((y1, y2, rows_out, height), (x1, x2, columns_out, width)):
            size = end - start if half else max(end - start, 1.0)
            count = ratio if ratio > 0 else max(int(np.ceil(size / bins)), 1)
            steps = (np.arange(bins)[:, None] + (np.arange(count) + 0.5) / count) * size / bins
            at = start + steps
            gone = (at < -1) | (at > length)
            at = np.clip(at, 0, length - 1)
            parts = np.maximum(0, 1 - np.abs(at[..., None] - np.arange(length)))
            sides.append(np.where(gone[..., None], 0, parts).mean(1))
        found[number] = sides[0][:, None, :, None] * sides[1][None, :, None, :]
    return found.reshape(*rows.shape[:-1], -1)


ALIGNED = functions.define("RegionsAligned", _aligned)


@rule("RoiAlign", since=10)
def roi_align(site: Site) -> Tensor:
    """Return the means of bins over regions of images; each pixel's part is a function of the region."""
    if site.attribute("mode", "avg") != "avg":
        raise Undecided("the largest of samples")
    older = site.version < 16
    corners = site.attribute("coordinate_transformation_mode", "output_half_pixel" if older else "half_pixel")
    if corners not in {"half_pixel", "output_half_pixel"}:
        raise Undecided(f"there is no coordinate_transformation_mode {corners!r}")
    bins = site.attribute("output_height", 1), site.attribute("output_width", 1)
    x, rows = site.numbers(0), site.numbers(1)
    _, channels, height, width = x.shape
    parameters = (
        height, width, *bins, site.attribute("sampling_ratio", 0), site.attribute("spatial_scale", 1.0),
        int(corners == "half_pixel"),
    )  # fmt: skip
    weights = site.world.of_rows(ALIGNED, parameters, rows, -1, bins[0] * bins[1] * height * width)
    weights = weights.reshape([rows.shape[0], bins[0] * bins[1], height * width]).transpose([0, 2, 1])
    images = rows_of(site, x, site.numbers(2)).reshape([rows.shape[0], channels, height * width])
    return site.result((images @ weights).reshape([rows.shape[0], channels, *bins]))
