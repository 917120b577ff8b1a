"""What goes to the terminal: text for people on stderr, documents and tables on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

UNBROKEN = 10_000  # columns, where lines go to a file or another program


def terminal(*, stderr: bool = True) -> Console:
    """Return the console of a stream, which breaks lines on a terminal only."""
    file = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, width=None if file.isatty() else UNBROKEN, markup=False, emoji=False, highlight=False
    )


def print_json(document: dict[str, Any]) -> None:
    """Print a document for programs on stdout."""
    click.echo(json.dumps(document, indent=2))


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Show the stage at work, on a terminal only."""
    if not console.file.isatty():
        yield lambda _: None
        return
    with Live(console=console, transient=True) as live:  # drawn at once, so that no stage is too short to be seen
        yield lambda stage: live.update(Spinner("dots", f"{stage} ..."), refresh=True)
