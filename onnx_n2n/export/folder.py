"""An export as a folder: the weights under their names, the model that says what is computed, and what was checked.

    DIR/weights.safetensors    the tensors, by dotted name, as the framework has them: what training changes
    DIR/model.onnx             the graph (not for --to safetensors); its own weights are only where training began
    DIR/model.keras            for --to keras in place of both: Keras keeps the graph and the weights in one file
    DIR/export.json            for every tensor where its name comes from, what is trained and what is not and why, and
                               how far the export is from ONNX Runtime

A folder is opened with three lines, and saved by writing ``weights.safetensors``, or ``model.keras``, anew:

    from onnx_n2n.export import load
    module = load("DIR")
    module.train()
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.errors import OptionError, VerificationError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.check import Agreement, agreement
from onnx_n2n.export.choice import Choice
from onnx_n2n.export.frameworks import Framework, missing
from onnx_n2n.export.names import arguments
from onnx_n2n.export.operators.table import known
from onnx_n2n.export.program import Account, Program
from onnx_n2n.io import space, tensorfile
from onnx_n2n.io.atomic import unwritten
from onnx_n2n.io.carried import carried
from onnx_n2n.io.files import data_files, write_draft
from onnx_n2n.io.folders import check_folder, making_folder
from onnx_n2n.io.kinds import plain
from onnx_n2n.io.lazy import counted
from onnx_n2n.io.model import ModelLike, open_model
from onnx_n2n.progress import Progress, unheard
from onnx_n2n.words import count

FRAMEWORKS: tuple[Framework, ...] = ("torch", "jax", "keras", "safetensors")
WEIGHTS, MODEL, KERAS, RECORD = "weights.safetensors", "model.onnx", "model.keras", "export.json"
SCHEMA, SCHEMA_VERSION = "onnx-n2n.export-folder", 1  # of export.json; the version goes up as docs/json.md says


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        to: For which framework.
        tensors: How many tensors, by where their names come from.
        parameters: How many numbers are trained.
        trained: Names of the parameters.
        state: Tensors that are kept with them and not trained, by name: why.
        accounts: What became of every floating-point tensor of the file.
        freeze: What was asked to be frozen.
        train: What was asked to be trained.
        agreement: How far the export is from ONNX Runtime; None where it was not run, or cannot be.
    """

    folder: Path
    to: Framework
    tensors: Mapping[str, int]
    parameters: int
    trained: tuple[str, ...]
    state: Mapping[str, str]
    accounts: tuple[Account, ...]
    freeze: tuple[str, ...]
    train: tuple[str, ...]
    agreement: Agreement | None

    def __repr__(self) -> str:
        agrees = "not run" if self.agreement is None else f"agrees with ONNX Runtime, error {self.agreement.error:.1e}"
        return f"<Exported: {count(sum(self.tensors.values()), 'tensor')} for {self.to}; {agrees}>"

    @property
    def constants(self) -> list[Account]:
        """Floating-point tensors that are part of the program."""
        return [account for account in self.accounts if account.kind == "constant"]

    @property
    def guesses(self) -> list[Account]:
        """Tensors over which looks decided."""
        return [account for account in self.accounts if account.guess]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return {
            "folder": str(self.folder),
            "to": self.to,
            "tensors": dict(self.tensors),
            "parameters": self.parameters,
            "trained": list(self.trained),
            "state": [{"name": name, "because": why} for name, why in self.state.items()],
            "constant": [account.to_json() for account in self.constants],
            "guessed": [
                {"name": name, "as": account.kind, "because": account.because}
                for account in self.guesses
                for name in account.tensors or (account.name,)
            ],
            "freeze": list(self.freeze),
            "train": list(self.train),
            "agreement": None if self.agreement is None else self.agreement.to_json(),
        }


