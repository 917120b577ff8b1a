"""Options that name things by globs: one that names nothing is a mistake, and is said to be one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from onnx_n2n.errors import OptionError


def check_keep(globs: Iterable[str], staying: Collection[str], there: Iterable[str]) -> None:
    """Make sure that each glob of ``keep`` names something that stays as it is.

    Args:
        globs: The globs.
        staying: All that stays.
        there: All that there is.

    Raises:
        OptionError: One names nothing, or only what grows.
    """
    names = tuple(there)
    for glob in globs:
        if any(fnmatchcase(name, glob) for name in staying):
            continue
        if idle := unnamed("keep", [glob], names):
            known = f"names are those of the checkpoint: {', '.join(map(repr, names[:3]))}, ..." if names else ""
            raise OptionError(idle[0], hint=known)
        growing = next(name for name in names if fnmatchcase(name, glob))
        raise OptionError(
            f"`keep=[{glob!r}]` names only what grows with the network: {growing!r}",
            hint="to leave a layer as it is, grow the model with `exclude=`; of a copy, all stays or nothing",
        )


def unnamed(option: str, globs: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each glob that names nothing."""
    there = tuple(names)
    idle = (glob for glob in globs if not any(fnmatchcase(name, glob) for name in there))
    return tuple(f"`{option}=[{glob!r}]` names nothing in the checkpoint" for glob in idle)
