"""Constants that are taken as they were before rounding: which of their elements, and by how much these are off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_n2n.exact import entered
from onnx_n2n.exact.balls import Balls
from onnx_n2n.exact.mended import Block, Mended
from onnx_n2n.exact.rounding import LIMIT, relative, units
from onnx_n2n.exact.steps import Chain, Made
from onnx_n2n.exact.stored import Stored
from onnx_n2n.exact.undecided import Undecided

Places = tuple[np.ndarray, ...]  # for each axis int64[n]
ROUNDINGS = 4  # so many times a number may have been rounded
FINEST = 2.0**-30  # shares are multiples of it
HELD = 2.0**-20  # of a unit: a number that is so near to one that its type holds is taken for that one
BLOCK = 1 << 20  # numbers that are measured at once


@dataclass(frozen=True)
class Taken:
    """A constant or attribute that is taken as it was before rounding.

    Args:
        rounding: By how much what is stored is off, relative to it.
        places: Which of a constant's elements are replaced, flat; None for an attribute.
        shares: float64[groups, copies]: in which shares copies make up for what they are off together.
        members: int64[groups, copies]: the copies of each number, by their order in ``places``; past the last of them
            where there are fewer.
        groups: int64[groups]: where each of the numbers is in the flat exact ones.
        blocks: Where no number has copies that sum to it, instead of all that: the places of the constant's axes, and
            those of the exact tensor's, at all combinations of which elements are replaced.
    """

    rounding: float
    places: np.ndarray | None = None
    shares: np.ndarray | None = None
    members: np.ndarray | None = None
    groups: np.ndarray | None = None
    blocks: tuple[tuple[Places, Places], ...] = ()


def _close(stored: Balls, exact: Balls, roundings: int, dtype: np.dtype) -> float:
    """Return by how much stored numbers are off, relative to the exact ones.

    Raises:
        Undecided: If they are not these, rounded.
    """
    if exact.shape != stored.shape:
        raise Undecided(f"the record has the shape {exact.shape}, and the student {stored.shape}")
    if not 0 < roundings <= ROUNDINGS:
        raise Undecided(f"the record rounds it {roundings} times")
    radius = stored.radius + exact.radius
    off = units(stored.middle, exact.middle, dtype, radius)
    largest = float(off.max(initial=0.0))
    if not largest <= roundings * LIMIT:
        raise Undecided(f"the student's is {largest:.3g} units in the last place from what the record says")
    return relative(stored.middle, exact.middle)


def off(world: Any, exact: Balls, stored: np.ndarray, roundings: int) -> float:
    """Return by how much stored numbers are off, relative to exact ones: these, rounded so often.

    Raises:
        Undecided: If they are not, or if a number that their type holds is stored as another one.
    """
    numbers = world.enter(stored)
    _require_nearest(world, numbers, exact, stored.dtype)
    return _close(numbers, exact, roundings, stored.dtype)


def measured(world: Any, made: Made, stored: np.ndarray) -> Taken | None:
    """Return which elements of a constant have been rounded, and how far they are off; None where none has.

    Raises:
        Undecided: If they are not what the record says, rounded.
    """
    if not made.roundings:
        return None
    if made.shape != stored.shape:
        raise Undecided(f"the record has the shape {made.shape}, and the student {stored.shape}")
    if not stored.shape:
        made, stored = Made.of(entered.whole(made.value).reshape((1,)), made.roundings), stored.reshape(1)
    if not any(map(_copied, made.where, made.summed)):
        return _measured_blocks(world, made, stored)
    made = replace(made, value=entered.whole(made.value))
    places = np.flatnonzero(_rounded(made))
    if not len(places):
        return None
    groups, group = _grouped(made, np.unravel_index(places, stored.shape))
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(groups)))
    counts = np.bincount(group, minlength=len(groups))
    rank = np.arange(len(order)) - starts[group[order]]
    members = np.full((len(groups), int(counts.max())), len(places))
    members[group[order], rank] = order
    padded = np.append(stored.reshape(-1)[places], np.zeros(1, stored.dtype))[members]
    sums, exact = world.enter(padded).sum(1), made.value.reshape((-1,))[groups]
    _require_nearest(world, sums, exact, stored.dtype)
    rounding = _close(sums, exact, made.roundings, stored.dtype)
    return Taken(rounding, places, _shares(np.abs(padded.astype(np.float64))), members, groups)


def _shares(sizes: np.ndarray) -> np.ndarray:
    """Return in which shares numbers make up for what their sum is off, so that each moves by a few of its own units.

    Args:
        sizes: Their sizes, float64[groups, copies].

    Returns:
        Shares, float64[groups, copies]: multiples of a power of two, which sum to 1.
    """
    totals = sizes.sum(1, keepdims=True)
    shares = np.floor(sizes / np.where(totals == 0, 1, totals) / FINEST) * FINEST
    shares[np.arange(len(sizes)), sizes.argmax(1)] += 1 - shares.sum(1)
    return np.asarray(shares)


def _copied(where: np.ndarray, summed: bool) -> bool:
    """Return whether more than one place along an axis has part of the same number."""
    known = where[where >= 0]
    return summed and len(np.unique(known)) < len(known)


def _measured_blocks(world: Any, made: Made, stored: np.ndarray) -> Taken | None:
    """Return the same where each number has one place, in blocks of rows, so that memory is bounded."""
    blocks, rounding = tuple(_blocks(made)), 0.0
    for at, sources in blocks:
        some = _part(made.value, sources)
        count = max(1, BLOCK // max(1, int(np.prod([len(each) for each in at[1:]], dtype=np.int64))))
        for start in range(0, len(at[0]), count):
            rows = at[0][start : start + count], *at[1:]
            inside = np.arange(start, start + len(rows[0])), *(np.arange(len(each)) for each in at[1:])
            exact = entered.whole(_part(some, inside))
            rounding = max(rounding, off(world, exact, stored[np.ix_(*rows)], made.roundings))
    return Taken(rounding, blocks=blocks) if blocks else None


def _blocks(made: Made) -> Iterator[tuple[Places, Places]]:
    """Yield the places of elements that have been rounded and are known, and where in the exact tensor they are."""
    known = [np.flatnonzero(where >= 0) for where in made.where]
    rounded = [np.isin(where, list(rows)) for where, rows in zip(made.where, made.rows, strict=True)]
    for axis, whole in [(None, True)] if made.all else enumerate(map(np.any, rounded)):
        if not whole:
            continue
        at = list(known)
        if axis is not None:
            at = [each if n > axis else each[rounded[n][each] == (n == axis)] for n, each in enumerate(known)]
        if all(map(len, at)):
            yield tuple(at), tuple(where[each] for where, each in zip(made.where, at, strict=True))


def _part(value: Any, places: Places) -> Any:
    """Return the numbers of a tensor at all combinations of places of its axes."""
    for axis, each in enumerate(places):
        value = entered.taken(value, each, axis)
    return value


def _require_nearest(world: Any, numbers: Balls, exact: Balls, dtype: np.dtype) -> None:
    """Raise Undecided where a number that its type holds, as far as is known, is stored as another one."""
    with np.errstate(over="ignore"):
        nearest = world.enter(exact.middle.astype(np.float64).astype(dtype)).middle
    if ((units(nearest, exact.middle, dtype, -exact.radius) < HELD) & (numbers.middle != nearest)).any():
        raise Undecided("copies of a number that its type holds do not sum to it")


def _rounded(made: Made) -> np.ndarray:
    """Return which elements of a tensor have been rounded and are known, bool[...]."""
    found = np.full(made.shape, made.all)
    known = np.ones(made.shape, bool)
    for axis, (where, rows) in enumerate(zip(made.where, made.rows, strict=True)):
        shape = [-1 if place == axis else 1 for place in range(len(made.shape))]
        found |= np.isin(where, list(rows)).reshape(shape)
        known &= (where >= 0).reshape(shape)
    return found & known


def _grouped(made: Made, places: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return which numbers of the exact tensor elements are copies of, flat, and to which of these each belongs."""
    sources = tuple(where[each] for where, each in zip(made.where, places, strict=True))
    keys = tuple(source if summed else each for source, summed, each in zip(sources, made.summed, places, strict=True))
    lengths = tuple(
        made.value.shape[axis] if summed else length
        for axis, (summed, length) in enumerate(zip(made.summed, made.shape, strict=True))
    )
    _, first, group = np.unique(np.ravel_multi_index(keys, lengths), return_index=True, return_inverse=True)
    return np.ravel_multi_index(sources, made.value.shape)[first], group.reshape(-1)


