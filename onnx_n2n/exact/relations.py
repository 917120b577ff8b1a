"""Which tensor of the teacher each tensor of the student holds, and where they part, as far as residues show it.

A tensor of the student *holds* one of the teacher if all numbers of that are among its own; it may hold more, such as
fresh channels. From an output that is not shown to be equal, one goes back through tensors that hold nothing. The first
node there, whose inputs all hold something, is where the models part. What is a polynomial is calculated exactly, so
what is not known is a property of the first node there that is none, or what a constant was before it was rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from onnx_n2n.exact.field import Field
from onnx_n2n.exact.files import File
from onnx_n2n.exact.places import FREE, ZERO, Axes, fit
from onnx_n2n.exact.scope import Scope
from onnx_n2n.exact.tensor import Tensor, Value
from onnx_n2n.exact.unrounded import Exact
from onnx_n2n.exact.watched import Watched, tensors

MOST = 1 << 24  # numbers of one run that is looked at so closely
BITS = 8  # a number of so few bits, such as 0.5 or 3, is not taken for one that was rounded


@dataclass(frozen=True)
class Place:
    """A node of the student.

    Args:
        node: Its name, or that of its first output.
        operator: Its operator.
        constant: A constant that it reads and the teacher has not; empty for none.
    """

    node: str
    operator: str
    constant: str = ""


@dataclass(frozen=True)
class Relation:
    """What a tensor of the student is in the teacher.

    Args:
        tensor: Its name.
        node: The node that makes it, by its name or that of its first output.
        operator: That node's operator.
        teacher: The tensor of the teacher that it holds; empty for none.
        whole: Whether it holds all of that.
        axes: For each axis the teacher's place of each place, `FREE` or `ZERO`; None for an axis that is as it was.
            None instead of all of them where the numbers are there in another arrangement.
    """

    tensor: str
    node: str
    operator: str
    teacher: str = ""
    whole: bool = False
    axes: Axes | None = None

    def __str__(self) -> str:
        """Say it in a line."""
        place = f"{self.tensor} (from {self.operator} node {self.node!r})"
        if not self.teacher:
            return f"{place}: none of the teacher's"
        said = [f"{place}: the teacher's {self.teacher}"]
        said += [f"axis {axis}: {_counts(index)}" for axis, index in enumerate(self.axes or ()) if index is not None]
        said += ["in another arrangement"] if self.axes is None else []
        said += [] if self.whole else ["not all of it"]
        return "; ".join(said)

    def to_json(self) -> dict[str, Any]:
        """The relation as JSON takes it."""
        axes = self.axes
        return {
            "tensor": self.tensor,
            "node": self.node,
            "operator": self.operator,
            "teacher": self.teacher,
            "whole": self.whole,
            "axes": None if axes is None else [None if each is None else each.tolist() for each in axes],
        }


def _counts(index: np.ndarray) -> str:
    kept = len(np.unique(index[index >= 0]))
    copies = int((index >= 0).sum()) - kept
    counts = {"of the teacher's": kept, "copies": copies, "free": (index == FREE).sum(), "zero": (index == ZERO).sum()}
    return ", ".join(f"{number} {what}" for what, number in counts.items() if number or what == "of the teacher's")


@dataclass(frozen=True)
class Held:
    """A tensor of the teacher.

    Args:
        name: Its name.
        words: Fingerprints of its numbers, the first lane alone, each once, in order.
        prints: Its fingerprints, uint64[2, *shape]; None where axes are not looked at.
    """

    name: str
    words: np.ndarray
    prints: np.ndarray | None


@dataclass(frozen=True)
class Step:
    """What a node of the student does.

    Args:
        node: The node.
        inputs: The numbers of the tensors that it reads and that depend on the model's inputs.
        holds: Whether all of them hold a tensor of the teacher.
        constant: A constant that it reads, with numbers that the teacher has not and that may be rounded.
        random: Whether it takes functions that are no polynomials.
    """

    node: onnx.NodeProto
    inputs: tuple[int, ...]
    holds: bool
    constant: str
    random: bool


class Noting(Watched):
    """A run of the teacher that notes the fingerprints of all of its tensors.

    Args:
        world: What both models are calculated in.
        file: The model.
        trace: Whether to keep where each number stands.
    """

    def __init__(self, world: Field, file: File, *, trace: bool) -> None:
        super().__init__(world, file, most=MOST)
        self._field, self._trace = world, trace
        self.held: list[Held] = []
        self.constants: list[np.ndarray] = []

    def outputs(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Return what the model's outputs are."""
        for name, value in inputs.items():
            self._note(name, value)
        return super().outputs(inputs)

    def node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        """Return what a node's outputs are."""
        for each in _inputs(node, scope):
            if each.known is not None and each.known.dtype.kind not in "OSU":
                self.constants.append(np.unique(each.known.astype(np.float64)))
        values = super().node(node, scope)
        for name, value in zip(node.output, values, strict=False):
            self._note(name, value)
        return values

    def _note(self, name: str, value: Value) -> None:
        for each in tensors([value]):
            prints = _prints(self._field, each)
            if prints is not None:
                self.held.append(Held(name, np.unique(prints[0]), prints if self._trace else None))


