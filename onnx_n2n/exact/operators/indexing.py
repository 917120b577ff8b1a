"""Operators that look up or put numbers by indices: moved where these are known, else mixed by random weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact import reference
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.arithmetic import held
from onnx_n2n.exact.operators.moving import moved, table
from onnx_n2n.exact.operators.reductions import along
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided


@rule("Slice", since=10)
def slices(site: Site) -> list[Tensor]:
    """Cut a part out; of a constant table by a length that is drawn, mixtures of all rows stand for the part."""
    data = site.tensor(0)
    bounds = [site.tensor(slot) for slot in range(1, site.count) if site.given(slot)]
    if not table(data) or not any(each.sized for each in bounds):
        return moved(site, [0])
    starts, ends = site.known(1).reshape(-1), site.known(2).reshape(-1)
    axes, steps = site.known_optional(3), site.known_optional(4)
    axes = np.arange(len(starts)) if axes is None else axes.reshape(-1)
    steps = np.ones(len(starts), np.int64) if steps is None else steps.reshape(-1)
    numbers, known = data.numbers, data.known
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        length = data.shape[int(axis)]
        places = np.arange(length)[int(start) : int(end) : int(step)]
        if len(places) != length or int(step) != 1 or numbers is not None:
            numbers = site.numbers(0) if numbers is None else numbers
            picked = rows_of(site, numbers.moveaxis(int(axis), 0), site.world.places(places))
            numbers = picked.moveaxis(0, int(axis))
        known = None if known is None else np.take(known, places, int(axis))
    ids = data.ids if numbers is None else None
    return [Tensor(data.type, known, numbers, sized=known is not None and numbers is not None, ids=ids)]


@rule("Gather")
def gather(site: Site) -> list[Tensor]:
    """Look rows up: where it is known which, they are moved, else each is a mixture of all rows."""
    data, places = site.tensor(0), site.tensor(1)
    axis = site.axis(0, max(len(data.shape), 1))
    if places.certain or (places.known is not None and places.numbers is None and not table(data)):
        return moved(site, [0])
    known = None
    if places.known is not None and data.known is not None and data.known.size <= reference.LARGEST:
        known = np.take(data.known, places.known, axis)
    picked = rows_of(site, site.numbers(0).moveaxis(axis, 0), site.numbers(1))
    order = [*range(len(places.shape), len(places.shape) + axis), *range(len(places.shape))]
    order += range(len(places.shape) + axis, picked.ndim)
    return [Tensor(data.type, known, picked.transpose(order), sized=known is not None)]


@rule("GatherElements")
def gather_elements(site: Site) -> list[Tensor]:
    """Look numbers up along an axis: where it is known which, they are moved, else each is a mixture of a row."""
    data, places = site.tensor(0), site.tensor(1)
    axis = site.axis(0, len(data.shape))
    part = tuple(slice(None) if at == axis else slice(length) for at, length in enumerate(places.shape))
    if places.known is not None and places.numbers is None:

        def looked_up(arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
            array, which = arrays
            assert array is not None
            assert which is not None
            length = array.shape[axis]
            if (which < -length).any() or (which >= length).any():
                raise Undecided("a place is outside")
            return [np.take_along_axis(array[part], which % length, axis)]

        return moved(site, [0], looked_up)
    x, which = site.numbers(0), site.numbers(1)
    return [site.result(along(site, x[part], which, axis))]


@rule("GatherND")
def gather_by_tuples(site: Site) -> list[Tensor]:
    """Look parts up by one place for each of some axes: moved where it is known which, else mixtures of all parts."""
    data, places = site.tensor(0), site.tensor(1)
    if places.known is not None and places.numbers is None:
        return moved(site, [0])
    batch, x, which = int(site.attribute("batch_dims", 0)), site.numbers(0), site.numbers(1)
    axes = range(batch, batch + which.shape[-1])
    weights = site.world.enter(np.ones((*which.shape[:-1], 1), np.int64))
    for place, axis in enumerate(axes):
        one = site.world.weights(which[..., place], x.shape[axis])
        weights = (weights[..., None] * one[..., None, :]).reshape((*which.shape[:-1], -1))
    lead = int(np.prod(data.shape[:batch], dtype=np.int64))
    count = int(np.prod(data.shape[batch : axes.stop], dtype=np.int64))
    picked = weights.reshape((lead, -1, count)) @ x.reshape((lead, count, -1))
    return [site.result(picked.reshape((*which.shape[:-1], *data.shape[axes.stop :])))]


@rule("OneHot")
def one_hot(site: Site) -> Tensor:
    """Return one number in the place that is meant along a new axis, and another one elsewhere."""
    indices, depth, values = site.tensor(0), int(site.known(1).item()), site.numbers(2)
    axis = site.axis(-1, len(indices.shape) + 1)
    if indices.certain:
        which = site.known(0)[..., None]
        rows = np.arange(depth)
        hot = site.world.enter(((which == rows) | (which == rows - depth)).astype(np.int64))
    else:
        hot = site.world.weights(site.numbers(0), depth, anywhere=True)
    found = hot * (values[1] - values[0]) + values[0]
    return site.result(found.moveaxis(-1, axis), site.tensor(2).type)


@rule("ScatterElements", "ScatterND", "Scatter")
def scatter(site: Site) -> list[Tensor]:
    """Put numbers in known places of others, or add them, multiply by them, or choose the largest or smallest."""
    shape, reduction = site.tensor(0).shape, site.attribute("reduction", "none")
    if site.tensor(1).known is None and site.operator != "ScatterND":
        return [held(site, _put_by_numbers(site, reduction))]
    targets = _targets(site, shape, site.known(1))
    if reduction != "none":
        return [held(site, _gathered(site, reduction, targets.reshape(-1)))]
    if len(np.unique(targets)) != targets.size:
        raise Undecided("numbers are put in one place")

    def put(arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        data, _, updates = arrays
        assert data is not None
        assert updates is not None
        array = data.copy()
        array.reshape(-1)[targets] = updates.reshape(targets.shape)
        return [array]

    return moved(site, [0, 2], put)


def _put_by_numbers(site: Site, reduction: str) -> Numbers:
    """Return numbers with others put, or added, in places that are numbers: by random weights for all places."""
    axis = site.axis(0, len(site.tensor(0).shape))
    data, places, updates = (site.numbers(slot).moveaxis(axis, -1) for slot in range(3))
    if reduction not in {"none", "add"} or data.shape[:-1] != places.shape[:-1]:
        raise Undecided("where numbers are put depends on the model's inputs")
    weights = site.world.weights(places, data.shape[-1])  # [..., updates, places]
    for number in range(places.shape[-1]):
        here = weights[..., number, :]
        added = here * updates[..., number : number + 1]
        data = data + added if reduction == "add" else (1 - here) * data + added
    return data.moveaxis(-1, axis)


def _targets(site: Site, shape: Sequence[int], places: np.ndarray) -> np.ndarray:
    """Return where in the flat data each number of the updates belongs, in their shape."""
    if site.operator == "ScatterND":
        flat = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(tuple(shape))
        return np.asarray(flat[tuple(np.moveaxis(places, -1, 0))])
    axis = site.axis(0, len(shape))
    if (places < -shape[axis]).any() or (places >= shape[axis]).any():
        raise Undecided("a place is outside")
    grid: list[np.ndarray] = list(np.indices(places.shape))
    grid[axis] = places % shape[axis]
    return np.asarray(np.ravel_multi_index(grid, tuple(shape)))


def _gathered(site: Site, reduction: str, targets: np.ndarray) -> Numbers:
    """Return data with the updates combined into it: those that share a place one after the other.

    Args:
        site: The node.
        reduction: How two numbers are combined.
        targets: The place in the flat data of each update, int64[n].
    """
    if reduction not in {"add", "mul", "max", "min"}:
        raise Undecided(f"the reduction {reduction!r} is not known")
    shape, world = site.tensor(0).shape, site.world
    total, updates = site.numbers(0).reshape((-1,)), site.numbers(2).reshape((-1,))
    order = np.argsort(targets, kind="stable")
    turns = np.arange(len(order)) - np.searchsorted(targets[order], targets[order])
    for turn in range(int(turns.max(initial=-1)) + 1):
        places, these = np.zeros(total.size, np.int64), order[turns == turn]
        places[targets[these]] = these + 1
        if reduction in {"add", "mul"}:
            neutral = world.enter(np.array([int(reduction == "mul")]))
            each = neutral.joined([updates], 0).taken(places)
            total = total + each if reduction == "add" else total * each
        else:
            places = np.where(places > 0, places - 1 + total.size, np.arange(total.size))
            total = world.extreme_of(reduction.capitalize(), total, total.joined([updates], 0).taken(places))
    return total.reshape(shape)


def rows_of(site: Site, rows: Numbers, places: Numbers) -> Numbers:
    """Return rows that are looked up by numbers: the table times random weights that each place has for all rows.

    Args:
        site: The node.
        rows: The table; its rows along the first axis.
        places: Which rows, of any shape.
    """
    count = rows.shape[0]
    weights = site.world.weights(places, count)
    flat = weights.reshape((-1, count)) @ rows.reshape((count, -1))
    found: Numbers = flat.reshape((*places.shape, *rows.shape[1:]))
    return found
