"""A copy of this process that goes on by itself."""

from __future__ import annotations

import gc
import os


def fork() -> int:
    """Return 0 in the copy and its number in this process, as ``os.fork``.

    The copy has this process' garbage, but not its threads. So nothing of it is destroyed there: a session of ONNX
    Runtime, for one, would wait for ever for the threads that it had.
    """
    child = os.fork()
    if child == 0:
        gc.freeze()
    return child
