"""Processes that end without a warning just before they change anything on the disk, at every such moment."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator

from helpers.forking import fork

KILLED = 9
CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod", "os.truncate"})


def killed_everywhere(work: Callable[[], object]) -> Iterator[int]:
    """Do a piece of work in one process after the other, each killed before one more change of the disk.

    Yields:
        After each process that was killed, before which change that was; the last one is not killed, and not yielded.
    """
    for moment in range(1, 1000):
        child = fork()
        if child == 0:
            _kill_before(moment)
            try:
                work()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, KILLED), "the work must not fail by itself"
        if code == 0:
            return
        yield moment
    raise AssertionError("the work never ends")


def _kill_before(moment: int) -> None:
    left = moment

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            left -= 1
            if left == 0:
                os._exit(KILLED)

    sys.addaudithook(count)
