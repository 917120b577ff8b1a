"""The functions of the passes, as ``widen``, and ``run``; and what their commands share with them.

A call is a pass and how it is run: a dataclass of all their options. Its constructor's signature, which type checkers
know, is that of the function.
"""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, MISSING, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, cast

from onnx_n2n.costs.budget import Budget
from onnx_n2n.errors import OptionError
from onnx_n2n.io import yaml_files
from onnx_n2n.io.model import ModelLike
from onnx_n2n.io.sources import Source
from onnx_n2n.options import option, options, part_of
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.cut import Cut
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.passes.driver import Target
from onnx_n2n.passes.enlarge import Enlarge
from onnx_n2n.passes.outputs import Outputs
from onnx_n2n.passes.recipes import KEYS, Checking, instructions, to_recipe
from onnx_n2n.passes.report import Result
from onnx_n2n.passes.sequential import Sequential, parse
from onnx_n2n.passes.widen import Widen
from onnx_n2n.progress import Progress, unheard

__all__ = ["cut", "deepen", "enlarge", "outputs", "run", "widen"]

P = ParamSpec("P")
Function = Callable[Concatenate[ModelLike, P], Result[Any]]
FilePath = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Running(Checking):
    """How a pass is run."""

    suffix: ClassVar[str] = Sequential.suffix

    output: FilePath | None = option(
        None, "Where to write.", flags=("-o", "--output"), usual="MODEL.$suffix.onnx"
    )
    record: FilePath | None = option(
        None, "Also write what became of every weight, for 'grow-checkpoint' and other tools.", metavar="FILE"
    )
    save_recipe: FilePath | None = option(
        None, "Also write a recipe, with which 'run' makes the same student again.", metavar="FILE.yaml"
    )
    force: bool = option(False, "Overwrite the output.")
    dry_run: bool = option(
        False, "Only say what would be done, and what is read, written and held in memory; nothing is verified or "
        "written.",
    )  # fmt: skip

    @classmethod
    def told(cls, *args: Any, **given: Any) -> Running:
        """Return a call of which a user has said this much."""
        return cls(*args, **given)

    @property
    def asked(self) -> Pass:
        """The pass that is run."""
        kind = next(base for base in type(self).__mro__[1:] if issubclass(base, Pass))
        return kind(**part_of(self, kind))

    def run(self, change: Pass, model: ModelLike, progress: Progress = unheard) -> Result[Any]:
        """Apply a pass to a model.

        Raises:
            OptionError: The student is to be written, and the model is in no file.
            N2NError: As ``Pass.__call__`` says.
        """
        if not isinstance(model, str | os.PathLike) and (self.output or self.record or self.save_recipe):
            raise OptionError(
                "the student of a model that is in no file is not written, but returned",
                hint="use onnx_n2n.save(result.model, path), and result.growth.save(path) for the record",
            )
        also = {}
        if self.save_recipe is not None:
            place = Path(self.save_recipe)
            self.recipe_of(change)  # it may hold what no recipe can
            also[place] = lambda done: yaml_files.written(self.recipe_of(done), place)
        budget = None if self.budget is None else Budget.read(self.budget)
        proof = self.proof(wanted=self.verify, seed=getattr(change, "seed", 0), exact=self.exact)
        output, record = (None if place is None else Path(place) for place in (self.output, self.record))
        target = Target(output, self.force, record, also=also, read=self.sources)
        return change(
            model, proof=proof, output=target, strict=self.strict, progress=progress, dry_run=self.dry_run,
            budget=budget,
        )  # fmt: skip

    def recipe_of(self, change: Pass) -> dict[str, Any]:
        """Return the recipe by which a pass is run again as here.

        Raises:
            OptionError: No recipe can say that.
        """
        if self.session_options is not None:
            raise OptionError("a recipe cannot hold a function for sessions", hint="leave one of the two out")
        return to_recipe(change, **{name: getattr(self, name) for name in KEYS})

    @property
    def sources(self) -> tuple[Source, ...]:
        """Files that say what to do, which must not be written."""
        return ()


@dataclass(frozen=True)
class Widening(Widen, Running):
    """Make layers wider without changing what the model computes.

    Example:
        >>> import onnx, onnx_n2n
        >>> onnx_n2n.widen(onnx.load("models/resnet.onnx"), groups={"stem.0": 20}).change.grown
        (GrownGroup(name='stem.0', before=14, after=20, note=''),)
    """


@dataclass(frozen=True)
class Deepening(Deepen, Running):
    """Make a model deeper without changing what it computes.

    Example:
        >>> import onnx, onnx_n2n
        >>> [each.place for each in onnx_n2n.deepen(onnx.load("models/resnet.onnx"), count=2).change.added]
        ['stages.0.first.0', 'stages.3.first.0']
    """


@dataclass(frozen=True)
class Enlarging(Enlarge, Running):
    """Make the kernels of convolutions larger without changing what the model computes.

    Example:
        >>> import onnx, onnx_n2n
        >>> onnx_n2n.enlarge(onnx.load("models/resnet.onnx"), "5x5", only=["stem.0"]).passes
        'enlarge{kernel=5x5,only=stem.0}'
    """


