"""How much more a run of a student multiplies than one of its teacher, which bounds what growing can save."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import onnx_ir as ir

from onnx_n2n.costs.cost import Cost, multiply_adds
from onnx_n2n.costs.formulas import Lengths
from onnx_n2n.errors import InputError, ModelError


@dataclass(frozen=True)
class CostChange:
    """The multiply-adds of one run of a teacher and of its student, on inputs of the same shapes.

    Attributes:
        before: The teacher's.
        after: The student's.
        assumed: The free dimensions that were taken as 1, because nothing says how long they are.
        uncounted: Nodes of either that could not be counted, as :class:`Cost` names them.
    """

    before: int
    after: int
    assumed: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()

    @classmethod
    def of(cls, before: Cost, after: Cost) -> CostChange:
        """Return what two models have."""
        uncounted = dict.fromkeys((*before.uncounted, *after.uncounted))
        return cls(before.total, after.total, before.assumed, tuple(uncounted))

    def joined(self, later: CostChange | None) -> CostChange | None:
        """Return how the cost changed from this teacher to a later student."""
        if later is None:
            return None
        return replace(later, before=self.before, uncounted=tuple(dict.fromkeys((*self.uncounted, *later.uncounted))))

    @property
    def times(self) -> float | None:
        """How many times as much a run of the student takes; None where something is not counted, or nothing is there.

        Growing can save no more than so many times what training the student from scratch costs, if the training of
        the teacher is paid too: at best each step of the student is taken by the teacher instead.
        """
        return None if self.uncounted or not self.before else self.after / self.before

    @property
    def sentence(self) -> str:
        """What people are told of it; empty where nobody knows."""
        if self.times is None:
            return ""
        shapes = f", with {', '.join(self.assumed)} taken as 1" if self.assumed else ""
        most = f"; with the teacher's training counted, growing can save at most {self.times:.2f} times"
        said = f"Multiply-adds of a run: {self.before:,} -> {self.after:,} (x{self.times:.2f})"
        return f"{said}{shapes}{most * (self.times > 1)}."

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return asdict(self) | {"times": self.times}


def cost_change(teacher: ir.Model, student: ir.Model, shapes: Mapping[str, Lengths]) -> CostChange | None:
    """Return how the cost changes, run at these shapes of inputs; None where it cannot be worked out."""
    with suppress(InputError, ModelError):
        return CostChange.of(multiply_adds(teacher, shapes), multiply_adds(student, shapes))
    return None
