"""Where a student stops computing what its teacher computes, as far as residues show it.

A tensor of the student *holds* one of the teacher if all numbers of that are among its own; it may hold more, such as
fresh channels. From an output that is not shown to be equal, one goes back through tensors that hold nothing. The first
node there, whose inputs all hold something, is where the models part. What is a polynomial is calculated exactly, so
what is not known is a property of the first node there that is none, or what a constant was before it was rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from onnx_n2n.exact.field import Field
from onnx_n2n.exact.files import File
from onnx_n2n.exact.scope import Scope
from onnx_n2n.exact.tensor import Tensor, Value
from onnx_n2n.exact.undecided import Undecided
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
    """A run of the teacher that notes the fingerprints of all of its tensors."""

    def __init__(self, world: Field, file: File) -> None:
        super().__init__(world, file, most=MOST)
        self._field = world
        self.prints: list[np.ndarray] = []
        self.constants: list[np.ndarray] = []

    def node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        """Return what a node's outputs are."""
        for each in _inputs(node, scope):
            if each.known is not None and each.known.dtype.kind not in "OSU":
                self.constants.append(np.unique(each.known.astype(np.float64)))
        values = super().node(node, scope)
        self.prints += [prints for each in tensors(values) if (prints := _prints(self._field, each)) is not None]
        return values


class Following(Watched):
    """A run of the student that notes which tensors hold one of the teacher."""

    def __init__(self, world: Field, file: File, exact: Exact | None, teacher: Noting) -> None:
        super().__init__(world, file, exact, most=MOST)
        self._field = world
        self._teacher = teacher.prints
        self._first = np.array([each[0] for each in teacher.prints], np.uint64)
        self._constants = np.unique(np.concatenate([*teacher.constants, np.zeros(1)]))
        self._numbers: dict[int, int] = {}  # of tensors, by where they are; the newest there counts
        self._holds: list[bool] = []
        self.steps: dict[int, Step] = {}

    def node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        """Return what a node's outputs are."""
        given = [each for each in _inputs(node, scope) if each.numbers is not None and not each.numbers.constant]
        numbers = tuple(self._numbers[id(each)] for each in given if id(each) in self._numbers)
        constant = next(filter(None, (self._new(name, scope) for name in node.input)), "")
        before = sum(self._field.comparisons.arguments.values())
        values = super().node(node, scope)
        random = sum(self._field.comparisons.arguments.values()) > before
        step = Step(node, numbers, all(self._holds[number] for number in numbers), constant, random)
        for each in tensors(values):
            prints = _prints(self._field, each)
            if prints is not None and id(each) not in {id(one) for one in given}:
                self._numbers[id(each)] = len(self._holds)
                self.steps[len(self._holds)] = step
                self._holds.append(self._holding(prints))
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
                return Place(step.node.name or step.node.output[0], step.node.op_type, step.constant)
        return None

    def _holding(self, prints: np.ndarray) -> bool:
        candidates = np.flatnonzero(np.isin(self._first, prints, assume_unique=False))
        return any(np.isin(self._teacher[place], prints, assume_unique=True).all() for place in candidates)

    def _new(self, name: str, scope: Scope) -> str:
        value = scope.values.get(name) if name else None
        if not isinstance(value, Tensor) or value.known is None or not value.real:
            return ""
        array = value.known.astype(np.float64)
        with np.errstate(invalid="ignore"):
            short = np.ldexp(np.frexp(array)[0], BITS) % 1 == 0
        return "" if (short | np.isin(array, self._constants)).all() else name


def place_of(
    world: Field, teacher: File, student: File, inputs: Mapping[str, Value], output: str, exact: Exact | None, *,
    why: bool,
) -> Place | None:  # fmt: skip
    """Say at which node of the student an output stops being the teacher's, or return None if that cannot be told.

    Args:
        world: The primes and functions of the run in which they differ.
        teacher: One model.
        student: The other one.
        inputs: Their inputs.
        output: The output.
        exact: The student's numbers before rounding.
        why: Whether to name the first node that can be why they are not shown to be equal, instead of the first.
    """
    try:
        noting = Noting(world, teacher)
        noting.outputs(inputs)
        if not noting.prints:
            return None
        following = Following(world, student, exact, noting)
        return following.place(following.outputs(inputs)[output], why=why)
    except (Undecided, MemoryError):
        return None


def _inputs(node: onnx.NodeProto, scope: Scope) -> Iterable[Tensor]:
    return [each for each in tensors([scope.values.get(name) for name in node.input]) if each is not None]


def _prints(world: Field, tensor: Tensor | None) -> np.ndarray | None:
    """Return the fingerprints of what depends on an input, uint64, sorted, each once."""
    if tensor is None or tensor.numbers is None or tensor.numbers.constant or not tensor.numbers.size:
        return None
    return np.unique(world.prints(tensor.numbers)[0])  # type: ignore[arg-type]