@dataclass(frozen=True)
class Lengthening(Outputs, Running):
    """Let a classifier tell more classes apart: an output becomes longer, and what it said before stays as it is.

    Example:
        >>> import onnx, onnx_n2n
        >>> onnx_n2n.outputs(onnx.load("models/resnet.onnx"), 20).change.gained
        frozenset({'logits'})
    """


@dataclass(frozen=True)
class Cutting(Cut, Running):
    """Cut a model down to what makes some of its tensors, which become its outputs.

    Example:
        >>> import onnx, onnx_n2n
        >>> features = onnx_n2n.cut(onnx.load("models/resnet.onnx"), before=["logits"]).model
        >>> [output.name for output in features.graph.output]
        ['mean']
    """


@dataclass(frozen=True)
class Sequencing(Running):
    """Apply several passes one after the other; the outcome is verified against the first teacher.

    Example:
        >>> import onnx, onnx_n2n
        >>> onnx_n2n.run(onnx.load("models/resnet.onnx"), "deepen{count=1},widen{factor=1.4}").report.verdict.ok
        True
    """

    passes: str | Pass | None = option(
        None, "As in 'widen{factor=1.4},deepen{every=2}'.", flags=("-p", "--passes"), metavar="PASSES"
    )
    _: KW_ONLY
    recipe: FilePath | Mapping[str, Any] | None = option(
        None, "Take passes, and how to verify, from this file; other options beat what it says.", metavar="FILE.yaml"
    )

    @classmethod
    def told(cls, *args: Any, **given: Any) -> Running:
        """Return a call of which a user has said this much, and perhaps a recipe the rest.

        Raises:
            ModelError: The file of the recipe cannot be read.
            OptionError: It is no recipe, or there are passes besides.
        """
        call = cls(*args, **given)
        if call.recipe is None:
            return call
        if call.passes is not None:
            raise OptionError("`passes=` and `recipe=` both say what to do", hint="leave one of them out")
        found = instructions(call.recipe)
        rest = {name: value for name, value in found.settings.items() if given.get(name) is None}
        return replace(call, passes=found.passes, **rest)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The file of the recipe."""
        return () if self.recipe is None or isinstance(self.recipe, Mapping) else (Source.of(Path(self.recipe)),)

    @property
    def asked(self) -> Pass:
        """The passes that are run.

        Raises:
            OptionError: There are none.
        """
        if self.passes is None:
            raise OptionError("nothing says which passes to apply", hint="name them with `passes=`, or a `recipe=`")
        if isinstance(self.passes, str):
            return parse(self.passes)
        if isinstance(self.passes, Pass):
            return self.passes
        raise OptionError(f"passes are a text or a `Sequential`, not {type(self.passes)}")


DOC = """\
{about}

Args:
    model: The teacher; it is not changed. A path, of a folder with a ``model.onnx`` too, bytes, a binary file object, a
        ``ModelProto``, graphsurgeon graph, ``onnx_ir`` model or ``torch.onnx.ONNXProgram``.
{options}

Returns:
    The student, as the same kind of model, with what was done to it. That of a path is written to a file beside it,
    that of a file object is an ``io.BytesIO``. With ``dry_run=True`` there is no student, and
    ``result.report.estimate`` says what it takes.

Raises:
    OptionError: An option has no meaning, or the output cannot be written.
    ModelError: The model cannot be read, or there is no room for the student on the disk.
    GrowthError: What is asked for by name does not exist, or cannot be had.
    InputError: The teacher cannot be run on the inputs.
    VerificationError: The student differs from the teacher. Nothing was written.
"""


def _function(name: str, kind: Callable[P, Running]) -> Function[P]:
    """Return the function that makes a call and runs it, with the signature and the help of the call's options."""

    def function(model: ModelLike, *args: P.args, **kwargs: P.kwargs) -> Result[Any]:
        call = cast("type[Running]", kind).told(*args, **kwargs)
        return call.run(call.asked, model)

    call = cast("type[Running]", kind)
    given, known = inspect.signature(call).parameters, options(call)
    teacher = inspect.Parameter("model", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="ModelLike")
    others = [
        given[each.name].replace(default=given[each.name].empty if each.default is MISSING else each.default)
        for each in known
    ]
    call.__init__.__qualname__ = name  # in errors about arguments that it does not have
    made: Any = function
    made.__signature__ = inspect.Signature([teacher, *others], return_annotation="Result[Any]")
    made.__name__ = made.__qualname__ = name
    lines = (textwrap.wrap(f"{each.name}: {each.said.sentence}", 110, subsequent_indent="    ") for each in known)
    said = textwrap.indent("\n".join(line for each in lines for line in each), "    ")
    made.__doc__ = DOC.format(about=inspect.getdoc(call), options=said)
    return cast("Function[P]", function)


widen = _function("widen", Widening)
deepen = _function("deepen", Deepening)
enlarge = _function("enlarge", Enlarging)
outputs = _function("outputs", Lengthening)
cut = _function("cut", Cutting)
run = _function("run", Sequencing)
