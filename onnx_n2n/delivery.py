"""From a teacher to a student that has been proven: open, change, verify, and only then hand over or write.

Every pass is a function that changes a private copy; what happens around it is here, the same for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs
import onnx_ir as ir

from onnx_n2n.border import carried
from onnx_n2n.clones import Clones, clones
from onnx_n2n.constants import parameters
from onnx_n2n.errors import OptionError, VerificationError
from onnx_n2n.files import data_files, write_draft
from onnx_n2n.io.atomic import STDOUT, Draft, drafting
from onnx_n2n.io.sources import Source
from onnx_n2n.lineage import digest
from onnx_n2n.model import ModelLike, open_model
from onnx_n2n.obstacles import obstacles
from onnx_n2n.origins import origins
from onnx_n2n.record import Record
from onnx_n2n.report import Change, Report, Result

Feeds = Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Proof:
    """How a student is verified.

    Attributes:
        wanted: Whether to verify at all.
        inputs: Arrays by input name, or several such; None draws them.
        shapes: Shapes of inputs with free dimensions.
        provider: Where to run: on CUDA if that works (``auto``), or as said; any that ONNX Runtime offers.
        seed: Seed of drawn inputs.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        read: The files that the inputs are from.
    """

    wanted: bool = True
    inputs: Feeds | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    provider: str = "auto"
    seed: int = 0
    time_limit: float = 30.0
    read: tuple[Source, ...] = ()


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
            raise OptionError("a growth record cannot be written to stdout", hint="name a file with --record")
        return drafting(place, also=also, force=self.force, read=read, companions=data_files)


def deliver(
    model: ModelLike,
    change: Callable[[ir.Model, Proof, Path | None], Change],
    *,
    target: Target,
    proof: Proof,
    read: Iterable[Path] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Result[Any]:
    """Apply a change to a copy of a model, verify the outcome, and return it as the kind that was given.

    Args:
        model: The teacher; it is never changed.
        change: What to do to the private copy, with how to run it, and the folder of the teacher's file.
        target: Where to write, when the teacher is a file.
        proof: How to verify.
        read: Files that the change reads besides the model.
        progress: Is told each stage as it begins.

    Raises:
        N2NError: Of any kind; see the classes in ``errors``. Nothing has been written then.
    """
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    progress("reading the model")
    loan = open_model(model)
    working, sources = loan.model, (*carried(loan.model).files.read, *proof.read, *map(Source.of, read))
    with nullcontext() if path is None else target.draft(path, sources) as draft:
        before = parameters(working)
        progress("growing")
        done = change(working, proof, path.parent if path is not None else None)
        after = parameters(working)

        def recorded() -> Record:
            return Record(done.steps, digest(working), origins(open_model(model).model))

        def result(
            student: Any, verdict: Any = None, copies: Clones | None = None, record: Record | None = None
        ) -> Result[Any]:
            found = None if record is None else obstacles(record)
            return Result(student, done, Report(done, before, after, verdict, copies, found), recorded)

        if not done.modified:
            return result(model)
        if draft is not None:
            progress("writing a draft")
            write_draft(working, draft.path, draft.place)
            found = _prove(path, draft.path, done, proof, progress)
            record = recorded() if draft.also else None
            if record is not None:
                for place in draft.also.values():
                    place.write_bytes(record.to_bytes())
            draft.publish()
            return result(draft.place, *found, record)
        student = loan.give_back(working)
        teacher = open_model(model).model if isinstance(model, gs.Graph) else model
        found = _prove(teacher, working if isinstance(model, gs.Graph) else student, done, proof, progress)
        return result(student, *found)


def _prove(
    teacher: Any, student: Any, done: Change, proof: Proof, progress: Callable[[str], None]
) -> tuple[Any, Clones | None]:
    if not proof.wanted:
        return None, None
    # ONNX Runtime takes its time to load, and only this needs it.
    from onnx_n2n.verify import verify

    progress("verifying")
    verdict = verify(
        teacher,
        student,
        inputs=proof.inputs,
        shapes=proof.shapes,
        provider=proof.provider,
        seed=proof.seed,
        time_limit=proof.time_limit,
        trace=done.trace,
        gained=done.gained,
    )
    if not verdict.ok:
        wrong = f"; the first tensor that is wrong is {verdict.first_wrong}" if verdict.first_wrong else ""
        raise VerificationError(
            f"the student does not compute what the teacher computes: error {verdict.error:.1e} against noise "
            f"{verdict.noise:.1e}{wrong}",
            hint="nothing was written. This is a bug in onnx-n2n: please report it with the model",
        )
    progress("looking for clones")
    return verdict, clones(student)
