"""The command that compares two models."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import onnx_n2n
from onnx_n2n.cli import tables
from onnx_n2n.cli.console import print_json, stages, terminal
from onnx_n2n.cli.errors import ends_well
from onnx_n2n.cli.options import proof_of, verifying
from onnx_n2n.errors import VerificationError


@click.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.argument("student", type=click.Path(path_type=Path))
@verifying
@click.option("--gained", multiple=True, metavar="OUTPUT",
              help="An output in which STUDENT says more along one axis, behind what TEACHER says.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of drawn inputs.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON document on stdout.")
@ends_well
def verify(
    teacher: Path,
    student: Path,
    *,
    inputs: Path | None,
    shapes: tuple[str, ...],
    provider: str,
    gained: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Run TEACHER and STUDENT in ONNX Runtime and say whether they compute the same."""
    console = terminal()
    proof = proof_of(wanted=True, inputs=inputs, shapes=shapes, provider=provider, seed=seed)
    onnx_n2n.load(student)  # an unreadable file is no wrong student
    with stages(console) as progress:
        progress("verifying")
        verdict = onnx_n2n.verify(
            teacher, student, inputs=proof.inputs, shapes=proof.shapes, provider=provider, seed=seed, gained=gained
        )
    if as_json:
        print_json(verdict.to_json())
    else:
        tables.print_verdict(console, verdict)
    if not verdict.ok:
        sys.exit(VerificationError.exit_code)
