"""What ``log`` prints: the passes that made a model."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from onnx_n2n.cli.words import new_table
from onnx_n2n.io.history import Entry


def print_history(console: Console, entries: Sequence[Entry], digest: str) -> None:
    """Print which passes made a model, the oldest first; digests are short."""
    if not entries:
        console.print("no pass of onnx-n2n has made this model.")
    else:
        table = new_table("", "pass", "seed>", "given", "version")
        for number, entry in enumerate(entries, 1):
            seed = "-" if entry.seed is None else str(entry.seed)
            text = f"{entry.text} did nothing: {entry.idle}" if entry.idle else entry.text
            table.add_row(str(number), text, seed, entry.parent[:12], entry.version)
        console.print(table)
    console.print(f"This model is {digest[:12]}.")
