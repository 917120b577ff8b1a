"""Several passes, one after the other, as one: ``widen{factor=1.4},deepen{every=2}``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.passes.enlarge import Enlarge
from onnx_n2n.passes.outputs import Outputs
from onnx_n2n.passes.widen import Widen

from onnx_n2n.delivery import Proof
from onnx_n2n.errors import OptionError
from onnx_n2n.report import Change, Trace

PASSES: dict[str, type[Pass]] = {"widen": Widen, "deepen": Deepen, "enlarge": Enlarge, "outputs": Outputs}
ENTRY = re.compile(r'\s*(\w+)\s*(?:\{((?:"[^"]*"|[^{}"])*)\})?\s*(?:,|$)')


@dataclass(frozen=True)
class Sequential(Pass):
    """Apply passes in order to one working copy; the outcome is verified against the first teacher.

    Attributes:
        passes: The passes; each may occur several times.
    """

    suffix: ClassVar[str] = "grown"

    passes: tuple[Pass, ...] = ()

    def check(self) -> None:
        """Check all passes.

        Raises:
            OptionError: If an option of one has no meaning, or there is none.
        """
        if not self.passes:
            raise OptionError("there is no pass to run", hint="say which, as in widen{factor=1.5},widen")
        for each in self.passes:
            each.check()

    def files(self) -> tuple[Path, ...]:
        """Return the files that any of the passes reads."""
        return tuple(path for each in self.passes for path in each.files())

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Apply all passes to a private working copy."""
        return _joined([each.apply(model, proof, folder) for each in self.passes])

    def apply(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Apply all passes; each writes its own entry into the history."""
        return self.change(model, proof, folder)

    def __str__(self) -> str:
        return ",".join(map(str, self.passes))


def parse(text: str) -> Sequential:
    """Read passes from their text, ``widen{factor=1.4},widen{init=zero}``.

    Raises:
        OptionError: If the text is not of that form, or names a pass or option that does not exist.
    """
    found, place = [], 0
    while text[place:].strip():
        match = ENTRY.match(text, place)
        if match is None:
            raise OptionError(f"{text[place:]!r} is not of the form pass{{option=value,...}}")
        if match[1] not in PASSES:
            raise OptionError(f"there is no pass {match[1]!r}", hint=f"passes are {', '.join(PASSES)}")
        found.append(PASSES[match[1]].read(match[2] or ""))
        place = match.end()
    return Sequential(tuple(found))


def _joined(changes: list[Change]) -> Change:
    """Return what several changes in a row have done."""
    trace: Trace = changes[0].trace
    for change in changes[1:]:
        trace = _Chain(trace, change.trace) if change.modified else trace
    return Change(
        growths=tuple(growth for change in changes for growth in change.growths),
        added=tuple(added for change in changes for added in change.added),
        kept=tuple(kept for change in changes for kept in change.kept),
        trace=trace,
        steps=tuple(step for change in changes for step in change.steps),
        notes=tuple(dict.fromkeys(note for change in changes for note in change.notes)),
    )


class _Chain(Mapping[str, tuple[np.ndarray | None, ...]]):
    """The trace of two changes: where the places of the second student come from in the first teacher."""

    def __init__(self, first: Trace, second: Trace) -> None:
        self._first, self._second = first, second

    def __getitem__(self, name: str) -> tuple[np.ndarray | None, ...]:
        first, second = self._first[name], self._second[name]
        if len(first) != len(second):
            raise KeyError(name)
        return tuple(map(_through, first, second))

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._first if name in self._second)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _through(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Return where places come from when ``second`` takes them from what ``first`` took them from."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(second < 0, -1, first[second])