class Following(Watched):
    """A run of the student that notes which tensors hold one of the teacher.

    Args:
        world: What both models are calculated in.
        file: The model.
        exact: The student's numbers before rounding.
        teacher: The teacher's run.
        trace: Whether to say where each place of a tensor is in the teacher's.
    """

    def __init__(self, world: Field, file: File, exact: Exact | None, teacher: Noting, *, trace: bool) -> None:
        super().__init__(world, file, exact, most=MOST)
        self._field, self._trace, self._teacher = world, trace, teacher.held
        self._first = np.array([each.words[0] for each in teacher.held], np.uint64)
        self._named: dict[str, Held] = {each.name: each for each in reversed(teacher.held)}
        self._nothing = np.array(world.prints(world.enter(0)))
        self._constants = np.unique(np.concatenate([*teacher.constants, np.zeros(1)]))
        self._numbers: dict[int, int] = {}  # of tensors, by where they are; the newest there counts
        self._holds: list[bool] = []
        self.steps: dict[int, Step] = {}
        self._relations: dict[str, Relation] = {}

    @property
    def relations(self) -> tuple[Relation, ...]:
        """What each tensor is in the teacher, in the order of the nodes; of a body's the first that is not whole."""
        return tuple(self._relations.values())

    def node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        """Return what a node's outputs are."""
        given = [each for each in _inputs(node, scope) if each.numbers is not None and not each.numbers.constant]
        numbers = tuple(self._numbers[id(each)] for each in given if id(each) in self._numbers)
        constant = next(filter(None, (self._new(name, scope) for name in node.input)), "")
        before = sum(self._field.comparisons.arguments.values())
        values = super().node(node, scope)
        random = sum(self._field.comparisons.arguments.values()) > before
        step = Step(node, numbers, all(self._holds[number] for number in numbers), constant, random)
        for name, value in zip(node.output, values, strict=False):
            for each in tensors([value]):
                prints = _prints(self._field, each)
                if prints is None:
                    continue
                holding = self._holding(prints)
                if self._trace and each is not None and each.known is None:  # others are lengths, which may grow
                    self._relate(name, step, prints, holding)
                if id(each) not in {id(one) for one in given}:
                    self._numbers[id(each)] = len(self._holds)
                    self.steps[len(self._holds)] = step
                    self._holds.append(bool(holding))
        return values

    def place(self, output: Value, *, why: bool) -> Place | None:
        """Return the first node on the way back from an output, or the first that can be why; None for none."""
        wanted = [self._numbers[id(each)] for each in tensors([output]) if id(each) in self._numbers]
        seen: set[int] = set()
        while wanted:
            number = wanted.pop()
            if number not in seen and not self._holds[number]:
                seen.add(number)
                wanted += self.steps[number].inputs
        for number in sorted(seen):
            step = self.steps[number]
            if (step.random or step.constant) if why else step.holds:
                return Place(_name(step.node), step.node.op_type, step.constant)
        return None

    def _holding(self, prints: np.ndarray) -> list[Held]:
        """Return the tensors of the teacher all numbers of which are among those with fingerprints."""
        words = np.unique(prints[0])
        candidates = np.flatnonzero(np.isin(self._first, words))
        held = (self._teacher[place] for place in candidates)
        found = (each for each in held if np.isin(each.words, words, assume_unique=True).all())
        return list(found) if self._trace else list(next(([each] for each in found), []))

    def _relate(self, name: str, step: Step, prints: np.ndarray, holding: Sequence[Held]) -> None:
        """Note what a tensor is in the teacher: the one of its name, if it can be, or one of most numbers."""
        before = self._relations.get(name)
        if before is not None and not before.whole:
            return
        found = Relation(name, _name(step.node), step.node.op_type)
        named = [self._named[name]] if name in self._named else []
        others = sorted(holding, key=lambda each: (each.name != name, -len(each.words)))
        for each in (*others, *named):
            assert each.prints is not None
            fitting = fit(each.prints, prints, self._nothing)
            if fitting is not None and (fitting.whole or not holding):
                found = Relation(name, found.node, found.operator, each.name, fitting.whole, fitting.axes)
                break
        else:
            if others:
                found = Relation(name, found.node, found.operator, others[0].name, True)
        if before is None or not found.whole:
            self._relations[name] = found

    def _new(self, name: str, scope: Scope) -> str:
        value = scope.values.get(name) if name else None
        if not isinstance(value, Tensor) or value.known is None or not value.real:
            return ""
        array = value.known.astype(np.float64)
        with np.errstate(invalid="ignore"):
            short = np.ldexp(np.frexp(array)[0], BITS) % 1 == 0
        return "" if (short | np.isin(array, self._constants)).all() else name


