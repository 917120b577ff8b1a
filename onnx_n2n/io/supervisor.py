"""A process that watches the one that works, and clears up after it however that ends.

A signal reaches Python only between two of its instructions, and a library may crash the process on a damaged file. So
the command line works in a child. Its parent waits, ends it when it is told to stop, finishes or takes back what it had
begun to write, and says in a sentence what has happened.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from onnx_n2n.errors import N2NError
from onnx_n2n.io import rooms

STOPPED = 128  # plus the signal's number, as shells have it
STOPS = ("SIGINT", "SIGTERM", "SIGHUP")
PATIENCE = 1.0  # seconds
_DIE_WITH_PARENT, _ADOPT = 1, 36  # PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER


Say = Callable[[N2NError, int], object]


def supervised(work: Callable[[], int], say: Say) -> int:
    """Do a piece of work in a child process.

    Args:
        work: Returns an exit code.
        say: Is told why it was ended, if it did not end by itself, with the exit code.

    Returns:
        The exit code of the work, 3 if it crashed, or 128 and the number of the signal that stopped it.
    """
    _fill_closed_streams()
    if not hasattr(os, "fork"):
        return work()
    stops = {getattr(signal, name) for name in STOPS}
    stops = {each for each in stops if signal.getsignal(each) is not signal.SIG_IGN}  # as under nohup
    parent, (receiver, sender) = os.getpid(), os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    adopts = _adopt()
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    child = os.fork()
    if child == 0:
        os.close(receiver)
        die_with(parent)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both
        rooms.watchers.append(lambda folder, new: _tell(sender, folder, new))
        sys.warnoptions.append("ignore:resource_tracker")  # it would report what we leave to it when we are killed
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
        code = work()
        _end_beside_threads(code)
        return code
    os.close(sender)
    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    for each in stops:
        signal.signal(each, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if adopts:
        _end_orphans()
    if code >= 0:
        return code
    end = time.monotonic() + PATIENCE
    for folder, new in sorted(_told(receiver)):
        while rooms.sweep(folder) and time.monotonic() < end:  # the child's own children are on their way out, too
            time.sleep(0.02)
        if new:
            with contextlib.suppress(OSError):  # there is something in it
                folder.rmdir()
    error, code = _ended(-code, told)
    say(error, code)
    return code


def _end_beside_threads(code: int) -> None:
    """End this process at once if a thread is left in it, as that of a run that could not be stopped in time.

    An interpreter that ends as usual crashes when a library returns to it from such a thread.
    """
    if any(each.daemon for each in threading.enumerate()):
        give_up_unprintable()
        os._exit(code)


def die_with(parent: int) -> None:
    """Let this process be killed when a process is, if that is its parent, and the system has that."""
    if sys.platform == "linux" and os.getppid() == parent:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _adopt() -> bool:
    """Let orphans of this process's children become its own children, and say whether the system has that."""
    return sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(_ADOPT, 1) == 0)


def _end_orphans() -> None:
    """End what a child has left running, as the workers of an exploration; what tidies up after these ends by itself.

    Workers end at SIGTERM; multiprocessing's trackers of resources ignore it, and go when all workers have gone.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + PATIENCE
        while (orphans := _children()) and time.monotonic() < end:
            for orphan in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, number)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            time.sleep(0.02)


def _children() -> list[int]:
    """Return the numbers of this process's children; none where the system does not list them."""
    with contextlib.suppress(OSError, ValueError):
        return [int(number) for number in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


def _tell(sender: int, folder: Path, new: bool) -> None:
    os.write(sender, (b"+" if new else b"=") + os.fsencode(folder) + b"\0")


def _told(receiver: int) -> set[tuple[Path, bool]]:
    """Return the folders in which the child has had rooms, and whether it has made them."""
    os.set_blocking(receiver, False)
    with contextlib.suppress(BlockingIOError):
        told = os.read(receiver, 1 << 20).split(b"\0")
        return {(Path(os.fsdecode(each[1:])), each.startswith(b"+")) for each in told if each}
    return set()


def stopped(number: int) -> tuple[N2NError, int]:
    """Return what to say when a signal has ended the work, and the exit code."""
    return N2NError("stopped; what was not finished has been cleared away"), STOPPED + number


def _ended(number: int, told: list[int]) -> tuple[N2NError, int]:
    """Return why the child was killed, and the exit code."""
    name = signal.Signals(number).name
    if told or number in {signal.SIGTERM, getattr(signal, "SIGHUP", None)}:
        return stopped((told or [number])[0])
    if number == signal.SIGKILL:
        error = N2NError("killed, most likely because memory ran out", hint="ask for less growth")
    elif number == getattr(signal, "SIGBUS", None):
        error = N2NError("a file became shorter while it was read", hint="run again when nothing writes to it")
    else:
        reason = f"a library crashed on this model ({name}); nothing was written"
        error = N2NError(reason, hint="if ONNX Runtime did, `verify=False` goes without it")
    return error, error.exit_code


def give_up_unprintable() -> None:
    """Drop what stdout and stderr cannot take: Python would try once more when it ends, and then end with 120."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


def _fill_closed_streams() -> None:
    """Open what stands for a closed stream, so that no file of a model gets its number.

    What is printed to a closed stdout fails, and is said; a closed stderr has nobody to say it to.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
