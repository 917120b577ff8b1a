"""What is explored: directions in which a model grows, and the candidate that comes of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onnx_n2n.passes import Deepen, Widen
from onnx_n2n.passes.leaving_out import LeftOut
from onnx_n2n.passes.report import Idle
from onnx_n2n.verification import Verdict
from onnx_n2n.words import brief


@dataclass(frozen=True)
class Direction:
    """A way to grow: passes in order, of which each does as much as it takes.

    Attributes:
        name: What its candidate is called, and the file.
        passes: The passes, with all options but the factor of width, the count of depth and the seed.
    """

    name: str
    passes: tuple[Widen | Deepen, ...]

    def __repr__(self) -> str:
        return f"<{self.name}: {','.join(map(str, self.passes))}>"


DIRECTIONS = (
    Direction("wider", (Widen(),)),
    Direction("deeper", (Deepen(),)),
    Direction("wider-deeper", (Widen(), Deepen())),
    Direction("deeper-wider", (Deepen(), Widen())),
    Direction("wider-copies", (Widen(init="net2net"),)),
)


@dataclass(frozen=True)
class Candidate:
    """A student near the budget, or why there is none.

    Attributes:
        name: That of its direction.
        passes: The passes that make it, as text that ``onnx-n2n run`` takes. If it failed, those that come nearest to
            the budget; empty if there are none.
        parameters: What it has, or what the nearest would have.
        multiply_adds: Those of one run.
        path: The file; None if it failed.
        verdict: What running both models showed; None if it failed, or that was not asked for.
        failure: Why it was not written, or None.
        wrong: Whether it failed because it does not compute what the teacher computes, which is a bug.
        left_out: What would have made it wrong, and so was left out.
        idle: Passes that did nothing.
    """

    name: str
    passes: str
    parameters: int | None = None
    multiply_adds: int | None = None
    path: Path | None = None
    verdict: Verdict | None = None
    failure: str | None = None
    wrong: bool = False
    left_out: tuple[LeftOut, ...] = ()
    idle: tuple[Idle, ...] = ()

    def __repr__(self) -> str:
        if self.failure is not None:
            return f"<{self.name}: failed, {brief(self.failure)}>"
        said = "not verified" if self.verdict is None else self.verdict.short
        return f"<{self.name}: {brief(self.passes)}; {self.parameters:,} parameters; {said}>"

    def of(self, model: str) -> Candidate:
        """Return the candidate of a model that is called by another name, as one from stdin is."""
        return replace(self, left_out=tuple(replace(each, model=model) for each in self.left_out))

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as JSON-ready values."""
        return {
            "name": self.name,
            "passes": self.passes,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "path": None if self.path is None else str(self.path),
            "verification": None if self.verdict is None else self.verdict.to_json(),
            "failure": self.failure,
            "left_out": [each.to_json() for each in self.left_out],
            "idle": [{"pass": each.text, "reason": each.reason, "hint": each.hint} for each in self.idle],
        }
