"""``python -m onnx_n2n``, and what the command ``onnx-n2n`` runs."""

from __future__ import annotations

import contextlib
import sys

import click

from onnx_n2n.cli import main as command
from onnx_n2n.errors import N2NError
from onnx_n2n.supervisor import supervised


def main() -> None:
    """Run the command line in a process of its own."""
    sys.exit(supervised(_work))


def _work() -> int:
    try:
        command(prog_name="onnx-n2n")
    except N2NError as failure:  # the help could not be printed
        with contextlib.suppress(OSError):
            click.echo(f"Error: {failure}", err=True)
        return failure.exit_code
    except OSError:  # what is wrong with the options cannot be said: stderr is full
        return N2NError.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main()
