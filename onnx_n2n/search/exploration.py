"""The exploration: wider, deeper and other students near a budget, each verified and written.

``budget_search.py`` finds how much the passes must do. Then each student is made as always, by its passes, which
anybody can run again from their text.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, overload

from onnx_n2n.errors import LeftOutWarning, N2NError, OptionError
from onnx_n2n.graph.unfolding import bounded
from onnx_n2n.io.atomic import check_draft
from onnx_n2n.io.carried import carried
from onnx_n2n.io.files import data_files
from onnx_n2n.io.kinds import NAME, plain
from onnx_n2n.io.model import ModelLike, load, save
from onnx_n2n.io.rooms import room, sweep, watch
from onnx_n2n.io.sources import kind_at
from onnx_n2n.options import check_seed, taken
from onnx_n2n.passes.driver import Target
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.search.budget import UNITS, Budget, Size, shapes_of, sized
from onnx_n2n.search.candidates import DIRECTIONS, Candidate, Direction
from onnx_n2n.search.making import Task, distinct, make, plan
from onnx_n2n.verification import TIME_LIMIT
from onnx_n2n.verification.options import Feeds, Proof
from onnx_n2n.verification.setup import Hook
from onnx_n2n.words import count


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
        raise OptionError("candidates are objects of `onnx_n2n.search.candidates.Direction`")
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
        task = Task(path, budget.unit, goal, proof, strict, os.getpid(), Path.cwd())
        parallel = Parallel(n_jobs=jobs if jobs is None else min(jobs, len(candidates)))
        with _ready(place):
            targets = {each.name: Target(place / f"{each.name}.onnx", force) for each in candidates}
            for name in targets:
                read = (*carried(teacher).files.read, *proof.read)
                check_draft(place / f"{name}.onnx", force=force, read=read, companions=data_files)
            try:
                progress("looking for candidates near the budget")
                drafts = parallel(delayed(plan)(task, _seeded(each, seed)) for each in candidates)
                progress("making and verifying them")
                found = tuple(parallel(delayed(make)(task, draft, targets[draft.name]) for draft in distinct(drafts)))
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
