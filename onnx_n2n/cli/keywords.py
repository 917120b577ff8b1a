"""The library's sentences name keywords, as in `force=True`; here they become what one types, as --force.

Options of passes stay as they are where a command takes passes as a text or a recipe: there one types `softmax=True`.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Mapping
from typing import Any

import click

KEYWORD = re.compile(r"`([a-z_]+)=([^`]*)`")
OPTIONS = {
    "groups": "--group", "name": "--outputs NAME=SIZE", "names": "--name", "output": "-o", "shapes": "--input",
    "size": "--outputs", "tensors": "--tensor",
}  # fmt: skip
WORDS = {"name": "output"}  # keywords that have another name in the text of a pass
JOINED = {"shapes": ":"}  # what is between a name and its value, if not a sign of equality


def spoken(text: str) -> str:
    """Return a sentence of the library with options in place of keywords."""
    return KEYWORD.sub(lambda match: _option(match[1], match[2]), text)


def all_spoken(value: Any) -> Any:
    """Return values for a document with options in place of keywords in all their sentences."""
    if isinstance(value, Mapping):
        return {key: all_spoken(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [all_spoken(entry) for entry in value]
    return spoken(value) if isinstance(value, str) else value


def _option(keyword: str, written: str) -> str:
    context = click.get_current_context(silent=True)
    own = {each.name for each in context.command.params} if context is not None else set()
    if "passes" in own and keyword not in own:
        return f"`{WORDS.get(keyword, keyword)}={written}`"
    option = OPTIONS.get(keyword, f"--{keyword.replace('_', '-')}")
    if not written:
        return option
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError):  # somebody else's words
        return f"`{keyword}={written}`"
    if isinstance(value, bool):
        return option if value else option.replace("--", "--no-")
    if isinstance(value, dict):
        value = [f"{name}{JOINED.get(keyword, '=')}{_text(entry)}" for name, entry in value.items()]
    return " ".join(f"{option} {shlex.quote(str(each))}" for each in (value if isinstance(value, list) else [value]))


def _text(entry: object) -> str:
    return ",".join(map(str, entry)) if isinstance(entry, tuple) else str(entry)