@dataclass(frozen=True)
class Walk:
    """Both models once, side by side.

    Args:
        student: The student's run.
        results: Its outputs.
    """

    student: Following
    results: Mapping[str, Value]

    @property
    def relations(self) -> tuple[Relation, ...]:
        """What each tensor of the student is in the teacher."""
        return self.student.relations

    def place(self, output: str, *, why: bool) -> Place | None:
        """Say at which node of the student an output stops being the teacher's, or None if that cannot be told.

        Args:
            output: The output.
            why: Whether to name the first node that can be why they are not shown to be equal, instead of the first.
        """
        return self.student.place(self.results[output], why=why)


def walked(
    world: Field, teacher: File, student: File, inputs: Mapping[str, Value], exact: Exact | None, *, trace: bool
) -> Walk:  # fmt: skip
    """Run both models side by side.

    Args:
        world: The primes and functions of a run.
        teacher: One model.
        student: The other one.
        inputs: Their inputs.
        exact: The student's numbers before rounding.
        trace: Whether to find for each tensor where its places are in the teacher's.

    Raises:
        Undecided: If a run cannot be made, or is too large for it.
    """
    noting = Noting(world, teacher, trace=trace)
    noting.outputs(inputs)
    following = Following(world, student, exact, noting, trace=trace)
    return Walk(following, following.outputs(inputs))


def _name(node: onnx.NodeProto) -> str:
    return node.name or next(iter(node.output), "")


def _inputs(node: onnx.NodeProto, scope: Scope) -> Iterable[Tensor]:
    return [each for each in tensors([scope.values.get(name) for name in node.input]) if each is not None]


def _prints(world: Field, tensor: Tensor | None) -> np.ndarray | None:
    """Return the fingerprints of what depends on an input, uint64[2, *shape]."""
    if tensor is None or tensor.numbers is None or tensor.numbers.constant or not tensor.numbers.size:
        return None
    return world.prints(tensor.numbers)  # type: ignore[arg-type]
