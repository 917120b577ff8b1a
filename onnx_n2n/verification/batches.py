"""Whether a student that takes any number of examples treats each as its teacher does, which takes a fixed number.

Examples of several feeds go into one batch. Each row that comes out has to be what the teacher says of that row's feed
alone, within the teacher's rounding error.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import InputError, ModelError, OptionError, RunError
from onnx_n2n.io.model import ModelLike
from onnx_n2n.verification.case import Case
from onnx_n2n.verification.compare import OutputVerdict, compare
from onnx_n2n.verification.decisions import Named
from onnx_n2n.verification.differences import is_real
from onnx_n2n.verification.evaluation import NORM, evaluated
from onnx_n2n.verification.inputs import nudged
from onnx_n2n.verification.localise import AT_A_TIME, computed
from onnx_n2n.verification.memory import within_memory
from onnx_n2n.verification.options import Proof
from onnx_n2n.verification.randomness import drawn
from onnx_n2n.verification.runs import random_of, tried_on
from onnx_n2n.verification.sessions import Feed, Timed, opened, providers, run, session
from onnx_n2n.verification.trial import find_trial
from onnx_n2n.verification.yardstick import grain, yardstick

RUNNING = re.compile(r"running (\S+) node\. Name:'(.*?)'")  # how ONNX Runtime says at which node it failed


@dataclass(frozen=True)
class Mixed:
    """Why the rows of a batch are not what the teacher says of each alone.

    Attributes:
        reason: As a sentence without its full stop.
        node: The node that is the first to make something else of a batch, where that is known.
        operator: Its operator.
        outputs: The comparison; empty where the student does not run.
    """

    reason: str
    node: str = ""
    operator: str = ""
    outputs: tuple[OutputVerdict, ...] = ()


@within_memory()
def mixed(teacher: ModelLike, student: ModelLike, proof: Proof, folder: Path | None) -> Mixed | None:
    """Say why rows of a batch are not what the teacher says of each alone; None if they are.

    Args:
        teacher: A model that takes a fixed number of examples.
        student: The same that takes any number.
        proof: How models are run.
        folder: Where test data sets may be.

    Raises:
        N2NError: The teacher cannot be run.
    """
    with opened(teacher, folder, proof.setup) as first, opened(student, folder, proof.setup) as second:
        old, _ = evaluated(first, first.skeleton())
        new, trained = evaluated(second, second.skeleton())
        model, other = old.skeleton(), new.skeleton()
        fine = grain(model)
        find = partial(
            find_trial, model=model, inputs=proof.inputs, shapes=proof.shapes, folder=folder, seed=proof.seed,
            grain=fine,
        )  # fmt: skip
        running, used, trial = tried_on(old, providers(proof.provider), find, proof.seed, proof.time_limit)
        trial = trial.without([each.output for each in random_of(running, model, trial)])
        del running
        case = Case(old, new, trial, used, fine, proof.seed, proof.time_limit, {}, (), drawn(model).keys())
        return rows(case, model, other, trained)


def rows(case: Case, model: ir.Model, other: ir.Model, trained: Sequence[Named]) -> Mixed | None:
    """Do the same for two models that are open.

    A BatchNormalization that trains mixes rows, though not as it is run here, which is as in evaluation.

    Args:
        case: The two models, as they are evaluated, with feeds.
        model: The teacher, to be read.
        other: The student, to be read.
        trained: Nodes that train in the student's file.

    Raises:
        OptionError: There is no input whose first axis is free in the student and fixed in the teacher.
        InputError: All feeds are the same, so rows that mix would not show.
        RunError: The teacher does not run.
    """
    free = _free(model, other)
    if not free:
        reason = "no input has a first axis that is free in the student and fixed in the teacher"
        raise OptionError(reason, hint="leave out `rows=`")
    if (norm := next((each for each in trained if each.operator == NORM[1]), None)) is not None:
        reason = "a BatchNormalization normalises by the whole batch, because its training_mode is set"
        return Mixed(reason, norm.node, norm.operator)
    teacher, student = (Timed(session(source, case.used), case.limit) for source in (case.old, case.new))
    feeds = _apart(case, teacher, model, free)
    truths = [run(teacher, feed, case.trial.names) for feed in feeds]
    near: list[list[Any]] = []
    with contextlib.suppress(RunError):
        near = [run(teacher, nudged(feed, case.seed), case.trial.names) for feed in feeds]
    steady = [k for k, pair in enumerate(zip(truths, near, strict=False)) if _steady(*pair)]
    if len(steady) > 1:  # others, as equal scores of which one is chosen, would grant the student whatever they can be
        feeds, truths, near = [feeds[k] for k in steady], [truths[k] for k in steady], [near[k] for k in steady]
    batch = _stacked(feeds, free)
    try:
        answers = run(student, batch, case.trial.names)
    except RunError as failure:
        return _failed(failure, len(feeds))
    found = _compared(case, truths, near, answers, computed(model, free))
    if not all(each.ok for each in found):
        wrong = next(each for each in found if not each.ok)
        reason = f"output {wrong.name!r} of a batch is not what the teacher says of each row alone"
        return _located(case, model, other, feeds, batch, Mixed(reason, outputs=found))
    number = len(feeds[0][free[0]])
    following = computed(model, free)
    return _single(case, student, feeds[0], free, truths[0], near[:1], following) if number > 1 else None


def _free(model: ir.Model, other: ir.Model) -> list[str]:
    """Return the inputs whose first axis is free in the student and fixed in the teacher."""
    fixed = [value for value in model.graph.inputs if value.shape and isinstance(value.shape[0], int)]
    open_ = {value.name for value in other.graph.inputs if value.shape and not isinstance(value.shape[0], int)}
    return [str(value.name) for value in fixed if value.name in open_]


def _apart(case: Case, teacher: Timed, model: ir.Model, free: Sequence[str]) -> list[Feed]:
    """Return two feeds or more of the same shapes, that differ in what a batch has rows of only.

    Rows that are the same show no mixture of rows. So feeds that were not drawn are joined by some that are.

    Raises:
        InputError: All feeds that run are the same.
    """
    first, *others = case.trial.feeds
    if not case.trial.is_drawn:
        others += _drawn(case, teacher, model)
    found = [feed for feed in (_with(first, other, free) for other in others) if feed is not None]
    if not case.trial.is_drawn:
        found = [feed for feed in found if _runs(teacher, feed)]
    if not _differ(first, found, free):
        found = [{**first, **{name: np.flip(first[name]).copy() for name in free}}]
    if not _differ(first, found, free):
        reason = "all rows of the inputs are the same, so they would not show whether rows mix"
        raise InputError(reason, hint="Pass inputs whose rows differ with `inputs='data.npz'`, or leave out `inputs=`")
    return [first, *found]


def _drawn(case: Case, teacher: Timed, model: ir.Model) -> list[Feed]:
    """Return drawn feeds of the shapes of those that there are; none where no drawn ones run."""
    shapes = {name: array.shape for name, array in case.trial.feeds[0].items()}
    with contextlib.suppress(RunError, InputError):
        return list(find_trial(teacher, model, None, shapes, None, case.seed, case.grain).feeds)
    return []


def _with(first: Feed, other: Feed, free: Sequence[str]) -> Feed | None:
    """Return a feed with the rows of another one; None where these have another shape."""
    fits = all(other[name].shape == first[name].shape for name in free)
    return {**first, **{name: other[name] for name in free}} if fits else None


def _runs(teacher: Timed, feed: Feed) -> bool:
    with contextlib.suppress(RunError):
        run(teacher, feed, [value.name for value in teacher.session.get_outputs()])
        return True
    return False


def _differ(first: Feed, others: Sequence[Feed], free: Sequence[str]) -> bool:
    """Say whether some rows of a batch of these feeds would differ."""
    return any(not np.array_equal(first[name], other[name]) for other in others for name in free)


def _stacked(feeds: Sequence[Feed], free: Sequence[str]) -> dict[str, np.ndarray]:
    return {**feeds[0], **{name: np.concatenate([feed[name] for feed in feeds]) for name in free}}


def _compared(
    case: Case,
    truths: Sequence[Sequence[Any]],
    near: Sequence[Sequence[Any]],
    answers: Sequence[Any],
    following: Collection[str],
) -> tuple[OutputVerdict, ...]:
    """Hold what a batch gives against what each of its parts gives, one behind the other.

    Outputs that do not follow the inputs that are free are the same for all parts.
    """
    found = []
    nearby = zip(*near, strict=True) if near else [()] * len(case.trial.names)
    for name, parts, others, answer in zip(case.trial.names, zip(*truths, strict=True), nearby, answers, strict=True):
        joined = _joined if name in following else _first
        whole = joined(parts)
        stick = yardstick([whole], case.grain, nudged=[joined(others)] if others else [])
        mine = case.first(name, whole, answer)
        found.append(compare(name, stick, [mine]))
    return tuple(found)


def _joined(parts: Sequence[Any]) -> Any:
    """Return arrays one behind the other; what has no rows, as a number or a list, stays as it is in the first."""
    arrays = all(isinstance(part, np.ndarray) and part.ndim for part in parts)
    return np.concatenate(parts) if arrays else parts[0]


def _first(parts: Sequence[Any]) -> Any:
    return parts[0]


def _single(
    case: Case,
    student: Timed,
    feed: Feed,
    free: Sequence[str],
    truth: Sequence[Any],
    near: Sequence[Sequence[Any]],
    following: Collection[str],
) -> Mixed | None:
    """Run one row alone, where the teacher takes several."""
    number = len(feed[free[0]])
    one = {**feed, **{name: feed[name][:1] for name in free}}
    try:
        answers = run(student, one, case.trial.names)
    except RunError as failure:
        return _failed(failure, 1)

    def first(values: Sequence[Any]) -> list[Any]:
        named = zip(case.trial.names, values, strict=True)
        rows = [name in following and isinstance(value, np.ndarray) and value.ndim > 0 for name, value in named]
        return [v[: len(v) // number] if has else v for v, has in zip(values, rows, strict=True)]

    found = _compared(case, [first(truth)], [first(values) for values in near], answers, following)
    if all(each.ok for each in found):
        return None
    wrong = next(each for each in found if not each.ok)
    return Mixed(f"output {wrong.name!r} of one row alone is not what the teacher says of it", outputs=found)


def _failed(failure: RunError, count: int) -> Mixed:
    found = RUNNING.search(failure.reason)
    operator, node = found.groups() if found else ("", "")
    return Mixed(f"a batch of {count} does not run: {failure.reason}", node, operator)


def _located(
    case: Case, model: ir.Model, other: ir.Model, feeds: Sequence[Feed], batch: Feed, found: Mixed
) -> Mixed:
    """Add the node that is the first to make of a batch what is not made of its rows, along whatever axis."""
    nodes, theirs = computed(model), computed(other)
    names = [name for name in nodes if name in theirs and name not in case.random]
    with contextlib.suppress(RunError, ModelError):
        old, new = (Timed(session(each.exposing(names), case.used), case.limit) for each in (case.old, case.new))
        for start in range(0, len(names), AT_A_TIME):
            some = names[start : start + AT_A_TIME]
            alone = zip(*(run(old, feed, some) for feed in feeds), strict=True)
            for name, parts, whole in zip(some, alone, run(new, batch, some), strict=True):
                if not _made_of(parts, whole):
                    node = nodes[name]
                    return Mixed(found.reason, node.name or f"-> {name}", node.op_type, found.outputs)
    return found


def _made_of(parts: Sequence[Any], whole: Any) -> bool:
    """Say whether a tensor is made of others, side by side along any axis, or is what all of them are.

    Lengths of tensors, which are whole numbers, may be anything.
    """
    if not isinstance(whole, np.ndarray) or not is_real(whole):
        return True
    joined = (np.concatenate(parts, axis) for axis in range(parts[0].ndim))
    return any(_near(side, whole) for side in joined) or all(_near(part, whole) for part in parts)


def _steady(truth: Sequence[Any], nudged: Sequence[Any]) -> bool:
    """Say whether a rounding step in its inputs changes no output of the teacher by more than rounding."""
    arrays = [pair for pair in zip(truth, nudged, strict=True) if all(isinstance(each, np.ndarray) for each in pair)]
    return all(_near(*pair) if is_real(pair[0]) else np.array_equal(*pair) for pair in arrays)


def _near(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, 1e-2, 1e-3, equal_nan=True))
