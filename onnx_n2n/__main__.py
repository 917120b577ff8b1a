"""``python -m onnx_n2n``, and what the command ``onnx-n2n`` runs."""

from __future__ import annotations

import sys

from click.utils import PacifyFlushWrapper

from onnx_n2n.cli import main as command
from onnx_n2n.supervisor import supervised


def main() -> None:
    """Run the command line in a process of its own."""
    sys.exit(supervised(_work))


def _work() -> int:
    try:
        command(prog_name="onnx-n2n")
    except SystemExit as end:
        if isinstance(sys.stdout, PacifyFlushWrapper):  # click's own: whoever read the help has left early
            return 0
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main()
