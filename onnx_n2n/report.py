"""What a pass says about what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from onnx_n2n.growth import Grown, Growth, Kept

if TYPE_CHECKING:
    from onnx_n2n.clones import Clones
    from onnx_n2n.verify import Verdict

M = TypeVar("M")


@dataclass(frozen=True)
class Report:
    """The short account of one pass.

    Attributes:
        grown: Groups that grew, from how many channels to how many.
        kept: Groups that were asked to grow and kept their size, with the reason.
        parameters_before: Floating-point weights of the teacher.
        parameters_after: Floating-point weights of the student.
        verdict: What running both models showed, or None when that was not asked for.
        clones: Which channels of the student are exact copies of others, or None when it was not verified.
    """

    grown: tuple[Grown, ...]
    kept: tuple[Kept, ...]
    parameters_before: int
    parameters_after: int
    verdict: Verdict | None
    clones: Clones | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "grown": [{"group": g.name, "before": g.before, "after": g.after, "note": g.note} for g in self.grown],
            "kept": [{"group": k.name, "size": k.size, "reason": k.reason} for k in self.kept],
            "parameters": {"before": self.parameters_before, "after": self.parameters_after},
            "verification": None if self.verdict is None else self.verdict.to_json(),
            "clones": None if self.clones is None else self.clones.to_json(),
        }


@dataclass(frozen=True)
class Result(Generic[M]):
    """What a pass returns.

    Attributes:
        model: The student, of the same kind as the teacher: for a path, the path of the file that was written. When
            nothing was modified, the teacher as it was given.
        modified: Whether the student differs from the teacher.
        growth: Which old channel every new one stands for.
        report: What grew, and how far the two models agree.
    """

    model: M
    modified: bool
    growth: Growth
    report: Report


Trace = Mapping[str, tuple[np.ndarray | None, ...]]
