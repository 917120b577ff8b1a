"""What opens the folder of an export: by its export.json, the framework's own code, and the weights that are in it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_n2n.errors import ExportError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.folder import KERAS, MODEL, RECORD, SCHEMA_VERSION, WEIGHTS
from onnx_n2n.export.frameworks import Framework
from onnx_n2n.export.operators.table import known
from onnx_n2n.io.sources import kind_at

SHOWN = 5  # names in a message


def load_torch(folder: str | os.PathLike[str]) -> Any:
    """Open a folder as a PyTorch module; see :func:`onnx_n2n.export.load`."""
    from safetensors.torch import load_file

    from onnx_n2n.export.torch import to_torch

    module = to_torch(_model_in(Path(folder)), **_chosen(Path(folder)))
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    module.load_state_dict(_weights_in(folder, load_file, wanted))
    return module


def load_jax(folder: str | os.PathLike[str]) -> Any:
    """Open a folder as a JAX function with its trees; see :func:`onnx_n2n.export.load`."""
    from safetensors.numpy import load_file

    from onnx_n2n.export.jax import apply_of, trees_of

    program = program_of(_model_in(Path(folder)), known, **_chosen(Path(folder)))
    wanted = {name: tensor.array.shape for name, tensor in program.tensors.items()}
    return apply_of(program), *trees_of(program, _weights_in(folder, load_file, wanted))


def load_keras(path: str | os.PathLike[str]) -> Any:
    """Open a folder, or a file that ``model.save`` wrote, as a Keras model; see :func:`onnx_n2n.export.load`."""
    from onnx_n2n.export.keras import load

    return load(Path(path) / KERAS if kind_at(path) == "folder" else path)


def framework_of(path: str | os.PathLike[str]) -> Framework:
    """Return for which framework something on the disk is: a folder by its export.json, a file by its name.

    Raises:
        ExportError: It is no export, or one of weights only, or of a newer version.
    """
    if Path(path).suffix == ".keras" and kind_at(path) != "folder":
        return "keras"
    to = _record_in(Path(path)).get("to")
    if to not in LOADERS:
        raise ExportError(f"{str(path)!r} was exported to {to!r}, and there is nothing in it that can be run")
    return to  # type: ignore[no-any-return]


def _chosen(folder: Path) -> dict[str, list[str]]:
    """Return what was asked to be frozen and trained, so that a folder opens as it was written."""
    record = _record_in(folder)
    return {option: [str(glob) for glob in record.get(option) or ()] for option in ("freeze", "train")}


def _record_in(folder: Path) -> dict[str, Any]:
    """Read the export.json of a folder; the first ones had no version.

    Raises:
        ExportError: It is not there, or is none, or of a newer version.
    """
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
        version, fits = record.get("schema_version", 1), "to" in record
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as failure:
        reason = f"{str(folder)!r} is no export: there is no {RECORD!r} in it that can be read"
        raise ExportError(reason) from failure
    if not fits or not isinstance(version, int):
        raise ExportError(f"{str(folder)!r} is no export: {RECORD!r} in it is of something else")
    if version > SCHEMA_VERSION:
        reason = f"{str(folder)!r} was exported by a newer version: {RECORD!r} in it has schema version {version}"
        raise ExportError(reason, hint=f"this one reads {SCHEMA_VERSION}; install the newer one, or export again")
    return record


def _model_in(folder: Path) -> Path:
    for name in (MODEL, WEIGHTS):
        if kind_at(folder / name) != "file":
            raise ExportError(f"{str(folder)!r} is no export: there is no {name!r} in it")
    return folder / MODEL


def _weights_in(
    folder: str | os.PathLike[str], read: Callable[[Path], dict[str, Any]], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, Any]:
    """Read the weights of a folder.

    Args:
        folder: The folder.
        read: What reads a file of safetensors.
        wanted: The shapes that the model wants, by name.

    Raises:
        ExportError: They cannot be read, or they have other names or other shapes.
    """
    from safetensors import SafetensorError

    where = Path(folder) / WEIGHTS
    try:
        found = read(where)
    except (OSError, SafetensorError) as failure:
        reason = f"the weights in {str(where)!r} cannot be read: {' '.join(str(failure).split())[:300]}"
        raise ExportError(reason) from failure
    shapes = {name: tuple(array.shape) for name, array in found.items()}
    reasons = {
        "missing": sorted(wanted.keys() - shapes.keys()),
        "unexpected": sorted(shapes.keys() - wanted.keys()),
        "of another shape": [
            f"{name} {list(shape)} where it should be {list(wanted[name])}"
            for name, shape in sorted(shapes.items())
            if name in wanted and shape != wanted[name]
        ],
    }
    if said := [f"{what}: {_some(names)}" for what, names in reasons.items() if names]:
        raise ExportError(
            f"the weights in {str(where)!r} are not those of its model ({'; '.join(said)})",
            hint="Write all the weights that 'load' gave, under the same names and in the same shapes",
        )
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


LOADERS: dict[Framework, Callable[[str | os.PathLike[str]], Any]] = {
    "torch": load_torch,
    "jax": load_jax,
    "keras": load_keras,
}
