"""A student's numbers before they were rounded, by the forms of its growth record.

A record is a hint from anybody. A number of the student is replaced only where the record has a form for it, and only
by one from which the student's is less than a unit of rounding away for each time that it was rounded, a few times at
most. What a type can hold is not rounded: so a number that the teacher has too is never replaced, nor one whose form
is a number of its type. What does not fit is left as it is stored, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from decimal import localcontext
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx

from onnx_n2n.exact import balls, forms, record
from onnx_n2n.exact.balls import DIGITS
from onnx_n2n.exact.constants import Named
from onnx_n2n.exact.files import File
from onnx_n2n.exact.record import Record
from onnx_n2n.exact.roots import root, taken_apart
from onnx_n2n.exact.steps import Chain, setting_factor, tensor_factor
from onnx_n2n.exact.taken import Taken, measured, off, replaced
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.unrounded import Exact

_T = TypeVar("_T")
PRIMES = 8  # so many small primes may have to have roots; each makes the primes to calculate with half as many
NEAR = 4  # a root is taken so many nodes behind the number that is added under it
ROOTS = {"Sqrt", "Pow", "Rsqrt", "ReduceL2", "LpNormalization"}
BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError)


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

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """The small primes that have to have roots modulo the primes that a `Field` calculates with."""
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
                constants[name] = replaced(chain, name, found, taken)
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
                    for taken in self._tried(name, measured, chain.world, found, stored):
                        if taken is not None:
                            self._taken[0][name] = taken
            for name in self._names("settings"):
                written = new.setting(name)
                if written is None or written == old.setting(name):
                    continue
                for number, roundings in self._tried(name, chains[0].setting, last, name):
                    for rounding in self._tried(name, off, chains[0].world, number, np.asarray(written), roundings):
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
