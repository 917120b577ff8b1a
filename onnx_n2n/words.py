"""How results speak of themselves in a line: counts, and texts that stay short."""

from __future__ import annotations

from collections.abc import Collection

LINE = 80  # characters of a text that somebody else has written
# Characters that do something to a terminal, or turn the order of others round, as their numbers.
CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\n\t"
}


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number with what it counts: ``2 groups``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def brief(text: str, most: int = LINE) -> str:
    """Return a text on one line, cut where it is longer than that."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 4].rstrip() + " ..."


def harmless(text: str) -> str:
    r"""Return a text with which a terminal does nothing but show it: ``\x1b[2J`` has four characters for the escape."""
    return text.translate(CONTROLS)


def perhaps(name: str, known: Collection[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """Return a hint which of several names might be meant; ``otherwise`` if none is near."""
    from difflib import get_close_matches  # only errors need it

    close = get_close_matches(name, known, n=3, cutoff=cutoff)
    return f"perhaps you mean {' or '.join(map(repr, close))}" if close else otherwise


def in_bytes(number: int) -> str:
    """Return how many bytes there are, with two digits or more: ``9.8 GB``, ``490 kB``, ``12 bytes``."""
    unit, size = _unit(number)
    return f"{_scaled(number, size)} {unit}"


def part_of_bytes(number: int, whole: int) -> str:
    """Return how many bytes there are of a number of them, in one unit: ``1.2 of 9.8 GB``."""
    unit, size = _unit(whole)
    return f"{_scaled(number, size)} of {_scaled(whole, size)} {unit}"


def _unit(number: int) -> tuple[str, int]:
    sizes = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
    return next(((unit, size) for unit, size in sizes.items() if number >= size), ("bytes", 1))


def _scaled(number: int, size: int) -> str:
    return f"{number:,}" if size == 1 else f"{number / size:.{1 if number < 100 * size else 0}f}"
