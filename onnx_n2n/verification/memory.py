"""Whether there is memory to run a model in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from onnx_n2n.errors import MemoryShortageError

MEMINFO = Path("/proc/meminfo")

SMALLER = "give smaller inputs: shapes with `shapes={'name': (1, 3, 224, 224)}`, or arrays with `inputs='data.npz'`"


def available() -> int | None:
    """Return how many bytes of memory can be had, those of files that are only kept in it included (Linux).

    Returns:
        None where the system does not say.
    """
    with contextlib.suppress(OSError, ValueError):
        if found := re.search(r"^MemAvailable:\s+(\d+) kB$", MEMINFO.read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    return None


def suffices(weights: int) -> None:
    """Make sure that there is memory for the weights of one model: otherwise each run reads them from the disk again.

    Args:
        weights: Their bytes.

    Raises:
        MemoryShortageError: There is not.
    """
    free = available()
    if free is not None and weights > free:
        reason = f"there is not enough memory to run the models: {free:,} bytes are free, and weights take {weights:,}"
        raise MemoryShortageError(reason, hint="the exact check needs less (`exact=True`)")


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """Say in a sentence that there is not enough memory.

    Raises:
        MemoryShortageError: It ran out.
    """
    try:
        yield
    except MemoryError as failure:
        reason = "there is not enough memory to run the models and compare them"
        raise MemoryShortageError(reason, hint=SMALLER) from failure
