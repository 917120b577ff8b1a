"""All commands."""

from __future__ import annotations

import click

import onnx_n2n
from onnx_n2n.cli.carry import export, grow_checkpoint
from onnx_n2n.cli.errors import Commands
from onnx_n2n.cli.explore import explore
from onnx_n2n.cli.grow import deepen, enlarge, run, widen
from onnx_n2n.cli.records import join
from onnx_n2n.cli.show import inspect, log
from onnx_n2n.cli.verify import verify


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(onnx_n2n.__version__, "--version", prog_name="onnx-n2n")
def main() -> None:
    """Make trained ONNX models wider and deeper without changing what they compute.

    Exit codes: 0 done; 1 verification failed, nothing written; 2 usage; 3 the model is unreadable or invalid, nothing
    in it can grow as asked, or 'verify --exact' is undecided; 4 a bug.
    """


for command in (inspect, widen, deepen, enlarge, run, log, grow_checkpoint, join, verify, explore, export):
    main.add_command(command)
