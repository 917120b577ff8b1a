"""The command that makes one growth record of several; what it needs for that is imported when it is done."""

from __future__ import annotations

from pathlib import Path

import click

import onnx_n2n
from onnx_n2n.cli.errors import ends_well
from onnx_n2n.cli.output import print_json, printing


@click.command()
@click.argument("records", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@ends_well
def join(records: tuple[Path, ...], *, output: Path, force: bool, as_json: bool) -> None:
    """Make one growth record of RECORDS, which were written one after the other, in this order."""
    from onnx_n2n.cli import checkpoints
    from onnx_n2n.cli.console import terminal
    from onnx_n2n.record.obstacles import followable, obstacles

    record = onnx_n2n.join(records, output=output, force=force)
    found = obstacles(record)
    with printing():
        if as_json:
            print_json({
                "record": str(output), "teacher": record.teacher, "student": record.student,
                "passes": [step.text for step in record.steps],
                "settings": [each.to_json() for each in record.settings], "followable": followable(found),
            })  # fmt: skip
        else:
            checkpoints.print_joined(terminal(), record, found)
            terminal().print(f"Written to {output}", soft_wrap=True)
