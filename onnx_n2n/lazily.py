"""Names of a package that load when they are first used (PEP 562), so that importing the package takes no time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from threading import RLock
from typing import Any

_LOADING = RLock()  # Python refuses imports of two threads that wait for each other, as for a package and its module


def names(package: str, homes: Mapping[str, Iterable[str]], packages: Collection[str] = ()) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Args:
        package: Its ``__name__``.
        homes: The names that it hands on, by the module in it where they are.
        packages: Packages in it that open without an import of their own.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> Any:
        if name not in home and name not in packages:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with _LOADING:
            if name in packages:
                return import_module(f"{package}.{name}")
            found = getattr(import_module(f"{package}.{home[name]}"), name)
            setattr(sys.modules[package], name, found)
            return found

    return load
