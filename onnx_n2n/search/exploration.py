"""The exploration: wider, deeper and other students near a budget, each verified and written.

``budget_search.py`` finds how much the passes must do. Then each student is made as always, by its passes, which
anybody can run again from their text.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, overload

from onnx_n2n.costs.budget import UNITS, Budget, Size, Unit, shapes_of, sized
from onnx_n2n.errors import LeftOutWarning, N2NError, OptionError, TimeLimitError, VerificationError
from onnx_n2n.graph.unfolding import bounded
from onnx_n2n.io.atomic import check_draft
from onnx_n2n.io.carried import carried
from onnx_n2n.io.files import data_files, remove
from onnx_n2n.io.kinds import NAME, plain
from onnx_n2n.io.model import ModelLike, load, save
from onnx_n2n.io.rooms import room, sweep, watch
from onnx_n2n.io.sources import Source, kind_at
from onnx_n2n.io.supervisor import die_with
from onnx_n2n.options import check_seed, taken
from onnx_n2n.passes import Deepen, Pass, Widen
from onnx_n2n.passes.driver import Target
from onnx_n2n.passes.leaving_out import LeftOut
from onnx_n2n.passes.report import Idle
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.search.budget_search import Scale, fit
from onnx_n2n.verification import TIME_LIMIT, Verdict
from onnx_n2n.verification.options import Feeds, Proof
from onnx_n2n.verification.setup import Hook
from onnx_n2n.words import brief, count

TOLERANCE = 0.1  # how far a candidate may be from the budget, as a fraction of it


@dataclass(frozen=True)
class Direction:
    """A way to grow: passes in order, of which each does as much as it takes.

    Attributes:
        name: What its candidate is called, and the file.
        passes: The passes, with all options but the factor of width, the count of depth and the seed.
    """

    name: str
    passes: tuple[Widen | Deepen, ...]

    def __repr__(self) -> str:
        return f"<{self.name}: {','.join(map(str, self.passes))}>"


DIRECTIONS = (
    Direction("wider", (Widen(),)),
    Direction("deeper", (Deepen(),)),
    Direction("wider-deeper", (Widen(), Deepen())),
    Direction("deeper-wider", (Deepen(), Widen())),
    Direction("wider-copies", (Widen(init="net2net"),)),
)


@dataclass(frozen=True)
class Candidate:
    """A student near the budget, or why there is none.

    Attributes:
        name: That of its direction.
        passes: The passes that make it, as text that ``onnx-n2n run`` takes. If it failed, those that come nearest to
            the budget; empty if there are none.
        parameters: What it has, or what the nearest would have.
        multiply_adds: Those of one run.
        path: The file; None if it failed.
        verdict: What running both models showed; None if it failed, or that was not asked for.
        failure: Why it was not written, or None.
        wrong: Whether it failed because it does not compute what the teacher computes, which is a bug.
        left_out: What would have made it wrong, and so was left out.
        idle: Passes that did nothing.
    """

    name: str
    passes: str
    parameters: int | None = None
    multiply_adds: int | None = None
    path: Path | None = None
    verdict: Verdict | None = None
    failure: str | None = None
    wrong: bool = False
    left_out: tuple[LeftOut, ...] = ()
    idle: tuple[Idle, ...] = ()

    def __repr__(self) -> str:
        if self.failure is not None:
            return f"<{self.name}: failed, {brief(self.failure)}>"
        said = "not verified" if self.verdict is None else self.verdict.short
        return f"<{self.name}: {brief(self.passes)}; {self.parameters:,} parameters; {said}>"

    def of(self, model: str) -> Candidate:
        """Return the candidate of a model that is called by another name, as one from stdin is."""
        return replace(self, left_out=tuple(replace(each, model=model) for each in self.left_out))

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON-ready values."""
        return {
            "name": self.name,
            "passes": self.passes,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "path": None if self.path is None else str(self.path),
            "verification": None if self.verdict is None else self.verdict.to_json(),
            "failure": self.failure,
            "left_out": [each.to_json() for each in self.left_out],
            "idle": [{"pass": each.text, "reason": each.reason, "hint": each.hint} for each in self.idle],
        }


