"""From a teacher to a student that has been proven: open, change, verify, and only then hand over or write.

Every pass changes a private copy; what happens around it is here, the same for all. ``leaving_out.py`` has what happens
when the student is wrong.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import onnx
import onnx_ir as ir

from onnx_n2n.analysis.redundant import Clones, count_clones
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.collector import still
from onnx_n2n.costs.budget import Budget, shapes_of
from onnx_n2n.errors import LeftOutWarning, ModelError, N2NError, OptionError
from onnx_n2n.graph.constants import parameters
from onnx_n2n.graph.grown import grown_in
from onnx_n2n.io.atomic import STDOUT, Draft, check_all, drafting
from onnx_n2n.io.carried import carried
from onnx_n2n.io.files import data_files, discard_draft, write_draft
from onnx_n2n.io.history import digest
from onnx_n2n.io.incoming import private
from onnx_n2n.io.kinds import Given, Plain, plain
from onnx_n2n.io.model import Loan, ModelLike, open_model
from onnx_n2n.io.outgoing import to_proto
from onnx_n2n.io.rooms import room
from onnx_n2n.io.sources import Source
from onnx_n2n.passes.leaving_out import Changer, Failure, Part, reported, settled
from onnx_n2n.passes.proving import Proven, attempted, checked
from onnx_n2n.passes.report import Change, Known, Report, Result
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.record.obstacles import obstacles
from onnx_n2n.record.provenance import origins
from onnx_n2n.record.record import Record
from onnx_n2n.verification import mapped
from onnx_n2n.verification.options import Proof
from onnx_n2n.verification.sessions import SessionModel

if TYPE_CHECKING:
    from onnx_n2n.costs.change import CostChange
    from onnx_n2n.verification import Verdict

@dataclass(frozen=True)
class Target:
    """Where the student of a file goes: ``path``, or beside the teacher with ``suffix``; ``force`` overwrites.

    A path of ``-`` is stdout. The growth record goes to ``record``, if there is one. What else is written goes to the
    places in ``also``, which has what makes it of the pass that made the student. Files in ``read`` are not written.
    """

    path: str | os.PathLike[str] | None = None
    force: bool = False
    record: str | os.PathLike[str] | None = None
    suffix: str = "student"
    also: Mapping[Path, Callable[[Any], bytes]] = field(default_factory=dict)
    read: tuple[Source, ...] = ()

    def beside(self, suffix: str) -> Target:
        """Return the same target with another suffix for the file beside the teacher."""
        return replace(self, suffix=suffix)

    def place(self, teacher: Path) -> Path:
        """Return where the student of a file goes."""
        return teacher.with_name(f"{teacher.stem}.{self.suffix}.onnx") if self.path is None else Path(self.path)

    def draft(self, teacher: Path, read: Iterable[Source]) -> AbstractContextManager[Draft]:
        """Lend a draft of the student of a file.

        Args:
            teacher: The file.
            read: All files that are read on the way.

        Raises:
            OptionError: Something is there already, or nothing can be written there.
        """
        place, also = self._places(teacher)
        return drafting(
            place, also=also, force=self.force, read=(*read, *self.read), companions=data_files
        )

    def check(self, teacher: Path, read: Iterable[Source]) -> Path:
        """Make sure that a student of a file can be written, and return where it would be; see :meth:`draft`."""
        place, also = self._places(teacher)
        check_all(place, also, force=self.force, read=(*read, *self.read), companions=data_files)
        return place

    def _places(self, teacher: Path) -> tuple[Path, tuple[Path, ...]]:
        """Return where the student goes, and where what goes along with it does."""
        record = () if self.record is None else (Path(self.record),)
        if STDOUT in record:
            raise OptionError("a growth record cannot be written to stdout", hint="name a file with `record=`")
        if STDOUT in self.also:
            raise OptionError("only the student can be written to stdout", hint="name a file for what goes with it")
        return self.place(teacher), (*record, *self.also)


class Driven(Changer, Protocol):
    """What is asked of a pass here; ``base.py`` says what each method does."""

    def apply(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Change a private working copy."""

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:
        """Return what it would change."""


