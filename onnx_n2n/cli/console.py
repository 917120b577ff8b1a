"""The terminal: text for people on stderr, tables on stdout, and the stage at work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from onnx_n2n.cli.keywords import spoken

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


def sheet() -> Console:
    """Return a console that shows nothing, and of which one takes the text with ``export_text``."""
    return _Console(file=StringIO(), record=True, width=UNBROKEN, markup=False, emoji=False, highlight=False)


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Show the stage at work, on a terminal only."""
    if not console.file.isatty():
        yield lambda _: None
        return
    with Live(console=console, transient=True) as live:  # drawn at once, so that no stage is too short to be seen
        yield lambda stage: live.update(Spinner("dots", f"{stage} ..."), refresh=True)
