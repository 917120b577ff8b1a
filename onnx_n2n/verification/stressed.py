"""What a student answers at the edge of what its teacher takes.

Where the teacher's answer is finite, the student's has to be finite and the same, within the teacher's own rounding
error on that very feed. Nothing is claimed of other places, nor where the teacher overflows inside or rounding decides.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from onnx_n2n.errors import InputError, ModelError, RunError
from onnx_n2n.verification.case import Case
from onnx_n2n.verification.compare import OutputVerdict, compare
from onnx_n2n.verification.decisions import decides
from onnx_n2n.verification.differences import finite, where_finite
from onnx_n2n.verification.draw import Wanted
from onnx_n2n.verification.localise import AT_A_TIME, computed
from onnx_n2n.verification.sessions import Feed, Timed, run, session
from onnx_n2n.verification.shaken import measured
from onnx_n2n.verification.stress import stress
from onnx_n2n.verification.trial import Trial
from onnx_n2n.verification.variants import as_stored
from onnx_n2n.verification.yardstick import Yardstick, yardstick

LEAST = 1.0  # seconds that one run may take at least, where everything before took less

Outputs = tuple[OutputVerdict, ...]
Answer = list[Any] | InputError  # a RunError, or it took too long
Edge = tuple[tuple[str, Trial], ...]


@dataclass(frozen=True)
class Tried:
    """One feed beyond the ordinary, and what came of it.

    Attributes:
        what: What is special about it, for people.
        finite: The fraction of the teacher's output that is finite there, of the output with least.
        same: Whether the student is finite and the same wherever the teacher is finite; None where nothing is claimed.
        why: Why nothing is claimed, or what is wrong; else empty.
    """

    what: str
    finite: float
    same: bool | None
    why: str = ""


@dataclass(frozen=True)
class Failure:
    """The first feed on which a student is wrong.

    Attributes:
        outputs: The comparison; empty where the student does not run.
        case: The two models, and the one feed.
        reason: What ONNX Runtime said of a student that does not run.
    """

    outputs: Outputs
    case: Case
    reason: str | None = None


def asked(case: Case, model: ir.Model, wants: Sequence[Wanted], teacher: Timed, seconds: float) -> Edge:
    """Ask the teacher, which is open, for its answers beyond the ordinary.

    Args:
        case: The two models.
        model: The teacher, to be read.
        wants: What its inputs take.
        teacher: The teacher.
        seconds: How long it took so far.
    """
    quick = replace(teacher, limit=_limit(case, seconds))  # how often a Loop runs may depend on the feed
    return tuple(stress(quick, model, wants, case.trial, seconds, case.seed))


def answered(case: Case, student: Timed, edge: Edge, seconds: float) -> list[Answer]:
    """The answers of a student, which is open, to the same."""
    quick = replace(student, limit=_limit(case, seconds))
    return [_answer(quick, trial) for _, trial in edge]


def stressed(
    case: Case, model: ir.Model, edge: Edge, answers: Sequence[Answer], seconds: float
) -> tuple[tuple[Tried, ...], Failure | None]:
    """Hold a student, which is right on the ordinary feeds, against its teacher on those beyond.

    Args:
        case: The two models.
        model: The teacher, to be read.
        edge: What is special about each feed, for people; and the feed with the teacher's answer.
        answers: What the student answers.
        seconds: How long everything took so far.

    Raises:
        ModelError: ONNX Runtime refuses a model that it has opened before.
    """
    quick = replace(case, limit=_limit(case, seconds))
    tried, failed = [], None
    for (what, trial), answer in zip(edge, answers, strict=True):
        same, why, outputs = _held(replace(quick, trial=trial), case.trial.feeds[0], model, answer)
        tried.append(Tried(what, finite(trial.truth[0]), same, why))
        if same is False and failed is None:
            failed = Failure(outputs, replace(case, trial=trial), None if outputs else f"unknown: {why}")
    return tuple(tried), failed


def stressed_as_stored(
    case: Case, model: ir.Model, wants: Sequence[Wanted], seconds: float
) -> tuple[tuple[Tried, ...], Failure | None]:
    """Do all of that with models of half precision, which run as their files have them, each tensor rounded.

    Raises:
        ModelError: ONNX Runtime refuses a model that it has opened before.
    """
    with contextlib.suppress(ModelError):
        return _opened(replace(case, old=as_stored(case.old), new=as_stored(case.new)), model, wants, seconds)
    return _opened(case, model, wants, seconds)


def _opened(
    case: Case, model: ir.Model, wants: Sequence[Wanted], seconds: float
) -> tuple[tuple[Tried, ...], Failure | None]:
    edge = asked(case, model, wants, Timed(session(case.old, case.used), case.limit), seconds)
    if not edge:
        return (), None
    answers = answered(case, Timed(session(case.new, case.used), case.limit), edge, seconds)
    return stressed(case, model, edge, answers, seconds)


def _limit(case: Case, seconds: float) -> float:
    return min(case.limit, max(LEAST, seconds))


def _answer(student: Timed, trial: Trial) -> Answer:
    try:
        return run(student, trial.feeds[0], trial.names)
    except InputError as failure:
        return failure


def _held(case: Case, ordinary: Feed, model: ir.Model, answer: Answer) -> tuple[bool | None, str, Outputs]:
    """Whether the student is the same on the one feed of a case, or why nothing is claimed, and the comparison."""
    truth = case.trial.truth[0]
    if not any(finite([value]) for value in truth):
        return None, "the teacher is finite nowhere", ()
    if isinstance(answer, InputError):
        full = "alloc" in answer.reason  # what ONNX Runtime says without enough memory
        return (None if full or not isinstance(answer, RunError) else False), answer.reason, ()
    mine = [where_finite(*pair) for pair in zip(truth, case.shown([answer])[0], strict=True)]
    outputs = _compared(case, [yardstick([value], case.grain) for value in truth], mine)
    if all(output.ok for output in outputs):
        return True, "", outputs
    outputs = _compared(case, measured(case), mine)
    wrong = [output for output in outputs if not output.ok]
    if not wrong:
        return True, "", outputs
    if all(output.undecided for output in wrong):
        return None, "rounding decides in the teacher too what is finite", outputs
    broken = [output for output, value in zip(outputs, mine, strict=True) if not output.ok and finite([value]) < 1]
    if not broken and all(output.tolerance >= 1 for output in wrong):
        return None, "rounding moves the teacher's own answer by as much as its size", outputs
    if not broken and decides(model):
        return None, "rounding may decide otherwise in the student", outputs
    if _overflows(case, ordinary, model):
        return None, "the teacher overflows inside", outputs
    if broken:
        return False, f"output {broken[0].name!r} is not finite where the teacher's is", outputs
    return False, f"output {wrong[0].name!r} is {wrong[0].error:.1e} of its size off", outputs


def _compared(case: Case, sticks: Sequence[Yardstick], mine: Sequence[Any]) -> Outputs:
    columns = zip(case.trial.names, sticks, mine, strict=True)
    return tuple(compare(name, stick, [value]) for name, stick, value in columns)


def _overflows(case: Case, ordinary: Feed, model: ir.Model) -> bool:
    """Whether a tensor inside the teacher is finite on an ordinary feed and not on this one.

    Such a tensor times the zero share of a new channel is no number, however the channel was made.
    """
    made = computed(model)
    names = [name for name, node in made.items() if name not in case.trial.names]
    with contextlib.suppress(InputError, ModelError):
        exposed = Timed(session(case.old.exposing(names), case.used), case.limit)
        for start in range(0, len(names), AT_A_TIME):
            some = names[start : start + AT_A_TIME]
            before, now = (run(exposed, feed, some) for feed in (ordinary, case.trial.feeds[0]))
            if any(finite([new]) < 1 <= finite([old]) for old, new in zip(before, now, strict=True)):
                return True
    return False
