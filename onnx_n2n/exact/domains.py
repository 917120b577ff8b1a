"""Where functions are defined, and between which numbers others are: enough to see that a root is taken of no negative.

Residues have no sign. So what is known of signs is found apart, from what functions are: an exponential is positive, a
square is not negative, and so is a sum of such. One range stands for all numbers of a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """Between which numbers others are, both included; every step rounds away from them.

    Args:
        low: The least that there may be.
        high: The largest.
        zero: Whether 0 may be among them.
    """

    low: float = -math.inf
    high: float = math.inf
    zero: bool = True

    def __post_init__(self) -> None:
        """Leave 0 out where it is not between the ends."""
        if not self.low <= 0 <= self.high:
            object.__setattr__(self, "zero", False)

    def __add__(self, other: Range) -> Range:
        """Return the range of sums."""
        low, high = _sum(self.low, other.low, -math.inf), _sum(self.high, other.high, math.inf)
        if self.low >= 0 and other.low >= 0:
            return Range(max(low, 0.0), high, self.zero and other.zero)
        if self.high <= 0 and other.high <= 0:
            return Range(low, min(high, 0.0), self.zero and other.zero)
        return Range(low, high)

    def __neg__(self) -> Range:
        """Return the range of the numbers times -1."""
        return Range(-self.high, -self.low, self.zero)

    def __sub__(self, other: Range) -> Range:
        """Return the range of differences."""
        return self + -other

    def __mul__(self, other: Range) -> Range:
        """Return the range of products."""
        ends = [(one, two) for one in (self.low, self.high) for two in (other.low, other.high)]
        low, high = (best(_product(*each, away) for each in ends) for best, away in ((min, -math.inf), (max, math.inf)))
        return Range(low, high, self.zero or other.zero)

    def magnitude(self) -> Range:
        """Return the range of the numbers without their signs."""
        ends = sorted((abs(self.low), abs(self.high)))
        return Range(0.0 if self.low < 0 < self.high else ends[0], ends[1], self.zero)

    def squared(self) -> Range:
        """Return the range of each number times itself."""
        found = self * self
        return Range(max(found.low, 0.0), found.high, self.zero)

    def summed(self, terms: int) -> Range:
        """Return the range of sums of so many of the numbers."""
        if terms < 1:
            return ZERO
        found = self * Range(terms, terms)
        return Range(found.low, found.high, self.zero if self.low >= 0 or self.high <= 0 else True)

    def joined(self, other: Range) -> Range:
        """Return the range of what may be one or the other."""
        return Range(min(self.low, other.low), max(self.high, other.high), self.zero or other.zero)

    def met(self, other: Range) -> Range:
        """Return the range of what is in both; the other one, if there is nothing."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Range(low, high, self.zero and other.zero) if low <= high else other

    def inverse(self) -> Range:
        """Return the range of one over the numbers, wherever that is defined."""
        if self.high <= 0 and self.low < 0:
            return -((-self).inverse())
        if self.low < 0 or self.high == 0:
            return Range(zero=False)
        low, high = 1 / self.high, math.inf if self.low == 0 else 1 / self.low
        return Range(max(_away(low, -math.inf), 0.0), _away(high, math.inf), False)

    def within(self, other: Range) -> bool:
        """Return whether all numbers of this range are in another one."""
        return other.low <= self.low and self.high <= other.high and (other.zero or not self.zero)


ANYTHING, ZERO, SHARE, SIGNED = Range(), Range(0, 0), Range(0, 1), Range(-1, 1)
POSITIVE, NOT_NEGATIVE = Range(0, zero=False), Range(0)


@dataclass(frozen=True)
class Domain:
    """Where a function is defined.

    Args:
        range: The numbers that it is defined for.
        words: How these are called, as in "that they are positive".
    """

    range: Range
    words: str


ABOVE_ZERO = Domain(POSITIVE, "positive")
FROM_ZERO = Domain(NOT_NEGATIVE, "not negative")
BUT_ZERO = Domain(Range(zero=False), "not 0")
AN_ANGLE = Domain(SIGNED, "from -1 to 1")
IN_BETWEEN = Domain(Range(math.nextafter(-1, 0), math.nextafter(1, 0)), "above -1 and below 1")
FROM_ONE = Domain(Range(1), "at least 1")
FINITE = Domain(Range(math.inf, -math.inf), "finite")  # no range shows it of what may be infinite


def _away(number: float, end: float) -> float:
    return number if math.isinf(number) else math.nextafter(number, end)


def _sum(one: float, two: float, end: float) -> float:
    total = one + two
    if math.isnan(total):  # infinity and minus infinity
        return end
    return total if one == 0 or two == 0 or total == 0 else _away(total, end)


def _product(one: float, two: float, end: float) -> float:
    if one == 0 or two == 0:  # also of infinity, which no number reaches
        return 0.0
    product = one * two
    return product if abs(one) == 1 or abs(two) == 1 else _away(product, end)


def joined(ranges: Iterable[Range]) -> Range:
    """Return the range of what may be in any of some."""
    first, *others = ranges
    for each in others:
        first = first.joined(each)
    return first
