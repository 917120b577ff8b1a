"""The one way in which files are written: as drafts in a hidden folder beside their places, moved there when whole.

    with drafting(Path("student.onnx"), force=True, read=sources) as draft:
        write(draft.path)
        draft.publish()

At any moment there is at a place what was there before, whole, or what is new, whole, wherever a process is killed:

1. companions of the new file, as its external data, are moved first; their names are new;
2. the file itself takes its place: this decides;
3. what goes along with it, as a growth record, follows, and companions of the file that was there before are removed.

Only regular files are ever replaced. Links, pipes, devices and folders are refused, and so is what was read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io.rooms import Journal, publishing, room, same_bytes
from onnx_n2n.io.sources import Source, kind_at
from onnx_n2n.words import brief

STDOUT = Path("-")
ANOTHER = "choose another output with `output=`"

Companions = Callable[[Path], frozenset[str]]
"""Returns the names of the files beside a file that belong to it."""


def _none(_: Path) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True)
class Draft:
    """A file that is being made.

    Attributes:
        path: Where to write it; its companions go beside it.
        place: Where it will be.
        also: Where to write what goes along with it, by the place where that will be.
    """

    path: Path
    place: Path
    also: Mapping[Path, Path]
    _check: Callable[[Path], None] = field(repr=False)
    _read: tuple[Source, ...] = field(repr=False)
    _companions: Companions = field(repr=False)

    def write(self, data: bytes, place: Path | None = None) -> None:
        """Write the file, or what goes along with it to some place.

        Raises:
            ModelError: The disk does not take it.
        """
        draft, place = (self.path, self.place) if place is None else (self.also[place], place)
        try:
            draft.write_bytes(data)
        except OSError as failure:
            raise unwritten(place, failure) from failure

    def publish(self) -> None:
        """Move all into place.

        Raises:
            ModelError: What was read has changed meanwhile, or the disk does not take the files.
            OptionError: There is something at a place by now.
        """
        for source in self._read:
            source.check()
        try:
            if self.place == STDOUT:
                _pour(self.path)
                self._move_others(self.also)
            else:
                with publishing(self.place.parent):
                    self._move()
        except OSError as failure:
            raise unwritten(self.place, failure) from failure

    def _move(self) -> None:
        inside, folder = self.path.parent, self.place.parent
        near = {draft: place for place, draft in self.also.items() if draft.parent == inside}
        for draft, place in {self.path: self.place, **near}.items():
            self._check(place)
            if place.exists():
                shutil.copymode(place, draft)
        fresh = sorted(self._companions(self.path))
        for place in near.values():
            if place.name in fresh:
                raise OptionError(f"{str(place)!r} is where the weights of the model go", hint="name another file")
        for name in fresh:
            self._check_companion(folder / name, inside / name)
        again = [name for name in fresh if (folder / name).exists()]  # it stays there whatever happens to the rest
        for name in again:
            (inside / name).replace(folder / name)
        stale = sorted(self._companions(self.place).difference(fresh))
        new = [name for name in fresh if name not in again]
        names = [*new, self.path.name, *(draft.name for draft in near)]
        Journal.of(inside, names, len(new), stale, folder).carry_out(inside.parent)
        self._move_others({place: draft for place, draft in self.also.items() if draft not in near})

    def _move_others(self, drafts: Mapping[Path, Path]) -> None:
        for place, draft in drafts.items():
            self._check(place)
            draft.replace(place)

    def _check_companion(self, place: Path, draft: Path) -> None:
        """Make sure that the name of a companion is free, or has the same content already."""
        if os.path.lexists(place):
            check_unread(place, self._read)
            if not same_bytes(place, draft):
                raise OptionError(f"{str(place)!r} exists already, and is something else", hint=ANOTHER)


@contextmanager
def drafting(
    place: Path,
    *,
    also: Iterable[Path] = (),
    force: bool = False,
    read: Iterable[Source] = (),
    companions: Companions = _none,
) -> Iterator[Draft]:
    """Lend a draft of a file; it vanishes with the block unless it has been published.

    Args:
        place: Where the file will be; ``-`` is stdout.
        also: Where files will be that go along with it.
        force: Whether to replace files that are there.
        read: What must not be written, and must not have changed when the draft is published.
        companions: Tells which files beside a file belong to it. Those of the draft are published with it; those of
            the file that it replaces are removed afterwards.

    Raises:
        OptionError: Something else is at a place, or nothing can be written there.
    """
    read, also = tuple(read), tuple(also)
    check_all(place, also, force=force, read=read, companions=companions)

    def check_(each: Path) -> None:
        check_draft(each, force=force, read=read, companions=companions if each == place else _none)

    with contextlib.ExitStack() as stack:
        folders = {each: folder_of(each) for each in (place, *also)}
        rooms = {folder: stack.enter_context(room(folder)) for folder in dict.fromkeys(folders.values())}
        drafts = {each: rooms[folder] / each.name for each, folder in folders.items()}
        if place == STDOUT:
            drafts[place] = stack.enter_context(room(folders[place])) / "stdout"  # apart: a record may be called so
        yield Draft(drafts.pop(place), place, drafts, check_, read, companions)


def check_all(
    place: Path, also: Iterable[Path] = (), *, force: bool, read: Iterable[Source], companions: Companions = _none
) -> None:
    """Make sure that a file can be written with what goes along with it; the arguments are those of :func:`drafting`.

    Raises:
        OptionError: Something else is at a place, or nothing can be written there.
    """
    read, also = tuple(read), tuple(also)
    for each in (place, *also):
        check_draft(each, force=force, read=read, companions=companions if each == place else _none)
    if len({(os.path.realpath(each.parent), each.name) for each in (place, *also)}) <= len(also):
        raise OptionError(f"{str(place)!r} cannot be two files at once", hint="name two files")


def check_draft(place: Path, *, force: bool, read: Iterable[Source], companions: Companions) -> None:
    """Make sure that a file can be written, and that what it replaces can go with its companions.

    Raises:
        OptionError: As :func:`check`.
    """
    read = tuple(read)
    check(place, force=force, read=read)
    for name in companions(place) if read else ():
        check_unread(place.with_name(name), read)


def check(place: Path, *, force: bool = False, read: Iterable[Source] = ()) -> None:
    """Make sure that a file can be written.

    Raises:
        OptionError: There is something that may not be replaced, or nothing can be written there.
    """
    if place == STDOUT:
        return
    if not there(place):
        return
    name = repr(str(place))
    if place.is_symlink():
        raise OptionError(f"{name} is a link to {str(place.readlink())!r}", hint="name the file itself, or another one")
    if place.is_dir():
        raise OptionError(f"{name} is a folder", hint="name a file")
    if not place.is_file():
        raise OptionError(f"{name} is a {kind_at(place)}, and only a file can be replaced", hint=ANOTHER)
    check_unread(place, read)
    if not force:
        raise OptionError(f"{name} exists already", hint=f"{ANOTHER}, or allow it with `force=True`")


def there(place: Path) -> bool:
    """Say whether there is anything at a place that can be written to.

    Raises:
        OptionError: Nothing can be written there.
    """
    check_parent(place)
    try:
        place.lstat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or failure
        name = brief(repr(str(place)))
        raise OptionError(f"{name} cannot be the name of a file or folder: {why}", hint=ANOTHER) from None
    return True


def check_parent(place: Path) -> None:
    """Make sure that something can be written into the folder of a place.

    Raises:
        OptionError: It is not there, or nothing can be written into it.
    """
    folder = place.parent
    try:
        found = kind_at(folder) == kind_at(os.path.realpath(folder)) == "folder"
    except OSError:  # where one works in a folder that was removed
        found = False
    if not found:
        raise OptionError(f"the folder {str(folder)!r} does not exist", hint="make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(f"the folder {str(folder)!r} is not writable", hint=ANOTHER)


def unwritten(place: Path, failure: Exception) -> ModelError:
    """Return the error that says that something could not be written."""
    name = "the model" if place == STDOUT else repr(str(place))
    full = "the disk is full, or a limit is reached"  # numpy and PyTorch say how many bytes were not taken, and not why
    reason = getattr(failure, "strerror", None) or full
    return ModelError(f"{name} could not be written: {reason}")


def check_unread(place: Path, read: Iterable[Source]) -> None:
    """Make sure that a place is not, by whatever name, one of the files that are read.

    Raises:
        OptionError: It is.
    """
    for source in read:
        if source.is_at(place):
            raise OptionError(f"{str(place)!r} is an input, and inputs are never written", hint=ANOTHER)


def folder_of(place: Path) -> Path:
    """Return the folder in which the draft of a file is made."""
    return Path(tempfile.gettempdir() if place == STDOUT else os.path.realpath(place.parent))


def _pour(draft: Path) -> None:
    """Copy a file to stdout."""
    with draft.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()