@dataclass(frozen=True, eq=False)
class Opened:
    """A teacher that was opened.

    Attributes:
        given: What the caller gave.
        path: Its file, if it is one.
        loan: What is worked on.
        sources: All files that were read, or will be.
    """

    given: Given
    path: Path | None
    loan: Loan[Any]
    sources: tuple[Source, ...]

    @classmethod
    def of(cls, model: ModelLike, proof: Proof, read: Iterable[Path]) -> Opened:
        """Open a model of any kind; besides it, the proof and the pass read files."""
        given = plain(model)
        path = Path(given.model) if isinstance(given.model, str | os.PathLike) else None
        with still():
            loan = open_model(given.model)
        return cls(given, path, loan, (*carried(loan.model).files.read, *proof.read, *map(Source.of, read)))


@dataclass(frozen=True, eq=False)
class Made:
    """A student that was made, and verified if that was wanted.

    Attributes:
        working: What was changed.
        done: How.
        student: The student as the kind that was given; a file that is a draft.
        proven: What shows that it is right.
        recorded: Makes its record, once.
    """

    working: ir.Model
    done: Change
    student: Any
    proven: Proven
    recorded: Callable[[], Record]

    @property
    def modified(self) -> bool:
        """Whether the student differs from the teacher."""
        return self.done.modified


def deliver(
    model: ModelLike,
    change: Driven,
    *,
    target: Target,
    proof: Proof,
    read: Iterable[Path] = (),
    strict: bool = False,
    progress: Progress = unheard,
    budget: Budget | None = None,
) -> Result[Any]:
    """Apply a pass to a copy of a model, verify the outcome, and return it as the kind that was given.

    Args:
        model: The teacher; it is never changed.
        change: The pass.
        target: Where to write, when the teacher is a file.
        proof: How to verify.
        read: Files that the pass reads besides the model.
        strict: Whether a wrong student is an error at once; otherwise what makes it wrong is left out.
        progress: Is told each stage as it begins; a :class:`onnx_n2n.progress.Meter` also how far it is.
        budget: What the student may cost at most.

    Raises:
        N2NError: Of any kind; see the classes in ``errors``. Nothing has been written then.
    """
    progress("reading the model")
    opened = Opened.of(model, proof, read)
    given, path, loan, teacher = opened.given, opened.path, opened.loan, opened.loan.model
    with nullcontext() if path is None else target.draft(path, opened.sources) as draft:
        maker = _Maker(given.model, loan, path, draft, proof, progress, budget)
        made = maker.attempt(change, both=True)
        strict = strict or not proof.wanted
        rest = settled(change, made, maker.attempt, maker.parts, strict=strict, progress=progress)
        change, made = rest.change, rest.made
        working, done = made.working, made.done

        @still()
        def counted() -> Clones | None:
            return count_clones(analyze(working)) if done.modified else None

        costed: Callable[[], CostChange | None] = still()(partial(done.cost, teacher, working, shapes_of(proof)))
        place = None if draft is None else draft.place
        left = tuple(reported(each, path, place, proof.options) for each in rest.found)
        student, barred = given.back(made.student) if path is None or done.modified else model, None
        for each in left:
            warnings.warn(each.said, LeftOutWarning, stacklevel=4)
        if draft is not None and done.modified:
            for to in draft.also:
                if to in target.also:
                    draft.write(target.also[to](change), to)
                    continue
                record = made.recorded()
                draft.write(record.to_bytes(), to)
                barred = obstacles(record)
            draft.publish()
            student = draft.place
        if isinstance(given.model, onnx.ModelProto):
            for weight in grown_in(working):
                weight.store(None)  # the student, which has it, is the caller's, who may change it
        if isinstance(given.model, ir.Model):
            costed = Known(costed())  # both models are the caller's
        sizes, proven = (parameters(teacher), parameters(working)), made.proven
        report = Report(done, *sizes, proven.verdict, left, barred, counted, costed, proven.exact, proven.why)
        return Result(student, done, report, str(change), made.recorded)


