"""Commands that make a student: one for each pass, and one for several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnx_n2n
from onnx_n2n.cli import folders
from onnx_n2n.cli.options import growing
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.cli.pages import besides, check_page_of_student, write_page
from onnx_n2n.cli.streams import check_streams, is_folder, named, readable
from onnx_n2n.collector import still
from onnx_n2n.errors import ModelError
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.options import whole
from onnx_n2n.passes import Outputs, Pass, Sequential
from onnx_n2n.passes.functions import Cutting, Deepening, Enlarging, Running, Sequencing, Widening
from onnx_n2n.passes.report import Report, Result
from onnx_n2n.words import brief


def _deliver(
    call: Running, model: Path, *, as_json: bool, html: Path | None, change: Pass | None = None, **of_folder: Any
) -> None:
    """Run a call on a file or a folder, or with its options another pass, and say what was done."""
    if is_folder(model):
        folders.grow(call, model, change or call.asked, folders.Asked(**of_folder), as_json=as_json, html=html)
        return
    folders.Asked(**of_folder).check_unasked()
    from onnx_n2n.cli import reports
    from onnx_n2n.cli.console import stages, terminal

    console = terminal()
    check_streams(model, None if call.output is None else Path(call.output), as_json=as_json)
    asked = change or call.asked
    check_page_of_student(html, call, asked.suffix, model)
    with readable(model) as file:
        with stages(console) as progress:
            result = call.run(asked, file, progress)
            if not result.modified:
                raise result.change.nothing
            report = result.report.of(str(model))  # what it counts, it reads from the teacher
            planned = report.estimate
            place = result.model if planned is None else planned.place
            if html is not None:
                progress("writing the page")
                try:
                    _write_page(html, call, (model, file), result, report)
                except ModelError as failure:  # of the disk
                    raise ModelError(failure.reason, hint=f"The student is there: {str(place)!r}") from failure
        with printing():
            if as_json:
                steps = [{"pass": step.text, "seed": step.seed, "parent": step.parent} for step in result.change.steps]
                named = {"teacher": str(model), "student": str(place), "pass": result.passes, "steps": steps}
                written = {"record": call.record, "recipe": call.save_recipe}
                digest = result.growth.student if planned is None else None
                print_json({**named, "digest": digest, **written, **report.to_json()})
            else:
                reports.print_report(console, report)
                if planned is None:
                    console.print(f"Written to {'stdout' if place == STDOUT else place}", soft_wrap=True)
                for sentence in () if planned is None else planned.sentences:
                    console.print(sentence, soft_wrap=True)
            reports.print_left_out(console, report.left_out)


@still()
def _write_page(place: Path, call: Running, teacher: tuple[Path, Path], result: Result[Path], report: Report) -> None:
    """Write what was done as a page; the teacher is what it is called, and its file."""
    from onnx_n2n.cli.reports import verified
    from onnx_n2n.reporting.page import Made, page_of_pair

    names = named(teacher[0], result.model)
    made = Made(result.passes, report.to_json(), verified(report))
    models = [onnx_n2n.load(path) for path in (teacher[1], result.model)]
    command = click.get_current_context().command.name or ""
    page = page_of_pair(command, names, models, made, call.shapes)
    write_page(place, page, force=call.force, models=models, others=besides(call))


def output_size(_context: click.Context, _option: click.Parameter, value: str | None) -> Outputs | None:
    """Read SIZE or NAME=SIZE."""
    if value is None:
        return None
    name, _, size = value.rpartition("=")
    length = whole(size)
    if length is None:
        raise click.BadParameter(f"{brief(repr(value))} is not of the form SIZE or NAME=SIZE.")
    return Outputs(length, name)


@click.command(cls=folders.OfFolders)
@growing(Widening)
@folders.CONFIG
@folders.of_folders
@click.option("--outputs", metavar="[NAME=]SIZE", callback=output_size,
              help="More classes: a new length for an output, whose old entries stay as they are; without --factor and "
              "--group, nothing else grows.")
def widen(
    call: Widening, model: Path, *, outputs: Outputs | None, as_json: bool, html: Path | None, **of_folder: Any
) -> None:
    """Widen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    change: Pass = call.asked
    if outputs is not None:
        change = outputs if call.factor is None and not call.groups else Sequential(outputs, change)
    _deliver(call, model, as_json=as_json, html=html, change=change, **of_folder)


@click.command(cls=folders.OfFolders)
@growing(Deepening)
@folders.of_folders
def deepen(call: Deepening, model: Path, *, as_json: bool, html: Path | None, **of_folder: Any) -> None:
    """Deepen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    _deliver(call, model, as_json=as_json, html=html, **of_folder)


@click.command()
@growing(Enlarging)
def enlarge(call: Enlarging, model: Path, *, as_json: bool, html: Path | None) -> None:
    """Enlarge the kernels of MODEL's convolutions, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    _deliver(call, model, as_json=as_json, html=html)


@click.command()
@growing(Cutting)
def cut(call: Cutting, model: Path, *, as_json: bool, html: Path | None) -> None:
    """Make tensors of MODEL its outputs, remove what only led to the old ones, verify, and write it beside MODEL."""
    _deliver(call, model, as_json=as_json, html=html)


@click.command(cls=folders.OfFolders)
@growing(Sequencing)
@folders.CONFIG
@folders.of_folders
def run(call: Sequencing, model: Path, *, as_json: bool, html: Path | None, **of_folder: Any) -> None:
    """Apply several passes to MODEL one after the other, verify the outcome, and write it beside MODEL."""
    _deliver(call, model, as_json=as_json, html=html, **of_folder)
