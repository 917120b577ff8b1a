"""What the exact check says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["equal", "different", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """Whether two models compute the same.

    Args:
        state: ``equal``: for every input of these shapes, in exact arithmetic, but for ``chance``. ``different``: they
            differ on an input that was found, by more than rounding explains. ``undecided``: neither can be said.
        chance: How likely it is that models that differ are called equal; None unless they are.
        primes: The number of primes, each with random values of its own.
        seconds: How long the check took.
        shapes: The shapes of inputs that it holds for, one dictionary for each run.
        constants: The number of the student's tensors and attributes that were taken as they were before rounding.
        largest_rounding: By how much the student's values of these are off, relative to them.
        output: The output that differs, or that is not decided.
        node: The node at which the check stopped.
        operator: That node's operator.
        reason: Why not ``equal``.
    """

    state: State
    chance: float | None = None
    primes: int = 0
    seconds: float = 0.0
    shapes: tuple[Mapping[str, tuple[int, ...]], ...] = field(default_factory=tuple)
    constants: int = 0
    largest_rounding: float = 0.0
    output: str = ""
    node: str = ""
    operator: str = ""
    reason: str = ""

    def __bool__(self) -> bool:
        """Return whether the models are equal."""
        return self.state == "equal"
