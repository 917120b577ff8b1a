"""How likely it is that two different functions came out equal.

Two functions that differ give different residues, unless the random values happen to be a root of their difference. A
polynomial of degree d that is not zero modulo p vanishes with a chance of at most d / p (Schwartz 1980, Zippel 1979).
It can be zero modulo p and not zero only if p divides all of its coefficients, each a whole number of at most b bits
times a power of two, over a denominator; b / 25 primes of at least 25 bits do, of those that p is drawn from. Where
coefficients have roots of r numbers in them, their norm has up to 2 ** r times as many bits, and p stands for as many
prime ideals, by the signs of these roots; these are drawn as well, so the share that divides a coefficient is the same.
Primes are drawn one by one, and each has its own random values, so their chances multiply.

Arguments of random functions are compared in the same way: two that differ and look equal would make two values one.
So each pair of arguments of one function has that chance too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from onnx_n2n.exact.primes import BITS, LOWEST, candidates

Denominator = tuple[Hashable, float] | tuple[Hashable, float, int]  # what stands for it, its bits, and its degree


@dataclass(frozen=True, slots=True)
class Bound:
    """What bounds each number of an array: a polynomial over a denominator of its own.

    The arrays' common denominator is a product of parts, such as all the different numbers that were divided by. One
    number's own denominator has some of these parts, each as often as in the product at most: 1 / x has only x. Say
    that it has c bits in all its parts, and that a polynomial of b bits has coefficients whose absolute values sum to
    2 ** b at most. Then the polynomial above it has ``high`` + c bits at most, and it stays so when both are
    multiplied by more parts. So a product has the parts of both numbers, and a sum those of all of its terms, but each
    only as often as the common denominator; in both, ``high`` is found without looking at parts.

    Args:
        degree: At most this degree: a value of a random function, and an input, is a variable. 0 for constants.
        low: All coefficients are multiples of 2 ** low.
        high: The polynomial has at most so many bits more than its denominator.
        under: The common denominator: polynomials with whole coefficients, and how often each is in it.
        alone: A number's own denominator has at most so many bits; it never has more than the common one.
    """

    degree: int = 0
    low: float = 0.0
    high: float = 0.0
    under: Mapping[Denominator, int] = field(default_factory=dict)
    alone: float = math.inf

    @property
    def below(self) -> float:
        """The number of bits of a number's own denominator."""
        return min(self.alone, sum(part[1] * times for part, times in self.under.items())) if self.under else 0.0

    @property
    def bits(self) -> float:
        """The number of bits of the polynomial above a number's own denominator."""
        return self.high - self.low + self.below

    @property
    def total(self) -> int:
        """The degree of that polynomial, over the common denominator."""
        return self.degree + sum(part[2] * times for part, times in self.under.items() if len(part) > 2)

    def plus(self, other: Bound) -> Bound:
        """Return the bound of a sum."""
        joined = self.joined(other)
        return replace(joined, high=joined.high + 1, alone=self.below + other.below)

    def times(self, other: Bound) -> Bound:
        """Return the bound of a product."""
        under = self.under or other.under
        if self.under and other.under:
            under = dict(under)
            for each, times in other.under.items():
                under[each] = under.get(each, 0) + times
        return Bound(
            self.degree + other.degree, self.low + other.low, self.high + other.high, under, self.below + other.below
        )

    def summed(self, terms: int) -> Bound:
        """Return the bound of a sum of so many numbers that are bounded by this."""
        terms = max(terms, 1)
        return replace(self, high=self.high + math.log2(terms), alone=self.below * terms)

    def joined(self, other: Bound) -> Bound:
        """Return the bound of what may be one or the other."""
        under = self.under or other.under
        if self.under and other.under and self.under is not other.under:
            under = dict(under)
            for each, times in other.under.items():
                under[each] = max(under.get(each, 0), times)
        degree, low, high = max(self.degree, other.degree), min(self.low, other.low), max(self.high, other.high)
        return Bound(degree, low, high, under, max(self.below, other.below))

    def over(self, name: Hashable, distinct: int) -> Bound:
        """Return the bound of one over numbers that are not 0, among which so many are different.

        One over n * 2 ** low / d, for a whole n, is d * 2 ** -low / n. So each n is a part of the common denominator.
        """
        bits = max(self.bits, 1.0)
        part = name, distinct * bits, distinct * self.total
        return Bound(int(self.degree > 0), -self.low, self.below - self.low - bits, {part: 1}, bits)


VARIABLE = Bound(1)


@dataclass
class Comparisons:
    """What was compared in a run: for each function how many arguments it had, and what bounds them."""

    arguments: dict[str, int] = field(default_factory=dict)
    bounds: dict[str, Bound] = field(default_factory=dict)

    def add(self, function: str, count: int, bound: Bound) -> None:
        """Note arguments of a function."""
        self.arguments[function] = self.arguments.get(function, 0) + count
        self.bounds[function] = self.bounds.get(function, Bound()).joined(bound)

    def copied(self) -> Comparisons:
        """Return the same, to add to."""
        return Comparisons(dict(self.arguments), dict(self.bounds))

    def chance(self, primes: Sequence[int], roots: int) -> float:
        """Return the chance that any two of them were equal although they stand for different functions."""
        total = 0.0
        for function, count in self.arguments.items():
            worst = self.bounds[function].plus(self.bounds[function])
            pairs = count * (count + 1) / 2
            total += pairs * (math.prod(_of_one(worst, p, roots) for p in primes) + 2.0**-128)
        return min(total, 1.0)

    def wanted(self, chance: float, roots: int, least: int, most: int) -> int:
        """Return how many primes have at most a chance, between two numbers of them; the largest if none has."""
        counts = range(least, most)
        return next((each for each in counts if self.chance([LOWEST] * each, roots) <= chance), most)


def _of_one(bound: Bound, prime: int, roots: int) -> float:
    return min(1.0, bound.total / prime + math.ceil(max(bound.bits, 0.0) / BITS) / candidates(roots))
