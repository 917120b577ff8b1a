"""How long a check may take: what runs inside of a limit ends at the next node after it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_end: ContextVar[float] = ContextVar("_end", default=math.inf)  # on the clock of time.monotonic


class TooLong(Exception):  # noqa: N818 - no `Undecided`: it ends the whole check, not one attempt
    """The time is up."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let a block take so many seconds; infinity is no limit."""
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def keep(seconds: float = 0.0) -> None:
    """Go on if there are so many seconds left.

    Raises:
        TooLong: If there are not.
    """
    if time.monotonic() + seconds > _end.get():
        raise TooLong


def too_long(seconds: float) -> str:
    """Return the reason of a check that was ended, or not begun."""
    return f"it would take more than {seconds:g} s"
