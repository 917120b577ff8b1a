"""Fields of a config are changed in its text, so that all else in it stays as it is, to the byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

SPACE = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder()


def changed(text: str, fields: Mapping[str, Any]) -> str:
    r"""Return the text of a config with other values of some fields.

    >>> changed('{\n  "text_config": {"hidden_size": 8},\n  "vocab_size": 99\n}', {"text_config.hidden_size": 12})
    '{\n  "text_config": {"hidden_size": 12},\n  "vocab_size": 99\n}'

    Args:
        text: A JSON object.
        fields: New values by field; ``text_config.hidden_size`` is a field of a nested config. What is not there is
            added, behind the others.

    Raises:
        ValueError: A field would be inside of something that is no config.
    """
    for field, value in fields.items():
        text = _put(text, field.split("."), value)
    return text


def _put(text: str, path: Sequence[str], value: Any) -> str:
    start, names = _skip(text, 0), list(path)
    while True:
        if text[start : start + 1] != "{":
            raise ValueError(f"{'.'.join(path)!r} is in {'.'.join(path[: -len(names)])!r}, which is no config")
        entries, end = _entries(text, start)
        name = names.pop(0)
        if name not in entries:
            return _added(text, start, end, bool(entries), name, _nested(names, value))
        start, stop = entries[name]
        if not names:
            step = _step(text) if "\n" in text[start:stop] else None  # a list on one line stays on one
            return text[:start] + _said(value, _margin(text, start), step) + text[stop:]


def _entries(text: str, start: int) -> tuple[dict[str, tuple[int, int]], int]:
    """Return where the values of the object that starts at a place are, by name, and where its last entry ends."""
    found, place, end = {}, _skip(text, start + 1), start + 1
    while text[place] != "}":
        place = _skip(text, place + 1) if text[place] == "," else place
        name, place = DECODER.raw_decode(text, place)
        begin = _skip(text, _skip(text, place) + 1)
        end = DECODER.raw_decode(text, begin)[1]
        found[name], place = (begin, end), _skip(text, end)
    return found, end


def _added(text: str, start: int, end: int, more: bool, name: str, value: Any) -> str:
    """Return the text with a further entry of the object that starts at a place, behind its last one."""
    entry = f"{json.dumps(name)}: "
    step, margin = _step(text), _margin(text, start)
    if step is None:
        return text[:end] + ", " * more + entry + _said(value, "", None) + text[end:]
    inside = margin + step
    rest = text[end:] if more else f"\n{margin}{text[end:].lstrip()}"
    return f"{text[:end]}{',' * more}\n{inside}{entry}{_said(value, inside, step)}{rest}"


def _nested(names: Sequence[str], value: Any) -> Any:
    for name in reversed(names):
        value = {name: value}
    return value


def _said(value: Any, margin: str, step: str | None) -> str:
    """Return a value as JSON that begins on a line with a margin."""
    return json.dumps(value, indent=step).replace("\n", f"\n{margin}")


def _margin(text: str, place: int) -> str:
    """Return the white space with which the line of a place begins."""
    line = text.rfind("\n", 0, place) + 1
    return text[line : len(text) - len(text[line:].lstrip(" \t"))]


def _step(text: str) -> str | None:
    """Return how far entries are indented; None where all is on one line."""
    found = re.match(r"\s*\{[ \t]*\r?\n([ \t]*)", text)
    return found[1] if found else None


def _skip(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place
