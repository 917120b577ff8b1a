"""What a pass would do to a model, found out without a student: nothing is verified, and nothing is written."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import onnx_ir as ir

from onnx_n2n.collector import still
from onnx_n2n.costs.budget import Budget, shapes_of
from onnx_n2n.errors import LeftOutWarning, N2NError
from onnx_n2n.graph.constants import parameters
from onnx_n2n.io.history import digest
from onnx_n2n.io.incoming import private
from onnx_n2n.io.model import ModelLike
from onnx_n2n.passes.driver import Driven, Opened, Target
from onnx_n2n.passes.estimate import estimated
from onnx_n2n.passes.leaving_out import Failure, Part, reported, settled
from onnx_n2n.passes.report import Change, Report, Result
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.record.obstacles import obstacles
from onnx_n2n.record.provenance import origins
from onnx_n2n.record.record import Record
from onnx_n2n.verification.options import Proof


@dataclass(frozen=True, eq=False)
class _Planned:
    """What would be changed.

    Attributes:
        working: The teacher's copy, changed.
        done: How.
    """

    working: ir.Model
    done: Change

    @property
    def modified(self) -> bool:
        """Whether the student would differ from the teacher."""
        return self.done.modified


@still()
def rehearse(
    model: ModelLike,
    change: Driven,
    *,
    target: Target,
    proof: Proof,
    read: Iterable[Path] = (),
    strict: bool = False,
    progress: Progress = unheard,
    budget: Budget | None = None,
) -> Result[None]:
    """Say what a pass would do to a model, and what it would take.

    This takes about as long as reading the teacher: weights are made only where one of several passes looks at those of
    the pass before. Models are run only by passes that cannot do without: where ``deepen`` takes statistics.

    Args:
        model: The teacher.
        change: The pass.
        target: Where the student would be written, when the teacher is a file.
        proof: How it would be verified.
        read: Files that the pass reads besides the model.
        strict: Whether a failure of ours is an error at once; otherwise what makes it fail is left out.
        progress: Is told each stage as it begins.
        budget: What the student may cost at most.

    Raises:
        OptionError: The output could not be written.
        ModelError: The model cannot be read, or there is no room for the student on the disk.
        GrowthError: What is asked for by name does not exist, or cannot be had, or costs more than the budget.
    """
    progress("reading the model")
    opened = Opened.of(model, proof, read)
    path, teacher = opened.path, opened.loan.model
    place = None if path is None else target.check(path, opened.sources)
    folder = None if path is None else path.parent

    def attempt(some: Driven) -> _Planned | Failure:
        working = private(teacher)
        try:
            done = some.apply(working, proof, folder)
            if done.modified and budget is not None:
                budget.check(teacher, working, shapes_of(proof))
        except (N2NError, OSError, MemoryError, RecursionError):
            raise
        except Exception as bug:
            return Failure(bug)
        return _Planned(working, done)

    def parts(some: Driven) -> Sequence[Part]:
        return some.parts(private(teacher), proof, folder)

    progress("planning")
    strict = strict or not proof.wanted
    rest = settled(change, attempt(change), attempt, parts, strict=strict, progress=progress)
    change, working, done = rest.change, rest.made.working, rest.made.done
    left = tuple(reported(each, path, place, proof.options) for each in rest.found)
    for each in left:
        warnings.warn(each.said, LeftOutWarning, stacklevel=4)
    sizes = parameters(teacher), parameters(working)
    if not done.modified:
        return Result(None, done, Report(done, *sizes, None, left), str(change), lambda: Record((), digest(teacher)))
    estimate = estimated(teacher, working, place, runs=proof.wanted and proof.runs)
    unnamed = Record(done.steps, "", origins(teacher)) if target.record is not None else None  # by no digest
    barred = None if unnamed is None else obstacles(unnamed)
    costed = partial(done.cost, teacher, working, shapes_of(proof))
    report = Report(done, *sizes, None, left, obstacles=barred, costed=costed, estimate=estimate)
    recorded = cache(lambda: Record(done.steps, digest(working), origins(teacher)))
    return Result(None, done, report, str(change), recorded)
