"""What a growth record says that tensors were before they were rounded, step after step from the teacher's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from onnx_n2n.exact import entered, forms
from onnx_n2n.exact.constants import Named
from onnx_n2n.exact.record import Form, Record
from onnx_n2n.exact.roots import root
from onnx_n2n.exact.undecided import Undecided


@dataclass(frozen=True, eq=False)
class Made:
    """A tensor of a model in exact numbers; of what its places along an axis have, sums may be all that is known.

    Args:
        value: The numbers; those of a constant are entered when they are asked for.
        where: For each axis int64[n]: where in ``value`` each place of the model's tensor is; -1 for nowhere.
        summed: For each axis whether the places with one number are copies that sum to it; else each is equal to it.
        rows: For each axis the places of ``value`` that have been rounded.
        roundings: How often the number has been rounded; 0 where the model holds it.
        all: Whether all places have been rounded.
    """

    value: Any
    where: tuple[np.ndarray, ...]
    summed: tuple[bool, ...]
    rows: tuple[frozenset[int], ...]
    roundings: int = 0
    all: bool = False

    @classmethod
    def of(cls, value: Any, roundings: int = 0) -> Made:
        """Return a tensor whose numbers are all known."""
        axes = len(value.shape)
        where = tuple(np.arange(length) for length in value.shape)
        return cls(value, where, (False,) * axes, (frozenset(),) * axes, roundings, bool(roundings))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the model's tensor."""
        return tuple(map(len, self.where))

    def whole(self) -> Any:
        """Return all numbers of the model's tensor.

        Raises:
            Undecided: If some are not known.
        """
        found = self.value
        for axis, (where, summed) in enumerate(zip(self.where, self.summed, strict=True)):
            if summed or (where < 0).any():
                raise Undecided("a form is about numbers that are random")
            found = entered.taken(found, where, axis)
        return entered.whole(found)


class Chain:
    """The models of a record's steps, in one world; model 0 is the teacher.

    Args:
        world: Where numbers are calculated with.
        record: The record.
        teacher: The teacher's constants.
        student: The student's constants.
    """

    def __init__(self, world: Any, record: Record, teacher: Named, student: Named) -> None:
        self.world, self.record, self.teacher, self.student = world, record, teacher, student
        self._known: dict[tuple[int, str], Made] = {}

    def tensor(self, model: int, name: str) -> Made:
        """Return a tensor of a model by its name there.

        Raises:
            Undecided: If the record and the teacher do not say what it is.
        """
        if (model, name) not in self._known:
            self._known[model, name] = self._tensor(model, name)
        return self._known[model, name]

    def _tensor(self, model: int, name: str) -> Made:
        if not model:
            array = self.teacher.array(name)
            if array is None:
                raise Undecided(f"the teacher has no constant {name!r}")
            return Made.of(entered.Entered(self.world, array))
        step = self.record.steps[model - 1]
        if (form := step.get("forms", {}).get("tensors", {}).get(name)) is not None:
            made_of = Parts(self, model - 1)
            found = self._spread(name, model, forms.value(form, made_of))
            return Made.of(found, made_of.roundings + 1)
        entries = [each for each in step["tensors"] if each["student"] == name]
        if len(entries) == 1:
            return self._grown(entries[0], self.tensor(model - 1, entries[0]["teacher"]), model)
        if entries or name in {each["student"] for each in step["new"]}:
            raise Undecided(f"the record does not say what {name!r} is")
        return self.tensor(model - 1, name)

    def _spread(self, name: str, model: int, value: Any) -> Any:
        """Return a form's numbers in the shape of the tensor, where they broadcast to it."""
        later = (each for step in self.record.steps[model:] for each in step["tensors"] if each["teacher"] == name)
        entry, stored = next(later, None), self.student.array(name)
        if entry is not None:
            shape = tuple(entry["before"])
        elif stored is not None:
            shape = stored.shape
        else:
            return value
        if np.broadcast_shapes(value.shape, shape) != shape or np.prod(shape, dtype=float) > forms.LARGEST:
            raise Undecided(f"the record has the shape {value.shape}, where the tensor has {shape}")
        return value.broadcast_to(shape)

    def _grown(self, entry: Mapping[str, Any], old: Made, model: int) -> Made:
        """Return what a weight has become."""
        if list(old.shape) != list(entry["before"]) or entry["zero"] is not None:
            raise Undecided(f"the record has another shape for {entry['teacher']!r}, or it is quantised")
        if entry["scale"] != 1 and "squared" not in entry:
            raise Undecided(f"the record has no exact scale for {entry['teacher']!r}")
        axes = sorted(entry["axes"], key=lambda each: each["axis"])
        for axis in axes:
            old = self._row(axis, old, model)
        for axis in axes:
            old = self._placed(axis, old)
        if "squared" in entry:
            scale = root(self.world, Fraction(*forms.ratio(entry["squared"])))
            value, offset = entered.whole(old.value), Fraction(entry.get("offset", 0))
            if offset and any(old.summed):
                raise Undecided(f"copies of {entry['teacher']!r} have an offset each")
            if offset:
                beside, away = (self.world.fraction(*each.as_integer_ratio()) for each in (offset, -offset))
                value = (value + beside) * scale + away
            else:
                value = value * scale
            old = replace(old, value=value, roundings=old.roundings + 1, all=True)
        return old

    def _row(self, entry: Mapping[str, Any], old: Made, model: int) -> Made:
        """Append a combination of the places along an axis as one place more."""
        axis, row = entry["axis"], entry["row"]
        if row is None:
            return old
        where, length = old.where[axis], old.value.shape[axis]
        if old.summed[axis] or (where < 0).any():
            raise Undecided("the record has a combination of what is random")
        every = entered.taken(old.value, where, axis)
        shape = [1 if place == axis else n for place, n in enumerate(every.shape)]
        rounded = old.roundings
        if row == "ones":
            new = self.world.enter(np.ones(shape))
        else:
            made_of = Parts(self, model - 1)
            weights = forms.value(entry.get("form", {"array": row}), made_of)
            if np.prod(weights.shape, dtype=int) == 1:
                ones = self.world.enter(np.ones(every.shape[axis]))
                new = entered.combined(every, ones, axis) * weights.reshape((1,) * len(shape))
            else:
                new = entered.combined(every, weights, axis)
            rounded = max(rounded, made_of.roundings) + ("form" in entry)
        rows = [*old.rows]
        if "form" in entry or (row != "ones" and old.roundings):
            rows[axis] = rows[axis] | {length}
        return replace(
            old,
            value=entered.Appended(old.value, new, axis),
            where=_with(old.where, axis, np.append(where, length)),
            rows=tuple(rows),
            roundings=rounded,
        )

    def _placed(self, entry: Mapping[str, Any], old: Made) -> Made:
        """Take places along an axis, and note which of them are copies that sum to one."""
        axis, array = entry["axis"], self.record.arrays
        index = array[entry["index"]]
        where = old.where[axis][index]
        if entry["fresh"] is not None:
            where = np.where(array[entry["fresh"]] != 0, -1, where)
        if entry["share"] is None:
            return replace(old, where=_with(old.where, axis, where))
        carrying = (array[entry["share"]] > 0) & (where >= 0)
        places = np.flatnonzero(carrying)
        _, first, group = np.unique(array[entry["copies"]][places], return_index=True, return_inverse=True)
        sources = index[places][first]  # the old place of each group of copies
        if len(np.unique(sources)) < len(sources) or (index[places] != sources[group]).any():
            raise Undecided("a channel has copies in more than one sum")
        return replace(
            old,
            where=_with(old.where, axis, np.where(carrying, where, -1)),
            summed=(*old.summed[:axis], True, *old.summed[axis + 1 :]),
        )

    def setting(self, model: int, name: str) -> tuple[Any, int]:
        """Return an attribute of a model, and how often it has been rounded.

        Raises:
            Undecided: If it is not known.
        """
        if not model:
            return self._default(name), 0
        form = self.record.steps[model - 1].get("forms", {}).get("settings", {}).get(name)
        if form is None:
            return self.setting(model - 1, name)
        made_of = Parts(self, model - 1)
        return forms.value(form, made_of), made_of.roundings + 1

    def _default(self, name: str) -> Any:
        """Return an attribute of the teacher; where its default is one over the root of a length, that."""
        if (number := self.teacher.setting(name)) is not None:
            return self.world.enter(number)
        written, scale = self.student.setting(name), setting_factor(self.record, name)
        if written is None or scale is None or not written > 0:
            raise Undecided(f"the teacher does not say what {name!r} is")
        length = np.rint((float(scale) / float(written)) ** 2)
        return self.world.rsqrt(self.world.enter(np.array(int(length))), np.array(length))


