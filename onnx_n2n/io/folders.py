"""Folders that are written whole: made beside their places, and exchanged with what was there."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from onnx_n2n.errors import OptionError
from onnx_n2n.io.atomic import ANOTHER, check_unread, there, unwritten
from onnx_n2n.io.rooms import room
from onnx_n2n.io.sources import Source

Own = Callable[[Path], frozenset[str]]
"""Returns which names in a folder are replaced; all others stay in it."""


@contextmanager
def making_folder(place: Path, own: Own, *, force: bool = False, read: Iterable[Source] = ()) -> Iterator[Path]:
    """Lend the draft of a folder, which takes its place when the block ends without an error.

    What is put beside the draft vanishes with the block.

    Args:
        place: Where the folder will be.
        own: Which names are replaced.
        force: Whether to replace them in a folder that is there and not empty.
        read: What must not be written, and must not have changed at the end.

    Raises:
        OptionError: Something else is at the place, or nothing can be written there.
        ModelError: What was read has changed meanwhile, or the disk does not take the files.
    """
    read, place = tuple(read), named(place)
    check_folder(place, own, force=force, read=read)
    with room(place.parent) as inside:
        draft = inside / "draft"
        draft.mkdir()
        yield draft
        for source in read:
            source.check()
        check_folder(place, own, force=force, read=read)
        try:
            if place.is_dir() and any(place.iterdir()):
                replaced = own(place)
                _keep(place, draft, replaced)
                shutil.copymode(place, draft)
                _exchange(draft, place)
                _keep(draft, place, replaced)  # what somebody has put there meanwhile
            else:
                draft.replace(place)
        except OSError as failure:
            raise unwritten(place, failure) from failure


def named(place: Path) -> Path:
    """Return the path of a folder with the name that it has where it is: ``.`` and ``..`` are none."""
    return place if place.name not in {"", ".."} else Path(os.path.realpath(place))


def check_folder(place: Path, own: Own, *, force: bool = False, read: Iterable[Source] = ()) -> None:
    """Make sure that a folder can be written.

    Raises:
        OptionError: There is something that may not be replaced, or nothing can be written there.
    """
    place = named(place)
    if not there(place):
        return
    if place.is_symlink() or not place.is_dir():
        raise OptionError(f"{str(place)!r} is {'a link' if place.is_symlink() else 'not a folder'}", hint=ANOTHER)
    if Path.cwd().is_relative_to(os.path.realpath(place)):  # it would be exchanged under its feet
        raise OptionError(f"{str(place)!r} is a folder that the command runs in", hint=ANOTHER)
    if any(place.iterdir()):
        for name in sorted(own(place)):
            check_unread(place / name, read)
        if not force:
            raise OptionError(f"{str(place)!r} is not empty", hint=f"{ANOTHER}, or allow it with `force=True`")


def _keep(old: Path, new: Path, replaced: frozenset[str]) -> None:
    """Give a new folder what an old one has besides what is replaced: the same files, by a second name."""
    for path in old.iterdir():
        if path.name in replaced or os.path.lexists(new / path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link)
        else:
            _link(path, new / path.name)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _exchange(one: Path, other: Path) -> None:
    """Exchange two folders: at once where the system can, else with a moment in which the older one is set aside."""
    if sys.platform == "linux":
        here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE
        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0:
            return
    aside = Path(tempfile.mkdtemp(prefix=f"{other.name}.old-", dir=other.parent))
    other.replace(aside)
    one.replace(other)
    aside.replace(one)
