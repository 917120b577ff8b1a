"""What is known of the fresh channels in one tensor, and the arithmetic of that."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from onnx_n2n.rules.ranges import Keeps

Gain = float | np.ndarray
"""A number for all channels, or float64[n], one for each of the teacher's channels."""


@dataclass(frozen=True, eq=False)
class Reach:
    """How the fresh channels of a tensor compare with the teacher's channels of that tensor.

    With s, what the weights of a mixture sum to, and F, the largest number there is, none is larger than
    ``gain * s * F + teacher * F + plus``, if the teacher's tensors are finite.

    Attributes:
        gain: How many times a mixture; for each channel that is the first of a mixture, or for all alike.
        teacher: How many times any number of the teacher's.
        plus: What is added at most.
        copy: Every fresh channel is a copy of a channel of the teacher's, whatever that is.
        linear: Every fresh channel is the mixture of channels, exactly: ``v = c1 * v_i + c2 * v_j``.
        below: It is at most that, plus ``plus``, if the weights of the mixture are positive.
        floor: Neither it nor the teacher's are less than ``-plus``.
    """

    gain: Gain = 0.0
    teacher: float = 0.0
    plus: float = 0.0
    copy: bool = False
    linear: bool = False
    below: bool = False
    floor: bool = False

    @property
    def lost(self) -> bool:
        """Whether nothing is known."""
        return not self.copy and not np.isfinite(self.gain).all()

    @property
    def rank(self) -> tuple[float, float, float]:
        """What is less where more is known."""
        return float(np.max(self.gain)), self.teacher, self.plus

    def times(self, factor: Gain) -> Reach:
        """Return what is known after a product with numbers up to ``factor``."""
        most = float(np.max(factor))
        return Reach(_product(self.gain, factor), _scaled(self.teacher, most), _scaled(self.plus, most))

    def keeps(self, times: float, plus: float) -> Reach:
        """Return what is known after a function whose results are at most so many times its operand, plus a number."""
        found = self.times(times)
        return replace(found, plus=found.plus + plus)

    def within(self, other: Reach) -> bool:
        """Say whether what is known here holds there too."""
        flags = all(getattr(self, name) or not getattr(other, name) for name in FLAGS)
        sizes = self.teacher <= other.teacher and self.plus <= other.plus
        return flags and sizes and bool(np.all(self.gain <= other.gain))


FLAGS = ("copy", "linear", "below", "floor")
COPIED = Reach(teacher=1.0, copy=True)
MIXED = Reach(gain=1.0, linear=True, below=True)
SQUARED = Reach(gain=1.0, below=True, floor=True)  # of a mixture: an even power is convex, whatever the signs are
NOTHING = Reach(copy=True, linear=True, below=True, floor=True)
LOST = Reach(gain=math.inf)  # unless the tensor has a bound anyway
SPOILED = Reach(gain=math.nan)  # even then: it may be no number


def worst(found: Iterable[Reach]) -> Reach:
    """Return what is known of numbers that are any of these."""
    parts = list(found)
    gain: Gain = 0.0
    for part in parts:
        gain = np.maximum(gain, part.gain)
    sizes = (max((part.teacher for part in parts), default=0.0), max((part.plus for part in parts), default=0.0))
    return _flagged(Reach(gain, *sizes), parts)


def total(found: Iterable[Reach]) -> Reach:
    """Return what is known of a sum of these."""
    parts = list(found)
    gain: Gain = 0.0
    for part in parts:
        gain = gain + part.gain
    return _flagged(Reach(gain, sum(part.teacher for part in parts), sum(part.plus for part in parts)), parts)


def settled(reach: Reach, bound: float, largest: float, room: float) -> Reach:
    """Return the most that is known of a tensor that is below ``bound``, anyway; :data:`LOST` if it is too little."""
    if reach.copy:
        return reach
    if np.isnan(reach.gain).any():
        return LOST
    if bound <= room * largest:
        return replace(reach, gain=0.0, teacher=0.0, plus=bound)
    if reach.linear:
        return MIXED
    if reach.below and reach.floor:
        reach = replace(reach, gain=np.minimum(reach.gain, 1.0))
    alone = not reach.teacher or (reach.teacher <= 1 and not np.any(reach.gain) and not reach.plus)
    return reach if alone and reach.plus <= room * largest and not reach.lost else LOST


def keeps(reach: Reach, said: Keeps, *, positive: bool) -> Reach:
    """Return what is known after a function of one operand; behind a Relu, mixtures with weights above 0 stay below."""
    found = reach.keeps(said.times, said.plus)
    if said.symmetric and reach.linear:
        return Reach(gain=1.0)
    if said.rectifies and positive and reach.below:
        return replace(found, plus=reach.plus + 2 * said.plus, below=True, floor=True)
    return found


def _flagged(reach: Reach, parts: list[Reach]) -> Reach:
    return replace(reach, **{name: all(getattr(part, name) for part in parts) for name in FLAGS})


def _product(gain: Gain, factor: Gain) -> Gain:
    if not np.any(gain) or not np.any(factor):
        return 0.0
    return gain * factor


def _scaled(size: float, factor: float) -> float:
    return size * factor if size and factor else 0.0