class Parts:
    """What the forms of a step are made of."""

    def __init__(self, chain: Chain, model: int) -> None:
        self.chain, self.model, self.world, self.roundings = chain, model, chain.world, 0

    def tensor(self, name: str) -> Any:
        """Return a tensor of the model before the step."""
        found = self.chain.tensor(self.model, name)
        self.roundings = max(self.roundings, found.roundings)
        return found.whole()

    def student(self, name: str) -> Any:
        """Return a tensor of the model after the step, as it is stored, where no later step has changed it."""
        later = self.chain.record.steps[self.model + 1 :]
        changed = any(each["teacher"] == name or each["student"] == name for step in later for each in step["tensors"])
        array = None if changed else self.chain.student.array(name)
        if array is None:
            raise Undecided(f"{name!r} is not in the student as it was")
        return self.world.enter(array)

    def setting(self, name: str) -> Any:
        """Return an attribute of the model before the step, or of a node that is new in the student."""
        try:
            found, roundings = self.chain.setting(self.model, name)
        except Undecided:
            node, later = name.rpartition(".")[0], self.chain.record.steps[self.model :]
            written = self.chain.student.setting(name)
            known = any(name in step.get("forms", {}).get("settings", {}) for step in later)
            if written is None or known or self.chain.teacher.has_node(node):
                raise
            return self.world.enter(written)
        self.roundings = max(self.roundings, roundings)
        return found

    def array(self, name: str) -> np.ndarray:
        """Return an array of the record."""
        return self.chain.record.arrays[name]

    def near(self) -> Parts:
        """Return the same in doubles."""
        chain = self.chain
        return Parts(Chain(forms.DOUBLES, chain.record, chain.teacher, chain.student), self.model)


def setting_factor(record: Record, name: str) -> Fraction | None:
    """Return by what all steps together multiply an attribute; None if none does, or one does anything else."""
    total = None
    for step in record.steps:
        form: Form | None = step.get("forms", {}).get("settings", {}).get(name)
        if form is None:
            continue
        by = forms.factor(form, "setting", name)
        if by is None:
            return None
        total = by if total is None else total * by
    return total


def tensor_factor(record: Record, name: str) -> Fraction | None:
    """Return by what all steps together multiply a tensor, each giving it a new name; None as above."""
    total = None
    for step in reversed(record.steps):
        form: Form | None = step.get("forms", {}).get("tensors", {}).get(name)
        if form is None:
            continue
        by = forms.factor(form, "tensor")
        if by is None:
            break
        total = by if total is None else total * by
        name = forms.named(form)
    return total


def _with(parts: Iterable[np.ndarray], axis: int, part: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(part if place == axis else each for place, each in enumerate(parts))
