"""Whether there is room on a disk for what is to be written there, before the first byte is."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from onnx_n2n.errors import ModelError
from onnx_n2n.words import in_bytes


def free(folder: Path) -> int | None:
    """Return how many bytes can be written to a folder; None where the system does not say."""
    try:
        found = shutil.disk_usage(folder)
    except OSError:
        return None
    return found.free if found.total else None  # some network drives say 0 of everything


def suffices(place: Path, folder: Path, needed: int) -> None:
    """Make sure that a file fits on the disk.

    Args:
        place: Where it will be.
        folder: A folder on that disk.
        needed: How many bytes it will have.

    Raises:
        ModelError: It does not fit; the cause is the OSError that writing it would end with.
    """
    there = free(folder)
    if there is not None and needed > there:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        name = "the model" if str(place) == "-" else repr(str(place))
        reason = f"{name} needs {in_bytes(needed)}, and {in_bytes(there)} are free on its disk"
        raise ModelError(reason, hint="make room there, or choose another output with `output=`") from full
