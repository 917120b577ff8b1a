"""What a model costs, and what a student may cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnx_n2n.costs.cost import Cost, multiply_adds
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.graph.constants import parameters
from onnx_n2n.verification.options import Proof

Unit = Literal["params", "macs"]

UNITS: Mapping[Unit, str] = {"params": "parameters", "macs": "multiply-adds"}
POWERS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
FORM = re.compile(r"(params|macs)=(\d+(?:\.\d*)?|\.\d+)([xkKMGBT]?)")


@dataclass(frozen=True)
class Size:
    """What a model costs.

    Attributes:
        parameters: Floating-point and quantised numbers that its weights are made of.
        cost: The multiply-adds of one run.
    """

    parameters: int
    cost: Cost

    def of(self, unit: Unit) -> int:
        """Return what is counted in a unit."""
        return self.parameters if unit == "params" else self.cost.total


@dataclass(frozen=True)
class Budget:
    """What a student may cost.

    Attributes:
        unit: What is counted: ``params`` or ``macs``.
        amount: How much, in units or in times of the teacher.
        relative: Whether it is in times of the teacher.
    """

    unit: Unit
    amount: float
    relative: bool

    @classmethod
    def read(cls, text: str) -> Budget:
        """Read ``params=2x``, ``params=1.5M``, ``macs=2x`` or ``macs=300M``.

        Raises:
            OptionError: The text has another form, or asks for no growth.
        """
        match = FORM.fullmatch(text.strip())
        if match is None:
            raise OptionError(f"{text!r} is no budget", hint="write params=2x, params=1.5M, macs=2x or macs=300M")
        unit: Unit = "params" if match[1] == "params" else "macs"
        number, suffix = float(match[2]), match[3]
        if suffix == "x" and number <= 1:
            raise OptionError(f"the budget {text!r} leaves nothing to grow", hint="ask for more than 1x")
        return cls(unit, number * POWERS.get(suffix.upper(), 1), relative=suffix == "x")

    def goal(self, teacher: Size) -> float:
        """Return the budget in units, for the students of a teacher.

        Raises:
            OptionError: The teacher costs as much already, or nothing that could be counted.
        """
        return self._allowed(teacher.of(self.unit))

    def check(self, teacher: ir.Model, student: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make sure that a student costs no more, run at these shapes of its inputs.

        Raises:
            GrowthError: It does.
            InputError: There is no such input, or it cannot have that shape.
            OptionError: The teacher costs as much already, or nothing that could be counted.
        """

        def count(model: ir.Model) -> int:
            return parameters(model) if self.unit == "params" else multiply_adds(model, shapes).total

        allowed, has = self._allowed(count(teacher)), count(student)
        if has > allowed:
            raise GrowthError(
                f"the student would have {has:,} {UNITS[self.unit]}, and the budget allows {allowed:,.0f}",
                hint="ask for less growth, or give a larger `budget=`",
            )

    def _allowed(self, has: int) -> float:
        what = UNITS[self.unit]
        if not has:
            raise OptionError(f"the model has no {what} that could be counted", hint="give the budget in another unit")
        goal = self.amount * has if self.relative else self.amount
        if goal <= has:
            raise OptionError(f"the budget is {goal:,.0f} {what}, and the model has {has:,} already")
        return goal


def sized(model: ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> Size:
    """Return what a model costs, run at these shapes of its inputs.

    Raises:
        InputError: There is no such input, or it cannot have that shape.
    """
    return Size(parameters(model), multiply_adds(model, shapes))


def shapes_of(proof: Proof) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of inputs at which models are verified, as far as they were given."""
    given = proof.inputs
    feed = given if given is None or isinstance(given, Mapping) else next(iter(given), None)
    return {**proof.shapes, **{name: np.shape(array) for name, array in (feed or {}).items()}}
