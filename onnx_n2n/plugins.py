"""Rules and passes of other packages, which these declare as entry points; ``docs/extending.md`` shows how."""

from __future__ import annotations

import logging
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from onnx_n2n.errors import OptionError

RULES, PASSES = "onnx_n2n.rules", "onnx_n2n.passes"

logger = logging.getLogger(__name__)


def declared(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, in an order that does not depend on how packages were installed."""
    return list(_declared(group, tuple((folder, _changed(folder)) for folder in sys.path)))


@lru_cache(maxsize=8)
def _declared(group: str, _folders: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """Look through all installed packages: once, unless a folder that Python imports from is new or has changed."""
    return tuple(sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)))


def _changed(folder: str) -> int:
    """Return when something was last added to a folder or taken out of it; 0 if it is not there."""
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


def load(entry: EntryPoint) -> Any:
    """Import what an entry point names.

    Raises:
        OptionError: If that fails.
    """
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        raise broken(entry, error) from error


def broken(entry: EntryPoint, error: BaseException | str) -> OptionError:
    """Return the error that says why an entry point cannot be used; log the traceback for who mends it."""
    why = error
    if isinstance(error, BaseException):
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        logger.debug("%s cannot be used", title(entry), exc_info=error)
    return OptionError(f"{title(entry)} cannot be used: {why}", hint=f"update, mend or uninstall {package(entry)}")


def title(entry: EntryPoint) -> str:
    """Return how an entry point is called in what people read."""
    return f"entry point {entry.name!r} ({entry.group}) of package {package(entry)!r}"


def package(entry: EntryPoint) -> str:
    """Return the name of the package that declares an entry point."""
    return entry.dist.name if entry.dist is not None else entry.module
