"""The terminal: text for people on stderr, tables on stdout, and the stage at work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from onnx_n2n.cli.keywords import spoken
from onnx_n2n.progress import Progress, Reached, unheard
from onnx_n2n.words import harmless

UNBROKEN = 10_000  # columns, where lines go to a file or another program


class _Console(Console):
    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(harmless(spoken(text)), **how)

    def on_broken_pipe(self) -> None:
        raise  # the error at hand; left alone, rich ends with 1, which is the exit code of a wrong student


def terminal(*, stderr: bool = True) -> Console:
    """Return the console of a stream, which breaks lines on a terminal only."""
    file = sys.stderr if stderr else sys.stdout
    return _Console(
        stderr=stderr, width=None if file.isatty() else UNBROKEN, markup=False, emoji=False, highlight=False
    )


class _Shown:
    """The stage at work on a terminal, and how far it is."""

    def __init__(self, live: Live) -> None:
        self.live, self.stage, self.line = live, "", Spinner("dots")

    def __call__(self, stage: str) -> None:
        self.stage, self.line = stage, Spinner("dots", f"{stage} ...")
        self.live.update(self.line, refresh=True)  # at once: no stage is too short to be seen

    def reached(self, how_far: Reached) -> None:
        self.line.update(text=f"{self.stage}: {how_far}")  # drawn when the spinner turns, four times a second


def sheet() -> Console:
    """Return a console that shows nothing, and of which one takes the text with ``export_text``."""
    return _Console(file=StringIO(), record=True, width=UNBROKEN, markup=False, emoji=False, highlight=False)


@contextmanager
def stages(console: Console) -> Iterator[Progress]:
    """Show the stage at work, on a terminal only."""
    if not console.file.isatty():
        yield unheard
        return
    with Live(console=console, transient=True) as live:
        yield _Shown(live)
