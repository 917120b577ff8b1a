"""How much more a run of a student multiplies than one of its teacher, which bounds what growing can save."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import onnx_ir as ir

from onnx_n2n.costs.cost import Cost, multiply_adds
from onnx_n2n.costs.formulas import Lengths
from onnx_n2n.errors import InputError, ModelError
from onnx_n2n.verification.dims import bindings, dims, resolved, symbols
from onnx_n2n.words import brief


@dataclass(frozen=True)
class CostChange:
    """The multiply-adds of one run of a teacher and of its student, on inputs of the same shapes.

    Attributes:
        before: The teacher's.
        after: The student's.
        inputs: The shapes of the teacher's inputs, as far as they are known.
        assumed: The free dimensions that were taken as 1, because nothing says how long they are.
        uncounted: Nodes of either that could not be counted, as :class:`Cost` names them.
        bounds: Whether the ratio bounds what growing can save. It does not where the student has less to do than the
            teacher, after a cut, where a length was taken as 1 on which the ratio depends, such as an image's, or where
            bodies of loops were counted once.
    """

    before: int
    after: int
    inputs: Mapping[str, Lengths] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    bounds: bool = True

    def joined(self, later: CostChange | None) -> CostChange | None:
        """Return how the cost changed from this teacher to a later student."""
        if later is None:
            return None
        assumed, uncounted = self.assumed + later.assumed, self.uncounted + later.uncounted
        return replace(
            self, after=later.after, assumed=tuple(dict.fromkeys(assumed)), uncounted=tuple(dict.fromkeys(uncounted)),
            bounds=self.bounds and later.bounds,
        )  # fmt: skip

    @property
    def times(self) -> float | None:
        """How many times as much a run of the student takes; None if something is not counted, or nothing is there."""
        return None if self.uncounted or not self.before else self.after / self.before

    @property
    def most(self) -> float | None:
        """How many times fewer multiply-adds growing takes at most than as many steps from scratch; None if unknown.

        The teacher's training counts too: at best the teacher takes nearly all steps in place of the student.
        """
        return self.times if self.bounds and self.times is not None and self.times > 1 else None

    @property
    def sentence(self) -> str:
        """What people are told of it; empty where nobody knows."""
        if self.times is None:
            return ""
        shapes = ", ".join(f"{name} [{','.join(map(str, shape))}]" for name, shape in self.inputs.items())
        run = f"a run on {brief(shapes)}" if shapes else "a run"
        said = f"Multiply-adds of {run}: {self.before:,} -> {self.after:,} (x{self.times:.2f})"
        assumed = f", with {', '.join(self.assumed)} taken as 1" if self.assumed else ""
        if self.most is None or round(self.most, 2) <= 1:
            return f"{said}{assumed}."
        return (
            f"{said}{assumed}. With the teacher's training counted, growing takes at most {self.most:.2f} times fewer "
            "than as many steps from scratch."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        found = asdict(self) | {"times": self.times, "most": self.most}
        del found["bounds"]
        return found


def cost_change(
    teacher: ir.Model, student: ir.Model, shapes: Mapping[str, Lengths], *, whole: bool = True
) -> CostChange | None:
    """Return how the cost changes, run at these shapes of inputs; None where it cannot be worked out.

    Args:
        teacher: The model before.
        student: The model after; it may lack inputs.
        shapes: Shapes of the teacher's inputs, by name.
        whole: Whether the student does all that the teacher does.
    """
    with suppress(InputError, ModelError):
        before, after = _both(teacher, student, shapes)
        steady = all(_alike(teacher, student, before, after, name) for name in before.assumed)
        uncounted = tuple(dict.fromkeys((*before.uncounted, *after.uncounted)))
        bounds = whole and steady and not before.loops and not after.loops
        return CostChange(before.total, after.total, before.inputs, before.assumed, uncounted, bounds)
    return None


def _both(teacher: ir.Model, student: ir.Model, shapes: Mapping[str, Lengths]) -> tuple[Cost, Cost]:
    """Return the costs of two models, of which the second may lack inputs."""
    there = {value.name for value in student.graph.inputs}
    own = {name: shape for name, shape in shapes.items() if name in there}
    return multiply_adds(teacher, shapes), multiply_adds(student, own)


def _alike(teacher: ir.Model, student: ir.Model, before: Cost, after: Cost, name: str) -> bool:
    """Say whether the ratio of two costs stays if a free dimension is 2 instead of 1, as one of examples does."""
    values = [value for value in teacher.graph.inputs if value.name in before.inputs]
    if any(value.shape is None for value in values):  # nobody knows which of its lengths are free
        return False
    known = {dim: size for dim, size in bindings(teacher, before.inputs).items() if symbols(dim) == {dim}}
    longer = {str(value.name): tuple(resolved(dim, known | {name: 2}) for dim in dims(value)) for value in values}
    with suppress(InputError, ModelError):
        two = _both(teacher, student, longer)
        return two[1].total * before.total == after.total * two[0].total
    return False
