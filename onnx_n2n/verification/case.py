"""What is judged: two models, the feeds that they run on, and how their outputs are held against each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_n2n.verification.compare import OutputVerdict, compare
from onnx_n2n.verification.localise import Trace
from onnx_n2n.verification.sessions import SessionModel
from onnx_n2n.verification.trial import Trial
from onnx_n2n.verification.yardstick import Grain, Yardstick, ungranted, yardstick


@dataclass(frozen=True)
class Case:
    """A teacher and a student, and how they are run.

    Attributes:
        old: The teacher.
        new: The student.
        trial: Feeds, and the teacher's answers.
        used: The execution provider.
        grain: How finely the teacher calculates.
        seed: Seed of everything drawn.
        limit: How many seconds one run may take.
        trace: Index of the student's tensors into the teacher's, by name.
        gained: Outputs in which the student may say more along one axis.
        random: Tensors of the teacher that depend on random numbers.
    """

    old: SessionModel
    new: SessionModel
    trial: Trial
    used: str
    grain: Grain
    seed: int
    limit: float
    trace: Trace
    gained: Collection[str]
    random: Collection[str]

    def sticks(self, optimised: Sequence[Sequence[Any]], nudged: Sequence[Sequence[Any]]) -> list[Yardstick]:
        """What the teacher asks of each output; where none tells anything by its movement, no error is granted.

        Args:
            optimised: The outputs of the optimised teacher, per feed; may be empty.
            nudged: The outputs for something one rounding step off, per feed; may be empty.
        """
        found = [
            yardstick(truth, self.grain, [values[k] for values in optimised], [values[k] for values in nudged])
            for k, truth in enumerate(zip(*self.trial.truth, strict=True))
        ]
        return [ungranted(stick, self.grain) for stick in found] if all(stick.vacuous for stick in found) else found

    def compared(self, sticks: Sequence[Yardstick], answers: Sequence[Sequence[Any]]) -> tuple[OutputVerdict, ...]:
        """Hold the student's outputs, per feed, against what the teacher asks."""
        columns = zip(self.trial.names, sticks, zip(*self.shown(answers), strict=True), strict=True)
        return tuple(compare(name, stick, values) for name, stick, values in columns)

    def shown(self, answers: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """The student's outputs, per feed, without what outputs have gained."""
        return [
            [self.first(name, *values) for name, *values in zip(self.trial.names, *pair, strict=True)]
            for pair in zip(self.trial.truth, answers, strict=True)
        ]

    def first(self, name: str, truth: Any, value: Any) -> Any:
        """What the student says in one output, without what that has gained."""
        return _first(truth, value) if name in self.gained else value


def _first(truth: Any, value: Any) -> Any:
    """The first entries along the one axis on which a value is longer than the truth; else the value as it is."""
    shape = np.shape(value)
    longer = [axis for axis, (before, after) in enumerate(zip(np.shape(truth), shape, strict=False)) if before < after]
    if len(shape) != np.ndim(truth) or len(longer) != 1:
        return value
    return value[(slice(None),) * longer[0] + (slice(np.shape(truth)[longer[0]]),)]