def export(
    model: ModelLike,
    to: Framework,
    folder: str | os.PathLike[str],
    *,
    force: bool = False,
    verify: bool = True,
    freeze: Iterable[str] = (),
    train: Iterable[str] = (),
    progress: Progress = unheard,
    **feeding: Any,
) -> Exported:
    """Carry a model to a framework, check what it computes there, and write a folder.

    Args:
        model: Stays as it is.
        to: The framework; ``safetensors`` is weights only, which nothing can be computed with.
        folder: Where to write.
        force: Whether to overwrite an export that is there.
        verify: Whether to run the export beside ONNX Runtime first.
        freeze: Globs of names of tensors, in the file or in the framework, that stay as they are in training.
        train: Globs of those that are trained; they hold where both match.
        progress: Is told each stage as it begins, and how far the writing is.
        feeding: What :func:`onnx_n2n.export.check.agreement` takes to find inputs.

    Raises:
        ExportError: The framework is missing, or has no counterpart of an operator. Nothing was written.
        OptionError: There is something at the folder already, or a glob matches no tensor, or what cannot be trained.
        VerificationError: The export computes something else. Nothing was written.
    """
    choice, model = Choice(freeze, train), plain(model).model  # it is opened several times
    target, read = Path(folder), carried(open_model(model).model).files.read
    check_folder(target, _own, force=force, read=read)
    progress("converting the model")
    with missing(to):
        program, run, write = CONVERTERS[to](model, choice)
    found = None
    if verify and run is not None:
        progress("comparing with ONNX Runtime")
        found = agreement(model, run, **feeding)
        if not found.ok:
            raise VerificationError(
                f"the export does not compute what ONNX Runtime computes: {found.worst!r} is off by {found.error:.1e} "
                f"of its movement, where {found.tolerance:.1e} is acceptable",
                hint="Nothing was written",
            )
    exported = Exported(
        folder=target,
        to=to,
        tensors=_counted(program),
        parameters=sum(tensor.array.size for tensor in program.tensors.values() if tensor.trained),
        trained=tuple(tensor.name for tensor in program.tensors.values() if tensor.trained),
        state={tensor.name: tensor.because for tensor in program.tensors.values() if not tensor.trained},
        accounts=program.accounts,
        freeze=choice.freeze,
        train=choice.train,
        agreement=found,
    )
    inputs = dict(zip(arguments(program.main.inputs), program.main.inputs, strict=True))
    record = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **exported.to_json(), "tensors": _recorded(program)}
    record |= {"inputs": inputs, "outputs": list(program.outputs)}
    record.pop("folder")
    with making_folder(target, _own, force=force, read=read) as draft:
        try:
            write(draft, target, progress)
            (draft / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        except OSError as failure:
            raise unwritten(target, failure) from failure
    return exported


def _own(folder: Path) -> frozenset[str]:
    """Return what an export in a folder is made of.

    Raises:
        OptionError: Files of such names are there, but not from an export.
    """
    names = (WEIGHTS, MODEL, KERAS, RECORD)
    foreign = [name for name in names if os.path.lexists(folder / name)]
    if foreign and not _recorded_here(folder):
        reason = f"{str(folder / foreign[0])!r} is there already, and {str(folder)!r} is no export"
        raise OptionError(reason, hint="choose another folder with `output=`")
    return frozenset(names) | data_files(folder / MODEL)


def _recorded_here(folder: Path) -> bool:
    try:
        return json.loads((folder / RECORD).read_text("utf-8"))["to"] in FRAMEWORKS
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _counted(program: Program) -> dict[str, int]:
    found: dict[str, int] = {}
    for tensor in program.tensors.values():
        found[tensor.source] = found.get(tensor.source, 0) + 1
    return found


def _recorded(program: Program) -> dict[str, Any]:
    """Say for every tensor what it is in the file."""
    layouts = {part: weight for weight in program.weights.values() for part in weight.parts}
    return {
        name: {
            "initializers": sorted(set(tensor.initializers)),
            "name from": tensor.source,
            "trained": tensor.trained,
            "layout": str(layouts[name].layout),
        }
        for name, tensor in program.tensors.items()
    }


Write = Callable[[Path, Path, Progress], None]
Converted = tuple[Program, Any, Write]
"""The program, what runs it if anything can, and what writes it: to a draft of a folder, and where that will be."""


def _torch(model: ModelLike, choice: Choice) -> Converted:
    from onnx_n2n.export.torch import dtypes, module_of, runner

    program = program_of(model, known, freeze=choice.freeze, train=choice.train)
    module = module_of(program)
    arrays = {name: dtypes.to_array(tensor) for name, tensor in module.state_dict().items()}
    return program, runner(module), _written(arrays, model)


def _jax(model: ModelLike, choice: Choice) -> Converted:
    from onnx_n2n.export.jax import apply_of, runner, trees_of

    program = program_of(model, known, freeze=choice.freeze, train=choice.train)
    return program, runner(apply_of(program), *trees_of(program)), _written(_arrays(program), model)


def _keras(model: ModelLike, choice: Choice) -> Converted:
    from onnx_n2n.export.keras import model_of, runner

    program = program_of(model, known, freeze=choice.freeze, train=choice.train)
    network = model_of(program, model)
    return program, runner(network), lambda folder, *_: network.save(folder / KERAS)


def _safetensors(model: ModelLike, choice: Choice) -> Converted:
    program = program_of(model, lambda *_: True, freeze=choice.freeze, train=choice.train)
    return program, None, _written(_arrays(program))


def _written(tensors: Mapping[str, np.ndarray], model: ModelLike | None = None) -> Write:
    """Return what writes tensors, and the model that says what is computed with them."""

    def write(folder: Path, target: Path, progress: Progress) -> None:
        if model is not None:
            progress("writing the model")
            write_draft(open_model(model).model, folder / MODEL, target / MODEL, progress=progress)
        progress("writing the weights")
        space.suffices(target / WEIGHTS, folder, sum(array.nbytes for array in tensors.values()))
        with (folder / WEIGHTS).open("xb") as file:
            tensorfile.write(file, counted(tensors, progress))

    return write


def _arrays(program: Program) -> dict[str, np.ndarray]:
    return {name: tensor.array for name, tensor in program.tensors.items()}


CONVERTERS: dict[Framework, Callable[[ModelLike, Choice], Converted]] = {
    "torch": _torch,
    "jax": _jax,
    "keras": _keras,
    "safetensors": _safetensors,
}
