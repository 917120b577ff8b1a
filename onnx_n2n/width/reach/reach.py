"""What is known of the fresh channels in one tensor, and the arithmetic of that."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Reach:
    """How the fresh channels of a tensor compare with the teacher's channels of that tensor.

    With s, the sum of the weights of a mixture, and F, the largest number there is, none is larger than
    ``gain * s * F + teacher * F + plus``, if the teacher's tensors are finite.

    Attributes:
        gain: How many times a mixture.
        teacher: How many times any number of the teacher's.
        plus: What is added at most.
        copy: Every fresh channel is a copy of a channel of the teacher's, whatever that is.
        linear: Every fresh channel is the mixture of channels, exactly: ``v = c1 * v_i + c2 * v_j``.
        below: It is at most that in absolute value, plus ``plus``, and the channels are not below ``-plus``.
    """

    gain: float = 0.0
    teacher: float = 0.0
    plus: float = 0.0
    copy: bool = False
    linear: bool = False
    below: bool = False

    @property
    def lost(self) -> bool:
        """Whether nothing is known."""
        return not self.copy and not math.isfinite(self.gain)

    def times(self, factor: float) -> Reach:
        """Return what is known after a product with numbers up to ``factor`` that are the same for all channels."""
        if self.linear:
            return MIXED
        return Reach(_product(self.gain, factor), _product(self.teacher, factor), _product(self.plus, factor))

    def keeps(self, times: float, plus: float) -> Reach:
        """Return what is known after a function whose results are at most so many times its operand, plus a number."""
        return Reach(_product(self.gain, times), _product(self.teacher, times), _product(self.plus, times) + plus)

    def within(self, other: Reach) -> bool:
        """Say whether what is known here holds there too."""
        flags = all(getattr(self, name) or not getattr(other, name) for name in ("copy", "linear", "below"))
        sizes = all(getattr(self, name) <= getattr(other, name) for name in ("gain", "teacher", "plus"))
        return flags and sizes


COPIED = Reach(teacher=1.0, copy=True)
MIXED = Reach(gain=1.0, linear=True)
NOTHING = Reach(copy=True, linear=True, below=True)
LOST = Reach(gain=math.inf)  # unless the tensor has a bound anyway
SPOILED = Reach(gain=math.nan)  # even then: it may be no number


def worst(found: Iterable[Reach]) -> Reach:
    """Return what is known of numbers that are any of these."""
    parts = list(found)
    return Reach(
        *(max((getattr(part, name) for part in parts), default=0.0) for name in ("gain", "teacher", "plus")),
        *(all(getattr(part, name) for part in parts) for name in ("copy", "linear", "below")),
    )


def total(found: Iterable[Reach]) -> Reach:
    """Return what is known of a sum of these."""
    parts = list(found)
    sizes = [sum(getattr(part, name) for part in parts) for name in ("gain", "teacher", "plus")]
    flags = [all(getattr(part, name) for part in parts) for name in ("copy", "linear", "below")]
    return Reach(*sizes, *flags)


def settled(reach: Reach, bound: float, largest: float, room: float) -> Reach:
    """Return the most that is known of a tensor that is below ``bound``, anyway; :data:`LOST` if it is too little."""
    if reach.copy:
        return reach
    if math.isnan(reach.gain):
        return LOST
    if bound <= room * largest:
        return replace(reach, gain=0.0, teacher=0.0, plus=bound)
    if reach.linear:
        return MIXED
    if reach.below:
        reach = replace(reach, gain=min(reach.gain, 1.0))
    alone = not reach.teacher or (reach.teacher <= 1 and not reach.gain and not reach.plus)
    return reach if alone and reach.plus <= room * largest and math.isfinite(reach.gain) else LOST


def _product(one: float, other: float) -> float:
    return one * other if one and other else 0.0
