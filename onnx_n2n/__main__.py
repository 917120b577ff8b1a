"""``python -m onnx_n2n``, and what the command ``onnx-n2n`` runs."""

from __future__ import annotations

import sys

from onnx_n2n.cli import main as command
from onnx_n2n.cli.errors import tell, wants_json
from onnx_n2n.errors import N2NError
from onnx_n2n.io.supervisor import supervised


def main() -> None:
    """Run the command line in a process of its own."""
    sys.exit(supervised(_work, _say))


def _work() -> int:
    try:
        command(prog_name="onnx-n2n")
    except N2NError as failure:  # the help could not be printed
        _say(failure, failure.exit_code)
        return failure.exit_code
    except OSError:  # what is wrong with the options cannot be said: stderr is full
        return N2NError.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _say(error: N2NError, code: int) -> None:
    named = next((each for each in sys.argv[1:] if each in command.commands), "")
    tell(error, code, named if wants_json(sys.argv[1:]) else None)


if __name__ == "__main__":
    main()
