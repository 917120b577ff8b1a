"""Models on stdin and stdout, which a dash stands for, and in folders."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.io.rooms import room
from onnx_n2n.io.sources import kind_at

STDIN = Path("-")
TRUST = click.option(
    "--trust-remote-code", is_flag=True,
    help="For a Hugging Face folder: run the code that its config names for its class.",
)  # fmt: skip


@contextmanager
def readable(model: Path) -> Iterator[Path]:
    """Lend the file of a model; one that comes on stdin is kept in a file for as long.

    Raises:
        ModelError: stdin is closed, or the disk does not take what comes.
    """
    if model != STDIN:
        yield model
        return
    with room(Path(tempfile.gettempdir())) as inside:
        path = inside / "stdin"
        try:
            with path.open("xb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        except (OSError, ValueError, AttributeError) as failure:
            reason = getattr(failure, "strerror", None) or "it is closed"
            raise ModelError(f"no model can be read from stdin: {reason}") from failure
        yield path


def is_folder(model: Path) -> bool:
    """Say whether a model is a Hugging Face folder; only of folders is what reads these loaded."""
    if kind_at(model) != "folder":
        return False
    from onnx_n2n import huggingface

    return huggingface.is_folder(model)


def of_folder(flag: str) -> OptionError:
    """Return the error that says that an option does not go with a file."""
    return OptionError(f"{flag} is for a Hugging Face folder", hint="leave it out, or name the folder")


@contextmanager
def graph(model: Path, *, trust_remote_code: bool = False) -> Iterator[Path]:
    """Lend the file of a model; of a Hugging Face folder that of its graph.

    Args:
        model: The model.
        trust_remote_code: Whether to run code that the config of a folder names for its class.

    Raises:
        OptionError: Code is to be run, and the model is a file.
    """
    if not is_folder(model):
        if trust_remote_code:
            raise of_folder("--trust-remote-code")
        with readable(model) as file:
            yield file
        return
    from onnx_n2n.huggingface import taught

    with taught(model, trust_remote_code=trust_remote_code) as teacher:
        yield teacher.path


def check_streams(model: Path, output: Path | None, *, as_json: bool = False) -> None:
    """Make sure that there is a place to write, and that only one thing goes to stdout.

    Raises:
        OptionError: There is none, or two things would.
    """
    if model == STDIN and output is None:
        raise OptionError("a model from stdin has no file to write beside", hint="say where to write with -o")
    if output == STDOUT and as_json:
        raise OptionError("the model and the JSON document cannot both go to stdout", hint="name a file with -o")


def check_stdin(teacher: Path, student: Path) -> None:
    """Make sure that at most one of two models comes from stdin.

    Raises:
        OptionError: Both would.
    """
    if teacher == student == STDIN:
        raise OptionError("only one of the two models can come from stdin", hint="name a file for the other one")


def named(*models: Path) -> tuple[str, ...]:
    """Return what people call models: by the names of their files."""
    return tuple("stdin" if model == STDIN else model.name for model in models)
