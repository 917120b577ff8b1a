"""Pooling: one number for each window of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact import functions
from onnx_n2n.exact.domains import FROM_ZERO, NOT_NEGATIVE
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.windows import Axis, image, in_blocks, over, reach, sliding, windows
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import INT64, Tensor
from onnx_n2n.exact.undecided import Undecided


def _winner(rows: np.ndarray) -> np.ndarray:
    """Return 1 for the largest number of a row and 0 for the others; the row's second half says which are there."""
    values, there = np.split(rows, 2, -1)
    values = np.where(there > 0, values, -np.inf)
    return np.asarray((np.arange(values.shape[-1]) == values.argmax(-1)[..., None]) * 1.0)


WINNER = functions.define("WinnerOfWindow", _winner)
LP_ROOT = functions.define("LpRoot", lambda x, p: np.power(x, 1 / p), zero=True, domain=FROM_ZERO, range=NOT_NEGATIVE)


def pooled(site: Site, slot: int = 0) -> tuple[Numbers, list[Axis]]:
    """Return images and the windows over them, and note which of their places meet an image."""
    kernel = site.attribute("kernel_shape")
    if kernel is None:
        raise Undecided("the window's lengths are not given")
    if str(site.attribute("auto_pad", "")).startswith("SAME") and max(site.attribute("dilations") or [1]) > 1:
        raise Undecided("runtimes differ in how they pad for a window with gaps")
    axes = sliding(site, site.tensor(slot).shape[2:], kernel, rounded_up=bool(site.attribute("ceil_mode", 0)))
    reach(site, axes)
    return image(site, slot, axes), axes


@rule("MaxPool")
def max_pool(site: Site) -> list[Tensor]:
    """Return the largest number of each window, and which one of the image it is."""
    x, axes = pooled(site)
    by_column = bool(site.attribute("storage_order", 0))
    found = [site.result(largest(site, x, axes))]
    if site.wants(1):
        found.append(Tensor(INT64, None, places_of_largest(site, x, axes, by_column)))
    return found


def largest(site: Site, x: Numbers, axes: Sequence[Axis]) -> Numbers:
    """Return the largest number of each window: images ``[n, c, *lengths]`` to ``[n, c, *outs]``."""

    def calculate(part: Sequence[Axis]) -> Numbers:
        found: Numbers = site.world.extreme("Max", windows(site, x, part), (2,), over([axis.inside for axis in part]))
        return found

    return in_blocks(x, axes, calculate)


def places_of_largest(site: Site, x: Numbers, axes: Sequence[Axis], by_column: bool) -> Numbers:
    """Return where in all images the largest number of each window is: ``[n, c, *outs]``.

    Args:
        site: The node.
        x: Images ``[n, c, *lengths]``.
        axes: The windows.
        by_column: Whether places are counted along the first axis of an image first.
    """
    n, c, *lengths = x.shape
    steps = np.cumprod([1, *(lengths if by_column else lengths[::-1])])
    steps = steps[:-1] if by_column else steps[-2::-1]
    start = np.arange(n * c).reshape([n, c, *[1] * len(lengths)]) * int(np.prod(lengths))

    def calculate(part: Sequence[Axis]) -> Numbers:
        there = over([axis.inside for axis in part])
        place = sum(
            over([other.places if other is axis else np.ones_like(other.places) for other in part], np.multiply) * step
            for axis, step in zip(part, steps, strict=True)
        )
        inside = windows(site, x, part)
        present = site.world.enter(there * 1).broadcast_to(inside.shape)
        winner = site.world.of_rows(WINNER, (), inside.joined([present], 2), 2, inside.shape[2])
        places: Numbers = (winner * site.world.enter(np.asarray(place) * there)).sum((2,))
        return places

    first: Numbers = site.world.enter(start)
    return first + in_blocks(x, axes, calculate)


@rule("AveragePool")
def average_pool(site: Site) -> Tensor:
    """Return the mean of each window, with or without the padding."""
    x, axes = pooled(site)
    return site.result(mean(site, x, axes))


def mean(site: Site, x: Numbers, axes: Sequence[Axis]) -> Numbers:
    """Return the mean of each window: images ``[n, c, *lengths]`` to ``[n, c, *outs]``."""
    masks = [axis.counted if site.attribute("count_include_pad", 0) else axis.inside for axis in axes]
    totals = in_blocks(x, axes, lambda part: windows(site, x, part).sum((2,)))
    share: Numbers = site.world.reciprocal(site.world.enter(over(masks).sum(0)))
    return totals * share


@rule("LpPool", since=2)
def lp_pool(site: Site) -> Tensor:
    """Return the norm of each window."""
    x, axes = pooled(site)
    p = _exponent(site)
    powers = _powers(site, x, p)
    return site.result(_root(site, in_blocks(x, axes, lambda part: windows(site, powers, part).sum((2,))), p))


def _exponent(site: Site) -> int:
    p: int = site.attribute("p", 2)
    if p < 1:
        raise Undecided(f"a norm of order {p}")
    return p


def _powers(site: Site, x: Numbers, p: int) -> Numbers:
    """Return powers of absolute values."""
    size: Numbers = x if p % 2 == 0 else site.world.apply("Abs", (), x)
    found = size
    for _ in range(p - 1):
        found = found * size
    return found


def _root(site: Site, x: Numbers, p: int) -> Numbers:
    """Return roots."""
    if p == 1:
        return x
    found: Numbers = site.world.sqrt(x) if p == 2 else site.world.apply(LP_ROOT, (p,), x)
    return found


def whole(site: Site) -> tuple[Numbers, tuple[int, ...]]:
    """Return images, and their axes behind batch and channels; a single pixel says nothing about pooling."""
    x = site.numbers(0)
    axes = tuple(range(2, x.ndim))
    name = f"the image of {site.node.name or site.node.output[0]}"
    site.run.reach(name, np.array([True, bool(np.prod(x.shape[2:], dtype=np.int64) > 1)]))
    return x, axes


@rule("GlobalAveragePool")
def global_average(site: Site) -> Tensor:
    """Return the mean of each image."""
    x, axes = whole(site)
    return site.result(x.sum(axes, True) * site.world.fraction(1, int(np.prod(x.shape[2:], dtype=np.int64))))


@rule("GlobalMaxPool")
def global_max(site: Site) -> Tensor:
    """Return the largest number of each image."""
    x, axes = whole(site)
    return site.result(site.world.extreme("Max", x, axes).reshape([*x.shape[:2], *[1] * len(axes)]))


@rule("GlobalLpPool", since=2)
def global_lp(site: Site) -> Tensor:
    """Return the norm of each image."""
    x, axes = whole(site)
    p = _exponent(site)
    return site.result(_root(site, _powers(site, x, p).sum(axes, True), p))
