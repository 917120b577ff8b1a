"""The runs that a verdict is made of. Teacher and student are opened once each, one after the other.

Either is opened again only where that says more: a teacher to learn all of its rounding error, when a student is not
the same by a part of it; both, with each tensor rounded, if they are of half precision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from onnx_n2n.errors import ModelError, RunError
from onnx_n2n.verification.case import Case
from onnx_n2n.verification.compare import OutputVerdict
from onnx_n2n.verification.differences import same
from onnx_n2n.verification.inputs import nudges
from onnx_n2n.verification.randomness import Random, drawn, refuse
from onnx_n2n.verification.sessions import SessionModel, Timed, run, session
from onnx_n2n.verification.stressed import Answer, Edge, answered
from onnx_n2n.verification.trial import Trial, with_noise
from onnx_n2n.verification.yardstick import Yardstick


def tried_on(
    old: SessionModel, choices: Sequence[str], find: Callable[[Timed], Trial], seed: int, limit: float
) -> tuple[Timed, str, Trial]:
    """The teacher, open, the provider that it runs on, and feeds that it takes there.

    A teacher that fails on the device, for want of memory or of a kernel, may still run beside it.
    """
    for choice in choices:
        try:
            opened = Timed(session(old, choice), limit)
            trial = find(opened)
            trial = with_noise(opened, trial, seed) if nudges(trial.feeds[0]) else trial
            return opened, opened.session.get_providers()[0], trial
        except (RunError, ModelError):
            if choice == choices[-1]:
                raise
    raise AssertionError("there is always a provider")


def random_of(teacher: Timed, model: ir.Model, trial: Trial) -> tuple[Random, ...]:
    """The outputs that are another in every run, because of what some node draws.

    Raises:
        InputError: All of them are.
    """
    origins = drawn(model)
    if origins.keys().isdisjoint(trial.names):
        return ()
    runs = [run(teacher, trial.feeds[0], trial.names) for _ in range(2)]
    found = tuple(
        Random(name, origins[name].name or "", origins[name].op_type)
        for k, name in enumerate(trial.names)
        if name in origins and not all(same(trial.truth[0][k], values[k]) for values in runs)
    )
    if len(found) == len(trial.names):
        refuse(found)
    return found


def yardsticks(case: Case) -> list[Yardstick]:
    """What the teacher asks of each output, by all that is known of its rounding error: it is opened anew for that.

    A student that is the same by a part of it is the same by all.
    """
    trial, optimised = case.trial, list[list[Any]]()
    if len(trial.nudged) < len(trial.feeds) and nudges(trial.feeds[0]):
        trial = with_noise(Timed(session(case.old, case.used), case.limit), trial, case.seed, every=True)
    with contextlib.suppress(RunError, ModelError):  # an optimiser may fail where the plain graph does not
        quick = Timed(session(case.old, case.used, optimise=True), case.limit)
        optimised = [run(quick, feed, trial.names) for feed in trial.feeds]
    return case.sticks(optimised, trial.nudged)


def judged(
    case: Case, sticks: Sequence[Yardstick], edge: Edge, spent: Callable[[], float]
) -> tuple[tuple[OutputVerdict, ...], Sequence[Sequence[Any]], list[Answer] | None, str | None]:
    """The student's outputs, compared and as they are, and if it does not run the reason why.

    If it passes, it is asked for what is beyond the ordinary feeds while it is open.
    """
    names = case.trial.names
    answers: list[list[Any]] = [[None] * len(names)] * len(case.trial.feeds)
    try:
        grown = Timed(session(case.new, case.used), case.limit)
        have = {value.name for value in grown.session.get_outputs()}
        there = [name for name in names if name in have] or names  # ONNX Runtime says which of these is not there
        runs = [dict(zip(there, run(grown, feed, there), strict=True)) for feed in case.trial.feeds]
        answers = [[values.get(name) for name in names] for values in runs]
    except (RunError, ModelError) as failure:
        return case.compared(sticks, answers), answers, None, f"unknown: {failure.reason}"
    outputs = case.compared(sticks, answers)
    passes = all(output.ok for output in outputs)
    return outputs, answers, answered(case, grown, edge, spent()) if passes else None, None
