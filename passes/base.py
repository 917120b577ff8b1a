"""What all passes have in common: options that are fields, a text that parses back, and one way of being called."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import onnx_ir as ir

from onnx_n2n.analysis.selection import Selection
from onnx_n2n.costs.budget import Budget
from onnx_n2n.errors import OptionError
from onnx_n2n.io import history
from onnx_n2n.io.model import ModelLike
from onnx_n2n.options import Options, options
from onnx_n2n.passes.driver import Target, deliver
from onnx_n2n.passes.leaving_out import Part
from onnx_n2n.passes.rehearsal import rehearse
from onnx_n2n.passes.report import Change, Idle, Result
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.verification.options import Proof
from onnx_n2n.words import perhaps

OPTION = re.compile(r'\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^,{}"]*))\s*(?:,|$)', re.DOTALL)
P = TypeVar("P", bound="Pass")
S = TypeVar("S", bound="Selective")


class Pass(Options, ir.passes.FunctionalPass):
    """A change of a model that keeps what it computes.

    A pass is a frozen dataclass whose fields are its options. It prints as ``widen{factor=1.5}``, with the options that
    are not the usual ones, and :func:`onnx_n2n.passes.parse` reads that. It is one of ``onnx_ir``'s passes too, of the
    kind that leaves the model that it gets alone.
    """

    suffix: ClassVar[str]  # of the file that a student is written to
    first: ClassVar[bool] = False  # whether it stands before all others, which go by what it leaves, and is always done

    @abstractmethod
    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Change a private working copy, and say what became of it.

        Args:
            model: The working copy, which is changed in place.
            proof: How models are run, for passes that need to.
            folder: Where the teacher's file is, with test data sets perhaps.
        """

    @abstractmethod
    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:
        """Return why it has changed nothing in a model, and a hint what to do; both are sentences without full stops.

        Args:
            model: The model, as it was given to ``change``.
            done: What ``change`` returned.
        """

    @abstractmethod
    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:
        """Return what it would change, in parts of which each can be left out; arguments are those of ``change``."""

    @abstractmethod
    def leave(self: P, parts: Collection[Part]) -> P:
        """Return the same pass, which leaves these parts as they are."""

    @abstractmethod
    def pick(self: P, parts: Collection[Part]) -> P:
        """Return the same pass, which changes these parts only."""

    def files(self) -> tuple[Path, ...]:
        """Return the files that it reads besides the model."""
        return ()

    def apply(
        self, model: ir.Model, proof: Proof, folder: Path | None, idle: Sequence[history.Entry] = ()
    ) -> Change:
        """Change a private working copy, and write into its history what was done.

        Args:
            model: The working copy, which is changed in place.
            proof: How models are run, for passes that need to.
            folder: Where the teacher's file is.
            idle: Passes before it that did nothing; the history names them when it does something itself.
        """
        parent, seed = history.digest(model), getattr(self, "seed", None)
        done = self.change(model, proof, folder)
        if not done.modified:  # a record has no step for it
            reason, hint = self.nothing(model, done)
            return replace(done, steps=(), idle=(Idle(str(self), reason, hint, seed, parent),))
        history.record(model, *idle, history.Entry(str(self), seed, parent))
        return replace(done, steps=tuple(replace(s, text=str(self), seed=seed, parent=parent) for s in done.steps))

    def __call__(
        self,
        model: ModelLike | ir.passes.PassResult,
        *,
        proof: Proof = Proof(),  # noqa: B008 - immutable
        output: Target = Target(),  # noqa: B008 - immutable
        strict: bool = False,
        progress: Progress = unheard,
        dry_run: bool = False,
        budget: Budget | None = None,
    ) -> Result[Any]:
        """Apply the pass to a model and verify the outcome.

        Args:
            model: A model of any kind, or the result of another pass; it is not changed.
            proof: How to verify the student before it is handed over.
            output: Where the student of a path is written; beside the teacher if it does not say.
            strict: Whether a student that fails verification is an error at once. Otherwise what makes it wrong is left
                out, with a warning, and the rest is verified again.
            progress: Is told each stage as it begins, as a text. If it also has a method ``reached``, as a
                :class:`onnx_n2n.progress.Meter` has, that is told how many bytes and tensors of a file are written.
            dry_run: Whether only to say what would be done, and what it takes: ``result.report.estimate``. No student
                is made, verified or written, so that ``result.model`` is None. Models are run only for statistics that
                ``Deepen`` takes.
            budget: What the student may cost at most.

        Returns:
            The student, as the same kind of model, with what was done to it.

        Raises:
            OptionError: An option has no meaning, or the output cannot be written.
            ModelError: The model cannot be read, or there is no room for the student on the disk.
            GrowthError: What is asked for by name does not exist, or cannot be had, or costs more than the budget.
            InputError: The teacher cannot be run on the inputs.
            VerificationError: The student differs from the teacher. Nothing was written.
        """
        self.check()
        if isinstance(model, ir.passes.PassResult):
            model = model.model
        target = output.beside(self.suffix)
        if dry_run:
            return rehearse(
                model, self, target=target, proof=proof, read=self.files(), strict=strict, progress=progress,
                budget=budget,
            )  # fmt: skip
        return deliver(
            model, self, target=target, proof=proof, read=self.files(), strict=strict, progress=progress, budget=budget
        )

    def call(self, model: ir.Model) -> Result[ir.Model]:
        """Apply the pass as ``onnx_ir`` does."""
        return self(model)

    def __str__(self) -> str:
        changed = ((each, getattr(self, each.name)) for each in options(type(self)))
        written = ",".join(f"{each.word}={each.written(value)}" for each, value in changed if value != each.default)
        name = type(self).__name__.lower()
        return f"{name}{{{written}}}" if written else name

    @classmethod
    def read(cls, text: str) -> Pass:
        """Make the pass from the text of its options, ``factor=1.5,include=a* b*``.

        Raises:
            OptionError: If that names an option twice, or one that the pass does not have, or a value of the wrong
                kind.
        """
        known, found, place = {each.word: each for each in options(cls)}, {}, 0
        while text[place:].strip():
            match = OPTION.match(text, place)
            if match is None:
                raise OptionError(f"{text[place:]!r} is not of the form option=value", hint=_known(cls))
            name, place = match[1], match.end()
            if name not in known:
                hint = perhaps(name, known, _known(cls))
                raise OptionError(f"{cls.__name__.lower()} has no option {name!r}", hint=hint)
            if known[name].name in found:
                raise OptionError(f"{cls.__name__.lower()} has the option {name!r} twice", hint="give it once")
            value = re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL) if match[2] is not None else match[3].strip()
            found[known[name].name] = known[name].read(value)
        return cls(**found)


class Selective(Selection, Pass):
    """A pass that changes parts of a model which have names, and can be told which."""

    def leave(self: S, parts: Collection[Part]) -> S:
        """Return the same pass, which leaves these parts as they are."""
        return replace(self, without=tuple(dict.fromkeys((*self.without, *(part.name for part in parts)))))

    def pick(self: S, parts: Collection[Part]) -> S:
        """Return the same pass, which changes these parts only."""
        return replace(self, only=tuple(dict.fromkeys(part.name for part in parts)))


def _known(kind: type[Pass]) -> str:
    return f"options of {kind.__name__.lower()} are {', '.join(each.word for each in options(kind))}"
