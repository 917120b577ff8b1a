"""Softmax: exponentials of differences to one element, so that adding one number to all of them changes nothing.

Where there may be infinities, there may be rows of nothing else, of which the result is no number. There each
exponential is one of the number itself: infinity minus infinity would make such a row look like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact.domains import NOT_NEGATIVE
from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import MINUS, Numbers
from onnx_n2n.exact.registry import MICROSOFT, rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor

MASKED_EXP = define("MaskedExp", lambda x: np.where(np.isnan(x), 0.0, np.exp(x)), at_infinity=MINUS, range=NOT_NEGATIVE)
SHARE = define("Share", lambda x, total: np.where(total == 0, 0.0, x / np.where(total == 0, 1.0, total)))


def centred(site: Site, x: Numbers, axis: int) -> Numbers:
    """Return numbers less one that stands for all of them along an axis: the largest, or the first."""
    if not site.world.exact:
        largest: Numbers = site.world.extreme("Max", x, (axis,))
        return x - largest.reshape([1 if place == axis % x.ndim else n for place, n in enumerate(x.shape)])
    return x if x.infinite else x - x.moveaxis(axis, 0)[:1].moveaxis(0, axis)


def softmax(site: Site, x: Numbers, axis: int = -1) -> Numbers:
    """Return each number's exponential over their sum along an axis."""
    powers = site.world.apply("Exp", (), centred(site, x, axis))
    shares: Numbers = powers * site.world.reciprocal(powers.sum((axis,), keep=True))
    return shares


def masked_softmax(site: Site, x: Numbers, axis: int = -1) -> Numbers:
    """Return the same, but zeros where all numbers along the axis are minus infinity."""
    if site.world.exact and not x.infinite:
        return softmax(site, x, axis)
    powers = site.world.apply(MASKED_EXP, (), centred(site, x, axis))
    shares: Numbers = site.world.apply(SHARE, (), powers, powers.sum((axis,), keep=True))
    return shares


def log_softmax(site: Site, x: Numbers, axis: int = -1) -> Numbers:
    """Return each number less the logarithm of the sum of exponentials along an axis."""
    away = centred(site, x, axis)
    total = site.world.apply("Exp", (), away).sum((axis,), keep=True)
    logarithm: Numbers = site.world.apply("Log", (), total)
    return away - logarithm


def flattened(x: Numbers, axis: int) -> Numbers:
    """Return numbers with all axes from one on as one, and those before it as one: [m, n]."""
    rows = 1
    for length in x.shape[:axis]:
        rows *= length
    return x.reshape((rows, -1))


def _of(site: Site, x: Numbers, axis: int) -> Numbers:
    return softmax(site, x, axis) if site.operator != "LogSoftmax" else log_softmax(site, x, axis)


@rule("Softmax", "LogSoftmax", until=12)
def over_the_rest(site: Site) -> Tensor:
    """Divide exponentials by their sum over all axes from one on, or take the logarithm of that."""
    x = site.numbers(0)
    return site.result(_of(site, flattened(x, site.axis(1, x.ndim)), 1).reshape(x.shape))


@rule("Softmax", "LogSoftmax", since=13)
def over_one_axis(site: Site) -> Tensor:
    """Divide exponentials by their sum along an axis, or take the logarithm of that."""
    x = site.numbers(0)
    return site.result(_of(site, x, site.axis(-1, x.ndim)))


@rule("BiasSoftmax", domain=MICROSOFT)
def of_a_sum(site: Site) -> Tensor:
    """Apply Softmax to a sum over all axes from one on; the bias lacks axes in front, or some in the middle."""
    x, bias = site.numbers(0), site.numbers(1)
    axis = site.axis(1, x.ndim)
    lead = _lead(x.shape, bias.shape, axis) if site.attribute("is_inner_broadcast") else bias.shape
    total = x + bias.reshape(lead)
    return site.result(softmax(site, flattened(total, axis), 1).reshape(x.shape))


def _lead(shape: Sequence[int], bias: Sequence[int], axis: int) -> list[int]:
    """Return a bias's shape with as many axes as the data has, where those before ``axis`` that it lacks are 1."""
    given = list(bias[: len(bias) - (len(shape) - axis)])
    return [*given, *[1] * (len(shape) - len(bias)), *bias[len(given) :]]
