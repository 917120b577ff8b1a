"""Sums, extremes and other functions of all numbers along axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import EITHER, Numbers
from onnx_n2n.exact.operators.arithmetic import held, whole_quotient
from onnx_n2n.exact.operators.casts import REDUCED
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import INT64, Tensor
from onnx_n2n.exact.undecided import Undecided

# Those that give back a number that is alone; of the others versions disagree on what happens if nothing is reduced.
ALONE = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"}
FITTING = {"ReduceMean", "ReduceMax", "ReduceMin"}  # of whole numbers, the result is between them


def _ranked(x: np.ndarray, count: int, largest: int) -> np.ndarray:
    """Return where the largest or smallest numbers of each row are, the first of equal ones first."""
    return np.argsort(-x if largest else x, -1, kind="stable")[..., :count].astype(np.float64)


def _extreme_place(x: np.ndarray, largest: int, last: int) -> np.ndarray:
    """Return where the largest or smallest number of each row is: float64[..., 1]."""
    rows = (x if largest else -x)[..., :: -1 if last else 1]
    found = rows.argmax(-1)
    return np.asarray(rows.shape[-1] - 1 - found if last else found, np.float64)[..., None]


RANKED = define("Ranked", _ranked, at_infinity=EITHER, places=True)
EXTREME_PLACE = define("ExtremePlace", _extreme_place, at_infinity=EITHER, places=True)


@rule("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
      "ReduceSum", "ReduceSumSquare")  # fmt: skip
def reduce(site: Site) -> Tensor:
    """Reduce axes to one number: all of them where none is named, unless the node says that this means none."""
    data = site.tensor(0)
    by_input = site.version >= (13 if site.operator == "ReduceSum" else 18)
    axes = site.axes(1 if by_input else None, len(data.shape))
    keep, none = bool(site.attribute("keepdims", 1)), by_input and bool(site.attribute("noop_with_empty_axes", 0))
    if not axes and none:
        if site.operator not in ALONE:
            raise Undecided("no axis is reduced")
        return data
    found = reduced(site, site.numbers(0), axes or range(len(data.shape)), keep=keep)
    if site.operator in {"ReduceL2", "ReduceLogSum", "ReduceLogSumExp"} and data.whole:
        raise Undecided("a function of whole numbers is rounded")
    return site.result(found) if site.operator in FITTING else held(site, found, REDUCED)


def reduced(site: Site, x: Numbers, axes: Sequence[int], *, keep: bool) -> Numbers:
    """Return what a node's operator makes of the numbers along axes."""
    world, count = site.world, int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))
    found: Numbers
    match site.operator:
        case "ReduceMax" | "ReduceMin":
            found = world.extreme(site.operator.removeprefix("Reduce"), x, axes) if axes else x
            found = found.reshape([1 if a in set(axes) else n for a, n in enumerate(x.shape)]) if keep else found
        case "ReduceProd":
            found = x.multiplied(axes, keep)
        case "ReduceSumSquare":
            found = (x * x).sum(axes, keep)
        case "ReduceL1":
            found = world.apply("Abs", (), x).sum(axes, keep)
        case "ReduceL2":
            found = world.sqrt((x * x).sum(axes, keep))
        case "ReduceLogSum":
            found = world.apply("Log", (), x.sum(axes, keep))
        case "ReduceLogSumExp":
            found = world.apply("Log", (), world.apply("Exp", (), x).sum(axes, keep))
        case "ReduceMean" if site.tensor(0).whole:
            found = whole_quotient(site, x.sum(axes, keep), world.enter(np.int64(count)))
        case "ReduceMean":
            found = x.sum(axes, keep) * world.fraction(1, count)
        case _:
            found = x.sum(axes, keep)
    return found


@rule("CumSum")
def cumulated_sum(site: Site) -> Tensor:
    """Return the sum of the numbers up to each place: with its own or without, from either end."""
    x, axis, exclusive, backwards = _cumulated(site)
    total = x.cumulated(axis)
    return held(site, _turned(total - x if exclusive else total, axis, backwards))


