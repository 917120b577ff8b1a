"""Files that are read: never mapped, so that one that is cut short ends in a sentence, and known by what they were."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from onnx_n2n.errors import ModelError

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1 << 16  # bytes that are fetched at a time where single ones are asked for
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class Source:
    """A file as it was when it was first opened; every later read makes sure that it still is.

    Attributes:
        path: Where it is.
        name: What errors call it.
        stamp: Its device, inode, size in bytes, and time of the last change in nanoseconds.
    """

    path: Path
    name: str
    stamp: Stamp

    @classmethod
    def of(cls, path: Path, name: str = "") -> Source:
        """Look at a file.

        Raises:
            ModelError: It is not there, is no regular file, or cannot be read.
        """
        name = name or repr(str(path))
        try:
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                with path.open("rb") as file:
                    return cls(path, name, _stamp(file.fileno()))
        except FileNotFoundError:
            hint = f"It was looked for in {str(path.parent.resolve())!r}"
            raise ModelError(f"{name} does not exist", hint=hint) from None
        except (OSError, ValueError) as failure:
            raise ModelError(f"{name} cannot be read: {_reason(failure)}") from failure
        raise ModelError(f"{name} is not a file, but a {_kind(found.st_mode)}")

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self.stamp[2]

    def is_at(self, path: Path) -> bool:
        """Say whether a path leads to this file, by whatever name or link."""
        try:
            found = path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self.stamp[:2]

    def check(self) -> None:
        """Make sure that the file is what it was.

        Raises:
            ModelError: It has been changed, replaced or removed.
        """
        self.read(0, 0)

    def read(self, start: int = 0, length: int | None = None) -> np.ndarray:
        """Return bytes of the file, as uint8 in memory of their own.

        Args:
            start: The first byte.
            length: How many; all that follow if not given.

        Raises:
            ModelError: The file has changed since it was first opened.
        """
        import numpy as np  # not before there is something to read

        buffer = np.empty(self.size - start if length is None else length, np.uint8)
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                view, filled = buffer.data, 0
                while filled < len(view) and (count := file.readinto(view[filled:])):
                    filled += count
                if filled == len(view) and _stamp(file.fileno()) == self.stamp:
                    return buffer
        except OSError as failure:
            if not isinstance(failure, FileNotFoundError):
                raise ModelError(f"{self.name} cannot be read: {_reason(failure)}") from failure
        raise ModelError(f"{self.name} has changed while it was read", hint="Run again when nothing writes to it")


class Pages:
    """The bytes of a file, fetched when they are asked for; what is next to them is fetched too."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start, self._block = 0, b""

    def __len__(self) -> int:
        return self._source.size

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytes: ...
    def __getitem__(self, place: int | slice) -> int | bytes:
        if isinstance(place, int):
            return self._fetched(place, place + 1)[place - self._start]
        start, end, _ = place.indices(len(self))
        if end - start > BLOCK:
            return self._source.read(start, end - start).tobytes()
        return self._fetched(start, end)[start - self._start : end - self._start]

    def _fetched(self, start: int, end: int) -> bytes:
        """Return the block at hand, once it is one that reaches from ``start`` to ``end``."""
        if not self._start <= start <= end <= self._start + len(self._block):
            self._start = start
            self._block = self._source.read(start, min(BLOCK, len(self) - start)).tobytes()
        return self._block


def kind_at(path: str | os.PathLike[str]) -> str:
    """Return what is at a path, links followed: ``file``, ``folder``, ``pipe``, ``socket`` or ``device``.

    It is empty where nothing is, where nobody may look, and where no file can be, as under a name that is too long.
    """
    try:
        return _kind(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return ""


def _kind(mode: int) -> str:
    return KINDS.get(stat.S_IFMT(mode), "device")


def _stamp(descriptor: int) -> Stamp:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _reason(failure: Exception) -> str:
    return getattr(failure, "strerror", None) or str(failure)
