"""Parts of a model by their names, exactly: groups, places for depth, convolutions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from onnx_n2n.errors import GrowthError
from onnx_n2n.options import Options, option
from onnx_n2n.words import perhaps


@dataclass(frozen=True, kw_only=True)
class Selection(Options):
    """Which parts of a model may change.

    Attributes:
        part: What such a part is called.
    """

    part: ClassVar[str] = "group"

    only: Sequence[str] = option((), "Change only the ${part}s of exactly these names.", metavar="NAME")
    without: Sequence[str] = option((), "Leave the ${part}s of exactly these names as they are.", metavar="NAME")

    def takes(self, name: str) -> bool:
        """Say whether a part of this name may change."""
        return (not self.only or name in self.only) and name not in self.without

    def check_names(self, names: Collection[str]) -> None:
        """Make sure that all names are among those of the parts that there are.

        Raises:
            GrowthError: One is not.
        """
        for name in (*self.only, *self.without):
            if name not in names:
                raise unknown(name, names, self.part)


def unmatched(keyword: str, globs: Iterable[str], names: Collection[str], what: str) -> Iterator[str]:
    """Yield a note for each glob that matches none of the names: it may be mistyped, or meant for another model.

    >>> list(unmatched("exclude", ["head*", "stm*"], ["stem", "head"], "nothing that can grow"))
    ["'stm*' of `exclude=` matches nothing that can grow"]
    """
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            yield f"{glob!r} of `{keyword}=` matches {what}"


def unknown(name: str, names: Collection[str], what: str) -> GrowthError:
    """Return the error that says that there is nothing of a name."""
    hint = perhaps(name, names, f"'onnx-n2n inspect' lists the {what}s")
    return GrowthError(f"there is no {what} named {name!r}", hint=hint)
