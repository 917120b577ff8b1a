"""Python's garbage collector, kept from walking a model's graph again and again while that is worked on.

A graph of some thousand nodes is a million objects that refer to each other and all stay. Whenever some more are made
the collector looks at them, and finds nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def still() -> Iterator[None]:
    """Keep the collector still while a graph is worked on; also a decorator.

    Afterwards it does as before, also behind an error. Whoever finds it still, as inside of another such block, in
    another thread, or because the caller wants it so, leaves it to others to start it again. What has become garbage
    meanwhile is collected then. A block around several students would hold the memory of all, and one around a
    ``yield`` would reach into the caller's code.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