@dataclass(frozen=True)
class Exploration(Sequence[Candidate]):
    """The candidates for a budget, as a sequence.

    Attributes:
        budget: The budget.
        goal: The same in parameters or multiply-adds.
        teacher: What the teacher costs.
        candidates: The students, in the order of the directions, and those that failed.
    """

    budget: Budget
    goal: float
    teacher: Size
    candidates: tuple[Candidate, ...]

    @overload
    def __getitem__(self, place: int) -> Candidate: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Candidate]: ...
    def __getitem__(self, place: int | slice) -> Candidate | Sequence[Candidate]:
        return self.candidates[place]

    def __len__(self) -> int:
        return len(self.candidates)

    def __repr__(self) -> str:
        written = sum(each.failure is None for each in self.candidates)
        return f"<Exploration: {count(written, 'student')} near {self.goal:,.0f} {UNITS[self.budget.unit]}>"

    def of(self, model: str) -> Exploration:
        """Return the exploration of a model that is called by another name, as one from stdin is."""
        return replace(self, candidates=tuple(each.of(model) for each in self.candidates))

    def to_json(self) -> dict[str, Any]:
        """Return the exploration as JSON-ready values."""
        return {
            "goal": self.goal,
            "parameters": self.teacher.parameters,
            "multiply_adds": asdict(self.teacher.cost),
            "candidates": [each.to_json() for each in self.candidates],
        }


