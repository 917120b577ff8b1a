"""A student's numbers before they were rounded, by the forms of its growth record.

A record is a hint from anybody. A number of the student is replaced only where the record has a form for it, and only
by one from which the student's is less than a unit of rounding away for each time that it was rounded, at most
`ROUNDINGS` times. What a type can hold is not rounded: so a number that the teacher has too is never replaced, nor one
whose form is a number of its type. What does not fit is left as it is stored, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx

from onnx_n2n.exact import balls, entered, forms, record
from onnx_n2n.exact.balls import DIGITS, Balls
from onnx_n2n.exact.constants import Named
from onnx_n2n.exact.files import File
from onnx_n2n.exact.mended import Block, Mended
from onnx_n2n.exact.record import Record
from onnx_n2n.exact.roots import root, taken_apart
from onnx_n2n.exact.rounding import LIMIT, relative, units
from onnx_n2n.exact.steps import Chain, Made, setting_factor, tensor_factor
from onnx_n2n.exact.stored import Stored
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.unrounded import Exact

_T = TypeVar("_T")
Places = tuple[np.ndarray, ...]  # for each axis int64[n]
ROUNDINGS = 4  # so many times a number may have been rounded
PRIMES = 8  # so many small primes may have to have roots; each makes the primes to calculate with half as many
FINEST = 2.0**-30  # shares are multiples of it
HELD = 2.0**-20  # of a unit: a number that is so near to one that its type holds is taken for that one
BLOCK = 1 << 20  # numbers that are measured at once
NEAR = 4  # a root is taken so many nodes behind the number that is added under it
ROOTS = {"Sqrt", "Pow", "Rsqrt", "ReduceL2", "LpNormalization"}
BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError)


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


class Growth:
    """What a growth record says of a student.

    Args:
        of: The record.
    """

    def __init__(self, of: Record) -> None:
        self.record = of
        self.left: dict[str, str] = {}
        self._models: tuple[File, File] | None = None
        self._taken: tuple[dict[str, Taken], dict[str, Taken]] = ({}, {})

    def roots(self, teacher: File, student: File) -> tuple[int, ...]:
        """Return the small primes that have to have roots modulo the primes that a `Field` calculates with."""
        del teacher, student
        found: dict[int, None] = {}
        for number in self._squares():
            try:
                primes = taken_apart(number)[1]
            except Undecided:
                continue
            if len({*found, *primes}) <= PRIMES:
                found.update(dict.fromkeys(primes))
        return tuple(found)

    def rounded(self, teacher: File, student: File) -> tuple[int, float]:
        """Return how many constants and attributes are taken before rounding, and how far the student's are off."""
        self._measure(teacher, student)
        taken = [*self._taken[0].values(), *self._taken[1].values()]
        return len(taken), max((each.rounding for each in taken), default=0.0)

    def exact(self, world: Any, teacher: File, student: File) -> Exact:
        """Return the numbers before rounding, in a `Field` or on the `RealLine`."""
        self._measure(teacher, student)
        chain = Chain(world, self.record, Named(teacher), Named(student))
        last = len(self.record.steps)
        constants, settings = {}, {}
        for name, taken in self._taken[0].items():
            for found in self._tried(name, chain.tensor, last, name):
                constants[name] = _replaced(chain, name, found, taken)
        for name in self._taken[1]:
            for number, _ in self._tried(name, chain.setting, last, name):
                settings[name] = number
        scales = {}
        for name, scale in self._scales(chain.student, self._taken):
            for _ in self._tried(name, root, world, 1 / scale):
                scales[name] = scale
        return Exact(constants, settings, scales)

    # What is taken

    def _measure(self, teacher: File, student: File) -> None:
        """Find what can be taken: what the student holds is the exact number, rounded."""
        if self._models is not None and self._models[0] is teacher and self._models[1] is student:
            return
        self._models, self._taken, self.left = (teacher, student), ({}, {}), {}
        old, new = Named(teacher), Named(student)
        chains = [Chain(world, self.record, old, new) for world in (balls.Doubles(), balls.Digits())]
        last = len(self.record.steps)
        with localcontext(DIGITS):
            for name in self._names("tensors"):
                stored = new.array(name)
                if stored is None or stored.dtype.kind in "biuOSU" or old.same(stored):
                    continue
                chain = chains[stored.dtype == np.float64]
                for found in self._tried(name, chain.tensor, last, name):
                    for taken in self._tried(name, _measured, chain.world, found, stored):
                        if taken is not None:
                            self._taken[0][name] = taken
            for name in self._names("settings"):
                written = new.setting(name)
                if written is None or written == old.setting(name):
                    continue
                for number, roundings in self._tried(name, chains[0].setting, last, name):
                    for rounding in self._tried(name, _off, chains[0].world, number, np.asarray(written), roundings):
                        self._taken[1][name] = Taken(rounding)

    def _tried(self, name: str, evaluate: Callable[..., _T], *arguments: Any) -> Iterator[_T]:
        """Yield what can be evaluated; else note why it cannot."""
        try:
            found = evaluate(*arguments)
        except Undecided as why:
            self.left[name] = why.reason
        except BROKEN as error:
            self.left[name] = f"the record is damaged: {error}"
        else:
            yield found

    def _names(self, kind: str) -> dict[str, None]:
        """Return the names of what any step may have rounded, in the student."""
        found: dict[str, None] = {}
        for step in self._steps():
            found.update(dict.fromkeys(step.get("forms", {}).get(kind, {})))
            if kind == "tensors":
                grown = [each for each in step["tensors"] if each["teacher"] in found or _rounds(each)]
                found.update(dict.fromkeys(each["student"] for each in grown))
        return found

    def _steps(self) -> list[Mapping[str, Any]]:
        """Return those steps that have all that is asked for here."""
        return [step for step in self.record.steps if _sound(step)] if all(map(_sound, self.record.steps)) else []

    # Roots

    def _squares(self) -> Iterator[Fraction]:
        """Yield the numbers of which roots are taken."""
        for step in self._steps():
            for entry in step["tensors"]:
                if "squared" in entry:
                    yield Fraction(*entry["squared"])
            inside = [axis["form"] for entry in step["tensors"] for axis in entry["axes"] if "form" in axis]
            stated = step.get("forms", {})
            for form in (*inside, *stated.get("tensors", {}).values(), *stated.get("settings", {}).values()):
                for bases in self._tried("", _powers, form):
                    for base in bases:
                        for numbers in self._tried("", forms.fractions, base, self.record):
                            yield from () if numbers is None else (each for each in set(numbers.flat) if each > 0)
        yield from (scale for _, scale in self._scales(None))

    def _scales(
        self, student: Named | None, taken: Sequence[Container[str]] | None = None
    ) -> Iterator[tuple[str, Fraction]]:
        """Yield by what the arguments of roots are multiplied, with names of the nodes that take them.

        Args:
            student: Where nodes are looked for that take the root of a sum with a tensor; without one, names are empty.
            taken: The tensors and attributes that are taken, if not all.
        """
        tensors, settings = taken or (self._names("tensors"), self._names("settings"))
        for name in filter(settings.__contains__, self._names("settings")):
            node, _, attribute = name.rpartition(".")
            for scale in self._tried(name, setting_factor, self.record, name):
                if scale is not None and scale != 1 and attribute == "epsilon":
                    yield node, scale
        for name in filter(tensors.__contains__, self._names("tensors")):
            for scale in self._tried(name, tensor_factor, self.record, name):
                if scale is None or scale == 1:
                    continue
                if student is None:
                    yield "", scale
                    continue
                for node in _roots_behind(student, name):
                    yield from ((each, scale) for each in (node.name, *node.output) if each)


