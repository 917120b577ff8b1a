"""What the processes of an exploration do: find how much a direction's passes must do, and make the student."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onnx_n2n.errors import LeftOutWarning, N2NError, TimeLimitError, VerificationError
from onnx_n2n.io.atomic import check_draft
from onnx_n2n.io.carried import carried
from onnx_n2n.io.files import data_files, remove
from onnx_n2n.io.model import load
from onnx_n2n.io.sources import Source
from onnx_n2n.io.supervisor import die_with
from onnx_n2n.passes import Pass
from onnx_n2n.passes.driver import Target
from onnx_n2n.search.budget import Size, Unit, shapes_of, sized
from onnx_n2n.search.budget_search import Scale, fit
from onnx_n2n.search.candidates import Candidate, Direction
from onnx_n2n.verification.options import Proof

TOLERANCE = 0.1  # how far a candidate may be from the budget, as a fraction of it


@dataclass(frozen=True)
class Task:
    """What all candidates have in common.

    Attributes:
        model: The teacher.
        unit: What its students are measured by.
        goal: How much of that they are to have.
        proof: How they are verified.
        strict: Whether a wrong one is an error at once.
        process: The process that has begun the exploration.
        folder: Its working directory, which paths are relative to.
    """

    model: Path
    unit: Unit
    goal: float
    proof: Proof
    strict: bool
    process: int
    folder: Path

    def begin(self) -> None:
        """Let a worker be where the exploration was begun, and go with it: it may have worked on another one before."""
        die_with(self.process)
        os.chdir(self.folder)


@dataclass(frozen=True)
class Draft:
    """A candidate that has not been made: its passes and what its student costs, or what is wrong."""

    name: str
    growth: Pass | None = None
    size: Size | None = None
    failure: str | None = None

    def candidate(self, **known: Any) -> Candidate:
        """Return the candidate, with what else is known of it."""
        passes = "" if self.growth is None else str(self.growth)
        parameters, macs = (None, None) if self.size is None else (self.size.parameters, self.size.cost.total)
        return replace(Candidate(self.name, passes, parameters, macs, failure=self.failure), **known)


def plan(task: Task, direction: Direction) -> Draft:
    """Find how much the passes must do."""
    task.begin()
    scale = Scale(task.unit, task.proof, task.model.parent)
    try:
        growth, size = fit(load(task.model), direction.passes, task.goal, scale)
    except (N2NError, MemoryError) as failure:
        return Draft(direction.name, failure=_reason(failure))
    return Draft(direction.name, growth, size, _missed(size, task))


def _missed(size: Size, task: Task) -> str | None:
    """Say that a student is too far from the budget, if it is."""
    off = size.of(task.unit) / task.goal - 1
    missed = f"the nearest is {100 * abs(off):.1f} % {'above' if off > 0 else 'below'} the budget"
    return missed if abs(off) > TOLERANCE else None


def distinct(drafts: Sequence[Draft]) -> list[Draft]:
    """Leave out drafts with the same passes as one in front of them; whatever has no passes has its own reason."""
    first = {str(draft.growth): draft for draft in reversed(drafts)}
    return [draft for draft in drafts if draft.growth is None or first[str(draft.growth)] is draft]


def make(task: Task, draft: Draft, target: Target) -> Candidate:
    """Make, verify and write a student."""
    task.begin()
    found = _delivered(task, draft, target)
    if found.failure is not None and target.path is not None and target.force:
        _clear(Path(target.path), carried(load(task.model)).files.read + task.proof.read)
    return found


def _clear(place: Path, read: Iterable[Source]) -> None:
    """Remove what an earlier run has left at a place, if a student could be written there."""
    with contextlib.suppress(N2NError, OSError):
        check_draft(place, force=True, read=read, companions=data_files)
        remove(place)


def _delivered(task: Task, draft: Draft, target: Target) -> Candidate:
    if draft.growth is None or draft.failure is not None:
        return draft.candidate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LeftOutWarning)  # whoever has begun the exploration warns
            result = draft.growth(task.model, proof=task.proof, output=target, strict=task.strict)
    except TimeLimitError:  # the others cost as much
        raise
    except (N2NError, MemoryError) as failure:
        return draft.candidate(failure=_reason(failure), wrong=isinstance(failure, VerificationError))
    made = draft.candidate(
        passes=result.passes,
        path=result.model,
        verdict=result.report.verdict,
        left_out=result.report.left_out,
        idle=result.change.idle,
    )
    return made if not made.left_out else _weighed(task, made)


def _weighed(task: Task, made: Candidate) -> Candidate:
    """Count a student again from which something was left out; remove it if it is too far from the budget now."""
    place = Path(str(made.path))
    size = sized(load(place), shapes_of(task.proof))
    made = replace(made, parameters=size.parameters, multiply_adds=size.cost.total)
    missed = _missed(size, task)
    if missed is None:
        return made
    remove(place)
    names = ", ".join(repr(each.group) for each in made.left_out)
    failure = f"without {names}, which makes it wrong, {missed}"
    return replace(made, path=None, verdict=None, failure=failure, wrong=True)


def _reason(failure: N2NError | MemoryError) -> str:
    return failure.reason if isinstance(failure, N2NError) else "there is not enough memory"
