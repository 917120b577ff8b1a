"""The option ``--html``: one page on what a command did or found, written as everything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnx_n2n.cli.errors import Command
from onnx_n2n.errors import OptionError
from onnx_n2n.io.atomic import STDOUT, check, drafting
from onnx_n2n.io.sources import Source
from onnx_n2n.words import brief

if TYPE_CHECKING:
    import onnx_ir as ir

    from onnx_n2n.passes.functions import Running
    from onnx_n2n.reporting.page import Page

FORCE = click.option("--force", is_flag=True, help="Overwrite the page.")


def as_html(what: str) -> Callable[[Command], Command]:
    """Add the option to a command."""
    said = f"Also write {what} as one page for a browser, which loads nothing from anywhere."
    return click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help=said)


def check_page(place: Path | None, *, force: bool, others: Iterable[Path]) -> None:
    """Make sure that a page can be written, before there is anything to write.

    Args:
        place: Where it will be; None if there will be none.
        force: Whether to replace a file that is there.
        others: What the command reads and writes besides.

    Raises:
        OptionError: It cannot.
    """
    if place is None:
        return
    if place == STDOUT:
        raise OptionError("a page is not written to stdout", hint="name a file, as with --html report.html")
    check(place, force=force)
    for other in others:
        if os.path.realpath(other) == os.path.realpath(place):
            name = brief(repr(str(place)))
            raise OptionError(f"{name} is a file that the command reads or writes besides", hint="name another page")


def check_page_of_student(place: Path | None, call: Running, suffix: str, teacher: Path) -> None:
    """Make sure of the same for the page of a student that is about to be made.

    Args:
        place: Where it will be; None if there will be none.
        call: How the student is made and written.
        suffix: That of the student's file beside the teacher's, if the call names none.
        teacher: The teacher's file or folder.

    Raises:
        OptionError: It cannot, or there will be no student's file to show.
    """
    from onnx_n2n.io.kinds import file_of
    from onnx_n2n.passes.driver import Target

    if place is None:
        return
    student = Target(call.output, suffix=suffix).place(Path(file_of(teacher)))
    if student == STDOUT:
        raise OptionError("a page needs the student's file, and stdout is none", hint="name a file with -o")
    if call.dry_run:
        raise OptionError("a page needs the student, and a dry run makes none", hint="leave one of the two out")
    check_page(place, force=call.force, others=[teacher, student, *besides(call)])


def besides(call: Running) -> list[Path]:
    """Return the files that are read or written beside the models."""
    written = [each for each in (call.record, call.save_recipe) if each is not None]
    return list(map(Path, [*written, *(source.path for source in call.sources)]))


def write_page(
    place: Path, page: Page, *, force: bool, models: Iterable[ir.Model], others: Iterable[Path] = ()
) -> None:
    """Write a page, all of it or nothing.

    Args:
        place: Where.
        page: The page.
        force: Whether to replace a file that is there.
        models: What was read: neither their files nor those of their weights are replaced.
        others: Further files that are not replaced.

    Raises:
        OptionError: It cannot be written there.
        ModelError: The disk does not take it.
    """
    from onnx_n2n.io.carried import carried
    from onnx_n2n.reporting.html import render

    text = render(page)
    read = [source for model in models for source in carried(model).files.read]
    with drafting(place, force=force, read=[*read, *map(Source.of, others)]) as draft:
        draft.write(text.encode())
        draft.publish()
