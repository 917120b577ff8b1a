"""From a teacher to a student that has been proven: open, change, verify, and only then hand over or write.

Every pass changes a private copy; what happens around it is here, the same for all. ``leaving_out.py`` has what happens
when the student is wrong.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir

from onnx_n2n.analysis.redundant import Clones, count_clones
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.collector import still
from onnx_n2n.errors import LeftOutWarning, ModelError, N2NError, OptionError
from onnx_n2n.graph.constants import parameters
from onnx_n2n.graph.grown import grown_in
from onnx_n2n.io.atomic import STDOUT, Draft, drafting
from onnx_n2n.io.carried import carried
from onnx_n2n.io.files import data_files, discard_draft, write_draft
from onnx_n2n.io.history import digest
from onnx_n2n.io.incoming import private
from onnx_n2n.io.model import Loan, ModelLike, open_model
from onnx_n2n.io.rooms import room
from onnx_n2n.io.sources import Source
from onnx_n2n.passes.leaving_out import Changer, Failure, Found, Part, leave_out, reported
from onnx_n2n.passes.proving import Proven, attempted, checked
from onnx_n2n.passes.report import Change, Report, Result
from onnx_n2n.record.obstacles import obstacles
from onnx_n2n.record.provenance import origins
from onnx_n2n.record.record import Record
from onnx_n2n.verification.options import Proof

if TYPE_CHECKING:
    from onnx_n2n.verification import Verdict

@dataclass(frozen=True)
class Target:
    """Where the student of a file goes: ``path``, or beside the teacher with ``suffix``; ``force`` overwrites.

    A path of ``-`` is stdout. The growth record goes to ``record``, if there is one.
    """

    path: Path | None = None
    force: bool = False
    record: Path | None = None
    suffix: str = "student"

    def beside(self, suffix: str) -> Target:
        """Return the same target with another suffix for the file beside the teacher."""
        return replace(self, suffix=suffix)

    def draft(self, teacher: Path, read: Iterable[Source]) -> AbstractContextManager[Draft]:
        """Lend a draft of the student of a file.

        Args:
            teacher: The file.
            read: All files that are read on the way.

        Raises:
            OptionError: Something is there already, or nothing can be written there.
        """
        place = self.path or teacher.with_name(f"{teacher.stem}.{self.suffix}.onnx")
        also = () if self.record is None else (self.record,)
        if STDOUT in also:
            raise OptionError("a growth record cannot be written to stdout", hint="name a file with `record=`")
        return drafting(place, also=also, force=self.force, read=read, companions=data_files)


class Driven(Changer, Protocol):
    """What is asked of a pass here; ``base.py`` says what each method does."""

    def apply(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Change a private working copy."""

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:
        """Return what it would change."""


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
    progress: Callable[[str], None] = lambda _: None,
) -> Result[Any]:
    """Apply a pass to a copy of a model, verify the outcome, and return it as the kind that was given.

    Args:
        model: The teacher; it is never changed.
        change: The pass.
        target: Where to write, when the teacher is a file.
        proof: How to verify.
        read: Files that the pass reads besides the model.
        strict: Whether a wrong student is an error at once; otherwise what makes it wrong is left out.
        progress: Is told each stage as it begins.

    Raises:
        N2NError: Of any kind; see the classes in ``errors``. Nothing has been written then.
    """
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    progress("reading the model")
    with still():
        loan = open_model(model)
    teacher = loan.model
    sources = (*carried(teacher).files.read, *proof.read, *map(Source.of, read))
    with nullcontext() if path is None else target.draft(path, sources) as draft:
        maker = _Maker(model, loan, path, draft, proof, progress)
        found: tuple[Found[Driven], ...] = ()
        made = maker.attempt(change, both=True)
        if isinstance(made, Failure):
            if strict or not proof.wanted:
                raise made.cause
            progress("looking for what makes the student wrong")
            rest = leave_out(change, made, maker.attempt, maker.parts)
            change, made, found = rest.change, rest.made, rest.found
        working, done = made.working, made.done

        @still()
        def counted() -> Clones | None:
            return count_clones(analyze(working)) if done.modified else None

        place = None if draft is None else draft.place
        left = tuple(reported(each, path, place, proof.options) for each in found)
        student, barred = made.student, None
        for each in left:
            warnings.warn(each.said, LeftOutWarning, stacklevel=4)
        if draft is not None and done.modified:
            for to in draft.also.values():
                record = made.recorded()
                to.write_bytes(record.to_bytes())
                barred = obstacles(record)
            draft.publish()
            student = draft.place
        if isinstance(model, onnx.ModelProto):
            for weight in grown_in(working):
                weight.store(None)  # the student, which has it, is the caller's, who may change it
        sizes, proven = (parameters(teacher), parameters(working)), made.proven
        report = Report(done, *sizes, proven.verdict, left, barred, counted, proven.exact, proven.why)
        return Result(student, done, report, str(change), made.recorded)


@dataclass(frozen=True, eq=False)
class _Maker:
    """What makes and verifies students of a teacher, as often as it takes: each of a copy of its own."""

    model: ModelLike
    loan: Loan[Any]
    path: Path | None
    draft: Draft | None
    proof: Proof
    progress: Callable[[str], None]

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
                    return Made(working, done, self.model, Proven(), recorded)
                try:
                    student = self._written(working)
                except ModelError as failure:
                    if isinstance(failure.__cause__, OSError):  # of the disk
                        raise
                    return Failure(failure)
            proven = self._proven(working, student, done, recorded, both=both)
            wrong = proven.failure
        except (N2NError, OSError, MemoryError, RecursionError):
            raise
        except Exception as bug:
            return Failure(bug)
        if wrong is None:
            return Made(working, done, student, proven, recorded)
        return Failure(wrong, None if proven.verdict is None else proven.verdict.wrong)

    def _written(self, working: ir.Model) -> Any:
        if self.draft is None:
            if isinstance(self.model, ir.Model) and not carried(self.loan.model).files.read:
                for weight in grown_in(working):
                    weight.keep()
            return self.loan.give_back(working)
        self.progress("writing a draft")
        discard_draft(self.draft.path)  # of another attempt
        write_draft(working, self.draft.path, self.draft.place, back=True)
        return self.draft.path

    def _proven(
        self, working: ir.Model, student: Any, done: Change, recorded: Callable[[], Record], *, both: bool
    ) -> Proven:
        if not self.proof.wanted:
            return Proven()
        with self._compared(working, student) as (teacher, draft):
            run, unrun = attempted(lambda: self._run(teacher, draft, done), self.proof)
            if self.proof.exact is None or (run is not None and not run.ok and not both):
                return Proven(run)
            self.progress("comparing in exact arithmetic")
            weights, alone = parameters(self.loan.model) + parameters(working), run is None
            exact = checked(teacher, draft, done, recorded(), self.proof, weights=weights, alone=alone)
            return Proven(run, exact, unrun)

    @contextmanager
    def _compared(self, working: ir.Model, student: Any) -> Iterator[tuple[Any, Any]]:
        """Lend teacher and student as they are compared; of graphs in memory there is one draft for all who compare."""
        if not isinstance(self.model, gs.Graph | ir.Model):
            yield self.model if self.path is None else self.path, student
            return
        with room(Path(tempfile.gettempdir())) as inside:
            draft = inside / "student.onnx"
            write_draft(working, draft, draft, back=isinstance(self.model, ir.Model))
            yield self.loan.model, draft

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

