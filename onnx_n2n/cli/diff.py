"""The command that shows what differs between two models; what it needs for that is imported when it is done."""

from __future__ import annotations

from pathlib import Path

import click

import onnx_n2n
from onnx_n2n.cli.errors import ends_well
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.cli.pages import FORCE, as_html, check_page, write_page
from onnx_n2n.cli.streams import check_stdin, named, readable
from onnx_n2n.collector import still


@click.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.argument("student", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the differences as one JSON document on stdout.")
@as_html("the differences")
@FORCE
@ends_well
def diff(teacher: Path, student: Path, *, as_json: bool, html: Path | None, force: bool) -> None:
    """Show how STUDENT differs from TEACHER: nodes, weights, groups and the rest. Nothing is run."""
    from onnx_n2n.cli.console import stages, terminal
    from onnx_n2n.cli.differences import print_diff
    from onnx_n2n.reporting.difference import between
    from onnx_n2n.reporting.page import page_of_pair

    check_stdin(teacher, student)
    check_page(html, force=force, others=(teacher, student))
    with readable(teacher) as old, readable(student) as new, still():
        with stages(terminal()) as progress:
            progress("comparing")
            models = onnx_n2n.load(old), onnx_n2n.load(new)
            found = between(*models)
            if html is not None:
                page = page_of_pair("diff", named(teacher, student), models)
                write_page(html, page, force=force, models=models)
        with printing():
            if as_json:
                print_json({"teacher": str(teacher), "student": str(student), **found.to_json()})
            else:
                print_diff(terminal(stderr=False), found)