def replaced(chain: Chain, name: str, made: Made, taken: Taken) -> Any:
    """Return a constant whose elements sum to the exact numbers: copies make up for what they are off together."""
    stored = chain.student.array(name)
    assert stored is not None
    if taken.blocks:
        if not stored.shape:
            return entered.whole(made.value)
        return _with_blocks(chain.world, stored, made.value, taken.blocks)
    assert taken.places is not None
    assert taken.shares is not None
    assert taken.members is not None
    flat = chain.world.enter(stored.reshape(-1))
    copies = flat[taken.places].joined([chain.world.enter(np.zeros(1, stored.dtype))], 0)[taken.members]
    lacking = entered.whole(made.value).reshape((-1,))[taken.groups] - copies.sum((1,))
    better = copies + lacking.reshape((-1, 1)) * chain.world.enter(taken.shares)
    there = taken.members < len(taken.places)
    order = np.arange(stored.size)
    order[taken.places[taken.members[there]]] = stored.size + np.flatnonzero(there)
    return flat.joined([better.reshape((-1,))], 0)[order].reshape(stored.shape)


def _with_blocks(world: Any, stored: np.ndarray, value: Any, blocks: Sequence[tuple[Places, Places]]) -> Any:
    """Return a constant in parts of which the exact numbers stand."""
    numbers, parts, bound = world.enter(stored), [], None
    for at, sources in blocks:
        few = [np.unique(each, return_inverse=True) for each in sources]
        part = entered.whole(_part(value, tuple(each for each, _ in few)))
        parts.append(Block(at, tuple(where for _, where in few), part))
        bound = part.bound if bound is None else bound.joined(part.bound)
    bound = numbers.bound.joined(bound)
    if isinstance(numbers, Stored):
        return Mended(numbers.field, stored, bound, tuple(parts))
    values = numbers.values.copy()
    lead = (slice(None),) * numbers.LEAD
    for each in parts:
        values[(*lead, *np.ix_(*each.at))] = each.numbers.values[(*lead, *np.ix_(*each.sources))]
    return numbers._with(values, bound)
