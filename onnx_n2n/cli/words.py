"""How commands count, list and tabulate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from onnx_n2n.words import count

__all__ = ["count", "first", "listed", "new_table", "print_rest"]

SHOWN = 2  # names in a list before "and n more"
ROWS = 20  # reasons or sizes in a table before "and n more"; groups are all shown, for their names


def listed(names: Iterable[str]) -> str:
    """Return the first names, each once, and how many more there are."""
    names = list(dict.fromkeys(names))
    more = len(names) - SHOWN
    return ", ".join(names) if more < 2 else f"{', '.join(names[:SHOWN])} and {more} more"


def first(rows: Iterable[Any]) -> list[Any]:
    """Return as many rows as a table has at most."""
    return list(rows)[:ROWS]


def print_rest(console: Console, number: int, what: str) -> None:
    """Print how many rows are not in a table, if there are more."""
    if number > ROWS:
        console.print(f"And {count(number - ROWS, f'more {what}')}, which --json lists.")


def new_table(*headings: str) -> Table:
    """Return an empty table; columns whose heading ends in ``>`` are aligned at the right."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading.rstrip(">"), justify="right" if heading.endswith(">") else "left", overflow="fold")
    return table
