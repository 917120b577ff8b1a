"""Passes by name: those of this project, and those that other packages declare as entry points."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib.metadata import EntryPoint

from onnx_n2n import plugins
from onnx_n2n.errors import EnvironmentWarning, OptionError
from onnx_n2n.passes.base import Pass
from onnx_n2n.words import perhaps


def pass_named(name: str, own: Mapping[str, type[Pass]]) -> type[Pass]:
    """Return the pass of a name; ``own`` holds those of this project, which no other package can replace.

    Raises:
        OptionError: If there is none, or the package that declares it is broken.
    """
    entries = plugins.declared(plugins.PASSES)
    for entry in entries:
        if entry.name in own:
            refused = plugins.broken(entry, f"the pass {entry.name!r} is built in, and cannot be replaced")
            warnings.warn(str(refused), EnvironmentWarning, stacklevel=3)
    if name in own:
        return own[name]
    found = [entry for entry in entries if entry.name == name]
    if not found:
        known = sorted({entry.name for entry in entries} - own.keys())
        every = [*own, *known]
        raise OptionError(f"there is no pass {name!r}", hint=perhaps(name, every, f"passes are {', '.join(every)}"))
    if len(found) > 1:
        packages = " and ".join(map(repr, map(plugins.package, found)))
        raise OptionError(f"packages {packages} both have a pass {name!r}", hint="uninstall one of them")
    return _checked(found[0])


def _checked(entry: EntryPoint) -> type[Pass]:
    """Return what an entry point names, which must be a pass that can be written as text and read again."""
    kind = plugins.load(entry)
    if not (inspect.isclass(kind) and is_dataclass(kind) and issubclass(kind, Pass)):
        raise plugins.broken(entry, f"{entry.value} is not a dataclass that inherits from Pass")
    if missing := sorted(getattr(kind, "__abstractmethods__", ())):
        raise plugins.broken(entry, f"{entry.value} does not define {', '.join(missing)}")
    if kind.__name__.lower() != entry.name:
        raise plugins.broken(entry, f"its name must be that of its class, {kind.__name__.lower()!r}")
    return kind