def read(path: Path | str | Mapping[str, Any]) -> Growth:
    """Read a record: a file, or the document and ``arrays`` of one.

    Raises:
        ModelError: If the file is none.
    """
    if isinstance(path, Mapping):
        return Growth(Record(path["steps"], path.get("arrays", {})))
    return Growth(record.read(path))


def beside(student: Path | str) -> Growth | None:
    """Return the record of a student that lies in the folder of its file, or None."""
    from onnx_n2n.exact.files import load

    found = record.beside(Path(student), load(student))
    return None if found is None else read(found)


def _sound(step: Mapping[str, Any]) -> bool:
    """Return whether a step has the lists and names that it must have."""
    try:
        lists = [step["tensors"], step["new"], *(each["axes"] for each in step["tensors"])]
        stated = step.get("forms", {})
        kept = [stated.get("tensors", {}), stated.get("settings", {})]
        names = [each[key] for each in step["tensors"] for key in ("teacher", "student")]
        names += [each["student"] for each in step["new"]]
        squares = [each["squared"] for each in step["tensors"] if "squared" in each]
        whole = all(len(each) == 2 and all(type(n) is int and 0 < n < 1 << 64 for n in each) for each in squares)
        axes = [axis for each in step["tensors"] for axis in each["axes"]]
        return (
            whole
            and all(isinstance(each, list) for each in lists)
            and all(isinstance(each, dict) for each in (*kept, *axes))
            and all(isinstance(each, str) for each in names)
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _powers(form: Any) -> list[Any]:
    return list(forms.powers(form))


def _rounds(entry: Mapping[str, Any]) -> bool:
    return "squared" in entry or any("form" in axis for axis in entry["axes"])


def _roots_behind(student: Named, name: str) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that take the root of a sum that a number is part of."""
    names = {name}
    for _ in range(NEAR):
        nodes = [node for each in names for node in student.readers(each)]
        yield from (node for node in nodes if node.op_type in ROOTS)
        names = {each for node in nodes if node.op_type not in ROOTS for each in node.output if each}


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


def _off(world: Any, exact: Balls, stored: np.ndarray, roundings: int) -> float:
    """Return by how much stored numbers are off, relative to exact ones: these, rounded so often.

    Raises:
        Undecided: If they are not, or if a number that their type holds is stored as another one.
    """
    numbers = world.enter(stored)
    _require_nearest(world, numbers, exact, stored.dtype)
    return _close(numbers, exact, roundings, stored.dtype)


def _measured(world: Any, made: Made, stored: np.ndarray) -> Taken | None:
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
            rounding = max(rounding, _off(world, exact, stored[np.ix_(*rows)], made.roundings))
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


def _replaced(chain: Chain, name: str, made: Made, taken: Taken) -> Any:
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
