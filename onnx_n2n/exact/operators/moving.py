"""Operators that move numbers and calculate nothing: the reference implementation moves their places instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx

from onnx_n2n.exact import reference
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.reads import Ids, Turned
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import STRING, Tensor
from onnx_n2n.exact.undecided import Undecided

# Operators whose first input is moved; the other inputs say where to.
MOVED = """
    CenterCropPad Compress DepthToSpace Expand Flatten Reshape ReverseSequence SpaceToDepth Squeeze Tile Transpose
    Trilu Unsqueeze
""".split()  # noqa: SIM905
# Those that keep every number and their order, so that a large constant is not copied.
KEPT = {"Flatten", "Reshape", "Squeeze", "Unsqueeze"}

# What moves arrays: from one for each input, None for one that is not given, to one for each output.
Mover = Callable[[Sequence[np.ndarray | None]], Sequence[np.ndarray]]


@rule(*MOVED)
def moves(site: Site) -> list[Tensor]:
    """Move the numbers of the first input."""
    return moved(site, [0])


@rule("Split")
def split(site: Site) -> list[Tensor]:
    """Cut into parts, which have to be all of it."""
    length = site.tensor(0).shape[site.axis(0, len(site.tensor(0).shape))]
    sizes = site.attribute("split") if site.version < 13 else site.known_optional(1)
    if sizes is not None and int(np.sum(sizes)) != length:
        raise Undecided(f"parts of {np.asarray(sizes).tolist()} are not an axis of {length}")
    return moved(site, [0])


@rule("Identity")
def identity(site: Site) -> object:
    """Return whatever is given."""
    return [site.value(0)]


@rule("Concat")
def concat(site: Site) -> list[Tensor]:
    """Put tensors one behind the other."""
    return moved(site, range(site.count))


@rule("Pad")
def pad(site: Site) -> list[Tensor]:
    """Put numbers around others; a negative count takes some away."""
    shape, mode = site.tensor(0).shape, site.attribute("mode", "constant")
    by_attribute = site.version < 11
    counts = np.array(site.attribute("pads")) if by_attribute else site.known(1).reshape(-1)
    axes = site.known_optional(3) if site.version >= 18 else None
    chosen = range(len(shape)) if axes is None else [int(each) % len(shape) for each in axes.reshape(-1)]
    widths = [(0, 0)] * len(shape)
    for place, axis in enumerate(chosen):
        widths[axis] = int(counts[place]), int(counts[place + len(chosen)])
    for pair, length in zip(widths, shape, strict=True):
        fewer, beyond = sorted(pair)
        mixed = mode != "constant" and fewer < 0 < beyond
        if mixed and mode != "edge" and (mode != "reflect" or beyond >= length + fewer):
            raise Undecided("numbers are mirrored of which some have been taken away")
    if site.tensor(0).type == STRING and not site.given(2):
        raise Undecided("texts are padded")

    def around(arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        array, value = arrays[0], arrays[2] if len(arrays) > 2 else None
        assert array is not None
        rows = array[tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(widths, array.shape, strict=True))]
        more = [(max(0, a), max(0, b)) for a, b in widths]
        if mode == "constant":
            return [np.pad(rows, more, constant_values=0 if value is None else value.reshape(-1)[0])]
        return [np.pad(rows, more, mode)]

    (found,) = moved(site, [0, 2] if mode == "constant" else [0], around)
    if not by_attribute or mode != "constant" or not site.attribute("value", 0.0):
        return [found]
    outside = 1 - around([np.ones(shape, np.int64)])[0]
    site.run.read(found)
    return [site.result(site.run.numbers(found) + site.world.enter(outside) * site.setting("value"))]


@rule("Where")
def where(site: Site) -> list[Tensor]:
    """Choose one of two numbers: as it is known, or by a decision c as c * x + (1 - c) * y."""
    condition = site.tensor(0)
    if condition.certain:
        chosen = site.known(0)
        if chosen.size and (chosen == chosen.flat[0]).all():
            site.run.read(site.tensor(2 if chosen.flat[0] else 1))  # whatever it is, it has no part at any lengths
        return moved(site, [1, 2])
    decision, x, y = site.numbers(0), site.numbers(1), site.numbers(2)
    return [site.result(chosen_of(decision, x, y), site.tensor(1).type)]


def chosen_of(decision: Numbers, x: Numbers, y: Numbers) -> Numbers:
    """Return x where a decision is 1, and y where it is 0; either may be infinite."""
    return decision.choosing(x, y)


@rule("Slice", until=9)
def slices_by_attributes(site: Site) -> list[Tensor]:
    """Cut a part out that the node states."""
    return moved(site, [0])


def moved(site: Site, slots: Sequence[int], mover: Mover | None = None) -> list[Tensor]:
    """Move numbers of some inputs; the other inputs have to be known.

    Args:
        site: The node.
        slots: The inputs that are moved.
        mover: What moves arrays; the reference implementation of the node's operator if not given. Its zeros are 0.
    """
    parts = {slot: site.tensor(slot) for slot in slots if site.given(slot)}
    others = [None if slot in parts or not site.given(slot) else site.known(slot) for slot in range(site.count)]
    attributes = site.constants()
    honoured = onnx.defs.get_schema(site.operator, site.version, "").attributes
    site.ignore(*(each.name for each in attributes if each.name in honoured))

    def move(arrays: dict[int, np.ndarray]) -> list[np.ndarray]:
        given = [arrays.get(slot, other) for slot, other in enumerate(others)]
        results = reference.run(site.node, site.version, given, attributes) if mover is None else mover(given)
        return list(results)

    by_lengths = any(isinstance(t, Tensor) and t.sized for slot, t in enumerate(site.inputs) if slot not in parts)
    if all(each.known is not None and each.numbers is None for each in parts.values()):
        return _moved_as_known(site, parts, move, by_lengths=by_lengths)
    return _moved_as_numbers(site, parts, move, by_lengths=by_lengths)


Move = Callable[[dict[int, np.ndarray]], list[np.ndarray]]


def _moved_as_known(site: Site, parts: dict[int, Tensor], move: Move, *, by_lengths: bool) -> list[Tensor]:
    """Return known elements in their new places, and which constants they are of."""
    (type_, *_), elements = (each.type for each in parts.values()), _elements(parts)
    results = move(elements)
    ids = _ids(site, parts, move, len(results))
    sized, rough = any(each.sized for each in parts.values()), any(each.rough for each in parts.values())
    loose = [slot for slot, each in parts.items() if each.ids is None and len(np.unique(elements[slot])) > 1]
    if by_lengths and loose and type_ != STRING:
        places = _places(parts)
        moved_places = move(places)
        for slot in loose:
            _read(site, parts[slot], places[slot], moved_places, by_lengths=True)
    return [Tensor(type_, array, sized=sized, rough=rough, ids=each) for array, each in zip(results, ids, strict=True)]


def _moved_as_numbers(site: Site, parts: dict[int, Tensor], move: Move, *, by_lengths: bool) -> list[Tensor]:
    """Return what is calculated with in its new places, and what is known beside it, if all of it is."""
    (type_, *_), elements = (each.type for each in parts.values()), _elements(parts)
    small = len(elements) == len(parts) and all(each.size <= reference.LARGEST for each in elements.values())
    known = move(elements) if small else None
    places = _places(parts)
    results = move(places)
    first, *more = (site.run.numbers(each).reshape((-1,)) for each in parts.values())
    zero = first[:0].joined([site.world.enter(np.zeros(1, np.int64))], 0)
    flat = zero.joined([first, *more], 0)
    for slot, each in parts.items():
        _read(site, each, places[slot], results, by_lengths=by_lengths)
    numbers = (flat.taken(each) for each in results)
    if known is None:
        return [Tensor(type_, None, each) for each in numbers]
    rough = any(each.rough for each in parts.values())
    return [Tensor(type_, array, each, sized=True, rough=rough) for array, each in zip(known, numbers, strict=True)]


def _elements(parts: dict[int, Tensor]) -> dict[int, np.ndarray]:
    """Return the elements of those tensors of which they are known."""
    return {slot: each.known for slot, each in parts.items() if each.known is not None}


def _places(parts: dict[int, Tensor]) -> dict[int, np.ndarray]:
    """Return a number above 0 for each place of some tensors, to see where a mover puts it."""
    places, start = {}, 1
    for slot, each in parts.items():
        size = int(np.prod(each.shape, dtype=np.int64))
        places[slot] = np.arange(start, start + size).reshape(each.shape)
        start += size
    return places


def _ids(site: Site, parts: dict[int, Tensor], move: Move, count: int) -> Sequence[Ids | None]:
    """Return where the elements of results come from."""
    if all(each.ids is None for each in parts.values()):
        return [None] * count
    whole = parts.get(0)
    if whole is not None and isinstance(whole.ids, range) and site.operator in KEPT:
        return [whole.ids]
    if whole is not None and isinstance(whole.ids, range) and site.operator == "Transpose":
        order = site.attribute("perm", list(reversed(range(len(whole.shape)))))
        return [Turned(whole.ids, whole.shape, tuple(order))]
    given = {slot: np.zeros(each.shape, np.int64) for slot, each in parts.items()}
    for slot, each in parts.items():
        if each.ids is not None:
            given[slot] = np.asarray(each.ids).reshape(each.shape)
    return move(given)


def table(tensor: Tensor) -> bool:
    """Return whether a tensor is made of constants alone, so that what a run leaves out of it has to be noticed."""
    return tensor.fixed if tensor.numbers is not None else tensor.certain


def _read(site: Site, part: Tensor, places: np.ndarray, results: list[np.ndarray], *, by_lengths: bool) -> None:
    """Note which elements of a constant are among the results.

    Args:
        site: The node.
        part: The tensor that is moved.
        places: The numbers by which its elements were moved.
        results: Which of them are where in the results.
        by_lengths: Whether lengths that were drawn say what is moved where.

    Raises:
        Undecided: If part of what is calculated from constants is left out, because of lengths that were drawn.
    """
    noticed = table(part) and by_lengths
    if part.ids is None and not noticed:
        return
    first = int(places.flat[0]) if places.size else 0
    kept = np.zeros(places.size, bool)
    for each in results:
        at = each.reshape(-1) - first
        kept[at[(at >= 0) & (at < places.size)]] = True
    if part.ids is not None:
        site.run.reads.mark(np.asarray(part.ids).reshape(-1)[kept])
    elif not kept.all() or len(results) > 1:
        raise Undecided("at these lengths part of what constants make is left out")
