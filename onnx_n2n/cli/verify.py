"""The command that compares two models; what it needs for that is imported when it is done."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import onnx_n2n
from onnx_n2n.cli.errors import ends_well
from onnx_n2n.cli.options import proof_of, verifying
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.cli.pages import FORCE, as_html, check_page, write_page
from onnx_n2n.cli.streams import check_stdin, named, readable
from onnx_n2n.errors import OptionError, VerificationError

EXITS = {"equal": 0, "different": VerificationError.exit_code, "undecided": 3}  # by what the exact check says


@click.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.argument("student", type=click.Path(path_type=Path))
@verifying
@click.option(
    "--gained",
    multiple=True,
    metavar="OUTPUT",
    help="An output in which STUDENT says more along one axis, behind what TEACHER says.",
)
@click.option(
    "--tensor",
    "tensors",
    multiple=True,
    metavar="NAME",
    help="A tensor of TEACHER that STUDENT gives in place of TEACHER's outputs, as one that was cut does; in order.",
)
@click.option("--rows", is_flag=True, help="STUDENT takes any number of examples: also give it several in one batch.")
@click.option("--exact", is_flag=True, help="Say it for every input, in exact arithmetic, without ONNX Runtime.")
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --exact, the growth record, which says what was rounded.  [default: one beside STUDENT]",
)
@click.option("--trace", is_flag=True, help="With --exact, say of each tensor of STUDENT what it is in TEACHER.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of drawn inputs.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON document on stdout.")
@as_html("errors and differences")
@FORCE
@ends_well
def verify(
    teacher: Path,
    student: Path,
    *,
    inputs: Path | None,
    shapes: dict[str, tuple[int, ...]],
    provider: str,
    time_limit: float,
    custom_ops: tuple[str, ...],
    gained: tuple[str, ...],
    tensors: tuple[str, ...],
    rows: bool,
    exact: bool,
    record: Path | None,
    trace: bool,
    seed: int,
    as_json: bool,
    html: Path | None,
    force: bool,
) -> None:
    """Run TEACHER and STUDENT in ONNX Runtime and say whether they compute the same."""
    from onnx_n2n.cli import reports
    from onnx_n2n.cli.console import stages, terminal
    from onnx_n2n.graph.unfolding import bounded
    from onnx_n2n.io.carried import carried
    from onnx_n2n.reporting.page import Made, page_of_pair

    console = terminal()
    check_page(html, force=force, others=[path for path in (teacher, student, inputs, record) if path is not None])
    if exact:
        options: dict[str, Any] = {"inputs": inputs, "provider": provider, "seed": seed, "time_limit": time_limit}
        options |= {"shapes": shapes, "gained": gained, "record": record, "trace": trace, "custom_ops": custom_ops}
        options |= {"tensors": tensors, "rows": rows}
        _exactly(teacher, student, options, as_json=as_json, html=html, force=force)
        return
    if trace:
        raise OptionError("`trace=` goes with `exact=` only", hint="a run names the first tensor that is wrong")
    if record is not None:
        raise OptionError("`record=` goes with `exact=` only", hint="a run needs none")
    proof = proof_of(
        wanted=True, inputs=inputs, shapes=shapes, provider=provider, seed=seed, time_limit=time_limit,
        custom_ops=custom_ops,
    )  # fmt: skip
    check_stdin(teacher, student)
    with readable(teacher) as old, readable(student) as new:
        models = [onnx_n2n.load(path) for path in (old, new)]
        for each in models:
            bounded(each)
        with stages(console) as progress:
            progress("verifying")
            verdict = onnx_n2n.verify(
                old, new, inputs=proof.inputs, shapes=proof.shapes, provider=provider, seed=seed,
                time_limit=time_limit, gained=gained, custom_ops=custom_ops, tensors=tensors, rows=rows,
            )  # fmt: skip
            if html is not None:
                report = {"verification": verdict.to_json()}
                made = Made("", report, reports.verified(verdict))
                page = page_of_pair("verify", named(teacher, student), models, made, proof.shapes)
                write_page(html, page, force=force, models=models)
        for source in (source for each in models for source in carried(each).files.read):
            source.check()
    with printing():
        if as_json:
            files = {"teacher": str(teacher), "student": str(student)}
            print_json(files | {"ok": verdict.ok, "verification": verdict.to_json()})
        else:
            reports.print_verdict(console, verdict, tried=True)
    if not verdict.ok:
        sys.exit(VerificationError.exit_code)


def _exactly(
    teacher: Path, student: Path, options: Mapping[str, Any], *, as_json: bool, html: Path | None, force: bool
) -> None:
    """Compare two models in finite fields, and end with the exit code of the verdict."""
    from onnx_n2n.cli import reports
    from onnx_n2n.cli.console import stages, terminal
    from onnx_n2n.reporting.page import Made, page_of_pair

    check_stdin(teacher, student)
    console = terminal()
    with readable(teacher) as old, readable(student) as new, stages(console) as progress:
        progress("comparing")
        verdict = onnx_n2n.verify(old, new, exact=True, **options)
        if html is not None:
            made = Made("", {"exact": verdict.to_json()}, reports.verified(verdict))
            models = [onnx_n2n.load(path) for path in (old, new)]
            page = page_of_pair("verify", named(teacher, student), models, made, options["shapes"])
            write_page(html, page, force=force, models=models)
    with printing():
        if as_json:
            ok = None if verdict.state == "undecided" else bool(verdict)
            print_json({"teacher": str(teacher), "student": str(student), "ok": ok, "exact": verdict.to_json()})
        else:
            reports.print_exact(console, verdict)
    if EXITS[verdict.state]:
        sys.exit(EXITS[verdict.state])