@taken(
    "output", "candidates", "jobs", "seed", "verify", "inputs", "shapes", "provider", "time_limit", "force",
    "strict", "custom_ops",
)  # fmt: skip
def explore(
    model: ModelLike,
    budget: str | Budget,
    *,
    output: str | os.PathLike[str] | None = None,
    candidates: Sequence[Direction] = DIRECTIONS,
    jobs: int | None = None,
    seed: int = 0,
    verify: bool = True,
    inputs: Feeds | str | os.PathLike[str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: str = "auto",
    time_limit: float = TIME_LIMIT,
    force: bool = False,
    strict: bool = False,
    custom_ops: Sequence[str | os.PathLike[str]] = (),
    session_options: Hook | None = None,
    progress: Progress = unheard,
) -> Exploration:
    """Make students of a model that cost about as much as a budget: wider, deeper, and both.

    >>> students = onnx_n2n.explore("model.onnx", "params=3x", output="students")
    >>> students
    <Exploration: 5 students near 201 parameters>
    >>> students[0]
    <wider: widen{factor=3.12}; 203 parameters; verified, error ...>

    Each candidate is looked for, made and verified on its own, several at once if there are several ``jobs``. Whoever
    has a cluster says so to joblib, which then runs them there; the files must be where all its machines see them::

        client = dask.distributed.Client("scheduler:8786")
        with joblib.parallel_config("dask"):
            explore("model.onnx", "params=2x")

    Args:
        model: The teacher. One that is in no file is put into one for as long, in the folder for temporary files.
        budget: What a student may cost: ``params=2x``, ``params=1.5M``, ``macs=2x`` or ``macs=300M``. Multiply-adds
            are those of one run with ``inputs``, or at ``shapes``; other free dimensions are taken as 1.
        output: The folder for the students, each in a file named after its candidate; ``MODEL.explored`` beside the
            model's file if not given. It is made if it is not there.
        candidates: The directions to try.
        jobs: How many processes work at once; -1 for as many as there are cores. None is what joblib is set to: one,
            or all that a cluster has.
        seed: Seed of everything random: the same model, options and seed give the same bytes, whatever ``jobs``.
        verify: Whether to run all models before writing.
        inputs: Arrays by input name to verify with, or an npz file of them; drawn when not given.
        shapes: Shapes of inputs with free dimensions, for drawing.
        provider: Where to verify: ``auto``, ``cpu``, ``cuda``, or another that ONNX Runtime offers.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        force: Whether to overwrite files of the same names. What an earlier run left of a candidate that fails now
            is removed.
        strict: Whether a candidate that fails verification has failed. Otherwise what makes it wrong is left out, and
            the rest is verified again.
        custom_ops: Libraries with custom operators of the model.
        session_options: Is given the ``onnxruntime.SessionOptions`` of every session, and may change them.
        progress: Is told each stage as it begins.

    Returns:
        A sequence of the candidates in order, those that failed too. One that comes out as another does is left out.

    Raises:
        OptionError: An option has no meaning, or a file is there already.
        ModelError: The model cannot be read, or its functions are too many nodes when they are written out.
        InputError: There is no input of a name that was given, or it cannot have its shape.
    """
    # It takes its time to load, and only this needs it.
    from joblib import Parallel, delayed

    if jobs == 0:
        raise OptionError("jobs must be at least 1, or -1 for as many as there are cores, not 0")
    if not all(isinstance(each, Direction) for each in candidates):
        raise OptionError("candidates are objects of `onnx_n2n.search.exploration.Direction`")
    check_seed(seed)
    budget = budget if isinstance(budget, Budget) else Budget.read(str(budget))
    proof = Proof.asked(
        verify, inputs, shapes, provider, seed, time_limit, custom_ops=custom_ops, session_options=session_options
    )
    progress("reading the model")
    with _filed(model, output) as path:
        teacher = load(path)
        place = Path(output) if output is not None else path.with_name(f"{path.stem}.explored")
        bounded(teacher)  # what a student costs is counted with all functions written out
        size = sized(teacher, shapes_of(proof))
        goal = budget.goal(size)
        task = _Task(path, budget.unit, goal, proof, strict, os.getpid(), Path.cwd())
        parallel = Parallel(n_jobs=jobs if jobs is None else min(jobs, len(candidates)))
        with _ready(place):
            targets = {each.name: Target(place / f"{each.name}.onnx", force) for each in candidates}
            for name in targets:
                read = (*carried(teacher).files.read, *proof.read)
                check_draft(place / f"{name}.onnx", force=force, read=read, companions=data_files)
            try:
                progress("looking for candidates near the budget")
                drafts = parallel(delayed(_draft)(task, _seeded(each, seed)) for each in candidates)
                progress("making and verifying them")
                found = tuple(parallel(delayed(_make)(task, draft, targets[draft.name]) for draft in _distinct(drafts)))
            except BrokenProcessPool as failure:
                sweep(place)
                reason = "a process that worked on a candidate was killed, most likely because memory ran out"
                raise N2NError(reason, hint="Take fewer `jobs=`") from failure
    for left in (left for each in found for left in each.left_out):
        warnings.warn(left.said, LeftOutWarning, stacklevel=3)
    explored = Exploration(budget, goal, size, found)
    return explored if isinstance(model, str | os.PathLike) else explored.of("MODEL.onnx")


@contextmanager
def _filed(model: ModelLike, output: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Lend the file of a model, which processes read; one that is in no file is written to one for as long."""
    given = plain(model).model
    if isinstance(given, str | os.PathLike):
        yield Path(given)
        return
    if output is None:
        reason = "a model that is in no file has no folder to write students beside"
        raise OptionError(reason, hint="name one with `output=`")
    with room(Path(tempfile.gettempdir())) as inside:
        save(given, inside / NAME)
        yield inside / NAME


@contextmanager
def _ready(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there; such a one goes again if it stays empty."""
    new = not kind_at(folder)
    watch(folder, new=new)  # its rooms are made by other processes
    try:
        folder.mkdir(exist_ok=True)
    except OSError as failure:
        hint = "choose another output with `output=`"
        raise OptionError(f"cannot make the folder {str(folder)!r}: {failure.strerror}", hint=hint) from None
    try:
        yield
    finally:
        if new and not any(folder.iterdir()):
            folder.rmdir()


def _seeded(direction: Direction, seed: int) -> Direction:
    return replace(direction, passes=tuple(replace(each, seed=seed) for each in direction.passes))


# --- what processes do


@dataclass(frozen=True)
class _Task:
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
class _Draft:
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


def _draft(task: _Task, direction: Direction) -> _Draft:
    """Find how much the passes must do."""
    task.begin()
    scale = Scale(task.unit, task.proof, task.model.parent)
    try:
        growth, size = fit(load(task.model), direction.passes, task.goal, scale)
    except (N2NError, MemoryError) as failure:
        return _Draft(direction.name, failure=_reason(failure))
    return _Draft(direction.name, growth, size, _missed(size, task))


def _missed(size: Size, task: _Task) -> str | None:
    """Say that a student is too far from the budget, if it is."""
    off = size.of(task.unit) / task.goal - 1
    missed = f"the nearest is {100 * abs(off):.1f} % {'above' if off > 0 else 'below'} the budget"
    return missed if abs(off) > TOLERANCE else None


def _distinct(drafts: Sequence[_Draft]) -> list[_Draft]:
    """Leave out drafts with the same passes as one in front of them; whatever has no passes has its own reason."""
    first = {str(draft.growth): draft for draft in reversed(drafts)}
    return [draft for draft in drafts if draft.growth is None or first[str(draft.growth)] is draft]


def _make(task: _Task, draft: _Draft, target: Target) -> Candidate:
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


def _delivered(task: _Task, draft: _Draft, target: Target) -> Candidate:
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


def _weighed(task: _Task, made: Candidate) -> Candidate:
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
