"""How far a teacher is from itself when rounding moves its inputs and weights, and so all that is computed of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnx_n2n.errors import InputError, ModelError
from onnx_n2n.verification.case import Case
from onnx_n2n.verification.compare import OutputVerdict, compare
from onnx_n2n.verification.differences import is_real
from onnx_n2n.verification.inputs import nudged
from onnx_n2n.verification.sessions import Timed, run, session
from onnx_n2n.verification.variants import stirred
from onnx_n2n.verification.yardstick import NOISE_FACTOR, Yardstick, yardstick

TIMES = 3  # that inputs and weights are moved by rounding, to measure what it does

# A tolerance so large, as a fraction of how far an output moves, comes from errors that grow. What they grow to is not
# known but for a factor, so a student that is off by not many tolerances is not called wrong.
LOOSE, FEW = 0.25, 4.0


def measured(case: Case) -> list[Yardstick]:
    """What the teacher asks on one feed, by how far it is from itself there, and where it is finite by chance alone.

    Inputs and weights are moved by a rounding step, and by as many as a student may be off.
    """
    epsilon = case.grain.epsilon
    near, around = ([answers[0] for answers in _moved(case, steps * epsilon)] for steps in (1.0, NOISE_FACTOR))
    found = []
    for k, value in enumerate(case.trial.truth[0]):
        some, more = ([values[k] for values in runs] for runs in (near, around))
        stick, wide = (yardstick([value] * (len(each) or 1), case.grain, nudged=each) for each in (some, more))
        edge = np.logical_or.reduce(np.broadcast_arrays(*stick.edges, *wide.edges))
        found.append(
            replace(stick, truth=stick.truth[:1], forms=stick.forms[:1], limits=stick.limits[:1], edges=(edge,))
        )
    return found


def unsteady(
    case: Case, outputs: tuple[OutputVerdict, ...], answers: Sequence[Sequence[Any]]
) -> tuple[OutputVerdict, ...]:
    """Judge a student, which is wrong at first sight, by what rounding inside does to the teacher on ordinary feeds.

    Where errors grow, as in a recurrence that feeds on itself or a difference of nearly equal numbers, an input that is
    a rounding step off shows too little of it.

    Args:
        case: The two models.
        outputs: The comparison at first sight, which has failed.
        answers: The student's outputs, per feed.

    Returns:
        The comparison that counts.

    Raises:
        InputError: Rounding moves the teacher's own answer by as much as different inputs do.
    """
    wrong = [k for k, output in enumerate(outputs) if not output.ok]
    if not all(np.isfinite(outputs[k].error) and is_real(case.trial.truth[0][k]) for k in wrong):
        return outputs
    runs, judged, open_ = list(_moved(case, case.grain.epsilon)), list(outputs), []
    for k in wrong if runs else ():
        truth, mine = ([values[k] for values in each] for each in (case.trial.truth, case.shown(answers)))
        sticks = [yardstick(truth, case.grain, nudged=[values[k] for values in near]) for near in runs]
        new = compare(outputs[k].name, max(sticks, key=lambda stick: stick.tolerance), mine)
        grows = (new.vacuous and new.movement != 0) or new.tolerance >= LOOSE
        if new.ok and not grows:
            judged[k] = new
        elif grows and new.error <= FEW * new.tolerance:
            open_.append(new.name)
    if open_ and all(output.ok or output.name in open_ for output in judged):
        raise InputError(
            "whether the student is right cannot be told from rounding: a rounding step moves the teacher's output "
            f"{open_[0]!r} about as far as other inputs do",
            hint="Give other inputs with `inputs='data.npz'`, such as shorter sequences",
        )
    return tuple(judged)


def _moved(case: Case, size: float) -> Iterator[list[list[Any]]]:
    """The teacher's answers per feed, a few times, where inputs are a rounding step off and weights by ``size``."""
    trial = case.trial
    for model in (stirred(case.old, size, case.seed), case.old):
        try:
            moved = Timed(session(model, case.used), case.limit)
            runs = [
                [run(moved, nudged(feed, case.seed + turn), trial.names) for feed in trial.feeds]
                for turn in range(TIMES)
            ]
        except (InputError, ModelError):
            continue  # a weight may have to be a constant
        yield from runs
        return