@dataclass(frozen=True, eq=False)
class _Maker:
    """What makes and verifies students of a teacher, as often as it takes: each of a copy of its own."""

    model: Plain
    loan: Loan[Any]
    path: Path | None
    draft: Draft | None
    proof: Proof
    progress: Progress
    budget: Budget | None

    @property
    def folder(self) -> Path | None:
        return None if self.path is None else self.path.parent

    def parts(self, change: Driven) -> Sequence[Part]:
        """Say what a pass changes."""
        return change.parts(private(self.loan.model), self.proof, self.folder)

    def _recorded(self, working: ir.Model, done: Change) -> Record:
        return Record(done.steps, digest(working), origins(self.loan.model))

    def attempt(self, change: Driven, *, both: bool = False) -> Made | Failure:
        """Make a student, or say why it cannot be handed over, if that is our fault.

        Args:
            change: The pass.
            both: Whether the exact check is made of a student that a run shows to be wrong, too.
        """
        try:
            with still():
                working = private(self.loan.model)
                self.progress("growing")
                done = change.apply(working, self.proof, self.folder)
                recorded = cache(partial(self._recorded, working, done))
                if not done.modified:
                    same = working if isinstance(self.model, ir.Model) else self.model
                    return Made(working, done, same, Proven(), recorded)
                if self.budget is not None:
                    self.budget.check(self.loan.model, working, shapes_of(self.proof))
            with self._beside() as apart:
                try:
                    with still():
                        student = self._written(working, apart)
                except ModelError as failure:
                    if isinstance(failure.__cause__, OSError):  # of the disk
                        raise
                    return Failure(failure)
                proven = self._proven(working, student, apart, done, recorded, both=both)
            wrong = proven.failure
        except (N2NError, OSError, MemoryError, RecursionError):
            raise
        except Exception as bug:
            return Failure(bug)
        if wrong is None:
            return Made(working, done, student, proven, recorded)
        return Failure(wrong, None if proven.verdict is None else proven.verdict.wrong)

    @contextmanager
    def _beside(self) -> Iterator[mapped.Apart | None]:
        """Lend a place for what is compared of a student in memory, written once for all who compare."""
        if self.path is not None or not self.proof.wanted:
            yield None
            return
        with room(Path(tempfile.gettempdir())) as inside:
            yield mapped.Apart(inside)

    def _written(self, working: ir.Model, apart: mapped.Apart | None) -> Any:
        if apart is not None and isinstance(self.model, onnx.ModelProto) and mapped.weight(working) >= mapped.LARGE:
            return to_proto(working, also=apart.add)
        if self.draft is None:
            if isinstance(self.model, ir.Model) and not carried(self.loan.model).files.read:
                for weight in grown_in(working):
                    weight.keep()
            return self.loan.give_back(working)
        self.progress("writing a draft")
        discard_draft(self.draft.path)  # of another attempt
        write_draft(working, self.draft.path, self.draft.place, back=True, progress=self.progress)
        return self.draft.path

    def _proven(
        self,
        working: ir.Model,
        student: Any,
        apart: mapped.Apart | None,
        done: Change,
        recorded: Callable[[], Record],
        *,
        both: bool,
    ) -> Proven:
        if not self.proof.wanted:
            return Proven()
        teacher, draft = self._compared(working, student, apart)
        run, unrun = attempted(lambda: self._run(teacher, draft, done), self.proof)
        if self.proof.exact is None or (run is not None and not run.ok and not both):
            return Proven(run)
        self.progress("comparing in exact arithmetic")
        weights, alone = parameters(self.loan.model) + parameters(working), run is None
        exact = checked(teacher, draft, done, recorded(), self.proof, weights=weights, alone=alone)
        return Proven(run, exact, unrun)

    def _compared(self, working: ir.Model, student: Any, apart: mapped.Apart | None) -> tuple[Any, Any]:
        """Return teacher and student as they are compared."""
        if apart is None:
            return self.path, student
        if isinstance(self.model, onnx.ModelProto):
            data = mapped.of_proto(student, apart)
            return self.model, student if data is None else SessionModel(data, apart.folder)
        draft = apart.folder / "student.onnx"
        write_draft(working, draft, draft, back=isinstance(self.model, ir.Model))
        return self.loan.model, draft

    def _run(self, teacher: Any, student: Any, done: Change) -> Verdict:
        # ONNX Runtime takes its time to load, and only this needs it.
        from onnx_n2n.verification import verify

        self.progress("verifying")
        return verify(
            teacher,
            student,
            inputs=self.proof.inputs,
            shapes=self.proof.shapes,
            provider=self.proof.provider,
            seed=self.proof.seed,
            time_limit=self.proof.time_limit,
            trace=done.trace,
            gained=done.gained,
            custom_ops=self.proof.setup.libraries,
            session_options=self.proof.setup.hook,
            tensors=done.tensors,
            rows=done.freed,
        )