@rule("CumProd")
def cumulated_product(site: Site) -> Tensor:
    """Return the product of the numbers up to each place: with its own or without, from either end."""
    x, axis, exclusive, backwards = _cumulated(site)
    rows = x.moveaxis(axis, 0)
    product = site.world.enter(np.ones((1, *rows.shape[1:]), np.int64))
    before, upto = [], []
    for place in range(rows.shape[0]):
        before.append(product)
        product = product * rows[place : place + 1]
        upto.append(product)
    first, *others = before if exclusive else upto
    return held(site, _turned(first.joined(others, 0).moveaxis(0, axis), axis, backwards))


def _cumulated(site: Site) -> tuple[Numbers, int, bool, bool]:
    """Return the numbers, turned if it is from behind; the axis; whether without each place's own; whether turned."""
    x, axis = site.numbers(0), int(site.known(1).reshape(-1)[0])
    if not -x.ndim <= axis < x.ndim:
        raise Undecided(f"there is no axis {axis}")
    axis, backwards = axis % x.ndim, bool(site.attribute("reverse", 0))
    return _turned(x, axis, backwards), axis, bool(site.attribute("exclusive", 0)), backwards


def _turned(x: Numbers, axis: int, backwards: bool) -> Numbers:
    """Return numbers in reverse along an axis, if they are to be."""
    return x[(slice(None),) * axis + (slice(None, None, -1),)] if backwards else x


@rule("ArgMax", "ArgMin")
def extreme_places(site: Site) -> Tensor:
    """Say where the largest or smallest number is: a random function of all numbers along the axis."""
    x = site.numbers(0)
    axis, last = site.axis(0, x.ndim), site.attribute("select_last_index", 0)
    found = extreme_place(site, x, axis, largest=site.operator == "ArgMax", last=bool(last))
    if not site.attribute("keepdims", 1):
        found = found.reshape([length for place, length in enumerate(found.shape) if place != axis])
    return site.result(found, INT64)


def extreme_place(site: Site, x: Numbers, axis: int, *, largest: bool = True, last: bool = False) -> Numbers:
    """Return where along an axis the largest or smallest number is, the first or last of equal ones; keeps the axis."""
    found: Numbers = site.world.of_rows(EXTREME_PLACE, (int(largest), int(last)), x, axis, 1)
    return found


@rule("TopK")
def top(site: Site) -> list[Tensor]:
    """Return the largest or smallest numbers along an axis and where they are: those that the places pick."""
    x = site.numbers(0)
    axis, count = site.axis(-1, x.ndim), int(site.known(1).item() if site.version >= 10 else site.attribute("k"))
    largest, ordered = site.attribute("largest", 1), site.attribute("sorted", 1)
    if not ordered and count > 1:
        raise Undecided("the order of its results is not defined")
    if count > x.shape[axis]:
        raise Undecided(f"{count} of {x.shape[axis]} numbers are asked for")
    places = site.world.of_rows(RANKED, (count, largest), x, axis, count)
    return [site.result(along(site, x, places, axis)), site.result(places, INT64)]


def along(site: Site, x: Numbers, places: Numbers, axis: int) -> Numbers:
    """Return of each row of numbers along an axis those that places name, which are numbers themselves.

    Args:
        site: The node.
        x: The numbers, of a shape that is that of ``places`` but for the axis.
        places: Which of a row are meant.
        axis: The axis along which the rows go.
    """
    rows = x.moveaxis(axis, -1)
    weights = site.world.weights(places.moveaxis(axis, -1), rows.shape[-1])
    picked: Numbers = (weights @ rows.reshape((*rows.shape, 1)))[..., 0]
    return picked.moveaxis(-1, axis)


@rule("Hardmax", until=12)
def hardmax_of_rows(site: Site) -> Tensor:
    """Return 1 for the first of the largest numbers and else 0, over all axes from one on."""
    x = site.numbers(0)
    axis = site.axis(1, x.ndim)
    rows = x.reshape((int(np.prod(x.shape[:axis], dtype=np.int64)), -1))
    return site.result(_hardmax(site, rows, 1).reshape(x.shape))


@rule("Hardmax", since=13)
def hardmax(site: Site) -> Tensor:
    """Return 1 for the first of the largest numbers along an axis, and else 0."""
    x = site.numbers(0)
    return site.result(_hardmax(site, x, site.axis(-1, x.ndim)))


def _hardmax(site: Site, x: Numbers, axis: int) -> Numbers:
    place = extreme_place(site, x.moveaxis(axis, -1), -1)[..., 0]
    found: Numbers = site.world.weights(place, x.shape[axis]).moveaxis(-1, axis)
    return found
