"""What a model may be, and how its student becomes the same: a folder is its file, a file object is the bytes in it.

What is left then has a way of its own into this library and out of it: a path, bytes, a ``ModelProto``, a graphsurgeon
``Graph`` or an ``ir.Model``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir

from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io.sources import kind_at

NAME = "model.onnx"  # of the model in a folder

HOLDERS = (
    "a path, bytes, a binary file object, an onnx.ModelProto, a gs.Graph, an onnx_ir.Model or a torch.onnx.ONNXProgram"
)


class Readable(Protocol):
    """A file object that is open for reading in binary mode."""

    def read(self) -> bytes:
        """Return all that is left in it."""


class Program(Protocol):
    """What ``torch.onnx.export`` returns, a ``torch.onnx.ONNXProgram``."""

    model: ir.Model
    exported_program: Any


Plain: TypeAlias = str | os.PathLike[str] | bytes | onnx.ModelProto | gs.Graph | ir.Model
ModelLike: TypeAlias = Plain | bytearray | memoryview | Readable | Program
"""Whatever holds a model."""


@dataclass(frozen=True)
class Given:
    """A caller's model in the form in which it is worked on.

    Attributes:
        model: The same model; the path of a file, where it is in one.
        back: Turns a student of the form of ``model`` into the kind that the caller gave.
    """

    model: Plain
    back: Callable[[Any], Any] = lambda student: student


def plain(model: ModelLike) -> Given:
    """Take a model from a caller. A file object is read to its end, so this is done once.

    Raises:
        ModelError: A folder has no model, or a file object cannot be read.
        OptionError: It is no model at all.
    """
    if isinstance(model, str | os.PathLike):
        return Given(file_of(model))
    if isinstance(model, onnx.ModelProto | gs.Graph | ir.Model | bytes):
        return Given(model)
    if isinstance(model, bytearray | memoryview):
        return Given(bytes(model))
    program = getattr(sys.modules.get("torch.onnx"), "ONNXProgram", None)
    if program is not None and isinstance(model, program):
        return Given(model.model, lambda student: program(student, model.exported_program))
    if callable(read := getattr(model, "read", None)):
        return Given(_all(read), io.BytesIO)
    raise OptionError(f"a model is {HOLDERS}, not {type(model)}")


def file_of(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return the file that a path leads to: in a folder that is ``model.onnx``.

    Raises:
        ModelError: There is none in the folder.
    """
    if kind_at(path) != "folder":
        return path
    folder = Path(path)
    if kind_at(folder / NAME) == "file":
        return folder / NAME
    others = sorted(each.name for each in folder.glob("*.onnx") if kind_at(each) == "file")
    hint = f"Pass the path of one of its files: {', '.join(others)}" if others else "Pass the path of an ONNX file"
    raise ModelError(f"{os.fspath(path)!r} is a folder without a {NAME}", hint=hint)


def _all(read: Callable[[], Any]) -> bytes:
    """Read a file object."""
    try:
        found = read()
    except Exception as failure:  # whatever the object behind it raises: closed, not readable, a network
        raise ModelError(f"the file object cannot be read: {failure}") from failure
    if isinstance(found, str):
        raise ModelError("the file object gives text, where a model is bytes", hint="Open the file in mode 'rb'")
    if not isinstance(found, bytes | bytearray | memoryview):
        raise ModelError(f"the file object gives {type(found)}, where a model is bytes")
    return bytes(found)
