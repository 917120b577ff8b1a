"""The proof that a student computes what its teacher computes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import onnx_ir as ir

from onnx_n2n import exact as exact_check
from onnx_n2n.errors import ModelError, OptionError, RunError
from onnx_n2n.io.jsonable import finite
from onnx_n2n.io.kinds import plain
from onnx_n2n.options import check_seed, taken
from onnx_n2n.verification import batches
from onnx_n2n.verification.case import Case
from onnx_n2n.verification.compare import OutputVerdict, decided
from onnx_n2n.verification.decisions import Named, decides
from onnx_n2n.verification.draw import wanted
from onnx_n2n.verification.evaluation import Modes, evaluated
from onnx_n2n.verification.exactly import AnyRecord, exactly
from onnx_n2n.verification.inputs import nudges, read_inputs
from onnx_n2n.verification.interfaces import Difference, differences, unlike
from onnx_n2n.verification.localise import Trace, Wrong, alike, first_wrong
from onnx_n2n.verification.mapped import LARGE, loaded, weight
from onnx_n2n.verification.memory import suffices, within_memory
from onnx_n2n.verification.randomness import Random, drawn
from onnx_n2n.verification.rounding import again, blurred, sharpened
from onnx_n2n.verification.runs import judged, random_of, tried_on, yardsticks
from onnx_n2n.verification.runtime import TIME_LIMIT
from onnx_n2n.verification.sessions import (
    AnyModel,
    Provider,
    SessionModel,
    Timed,
    beside,
    opened,
    providers,
    session,
)
from onnx_n2n.verification.setup import Hook, Setup
from onnx_n2n.verification.shaken import unsteady
from onnx_n2n.verification.stressed import Failure, Tried, answered, asked, stressed, stressed_as_stored
from onnx_n2n.verification.trial import find_trial
from onnx_n2n.verification.yardstick import GRAINS, grain
from onnx_n2n.words import brief


@dataclass(frozen=True)
class Verdict:
    """What came of running teacher and student side by side.

    Attributes:
        ok: Whether the student computes what the teacher computes.
        provider: The execution provider that the sessions really used.
        error: The worst error of any output, see ``OutputVerdict``.
        rounding_error: The worst rounding error that was measured of any output of the teacher; None where none was,
            because the verdict was clear without it: a large teacher without real inputs is not run for that alone.
        outputs: The comparison of every output.
        vacuous: Names of the outputs whose comparison could not have failed.
        inputs: How the inputs came about, for people.
        first_wrong: The first tensor that is wrong and the node that it comes from, or "unknown: " and the reason why
            it is not known: what ONNX Runtime said of the student. None when nothing is wrong, or traced.
        wrong: The same in parts; None where the tensor is not known.
        random: Outputs that are not compared, because they depend on random numbers.
        as_evaluated: Nodes that train in the files, and did what they do in evaluation.
        rounded: Nodes at which the student decides otherwise than the teacher, by rounding alone.
        differences: How the interfaces differ, where that is why the student is not the same, or was not compared.
        tried: The inputs of large scale and the long ones, and what came of each.
    """

    ok: bool
    provider: str
    error: float
    rounding_error: float | None
    outputs: tuple[OutputVerdict, ...]
    vacuous: tuple[str, ...]
    inputs: str
    first_wrong: str | None
    wrong: Wrong | None = None
    random: tuple[Random, ...] = ()
    as_evaluated: tuple[Named, ...] = ()
    rounded: tuple[Named, ...] = ()
    differences: tuple[Difference, ...] = ()
    tried: tuple[Tried, ...] = dataclasses.field(default=(), compare=False)  # how many depends on the machine

    def __bool__(self) -> bool:
        """Whether the student computes what the teacher computes, so that ``assert verify(...)`` says what it means."""
        return self.ok

    @property
    def short(self) -> str:
        """The verdict in some words: ``verified, error 1.2e-07``."""
        idle = len(self.vacuous) == len(self.outputs)
        state = "not the same" if not self.ok else "ran alike" if idle else "verified"
        return f"{state}, error {self.error:.1e}"

    @property
    def rounding(self) -> str:
        """The teacher's rounding error for people: ``rounding error 1.2e-07``, or that it was not measured."""
        size = self.rounding_error
        return "rounding error not measured" if size is None else f"rounding error {size:.1e}"

    def __repr__(self) -> str:
        wrong = f"; first wrong: {brief(self.first_wrong)}" if self.first_wrong else ""
        return f"<Verdict: {self.short}, teacher's {self.rounding}, on {self.provider}{wrong}>"

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON takes it: numbers that are not finite become null, as those that were not measured."""
        found: dict[str, Any] = finite(dataclasses.asdict(self))
        return found


@overload
def verify(
    teacher: AnyModel,
    student: AnyModel,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    trace: bool | None = None,
    gained: Collection[str] = (),
    folder: Path | None = None,
    exact: Literal[True],
    record: AnyRecord | None = None,
    tensors: Collection[str] = (),
) -> exact_check.Verdict: ...
@overload
def verify(
    teacher: AnyModel,
    student: AnyModel,
    *,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | str | os.PathLike[str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: Provider = "auto",
    seed: int = 0,
    time_limit: float = TIME_LIMIT,
    trace: Trace | bool | None = None,
    gained: Collection[str] = (),
    folder: Path | None = None,
    exact: Literal[False] = False,
    custom_ops: Sequence[str | os.PathLike[str]] = (),
    session_options: Hook | None = None,
    tensors: Collection[str] = (),
    rows: bool = False,
) -> Verdict: ...
@within_memory()
@taken("inputs", "shapes", "provider", "seed", "time_limit", "gained", "custom_ops", "tensors", "rows")
def verify(
    teacher: AnyModel,
    student: AnyModel,
    *,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | str | os.PathLike[str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: Provider = "auto",
    seed: int = 0,
    time_limit: float = TIME_LIMIT,
    trace: Trace | bool | None = None,
    gained: Collection[str] = (),
    folder: Path | None = None,
    exact: bool = False,
    record: AnyRecord | None = None,
    custom_ops: Sequence[str | os.PathLike[str]] = (),
    session_options: Hook | None = None,
    tensors: Collection[str] = (),
    rows: bool = False,
) -> Verdict | exact_check.Verdict:
    """Run a student beside its teacher and say whether it computes the same.

    >>> assert onnx_n2n.verify("model.onnx", onnx_n2n.widen("model.onnx", output="student.onnx").model)

    Args:
        teacher: The model that is right, of any kind.
        student: The model to judge.
        inputs: A feed, or several, or an npz file of one. Without one, a ``test_data_set_*`` folder beside the teacher
            is used, else inputs are drawn to fit its graph.
        shapes: Shapes by input, for free dimensions.
        provider: Where to run. ``auto`` is CUDA where that really works, else the CPU; any other that ONNX Runtime
            offers goes by its name, as ``openvino``.
        seed: Seed of everything drawn.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        trace: By tensor name, what each axis of the student's tensor is in the teacher's: an index (new -> old, -1 for
            an entry without a counterpart), or None for an axis, or for all of them, that are as they were. A failure
            can then be located. True if tensors of equal names are the same, as where nothing has grown; with
            ``exact``, to find just that for each tensor of the student.
        gained: Names of outputs in which the student may say more along one axis, behind what the teacher says.
        folder: Where external data and test data sets of models in memory live.
        exact: Whether to calculate both in finite fields instead, once and without ONNX Runtime. Then the verdict is
            that of `onnx_n2n.exact.check`, and no option of running models goes with it.
        record: With ``exact``, the growth record, which says what was rounded; by default one beside the student.
        custom_ops: Libraries with custom operators of the models.
        session_options: Is given the ``onnxruntime.SessionOptions`` of every session, and may change them.
        tensors: Names of tensors of the teacher that a student gives which was cut out of it: in place of its outputs,
            and in this order. The student may lack inputs that these do not need.
        rows: Whether a student that takes any number of examples, of a teacher that takes a fixed one, is also given
            several feeds in one batch: each row has to be what the teacher says of it alone.

    Raises:
        InputError: The teacher cannot be run on the inputs that were given or drawn, or decides by rounding on these
            what is finite.
        TimeLimitError: A run takes longer than it may; an ``InputError`` too.
        MemoryShortageError: There is not enough memory; an ``InputError`` too.
        ModelError: A file is not there, or ONNX Runtime refuses the teacher.
        KernelError: It has no kernel for a node of the teacher; a ``ModelError`` too.
        OptionError: The provider that was asked for cannot be had, the time limit is not above zero, or the seed is
            below zero.
    """
    check_seed(seed)
    teacher, student = (each if isinstance(each, SessionModel) else plain(each).model for each in (teacher, student))
    if not isinstance(exact, bool):
        raise OptionError(f"`exact=` must be True or False, not {brief(repr(exact))}")
    if exact:
        if trace not in (None, True, False):
            raise OptionError("`trace=` with `exact=` must be True or False", hint="the check finds it by itself")
        running = {
            "inputs": inputs, "provider": provider, "seed": seed, "time_limit": time_limit, "custom_ops": custom_ops,
            "session_options": session_options, "rows": rows,
        }  # fmt: skip
        return exactly(
            teacher, student, shapes=shapes or {}, gained=gained, record=record, folder=folder, running=running,
            trace=bool(trace), tensors=tensors,
        )  # fmt: skip
    if record is not None:
        raise OptionError("`record=` goes with `exact=` only", hint="a run needs none")
    if isinstance(inputs, str | os.PathLike):
        inputs = read_inputs(Path(inputs))
    setup = Setup.asked(custom_ops, session_options)
    with opened(teacher, folder, setup) as first, opened(student, folder, setup) as second:
        modes = Modes()
        if tensors:
            first, second = first.giving(tensors), second.taking(first.skeleton())
        old, model, trained = _evaluated(first, first.skeleton(), modes=modes)
        new, other, retrained = _read(second, modes)
        suffices(max(loaded(each) for each in (model, other) if each is not None))
        fine = grain(model)
        sets = beside(teacher, folder)
        find = partial(find_trial, model=model, inputs=inputs, shapes=shapes or {}, folder=sets, seed=seed, grain=fine)
        start = time.process_time()
        wants = wanted(model, shapes or {})

        def spent() -> float:
            return time.process_time() - start

        teacher_, used, trial = tried_on(old, providers(provider), find, seed, time_limit)
        random = random_of(teacher_, model, trial)
        trace = alike(model, other) if trace is True else trace or {}
        trial = trial.without([each.output for each in random])
        case = Case(old, new, trial, used, fine, seed, time_limit, trace, gained, drawn(model).keys())
        half = fine.epsilon > GRAINS[ir.DataType.FLOAT].epsilon
        edge = () if half else asked(case, model, wants, teacher_, spent())
        del teacher_  # one model at a time is open
        partly = nudges(trial.feeds[0]) or weight(model) > LARGE  # a second session of a small one costs nothing
        sticks = case.sticks([], trial.nudged) if partly else yardsticks(case)
        outputs, answers, beyond, reason = judged(case, sticks, edge, spent)
        if partly and reason is None and not all(output.ok for output in outputs):
            outputs = case.compared(yardsticks(case), answers)
        found: Wrong | None = None
        rounded: tuple[Named, ...] = ()
        if reason is None and not all(output.ok for output in outputs):
            if decides(model):
                outputs, found, rounded = again(case, outputs, answers)
            else:
                outputs = unsteady(case, outputs, answers)
        elif reason is None and blurred(outputs) and decides(model):
            outputs, found, rounded = sharpened(case, outputs)
        ok = reason is None and all(output.ok for output in outputs) and found is None
        vacuous = tuple(output.name for output in outputs if output.vacuous)
        tried: tuple[Tried, ...] = ()
        failed: Failure | None = None
        if ok and half:
            tried, failed = stressed_as_stored(case, model, wants, spent())
        elif ok and edge:
            if beyond is None:
                beyond = answered(case, Timed(session(new, used), time_limit), edge, spent())
            tried, failed = stressed(case, model, edge, beyond, spent())
        differs = _differences(case, model, other, answers, ran=reason is None, ok=ok)
        if ok and rows and other is not None:
            apart = batches.rows(case, model, other, retrained)
            tried += (Tried("several feeds in one batch", 1.0, apart is None, "" if apart is None else apart.reason),)
            if apart is not None and failed is None:
                failed = Failure(apart.outputs, case, apart.reason)
        if failed is not None:
            ok, case, outputs, reason = False, failed.case, failed.outputs or outputs, failed.reason
        if reason is None and not ok:
            if found is None and not tried:
                decided(outputs)
            if found is None and trace:
                located = _located(case)
                reason, found = (located, None) if isinstance(located, str) else (reason, located)
    measured = [output.rounding_error for output in outputs]
    return Verdict(
        ok=ok,
        provider=used,
        error=max(output.error for output in outputs),
        rounding_error=max((each for each in measured if each is not None), default=None),
        outputs=outputs,
        vacuous=vacuous,
        inputs=trial.origin,
        first_wrong=str(found) if found is not None else reason,
        wrong=found,
        random=random,
        as_evaluated=tuple(dict.fromkeys((*trained, *retrained))),
        rounded=rounded,
        differences=differs,
        tried=tried,
    )


def _evaluated(
    source: SessionModel, skeleton: ir.Model, **modes: Modes
) -> tuple[SessionModel, ir.Model, tuple[Named, ...]]:
    """A model as it is evaluated, the same to be read, and the nodes that train in the file."""
    copy, found = evaluated(source, skeleton, **modes)
    return copy, copy.skeleton() if found else skeleton, found


def _read(student: SessionModel, modes: Modes) -> tuple[SessionModel, ir.Model | None, tuple[Named, ...]]:
    """The same of a student, which may be no model at all: ONNX Runtime says why then."""
    try:
        return _evaluated(student, student.skeleton(), teacher=modes)
    except ModelError:
        return student, None, ()


def _differences(
    case: Case, model: ir.Model, other: ir.Model | None, answers: Sequence[Sequence[Any]], *, ran: bool, ok: bool
) -> tuple[Difference, ...]:
    """How the interfaces differ: of a student that is the same, only what it says besides."""
    declared = () if other is None else differences(model, other, case.gained)
    if ok:
        return tuple(each for each in declared if (each.where, each.what) == ("output", "added"))
    known = {each.name for each in declared if each.where == "output"}
    sides = (zip(*values, strict=True) for values in (case.trial.truth, case.shown(answers)))
    columns = zip(case.trial.names, *sides, strict=True)
    found = [unlike(name, *values) for name, *values in columns if ran and name not in known]
    return (*declared, *(each for each in found if each is not None))


def _located(case: Case) -> Wrong | str | None:
    try:
        return first_wrong(
            case.old, case.new, case.trace, case.trial.feeds, provider=case.used, grain=case.grain, seed=case.seed,
            time_limit=case.limit,
        )  # fmt: skip
    except (RunError, ModelError) as failure:
        return f"unknown: {failure.reason}"
