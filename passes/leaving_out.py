"""One bad rule costs one group, not the model: what makes a student wrong is found, and left out.

A student is wrong, and nothing grown is right, because that is the teacher. So in any order of its parts there is one
with which it becomes wrong. Halving finds that part, by making and verifying students that change the first so many
parts only. Those that touch the first wrong tensor come first, so that the search mostly ends with them. The part is
left out, and the rest made and verified again, until that is right.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import onnx_ir as ir

from onnx_n2n.errors import N2NError
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.progress import Progress

if TYPE_CHECKING:
    from onnx_n2n.verification.localise import Wrong

STUDENTS = 128  # that are made before a teacher is given up
BUG = "this is a bug in onnx-n2n: please report it with the model"


@dataclass(frozen=True)
class Part:
    """Something that a pass changes, and that can be left out by itself.

    Attributes:
        name: Name of the group, the place or the layer.
        touches: Names of the tensors, made by nodes of the main graph, that may be wrong if it is.
        where: Which of several passes changes it: the place in them, and in those within.
    """

    name: str
    touches: frozenset[str] = frozenset()
    where: tuple[int, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A part that was left out, because the student is wrong with it.

    Attributes:
        group: Name of the group, the place or the layer.
        node: The node that makes the first wrong tensor: its name, or what it makes; empty where that is not known.
        operator: Operator type of that node.
        tensor: That tensor.
        error: What is wrong with the student, as a sentence without its full stop.
        model: The file of the teacher, as the command names it.
        options: The other words of a command that makes the wrong student.
    """

    group: str
    node: str
    operator: str
    tensor: str
    error: str
    model: str
    options: tuple[str, ...]

    @property
    def command(self) -> str:
        """A command that makes the same wrong student, and so fails: with exit code 1 if that can be run."""
        return shlex.join(["onnx-n2n", "run", _word(self.model), *self.options])

    @property
    def said(self) -> str:
        """What a warning says of it."""
        return f"{self.group!r} was left out: {self.error}; {BUG}: {self.command}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        names = ("group", "node", "operator", "tensor", "error", "command")
        return {name: getattr(self, name) for name in names}


class Changer(Protocol):
    """A pass, as far as leaving out goes."""

    def leave(self: C, parts: Collection[Part]) -> C:
        """Return the same pass, which leaves these parts as they are."""

    def pick(self: C, parts: Collection[Part]) -> C:
        """Return the same pass, which changes these parts only."""


class Student(Protocol):
    """A student that was made."""

    @property
    def modified(self) -> bool:
        """Whether it differs from the teacher."""


C = TypeVar("C", bound=Changer)
M = TypeVar("M", bound=Student)


@dataclass(frozen=True, eq=False)
class Failure:
    """Why a student cannot be handed over.

    Attributes:
        cause: The error, as it is raised if nothing helps.
        wrong: The first wrong tensor, where it is known.
    """

    cause: Exception
    wrong: Wrong | None = None

    @property
    def reason(self) -> str:
        """What is wrong, as a sentence without its full stop."""
        if isinstance(self.cause, N2NError):
            return self.cause.reason
        return f"onnx-n2n itself fails ({type(self.cause).__name__}: {self.cause})"


@dataclass(frozen=True, eq=False)
class Found(Generic[C]):
    """A part that makes a student wrong.

    Attributes:
        part: The part.
        failure: What is wrong.
        change: A pass that makes the wrong student: with this part alone, if that is enough.
    """

    part: Part
    failure: Failure
    change: C


@dataclass(frozen=True, eq=False)
class Rest(Generic[C, M]):
    """What is left of a pass.

    Attributes:
        change: The pass, which leaves out what was found.
        made: The student that it makes, verified.
        found: What is left out.
    """

    change: C
    made: M
    found: tuple[Found[C], ...]


def settled(
    change: C,
    made: M | Failure,
    attempt: Callable[[C], M | Failure],
    parts: Callable[[C], Sequence[Part]],
    *,
    strict: bool,
    progress: Progress,
) -> Rest[C, M]:
    """Return what a pass has made, without what makes it wrong.

    Args:
        change: The pass.
        made: What it has made, or why not.
        attempt: Makes the same of another pass.
        parts: Says what a pass changes.
        strict: Whether a failure is an error at once.
        progress: Is told if parts are left out.

    Raises:
        N2NError: As :func:`leave_out` says, or at once.
    """
    if not isinstance(made, Failure):
        return Rest(change, made, ())
    if strict:
        raise made.cause
    progress("looking for what makes the student wrong")
    return leave_out(change, made, attempt, parts)


