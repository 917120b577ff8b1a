"""How much passes must do for a student to meet a budget: found by trying them on private copies, and counting.

Nothing is written or verified for that, and weights stay lazy. What a student costs grows with the factor of width and
with how often depth is added, but in steps, and with depth not always: the places that are chosen move. So the interval
in which the budget is reached is halved, and of all that was tried the nearest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from onnx_n2n.costs.budget import Size, Unit, shapes_of, sized
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.model import open_model
from onnx_n2n.passes import Deepen, Pass, Sequential, Widen
from onnx_n2n.passes.report import Change
from onnx_n2n.verification.options import Proof

ENOUGH = 0.01  # how near the budget, as a fraction of it, the search ends


@dataclass(frozen=True)
class Ladder:
    """The amounts of a pass that are tried, as whole numbers from 1 on.

    Attributes:
        step: What one more adds to the factor, or to the count.
        first: Where the search begins; it doubles from there.
        enough: What certainly changes a model that the pass can change at all.
        last: Where it ends.
    """

    step: float
    first: int
    enough: int
    last: int

    def apply(self, growth: Widen | Deepen, amount: int) -> Widen | Deepen:
        """Return the pass that does so much."""
        if isinstance(growth, Widen):
            return replace(growth, factor=round(1 + self.step * amount, 2))
        return replace(growth, count=amount)


WIDTH = Ladder(step=0.01, first=25, enough=100, last=6300)  # a hundredth changes what a model costs by some 2 %
DEPTH = Ladder(step=1, first=1, enough=8, last=256)


@dataclass(frozen=True, eq=False)
class Counted:
    """A student that was only made to be counted.

    Attributes:
        growth: The pass that made it.
        student: The private copy.
        size: What it costs.
        change: What the pass did.
    """

    growth: Widen | Deepen
    student: ir.Model
    size: Size
    change: Change


@dataclass(frozen=True)
class Scale:
    """What is counted, and how.

    Attributes:
        unit: What is counted.
        proof: How models are run, by passes that need to, and the shapes of inputs.
        folder: Where the teacher's file is.
    """

    unit: Unit
    proof: Proof
    folder: Path

    def weigh(self, model: ir.Model) -> Size:
        """Return what a model costs."""
        return sized(model, shapes_of(self.proof))

    def miss(self, size: Size, goal: float) -> float:
        """Return how far a model is from a budget, as a fraction of it."""
        return abs(size.of(self.unit) / goal - 1)

    def attempt(self, model: ir.Model, growth: Widen | Deepen, then: Sequence[Pass]) -> Counted:
        """Apply a pass, and others after it, to a private copy, and count."""
        copy = open_model(model).model
        change = growth.change(copy, self.proof, self.folder)
        for each in then:
            each.change(copy, self.proof, self.folder)
        return Counted(growth, copy, self.weigh(copy), change)


def fit(teacher: ir.Model, passes: Sequence[Widen | Deepen], goal: float, scale: Scale) -> tuple[Pass, Size]:
    """Return passes that do so much that their student comes near a budget, and what it costs.

    Each takes the same factor of the way from teacher to budget: the first of two takes the square root. Depth comes in
    coarse steps, so a width before it is fitted once more, around the depth that was found.

    Args:
        teacher: The model, which is not changed.
        passes: The passes in order, with all other options.
        goal: The budget, in units.
        scale: How to count.

    Raises:
        GrowthError: One of the passes can do nothing to the model.
    """
    student, chosen = teacher, []
    for left, growth in zip(range(len(passes), 0, -1), passes, strict=True):
        has = scale.weigh(student).of(scale.unit)
        found = nearest(student, growth, has * (goal / has) ** (1 / left), scale)
        student = found.student
        chosen.append(found.growth)
    size = found.size
    if len(chosen) > 1 and isinstance(chosen[0], Widen) and isinstance(chosen[-1], Deepen):
        again = nearest(teacher, chosen[0], goal, scale, then=chosen[1:])
        if scale.miss(again.size, goal) < scale.miss(size, goal):
            size, chosen[0] = again.size, again.growth
    return (chosen[0] if len(chosen) == 1 else Sequential(*chosen)), size


def nearest(
    model: ir.Model, growth: Widen | Deepen, goal: float, scale: Scale, then: Sequence[Pass] = ()
) -> Counted:
    """Return how a pass comes nearest to a budget, if others run after it.

    Raises:
        GrowthError: It can do nothing to the model.
    """
    ladder = WIDTH if isinstance(growth, Widen) else DEPTH
    best: Counted | None = None
    below, amount, above = 0, ladder.first, ladder.last + 1
    while below < amount < above:
        trial = scale.attempt(model, ladder.apply(growth, amount), then)
        miss = scale.miss(trial.size, goal)
        if trial.change.modified and (best is None or miss < scale.miss(best.size, goal)):
            best = trial
        if miss <= ENOUGH or (not trial.change.modified and amount >= ladder.enough):
            break
        below, above = (amount, above) if trial.size.of(scale.unit) < goal else (below, amount)
        amount = min(2 * amount, ladder.last) if above > ladder.last else (below + above) // 2
    if best is None:
        reason, hint = trial.growth.nothing(model, trial.change)
        raise GrowthError(f"{type(trial.growth).__name__.lower()}: {reason}", hint=hint)
    return best
