"""The proof of an export: what it computes beside what ONNX Runtime makes of the file, on the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import ExportError
from onnx_n2n.verification.compare import compare, decided
from onnx_n2n.verification.memory import within_memory
from onnx_n2n.verification.runtime import TIME_LIMIT, first_line
from onnx_n2n.verification.sessions import (
    CPU,
    AnyModel,
    SessionModel,
    Timed,
    beside,
    opened,
    session,
)
from onnx_n2n.verification.trial import find_trial, with_noise
from onnx_n2n.verification.yardstick import grain, yardstick

TOLERANCE = 1e-4
"""The largest acceptable error of an output without rounding error in float32; coarser types have verification's."""

Runner = Callable[[Mapping[str, np.ndarray]], Sequence[Any]]
"""Runs the export on a feed, and returns its outputs in the order of the graph."""


@dataclass(frozen=True)
class Agreement:
    """How far an export is from ONNX Runtime.

    Attributes:
        ok: Whether it is near enough.
        error: The worst error of any output, as a fraction of how far that output moves between two inputs, or of its
            own size where it does not move.
        tolerance: The largest acceptable error of that output. It is above 1e-4 where ONNX Runtime itself moves by more
            than a sixteenth of that when its inputs move by one rounding step.
        worst: The output of the worst error, in units of what is acceptable.
        inputs: How the inputs came about, for people.
        vacuous: Names of the outputs whose comparison could not have failed, because no input moves them.
    """

    ok: bool
    error: float
    tolerance: float
    worst: str
    inputs: str
    vacuous: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return asdict(self) | {"error": self.error if np.isfinite(self.error) else None}


@within_memory()
def agreement(
    model: AnyModel,
    run: Runner,
    *,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    seed: int = 0,
    folder: Path | None = None,
    time_limit: float = TIME_LIMIT,
) -> Agreement:
    """Run an export beside ONNX Runtime.

    Args:
        model: The model that it was made of.
        run: Runs the export.
        inputs: A feed, or several; found or drawn as :func:`onnx_n2n.verify` does it without one.
        shapes: Shapes by input, for free dimensions.
        seed: Seed of everything drawn.
        folder: Where external data and test data sets of models in memory live.
        time_limit: How many seconds one run in ONNX Runtime may take; infinity is no limit.

    Raises:
        ExportError: The export does not run.
        InputError: ONNX Runtime runs on no inputs, or decides by rounding on these what is finite, or there is not
            enough memory.
        TimeLimitError: A run takes longer than it may; an ``InputError`` too.
        OptionError: The time limit is not above zero.
        ModelError: ONNX Runtime refuses the model.
    """
    with _at_rest(model, folder) as (source, skeleton):
        fine = grain(skeleton)
        running = Timed(session(source, CPU), time_limit)
        trial = find_trial(running, skeleton, inputs, shapes or {}, beside(model, folder), seed, fine)
        trial = with_noise(running, trial, seed, every=True)
    answers = [_answer(run, feed) for feed in trial.feeds]
    least = max(TOLERANCE, fine.floor)
    found, undecided, idle = Agreement(True, 0.0, least, "", trial.origin), [], []
    for k, name in enumerate(trial.names):
        truth = [values[k] for values in trial.truth]
        stick = yardstick(truth, fine, nudged=[values[k] for values in trial.nudged])
        given = [_typed(values[k], like) for values, like in zip(answers, truth, strict=True)]
        verdict = compare(name, stick, given)
        idle += [name] * verdict.vacuous
        if verdict.undecided:
            undecided.append(verdict)
            continue
        error, tolerance = verdict.error, max(least, stick.tolerance)
        if not found.worst or error / tolerance > found.error / found.tolerance:
            found = Agreement(error <= tolerance < np.inf, error, tolerance, name, trial.origin)
    if found.ok:
        decided(undecided)
    return replace(found, vacuous=tuple(idle))


@within_memory()
def feeds(model: AnyModel, seed: int = 0) -> Sequence[Mapping[str, np.ndarray]]:
    """Return inputs on which a model runs in ONNX Runtime, found as verification finds them.

    Raises:
        InputError: ONNX Runtime runs on no inputs, or takes too long, or there is not enough memory.
        ModelError: ONNX Runtime refuses the model.
    """
    with _at_rest(model, None) as (source, skeleton):
        running = Timed(session(source, CPU))
        return find_trial(running, skeleton, None, {}, beside(model, None), seed, grain(skeleton)).feeds


@contextmanager
def _at_rest(model: AnyModel, folder: Path | None) -> Iterator[tuple[SessionModel, ir.Model]]:
    """Open a model, without the noise of a Dropout that was exported as it trains."""
    with opened(model, folder) as source:
        skeleton = source.skeleton()
        noisy = [node for node in skeleton.graph.all_nodes() if node.op_type == "Dropout" and len(node.inputs) > 2]
        if not noisy:
            yield source, skeleton
            return
        for node in noisy:
            node.replace_input_with(2, None)
        with opened(skeleton) as quiet:
            yield SessionModel(quiet.data, source.folder), skeleton


def _answer(run: Runner, feed: Mapping[str, np.ndarray]) -> Sequence[Any]:
    try:
        return run(feed)
    except ExportError:
        raise
    except Exception as failure:  # a framework may raise anything
        raise ExportError(f"the export does not run: {type(failure).__name__}: {first_line(failure)}") from failure


def _typed(value: Any, like: Any) -> Any:
    """Bring a value into the type that ONNX says; frameworks have fewer types, and no rank below theirs is lost."""
    if isinstance(value, list | tuple):
        return [_typed(one, other) for one, other in zip(value, like, strict=True)]
    array = np.asarray(value)
    kind = np.asarray(like).dtype
    if array.dtype != kind and (array.dtype.kind in "iub") == (kind.kind in "iub"):
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large for the type becomes infinite there too
            return array.astype(kind)
    return array