def leave_out(
    change: C,
    failure: Failure,
    attempt: Callable[[C], M | Failure],
    parts: Callable[[C], Sequence[Part]],
) -> Rest[C, M]:
    """Leave out of a pass what makes its student wrong.

    Args:
        change: The pass.
        failure: What is wrong with its student.
        attempt: Makes and verifies the student of a pass.
        parts: Says what a pass changes.

    Raises:
        N2NError: Nothing is left, or the student is wrong whatever is left out: the error is that of ``failure``.
    """
    found: list[Found[C]] = []
    count = 0

    def counted(some: C) -> M | Failure:
        nonlocal count
        count += 1
        return attempt(some)

    rest, last = change, failure
    while count < STUDENTS:
        try:
            known = parts(rest)
            if len(known) < 2:
                break
            found.append(_culprit(rest, last, known, counted))
            rest = rest.leave([found[-1].part])
            made = counted(rest)
        except (N2NError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError):
            break  # in a pass that is asked for less than the user has asked for: it would say nothing to him
        if isinstance(made, Failure):
            last = made
        elif made.modified:
            return Rest(rest, made, tuple(found))
        else:
            break
    raise failure.cause


def _culprit(change: C, failure: Failure, known: Sequence[Part], attempt: Callable[[C], object]) -> Found[C]:
    """Find a part with which the student of a pass becomes wrong."""
    tensor = failure.wrong.tensor if failure.wrong is not None else ""
    near = [part for part in known if tensor in part.touches]
    order = [*near, *(part for part in known if part not in near)]
    right, wrong, shown = 0, len(order), Found(order[-1], failure, change)
    guess = len(near)
    while wrong - right > 1:
        some = guess if right < guess < wrong else (right + wrong) // 2
        picked = change.pick(order[:some])
        outcome = _outcome(picked, attempt)
        if outcome is None:
            right = some
        else:
            wrong, shown = some, Found(order[some - 1], outcome, picked)
    part = order[wrong - 1]
    if wrong > 1:
        alone = change.pick([part])
        outcome = _outcome(alone, attempt)
        if outcome is not None:
            return Found(part, outcome, alone)
    return replace(shown, part=part)


def _outcome(change: C, attempt: Callable[[C], object]) -> Failure | None:
    """Return what is wrong with the student of a pass that picks a few parts; None if nothing is."""
    try:
        made = attempt(change)
    except N2NError:  # alone, these parts cannot change
        return None
    return made if isinstance(made, Failure) else None


def touching(graph: ir.Graph, names: Callable[[ir.Node], Iterable[str]]) -> list[Part]:
    """Return parts in graph order, with the tensors that they touch.

    Args:
        graph: The main graph.
        names: Says which parts a node touches; it is asked for nodes in the bodies of others, too.
    """
    found: dict[str, set[str]] = {}
    for node in graph:
        made = {str(value.name) for value in node.outputs}
        for each in (node, *_inside(node)):
            for name in names(each):
                found.setdefault(name, set()).update(made)
    return [Part(name, frozenset(tensors)) for name, tensors in found.items()]


def _inside(node: ir.Node) -> Iterator[ir.Node]:
    for body in bodies_of(node):
        yield from body.all_nodes()


def reported(found: Found[Any], model: Path | None, place: Path | None, options: Sequence[str]) -> LeftOut:
    """Return what is said of a part that was left out.

    Args:
        found: The part.
        model: The file of the teacher, if it is in one.
        place: Where the student goes, if it goes to a file.
        options: Words of the command that say how it was verified.
    """
    wrong = found.failure.wrong
    out = Path("left-out.onnx") if place is None or place == STDOUT else place.with_name(f"{place.stem}.left-out.onnx")
    return LeftOut(
        group=found.part.name,
        node=(wrong.node or f"{wrong.operator} -> {wrong.tensor}") if wrong is not None else "",
        operator=wrong.operator if wrong is not None else "",
        tensor=wrong.tensor if wrong is not None else "",
        error=found.failure.reason,
        model="MODEL.onnx" if model is None else str(model),
        options=("-p", str(found.change), *options, "-o", _word(str(out)), "--strict"),
    )


def _word(path: str) -> str:
    """A path as a word of a command that is not taken for an option."""
    return f"./{path}" if path.startswith("-") and path != "-" else path
