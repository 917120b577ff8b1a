"""Operators that move numbers and calculate nothing: the reference implementation moves their places instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact import reference
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided

# Which inputs are moved; the other ones say where to.
MOVED: dict[str, Sequence[int]] = {
    **dict.fromkeys(
        """
        CenterCropPad Compress DepthToSpace Expand Flatten GatherElements GatherND Identity Reshape ReverseSequence
        Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze
        """.split(),  # noqa: SIM905
        (0,),
    ),
    "Pad": (0, 2),
}
# Those that keep every number, so that a large constant is not copied.
KEPT = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


@rule(*(name for name in MOVED if name not in {"Identity", "Slice"}))
def moves(site: Site) -> list[Tensor]:
    """Move the numbers of one input; of `Pad` also what stands outside."""
    if site.operator == "Pad" and site.attribute("mode", "constant") != "constant":
        return moved(site, [0])
    return moved(site, MOVED[site.operator])


@rule("Identity")
def identity(site: Site) -> object:
    """Return whatever is given."""
    return [site.value(0)]


@rule("Concat")
def concat(site: Site) -> list[Tensor]:
    """Put tensors one behind the other."""
    return moved(site, range(site.count))


@rule("ScatterElements", "ScatterND", "Scatter")
def scatter(site: Site) -> list[Tensor]:
    """Put numbers in places of others, where nothing is added."""
    if site.attribute("reduction", "none") != "none":
        raise Undecided("numbers are put together in one place")
    return moved(site, [0, 2])


@rule("Where")
def where(site: Site) -> list[Tensor]:
    """Choose one of two numbers: as it is known, or by a decision c as c * x + (1 - c) * y."""
    condition = site.tensor(0)
    if condition.certain:
        return moved(site, [1, 2])
    chosen, x, y = site.numbers(0), site.numbers(1), site.numbers(2)
    return [site.result(chosen_of(chosen, x, y), site.tensor(1).type)]


def chosen_of(decision: Numbers, x: Numbers, y: Numbers) -> Numbers:
    """Return x where a decision is 1, and y where it is 0; either may be infinite."""
    return decision.choosing(x, y)


@rule("Slice")
def slices(site: Site) -> list[Tensor]:
    """Cut a part out; of a constant table by a length that is drawn, mixtures of all rows stand for the part."""
    data = site.tensor(0)
    bounds = [site.tensor(slot) for slot in range(1, site.count) if site.given(slot)]
    if site.version < 10 or not data.certain or data.ids is None or not any(each.sized for each in bounds):
        return moved(site, [0])
    starts, ends = site.known(1).reshape(-1), site.known(2).reshape(-1)
    axes, steps = site.known_optional(3), site.known_optional(4)
    axes = np.arange(len(starts)) if axes is None else axes.reshape(-1)
    steps = np.ones(len(starts), np.int64) if steps is None else steps.reshape(-1)
    numbers, known = None, data.known
    assert known is not None
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = np.arange(known.shape[axis])[int(start) : int(end) : int(step)]
        if len(places) != known.shape[axis] or numbers is not None:
            numbers = site.numbers(0) if numbers is None else numbers
            rows = numbers.moveaxis(int(axis), 0)
            picked = rows_of(site, rows, site.world.places(places))
            numbers = picked.moveaxis(0, int(axis))
        known = np.take(known, places, axis)
    return [Tensor(data.type, known, numbers, sized=True, ids=None if numbers is not None else data.ids)]


@rule("Gather")
def gather(site: Site) -> list[Tensor]:
    """Look rows up: where it is known which, they are moved, else each is a mixture of all rows."""
    data, places = site.tensor(0), site.tensor(1)
    axis = site.axis(0, max(len(data.shape), 1))
    table = data.certain and data.ids is not None
    if places.certain or (places.known is not None and places.numbers is None and not table):
        return moved(site, [0])
    known = None
    if places.known is not None and data.known is not None and data.known.size <= reference.LARGEST:
        known = np.take(data.known, places.known, axis)
    picked = rows_of(site, site.numbers(0).moveaxis(axis, 0), site.numbers(1))
    order = [*range(len(places.shape), len(places.shape) + axis), *range(len(places.shape))]
    order += range(len(places.shape) + axis, picked.ndim)
    return [Tensor(data.type, known, picked.transpose(order), sized=known is not None)]


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


def moved(site: Site, slots: Sequence[int]) -> list[Tensor]:
    """Move numbers of some inputs as the reference implementation does; the other inputs have to be known."""
    parts = {slot: site.tensor(slot) for slot in slots if site.given(slot)}
    others = [None if slot in parts or not site.given(slot) else site.known(slot) for slot in range(site.count)]
    attributes = site.constants()
    site.ignore(*(each.name for each in attributes))
    types = next(iter(parts.values())).type
    if all(each.known is not None for each in parts.values()) and all(each.numbers is None for each in parts.values()):
        arrays = [parts[slot].known if slot in parts else others[slot] for slot in range(site.count)]
        results = reference.run(site.node, site.version, arrays, attributes)
        sized, rough = (any(getattr(each, kind) for each in parts.values()) for kind in ("sized", "rough"))
        ids = _ids(site, parts, others, results)
        return [
            Tensor(types, array, sized=sized, rough=rough, ids=id_)
            for array, id_ in zip(results, ids, strict=True)
        ]  # fmt: skip
    known = None
    if all(each.known is not None and each.known.size <= reference.LARGEST for each in parts.values()):
        arrays = [parts[slot].known if slot in parts else others[slot] for slot in range(site.count)]
        known = reference.run(site.node, site.version, arrays, attributes)
    entered = {slot: site.run.numbers(each) for slot, each in parts.items()}
    places, arrays, start = {}, list(others), 1
    for slot, one in entered.items():
        places[slot] = np.arange(start, start + one.size).reshape(one.shape)
        arrays[slot], start = places[slot], start + one.size
    results = reference.run(site.node, site.version, arrays, attributes)
    first, *more = (each.reshape((-1,)) for each in entered.values())
    zero = first[:0].joined([site.world.enter(np.zeros(1, np.int64))], 0)
    flat = zero.joined([first, *more], 0)
    for slot, each in parts.items():
        _read(site, each, places[slot], results)
    numbers = (flat.taken(each) for each in results)
    if known is None:
        return [Tensor(types, None, each) for each in numbers]
    rough = any(each.rough for each in parts.values())
    return [Tensor(types, array, each, sized=True, rough=rough) for array, each in zip(known, numbers, strict=True)]


def _ids(
    site: Site, parts: dict[int, Tensor], others: list[np.ndarray | None], results: list[np.ndarray]
) -> list[np.ndarray | range | None]:
    """Return where the elements of results come from."""
    if all(each.ids is None for each in parts.values()):
        return [None] * len(results)
    if site.operator in KEPT and isinstance(parts[0].ids, range):
        return [parts[0].ids]
    arrays = list(others)
    for slot, each in parts.items():
        assert each.known is not None
        given = np.zeros(each.known.size, np.int64) if each.ids is None else np.asarray(each.ids)
        arrays[slot] = given.reshape(each.shape)
    return list(reference.run(site.node, site.version, arrays, site.constants()))


def _read(site: Site, part: Tensor, places: np.ndarray, results: list[np.ndarray]) -> None:
    """Note which elements of a constant are among the results."""
    if part.ids is None:
        return
    picked = np.unique(np.concatenate([each.reshape(-1) for each in results]))
    first = int(places.flat[0]) if places.size else 0
    picked = picked[(picked >= first) & (picked < first + places.size)] - first
    site.run.reads.mark(np.asarray(part.ids).reshape(-1)[picked])
