"""Parts of a model by their names, exactly: groups, places for depth, convolutions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

import onnx_ir as ir

from onnx_n2n.errors import GrowthError
from onnx_n2n.graph.subgraphs import nested, roots_of, values_of
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


def check_globs(names: Collection[str], **globs: Iterable[str]) -> None:
    """Make sure that every pattern matches something, so that none that is misspelt leaves out or picks nothing.

    Args:
        names: What there is.
        globs: Patterns, by the option that has them.

    Raises:
        GrowthError: One matches none of the names.
    """
    for name, given in globs.items():
        for glob in given:
            if not any(fnmatchcase(each, glob) for each in names):
                hint = perhaps(glob, names, "'onnx-n2n inspect' lists layers and groups")
                raise GrowthError(f"`{name}=` has {glob!r}, which no layer, weight or group is called", hint=hint)


def called(model: ir.Model) -> set[str]:
    """Return the names of all nodes and tensors of a model."""
    graphs = [graph for root in roots_of(model) for graph in nested(root)]
    tensors = (value.name for graph in graphs for value in (*values_of(graph), *graph.initializers.values()))
    return {str(name) for name in (*tensors, *(node.name for graph in graphs for node in graph)) if name}


def unknown(name: str, names: Collection[str], what: str) -> GrowthError:
    """Return the error that says that there is nothing of a name."""
    hint = perhaps(name, names, f"'onnx-n2n inspect' lists the {what}s")
    return GrowthError(f"there is no {what} named {name!r}", hint=hint)
