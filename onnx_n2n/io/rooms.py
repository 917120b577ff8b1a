"""Hidden folders in which files are made, and what becomes of those that killed processes leave.

A room is locked for as long as its process lives. So whoever writes in the same folder next can tell that it was left,
and sweeps it: a publication that had been decided is finished, any other is taken back, and the room is removed.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from onnx_n2n.errors import OptionError

try:
    import fcntl
except ImportError:  # Windows: nothing tells there whether a process is still at work, so nothing is swept
    fcntl = None  # type: ignore[assignment]

PREFIX = ".onnx-n2n-"
PATIENCE = 30.0  # seconds to wait for another process that publishes into the same folder
_INSIDE, _JOURNAL = "new", "journal.json"
_OURS = {_INSIDE, _JOURNAL, f"{_JOURNAL}.draft"}

watchers: list[Callable[[Path, bool], None]] = []
"""Are told each folder in which rooms are made, and whether it is new itself, so that somebody can sweep it if this
process is killed."""


@contextmanager
def room(folder: Path) -> Iterator[Path]:
    """Lend a hidden folder, which vanishes with the block; sweep what killed processes have left beside it.

    Raises:
        OptionError: Nothing can be written there.
    """
    watch(folder)
    sweep(folder)
    with contextlib.ExitStack() as stack:
        try:
            inside = _hidden(folder, stack) / _INSIDE
            inside.mkdir()
        except OSError as failure:
            reason = f"cannot write in {str(folder)!r}: {failure.strerror}"
            raise OptionError(reason, hint="choose another output") from None
        yield inside


def watch(folder: Path, *, new: bool = False) -> None:
    """Tell the watchers that there will be rooms in a folder; a new one need not stay if it is empty."""
    for watcher in watchers:
        watcher(folder.absolute(), new)


def sweep(folder: Path) -> bool:
    """Finish or take back what killed processes have left in a folder; leave what others are at work on.

    Returns:
        Whether others are at work there.
    """
    busy = False
    for hidden in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            if hidden.is_symlink() or (hasattr(os, "getuid") and hidden.stat().st_uid != os.getuid()):
                continue
            if not {each.name for each in hidden.iterdir()} <= _OURS:
                continue  # somebody else's folder, by its name only like one of ours
            if (hidden / _INSIDE).is_symlink():
                continue
            with _lock(hidden) as left:
                if left:
                    if (hidden / _JOURNAL).exists():
                        with publishing(folder):
                            Journal(**json.loads((hidden / _JOURNAL).read_text("utf-8"))).settle(hidden)
                    _discard(hidden)
                busy |= left is False
    return busy


@contextmanager
def publishing(folder: Path) -> Iterator[None]:
    """Let one process at a time change what is in a folder.

    Raises:
        OSError: Another process takes longer than ``PATIENCE``.
    """
    end = time.monotonic() + PATIENCE
    while True:
        with _lock(folder) as mine:
            if mine is not False:
                yield
                return
        if time.monotonic() > end:
            raise OSError(errno.EBUSY, "another process is writing in the folder")
        time.sleep(0.01)


@dataclass(frozen=True)
class Journal:
    """What a publication moves out of its room, and removes afterwards, all of it in one folder.

    Attributes:
        moves: Names of files, which are the same in the room and in the folder, in order; each with the inode of what
            is in the room, and of what it replaces, 0 for nothing.
        decides: Which of the moves decides: before it all can be taken back, after it all can be finished.
        stale: Names and inodes of the files to remove.
    """

    moves: Sequence[Sequence[str | int]]
    decides: int
    stale: Sequence[Sequence[str | int]] = ()

    def __post_init__(self) -> None:
        """Refuse a journal that leads out of its folder, as one that came in an archive may.

        Raises:
            ValueError: A name is that of no file in the folder.
        """
        for name, *_ in (*self.moves, *self.stale):
            if Path(str(name)).name != name:
                raise ValueError(f"{name!r} is not the name of a file")

    @classmethod
    def of(cls, inside: Path, names: Sequence[str], decides: int, stale: Sequence[str], folder: Path) -> Journal:
        """Return the journal of moving files out of a room."""
        found = [(name, folder / name) for name in stale]
        return cls(
            [(name, _inode(inside / name), _inode(folder / name)) for name in names],
            decides,
            [(name, _inode(path)) for name, path in found if is_plain(path)],
        )

    def carry_out(self, hidden: Path) -> None:
        """Move the files; if that fails before it is decided, everything is as it was."""
        draft = hidden / f"{_JOURNAL}.draft"
        draft.write_text(json.dumps(asdict(self)), "utf-8")
        draft.replace(hidden / _JOURNAL)
        try:
            for name, *_ in self.moves[: self.decides + 1]:
                (hidden / _INSIDE / str(name)).replace(hidden.parent / str(name))
        finally:
            self.settle(hidden)

    def settle(self, hidden: Path) -> None:
        """Finish what is decided, or take back what is not."""
        inside, folder = hidden / _INSIDE, hidden.parent
        if (inside / str(self.moves[self.decides][0])).exists():
            for name, inode, _ in self.moves[: self.decides]:
                _remove(folder, name, inode)
            return
        for name, _, replaced in self.moves[self.decides + 1 :]:
            with contextlib.suppress(FileNotFoundError):
                if _inode(folder / str(name)) in {0, replaced}:  # and nothing that has come there since
                    (inside / str(name)).replace(folder / str(name))
        for name, inode in self.stale:
            _remove(folder, name, inode)


def is_plain(path: Path) -> bool:
    """Say whether a regular file is at a path, and no link to one."""
    return path.is_file() and not path.is_symlink()


def same_bytes(path: Path, other: Path) -> bool:
    """Say whether a path is that of a regular file with the bytes of another one."""
    try:
        return is_plain(path) and filecmp.cmp(path, other, shallow=False)
    except FileNotFoundError:  # another process has replaced what it belonged to
        return False


def _remove(folder: Path, name: str | int, inode: str | int) -> None:
    path = folder / str(name)
    if is_plain(path) and _inode(path) == inode:  # and not another file that has its name by now
        path.unlink()


def _inode(path: Path) -> int:
    """Return the inode of what is at a path, 0 if there is nothing."""
    return path.lstat().st_ino if os.path.lexists(path) else 0


def _discard(hidden: Path) -> None:
    """Remove a hidden folder, with folders in it that nothing may be removed from, as an older export may have."""
    for folder, _, _ in os.walk(hidden):
        with contextlib.suppress(OSError):
            Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(hidden, ignore_errors=True)


def _hidden(folder: Path, stack: contextlib.ExitStack) -> Path:
    """Make a hidden folder that is locked, and goes with the stack; again if it was swept before it was locked."""
    while True:
        hidden = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        with contextlib.suppress(FileNotFoundError):
            mine = stack.enter_context(_lock(hidden))
            if mine is not False and hidden.exists():
                stack.callback(_discard, hidden)
                return hidden


@contextmanager
def _lock(folder: Path) -> Iterator[bool | None]:
    """Lock a folder during a block; False if another process has locked it, None where that cannot be told."""
    descriptor, mine = None, None
    try:
        if fcntl is not None:
            with contextlib.suppress(PermissionError):
                descriptor = os.open(folder, os.O_RDONLY)
        if descriptor is not None:
            mine = _try_lock(descriptor)
        yield mine
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as failure:
        return False if failure.errno == errno.EWOULDBLOCK else None  # some network file systems have no locks
    return True
