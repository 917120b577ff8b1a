"""What goes to the terminal: text for people on stderr, documents and tables on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from onnx_n2n.cli.keywords import all_spoken, spoken
from onnx_n2n.errors import N2NError
from onnx_n2n.io.jsonable import finite
from onnx_n2n.io.supervisor import give_up_unprintable

SCHEMA_VERSION = 2  # of all documents: a field that goes, or means something else, makes it one more
UNBROKEN = 10_000  # columns, where lines go to a file or another program


class _Console(Console):
    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(spoken(text), **how)

    def on_broken_pipe(self) -> None:
        raise  # the error at hand; left alone, rich ends with 1, which is the exit code of a wrong student


def terminal(*, stderr: bool = True) -> Console:
    """Return the console of a stream, which breaks lines on a terminal only."""
    file = sys.stderr if stderr else sys.stdout
    return _Console(
        stderr=stderr, width=None if file.isatty() else UNBROKEN, markup=False, emoji=False, highlight=False
    )


@contextmanager
def printing() -> Iterator[None]:
    """Let a block print its report, the last thing that a command does.

    Whoever reads stdout may leave early, as ``head`` does. What has been written to files stays in any case.

    Raises:
        N2NError: The report cannot be printed for another reason.
    """
    try:
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        give_up_unprintable()
    except (OSError, ValueError) as failure:
        give_up_unprintable()
        reason = getattr(failure, "strerror", None) or failure
        raise N2NError(f"all is done, but the report cannot be printed: {reason}") from failure


def print_json(fields: Mapping[str, Any], command: str | None = None) -> None:
    """Print a document for programs on stdout; ``docs/json.md`` describes the fields of each.

    Args:
        fields: What it says. Numbers that are not finite become null, since JSON has no others.
        command: Whose document it is, if not that of the command at work; empty for none's.
    """
    name = click.get_current_context().command.name if command is None else command
    head = {"schema": f"onnx-n2n.{name}".rstrip("."), "schema_version": SCHEMA_VERSION, "error": None}
    click.echo(json.dumps(all_spoken(finite(head | {**fields})), indent=2, allow_nan=False))


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Show the stage at work, on a terminal only."""
    if not console.file.isatty():
        yield lambda _: None
        return
    with Live(console=console, transient=True) as live:  # drawn at once, so that no stage is too short to be seen
        yield lambda stage: live.update(Spinner("dots", f"{stage} ..."), refresh=True)
