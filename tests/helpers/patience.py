"""A limit of processor time around some work of a test or a benchmark."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


class TooLong(Exception):  # noqa: N818
    """Something took more processor time than it should."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Raise `TooLong` when the work inside takes more processor time."""

    def stop(*_: Any) -> NoReturn:
        raise TooLong(f"more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
