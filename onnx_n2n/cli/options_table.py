"""The table of all options: ``python -m onnx_n2n.cli.options_table > docs/options.md``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from itertools import compress

import click

from onnx_n2n.cli.commands import COMMANDS, loaded
from onnx_n2n.options import options
from onnx_n2n.passes import Outputs, functions

HEAD = """\
# Options

Made by `python -m onnx_n2n.cli.options_table > docs/options.md` from the commands; do not edit.

The options of `widen`, `deepen`, `enlarge`, `cut` and `run` are keywords of the functions of these names in `onnx_n2n`.
Those of a pass are also the fields of its class, and stand in its text: `--multiple-of 8` is
`widen(model, multiple_of=8)`, `Widen(multiple_of=8)` and `widen{multiple_of=8}`. What may be given several times is a
list there, and NAME=SIZE a mapping. In a text, blanks separate entries:
`widen{groups=stem.0:20 conv.1:32,exclude=head* stages.5.*}`.
"""
OUTPUTS = "A function and a pass, `outputs{size=20,output=logits}`; as a command it is `widen --outputs logits=20`."

Row = tuple[str, str, str]


def table() -> str:
    """Return all options in Markdown, command by command; what all commands that make a student take stands once."""
    commands = {name: loaded(name) for name in COMMANDS}
    rows = {name: list(_rows(name, command)) for name, command in commands.items()}
    growing = [rows[name] for name in rows if name in functions.__all__]
    meanings = [{row[1:] for row in others} for others in growing]  # `run` also has what turns a flag off again
    shared = {row[1:]: row for row in growing[0] if all(row[1:] in others for others in meanings)}
    lines = [HEAD]
    for name, command in commands.items():
        own = [row for row in rows[name] if name not in functions.__all__ or row[1:] not in shared]
        lines += [f"## {name}", "", inspect.cleandoc(command.help or ""), "", *_lines(own), ""]
    lines += ["## All commands that make a student", "", *_lines([*shared.values()]), ""]
    own = [("", each.name, each.said.sentence) for each in options(Outputs)]
    return "\n".join([*lines, "## outputs", "", OUTPUTS, "", *_lines(own), ""])


def _rows(name: str, command: click.Command) -> Iterator[Row]:
    """Yield for each option how it is written, the keyword of the function, and what ``-h`` says of it."""
    keywords = inspect.signature(getattr(functions, name)).parameters if name in functions.__all__ else {}
    context = click.Context(command)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield f"`{record[0]}`", parameter.name if parameter.name in keywords else "", record[1]


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a table, without the columns in which nothing stands."""
    shown = [any(column) for column in zip(*rows, strict=True)]
    heads = ("option", "keyword", "")
    for cells in (heads, ("---",) * 3, *((flag, keyword and f"`{keyword}`", text) for flag, keyword, text in rows)):
        row = (" ".join(cell.split()).replace("|", "\\|") for cell in compress(cells, shown))
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.stdout.write(table())
