"""What the exact check says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from onnx_n2n.exact.ranges import Open
from onnx_n2n.exact.relations import Relation

NAMED = 3  # places that a sentence names
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
        declared: Whether the inputs may have these shapes; else their images are smaller than the models state, which
            no node hangs on.
        beyond: Nodes of the student that may overflow where none does in the teacher, which exact arithmetic does not.
        relations: What each tensor of the student is in the teacher; None unless that was asked for, and empty where it
            cannot be told.
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
    declared: bool = True
    beyond: tuple[Open, ...] = ()
    relations: tuple[Relation, ...] | None = None

    def __bool__(self) -> bool:
        """Return whether the models are equal."""
        return self.state == "equal"

    def __str__(self) -> str:
        """Say it in a sentence."""
        return self.sentence + "."

    @property
    def sentence(self) -> str:
        """The verdict for people, without its full stop."""
        if self.state == "different":
            return f"Different{self._at(', first' if self.node else '')}: {self.reason}"
        if self.state == "undecided":
            return f"Undecided{self._at()}: {self.reason}"
        parts = [f"chance of error below {self.chance:.0e}", f"{self.primes} primes, {self.seconds:.1f} s"]
        if self.constants:
            taken = "constant" if self.constants == 1 else "constants"
            parts.append(f"{self.constants} {taken} taken before rounding, largest {self.largest_rounding:.0e}")
        images = "" if self.declared else ", whose images are smaller than is declared"
        return f"Equal for every input of these shapes{images}, in exact arithmetic ({'; '.join(parts)})"

    @property
    def overflow(self) -> str:
        """What may overflow, as a sentence without its full stop; empty for nothing."""
        places = [f"{each.operator} node {each.node!r}" for each in self.beyond]
        if not places:
            return ""
        more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
        return f"What overflows is not looked at; in the student alone may {', '.join(places[:NAMED])}{more}"

    @property
    def sizes(self) -> str:
        """The shapes of inputs that it holds for, one run after the other: ``x[2,3,8,8]; x[3,3,6,6]``."""
        runs = (
            ", ".join(f"{name}[{','.join(map(str, shape))}]" for name, shape in shapes.items())
            for shapes in self.shapes
        )
        return "; ".join(filter(None, runs))

    def to_json(self) -> dict[str, Any]:
        """The verdict as JSON takes it."""
        return {
            "state": self.state,
            "chance": self.chance,
            "primes": self.primes,
            "seconds": self.seconds,
            "shapes": [{name: list(shape) for name, shape in shapes.items()} for shapes in self.shapes],
            "constants": self.constants,
            "largest_rounding": self.largest_rounding,
            "output": self.output,
            "node": self.node,
            "operator": self.operator,
            "reason": self.reason,
            "declared": self.declared,
            "beyond": [{"node": each.node, "operator": each.operator} for each in self.beyond],
            "relations": [each.to_json() for each in self.relations or ()],
        }

    def _at(self, first: str = "") -> str:
        output = f" at output {self.output!r}" if self.output else ""
        place = " ".join(word for word in (self.operator, f"node {self.node!r}" if self.node else "") if word)
        return f"{output}{first}{f' at {place}' if place else ''}"


def rounded_up(number: float) -> float:
    """Return a number above 0 with one digit, rounded up: what it is below."""
    if number <= 0:
        return 0.0
    exponent = math.floor(math.log10(number))
    digit = math.ceil(number / 10.0**exponent)
    return float(f"{digit}e{exponent}")
