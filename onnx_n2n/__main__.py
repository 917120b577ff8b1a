"""``python -m onnx_n2n``, and what the command ``onnx-n2n`` runs.

All imports that take their time are inside of what is supervised, so that an interrupt is said in a sentence at any
moment.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx_n2n.errors import N2NError

INTERRUPT = 2  # the number of SIGINT
YOUNG = 10_000  # objects between two collections: with the usual 700, these are a tenth of the time to start


def main() -> None:
    """Run the command line in a process of its own."""
    try:
        from onnx_n2n.io.supervisor import give_up_unprintable, supervised

        code = supervised(_work, _say)
    except KeyboardInterrupt:
        from onnx_n2n.io.supervisor import give_up_unprintable, stopped

        code = _say(*stopped(INTERRUPT))
    give_up_unprintable()
    sys.exit(code)


def _work() -> int:
    from onnx_n2n.cli.commands import main as command
    from onnx_n2n.errors import N2NError

    gc.set_threshold(YOUNG)
    try:
        command(prog_name="onnx-n2n")
    except N2NError as failure:  # the help could not be printed
        return _say(failure, failure.exit_code)
    except OSError:  # what is wrong with the options cannot be said: stderr is full
        return N2NError.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _say(error: N2NError, code: int) -> int:
    from onnx_n2n.cli.errors import tell, wants_json

    named = None
    if wants_json(sys.argv[1:]):
        from onnx_n2n.cli.commands import main as command

        named = next((each for each in sys.argv[1:] if each in command.commands), "")
    tell(error, code, named)
    return code


if __name__ == "__main__":
    main()
