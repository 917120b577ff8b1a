"""A student that is not the same at first sight, or is by luck, looked at once more where rounding may have decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from onnx_n2n.errors import InputError, ModelError, RunError
from onnx_n2n.verification.case import Case
from onnx_n2n.verification.compare import OutputVerdict
from onnx_n2n.verification.cuts import Held, Pair
from onnx_n2n.verification.decisions import Named
from onnx_n2n.verification.differences import apart, is_real
from onnx_n2n.verification.localise import Wrong, first_wrong
from onnx_n2n.verification.quanta import moved_inside

FEW = 4.0  # times as far as the teacher is from itself when quanta flip: beyond that a student is wrong

Outputs = tuple[OutputVerdict, ...]


def again(
    case: Case, outputs: Outputs, answers: Sequence[Sequence[Any]]
) -> tuple[Outputs, Wrong | None, tuple[Named, ...]]:
    """Judge a student with the teacher's decisions, or where that cannot be, by what rounding does to these.

    Args:
        case: The two models.
        outputs: The comparison at first sight, which has failed.
        answers: The student's outputs, per feed.

    Returns:
        The comparison that counts, the first tensor that is wrong if one is known, and the nodes at which the student
        decides otherwise than the teacher.

    Raises:
        InputError: It cannot be told whether the student is wrong.
        TimeLimitError: A run takes longer than it may; an ``InputError`` too.
    """
    held = _held(case)
    judged = None if held is None else _with_decisions(case, held, outputs)
    if judged is not None:
        return judged
    return _within_quanta(case, outputs, answers, selects=held is None or held.selects), None, ()


def blurred(outputs: Outputs) -> bool:
    """Whether there is an output that rounding moves in the teacher as far as other inputs do, so that all passes."""
    return any(output.vacuous and output.movement for output in outputs)


def sharpened(case: Case, outputs: Outputs) -> tuple[Outputs, Wrong | None, tuple[Named, ...]]:
    """Judge a student that passes with blurred outputs by the teacher's decisions, where that can be.

    Args and return values are those of :func:`again`.
    """
    held = _held(case)
    judged = None if held is None else _with_decisions(case, held, outputs)
    return judged or (outputs, None, ())


def _with_decisions(case: Case, held: Held, outputs: Outputs) -> tuple[Outputs, Wrong | None, tuple[Named, ...]] | None:
    """Judge a student by what came of the teacher's decisions; None where these do not tell."""
    found = case.compared(case.sticks([], held.nudged), held.answers)
    passed = all(output.ok for output in found)
    if held.wrong is None and passed:
        return found, None, held.rounded
    if not held.left:
        return (outputs if passed else found), _located(case, held), ()
    return None


def _held(case: Case) -> Held | None:
    try:
        pair = Pair(case.old, case.new, case.trace, case.random, case.used, case.limit)
        return pair.hold(case.trial.feeds, case.trial.names, case.grain, case.seed)
    except (RunError, ModelError):
        return None


def _located(case: Case, held: Held) -> Wrong | None:
    """The first wrong tensor, where both models have decided alike so far."""
    try:
        found = first_wrong(
            *held.models, case.trace, held.feeds[:1], theirs=held.feeds[1:], provider=case.used, grain=case.grain,
            seed=case.seed, time_limit=case.limit,
        )  # fmt: skip
    except (RunError, ModelError):
        found = None
    return found or held.wrong


def _within_quanta(case: Case, outputs: Outputs, answers: Sequence[Sequence[Any]], *, selects: bool) -> Outputs:
    """Judge a student by how far the teacher is from itself when what goes into its decisions moves.

    A student that is no further off than that passes; one that is off by many times as much is wrong.

    Raises:
        InputError: The student is in between, or selections are among the decisions.
    """
    trial = case.trial
    moved = moved_inside(case.old, trial.feeds, trial.names, case.used, case.grain, case.seed, case.limit)
    if moved is not None and not moved:
        return outputs
    columns = [list(zip(*runs, strict=True)) for runs in (trial.truth, case.shown(answers), *(moved or ()))]
    found, open_ = [], ""
    for k, output in enumerate(outputs):
        truth, mine, *near = (column[k] for column in columns)
        if not output.ok and near:
            largest, mean = apart(truth, mine)
            rounding_error, noises = map(max, zip(*(apart(truth, values) for values in near), strict=True))
            if largest > FEW * rounding_error or mean > FEW * noises:
                return outputs
            movement = output.movement or 0.0
            if is_real(truth[0]) and not selects and largest <= rounding_error < movement and mean <= noises:
                share = rounding_error / movement
                told = {"error": largest / movement, "rounding_error": share, "tolerance": share}
                output = replace(output, ok=True, undecided=False, **told)
        open_ = open_ or output.name * (not output.ok)
        found.append(output)
    if open_:
        raise InputError(
            f"whether the student is right cannot be told from rounding: output {open_!r} hangs on decisions that a "
            "rounding step changes in the teacher too, as the order of equal scores or the step of a quantised number",
            hint="Give other inputs with `inputs='data.npz'`",
        )
    return tuple(found)
