"""Parts of a model by their names, exactly: groups, places for depth, convolutions."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field

from onnx_n2n.errors import GrowthError


@dataclass(frozen=True)
class Selection:
    """Which parts of a model may change.

    Attributes:
        only: Names of parts, exactly; when given, no other part changes.
        without: Names of parts that are left as they are, exactly.
    """

    only: tuple[str, ...] = field(default=(), kw_only=True)
    without: tuple[str, ...] = field(default=(), kw_only=True)

    def takes(self, name: str) -> bool:
        """Say whether a part of this name may change."""
        return (not self.only or name in self.only) and name not in self.without

    def check_names(self, names: Collection[str], what: str) -> None:
        """Make sure that all names are those of parts.

        Args:
            names: What there is.
            what: What that is, for people.

        Raises:
            GrowthError: There is none of a name.
        """
        for name in (*self.only, *self.without):
            if name not in names:
                raise unknown(name, names, what)


def unknown(name: str, names: Collection[str], what: str) -> GrowthError:
    """Return the error that says that there is nothing of a name."""
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"perhaps you mean {' or '.join(map(repr, close))}" if close else f"'onnx-n2n inspect' lists the {what}s"
    return GrowthError(f"there is no {what} named {name!r}", hint=hint)
