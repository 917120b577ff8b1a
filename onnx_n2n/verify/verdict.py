"""The proof that a student computes what its teacher computes."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.errors import ModelError, RunError
from onnx_n2n.verify.compare import Grain, OutputVerdict, Yardstick, compare, decided, grain, vacuous, yardstick
from onnx_n2n.verify.localise import Index, Wrong, first_wrong
from onnx_n2n.verify.sessions import (
    TIME_LIMIT,
    AnyModel,
    Provider,
    Source,
    Timed,
    opened,
    providers,
    run,
    session,
    within_memory,
)
from onnx_n2n.verify.trial import Trial, find_trial, with_noise


@dataclass(frozen=True)
class Verdict:
    """What came of running teacher and student side by side.

    Attributes:
        ok: Whether the student computes what the teacher computes.
        provider: The execution provider that the sessions really used.
        error: The worst error of any output, see ``OutputVerdict``.
        noise: The worst noise of any output.
        outputs: The comparison of every output.
        vacuous: Names of the outputs whose comparison could not have failed.
        inputs: How the inputs came about, for people.
        first_wrong: The first tensor that is wrong and the node that it comes from, or "unknown: " and the reason why
            it is not known: what ONNX Runtime said of the student. None when nothing is wrong, or traced.
        wrong: The same in parts; None where the tensor is not known.
    """

    ok: bool
    provider: str
    error: float
    noise: float
    outputs: tuple[OutputVerdict, ...]
    vacuous: tuple[str, ...]
    inputs: str
    first_wrong: str | None
    wrong: Wrong | None = None

    def __bool__(self) -> bool:
        """Whether the student computes what the teacher computes, so that ``assert verify(...)`` says what it means."""
        return self.ok

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON takes it: numbers that are not finite become null."""
        return {key: _jsonable(value) for key, value in dataclasses.asdict(self).items()}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@within_memory()
def verify(
    teacher: AnyModel,
    student: AnyModel,
    *,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: Provider = "auto",
    seed: int = 0,
    time_limit: float = TIME_LIMIT,
    trace: Mapping[str, Index] | None = None,
    gained: Collection[str] = (),
    folder: Path | None = None,
) -> Verdict:
    """Run a student beside its teacher and say whether it computes the same.

    Args:
        teacher: The model that is right: a path, bytes, an ``onnx_ir.Model`` or a ``ModelProto``.
        student: The model to judge.
        inputs: A feed, or several. Without one, a ``test_data_set_*`` folder beside the teacher is used, else inputs
            are drawn to fit its graph.
        shapes: Shapes by input, for free dimensions.
        provider: Where to run. ``auto`` is CUDA where that really works, else the CPU; any other that ONNX Runtime
            offers goes by its name, as ``openvino``.
        seed: Seed of everything drawn.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        trace: By tensor name, what each axis of the student's tensor is in the teacher's: an index (new -> old, -1 for
            an entry without a counterpart), or None for an axis that is as it was. A failure can then be located.
        gained: Names of outputs in which the student may say more along one axis, behind what the teacher says.
        folder: Where external data and test data sets of models in memory live.

    Raises:
        InputError: The teacher cannot be run on the inputs that were given or drawn, or decides by rounding on these
            what is finite, or there is not enough memory.
        TimeLimitError: A run takes longer than it may; an ``InputError`` too.
        ModelError: A file is not there, or ONNX Runtime refuses the teacher.
        OptionError: The provider that was asked for cannot be had, or the time limit is not above zero.
    """
    found: Wrong | str | None = None
    with opened(teacher, folder) as old, opened(student, folder) as new:
        model = old.skeleton()
        fine = grain(model)
        find = partial(
            find_trial, model=model, inputs=inputs, shapes=shapes or {}, folder=old.folder, seed=seed, grain=fine
        )
        used, trial = _tried(old, providers(provider), find, seed, time_limit)
        sticks = _yardsticks(old, used, trial, fine, time_limit)
        outputs, reason = _judged(new, used, trial, sticks, gained, time_limit)
        ok = reason is None and all(output.ok for output in outputs)
        if reason is None:
            decided(outputs)
        if reason is None and not ok and trace:
            found = _located(old, new, trace, trial, used, fine, seed, time_limit)
            reason = None if found is None else str(found)
    return Verdict(
        ok=ok,
        provider=used,
        error=max(output.error for output in outputs),
        noise=max(output.noise for output in outputs),
        outputs=outputs,
        vacuous=tuple(output.name for output in outputs if output.vacuous),
        inputs=trial.origin,
        first_wrong=reason,
        wrong=found if isinstance(found, Wrong) else None,
    )


