"""From a teacher to a student that has been proven: open, change, verify, and only then hand over or write.

Every pass is a function that changes a private copy; what happens around it is here, the same for all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from onnx_n2n.lineage import digest
from onnx_n2n.model import ModelLike, open_model, save
from onnx_n2n.origins import origins
from onnx_n2n.record import Record
from onnx_n2n.report import Change, Report, Result

RECORD = ".growth"  # name of the record's draft

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
    """

    wanted: bool = True
    inputs: Feeds | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    provider: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class Target:
    """Where the student of a file goes: ``path``, or beside the teacher with ``suffix``; ``force`` overwrites.

    The growth record goes to ``record``, if there is one.
    """

    path: Path | None = None
    force: bool = False
    record: Path | None = None
    suffix: str = "student"

    def beside(self, suffix: str) -> Target:
        """Return the same target with another suffix for the file beside the teacher."""
        return replace(self, suffix=suffix)

    def resolve(self, teacher: Path) -> Path:
        """Return where to write.

        Raises:
            OptionError: If something is there already, or nothing can be written there.
        """
        path = self.path or teacher.with_name(f"{teacher.stem}.{self.suffix}.onnx")
        if path.exists() and teacher.exists() and path.samefile(teacher):
            raise OptionError(f"{str(path)!r} is the teacher itself", hint="choose another output with -o")
        check_writable(path, force=self.force)
        if self.record is not None:
            if self.record.absolute() == path.absolute():
                raise OptionError(f"{str(path)!r} cannot be both the student and its record", hint="name two files")
            check_writable(self.record, force=self.force)
        return path


def check_writable(path: Path, *, force: bool) -> None:
    """Make sure that a file can be written.

    Raises:
        OptionError: If there is something already, or nothing can be written there.
    """
    if path.exists() and not force:
        hint = "choose another output with -o, or allow it with --force"
        raise OptionError(f"{str(path)!r} exists already", hint=hint)
    if path.is_dir():
        raise OptionError(f"{str(path)!r} is a folder", hint="name a file")
    if not path.parent.is_dir():
        raise OptionError(f"the folder {str(path.parent)!r} does not exist", hint="make it first")
    if not os.access(path.parent, os.W_OK):
        raise OptionError(f"the folder {str(path.parent)!r} cannot be written to", hint="choose another output with -o")


def deliver(
    model: ModelLike,
    change: Callable[[ir.Model, Proof, Path | None], Change],
    *,
    target: Target,
    proof: Proof,
    progress: Callable[[str], None] = lambda _: None,
) -> Result[Any]:
    """Apply a change to a copy of a model, verify the outcome, and return it as the kind that was given.

    Args:
        model: The teacher; it is never changed.
        change: What to do to the private copy, with how to run it, and the folder of the teacher's file.
        target: Where to write, when the teacher is a file.
        proof: How to verify.
        progress: Is told each stage as it begins.

    Raises:
        N2NError: Of any kind; see the classes in ``errors``. Nothing has been written then.
    """
    path = Path(model) if isinstance(model, str | os.PathLike) else None
    progress("reading the model")
    loan = open_model(model)
    output = target.resolve(path) if path is not None else None
    working = loan.model
    before = parameters(working)
    progress("growing")
    done = change(working, proof, path.parent if path is not None else None)
    after = parameters(working)

    def recorded() -> Record:
        return Record(done.steps, digest(working), origins(open_model(model).model))

    def result(student: Any, verdict: Any = None, copies: Clones | None = None) -> Result[Any]:
        return Result(student, done, Report(done, before, after, verdict, copies), recorded)

    if not done.modified:
        return result(model)
    if path is not None and output is not None:
        with beside(output) as draft:
            progress("writing a draft")
            save(working, draft)
            found = _prove(path, draft, done, proof, progress)
            if target.record is not None:
                recorded().save(draft.with_name(RECORD))
            _publish(draft, output, target, kept=carried(working).data_files)
        return result(output, *found)
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


@contextmanager
def beside(output: Path) -> Iterator[Path]:
    """Lend a place of the name of ``output`` on the same disk, so that what is whole there can be moved into place."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{output.stem}.", dir=output.parent))
    except OSError as failure:
        hint = "choose another output with -o"
        raise OptionError(f"cannot write in {str(output.parent)!r}: {failure.strerror}", hint=hint) from None
    try:
        yield folder / output.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(draft: Path, output: Path, target: Target, *, kept: frozenset[str]) -> None:
    """Move a draft and its weights into place, the weights first: the model must never be there without them."""
    files = sorted(draft.parent.iterdir(), key=lambda file: file.name == draft.name)
    read = {str(Path(name).resolve()) for name in kept}
    places = [target.record if file.name == RECORD else output.parent / file.name for file in files]
    for place in places:
        assert place is not None
        if place.exists() and (not target.force or str(place.resolve()) in read):
            raise OptionError(f"{str(place)!r} exists already", hint="choose another output with -o")
    for file, place in zip(files, places, strict=True):
        shutil.move(file, str(place))
