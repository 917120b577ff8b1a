"""Options that name things by globs: one that names nothing is a mistake, and is said to be one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from onnx_n2n.errors import OptionError


def check_keep(globs: Iterable[str], staying: Collection[str], there: Iterable[str]) -> None:
    """Make sure that each glob of ``--keep`` names something that stays as it is.

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
        check_named("--keep", [glob], names)
        growing = next(name for name in names if fnmatchcase(name, glob))
        raise OptionError(
            f"--keep {glob!r} names only what grows with the network: {growing!r}",
            hint="to leave a layer as it is, grow the model with --exclude; of a copy, all stays or nothing",
        )


def check_named(option: str, globs: Iterable[str], names: Iterable[str]) -> None:
    """Make sure that each glob names something.

    Raises:
        OptionError: One does not.
    """
    there = tuple(names)
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in there):
            raise OptionError(
                f"{option} {glob!r} names nothing in the checkpoint",
                hint="names are matched as the checkpoint, or the command's own output, spells them: "
                + (", ".join(map(repr, there[:3])) + ", ..." if there else "it has none"),
            )