# One model at a time is open: each of these functions opens what it needs, and lets go of it.


def _tried(
    old: Source, choices: Sequence[str], find: Callable[[Timed], Trial], seed: int, limit: float
) -> tuple[str, Trial]:
    """The provider that the teacher runs on, and feeds that it takes there.

    A teacher that fails on the device, for want of memory or of a kernel, may still run beside it.
    """
    for choice in choices:
        try:
            opened = Timed(session(old, choice), limit)
            return opened.session.get_providers()[0], with_noise(opened, find(opened), seed)
        except (RunError, ModelError):
            if choice == choices[-1]:
                raise
    raise AssertionError("there is always a provider")


def _yardsticks(old: Source, used: str, trial: Trial, fine: Grain, limit: float) -> list[Yardstick]:
    """What the teacher asks of each output; where none tells anything by its movement, no noise is granted."""
    optimised: list[list[Any]] = []
    with contextlib.suppress(RunError, ModelError):  # an optimiser may fail where the plain graph does not
        quick = Timed(session(old, used, optimise=True), limit)
        optimised = [run(quick, feed, trial.names) for feed in trial.feeds]
    sticks = [
        yardstick(truth, fine, [values[k] for values in optimised], [values[k] for values in trial.nudged])
        for k, truth in enumerate(zip(*trial.truth, strict=True))
    ]
    return [vacuous(stick, fine) for stick in sticks] if all(stick.vacuous for stick in sticks) else sticks


def _judged(
    new: Source, used: str, trial: Trial, sticks: Sequence[Yardstick], gained: Collection[str], limit: float
) -> tuple[tuple[OutputVerdict, ...], str | None]:
    """The student's outputs, compared, and if it does not run the reason why."""
    reason, answers = None, [[None] * len(trial.names)] * len(trial.feeds)
    try:
        grown = Timed(session(new, used), limit)
        answers = [run(grown, feed, trial.names) for feed in trial.feeds]
    except (RunError, ModelError) as failure:
        reason = f"unknown: {failure.reason}"
    columns = [
        (name, stick, map(_first, stick.truth, values) if name in gained else values)
        for name, stick, values in zip(trial.names, sticks, zip(*answers, strict=True), strict=True)
    ]
    return tuple(compare(name, stick, tuple(values)) for name, stick, values in columns), reason


def _first(truth: np.ndarray, value: Any) -> Any:
    """The first entries along the one axis on which a value is longer than the truth; else the value as it is."""
    shape = np.shape(value)
    longer = [axis for axis, (before, after) in enumerate(zip(truth.shape, shape, strict=False)) if before < after]
    if len(shape) != truth.ndim or len(longer) != 1:
        return value
    return value[(slice(None),) * longer[0] + (slice(truth.shape[longer[0]]),)]


def _located(
    old: Source, new: Source, trace: Mapping[str, Index], trial: Trial, used: str, fine: Grain, seed: int, limit: float
) -> Wrong | str | None:
    try:
        return first_wrong(old, new, trace, trial.feeds, provider=used, grain=fine, seed=seed, time_limit=limit)
    except (RunError, ModelError) as failure:
        return f"unknown: {failure.reason}"
