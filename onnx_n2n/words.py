"""How results speak of themselves in a line: counts, and texts that stay short."""

from __future__ import annotations

LINE = 80  # characters of a text that somebody else has written


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number with what it counts: ``2 groups``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def brief(text: str, most: int = LINE) -> str:
    """Return a text on one line, cut where it is longer than that."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 4].rstrip() + " ..."
