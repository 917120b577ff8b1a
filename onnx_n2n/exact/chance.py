"""How likely it is that two different functions came out equal.

Two functions that differ give different residues, unless the random values happen to be a root of their difference. A
polynomial of degree d that is not zero modulo p vanishes with a chance of at most d / p (Schwartz 1980, Zippel 1979).
It can be zero modulo p and not zero only if p divides all of its coefficients, each a whole number of at most b bits
times a power of two, over a common denominator; b / 25 primes of at least 25 bits do, of those that p is drawn from.
Primes are drawn one by one, and each has its own random values, so their chances multiply.

Arguments of random functions are compared in the same way: two that differ and look equal would make two values one.
So each pair of arguments of one function has that chance too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from onnx_n2n.exact.primes import BITS, candidates

Denominator = tuple[Hashable, float]  # what stands for a whole number, and how many bits that number has


@dataclass(frozen=True, slots=True)
class Bound:
    """What bounds all numbers of an array, as polynomials over a common denominator.

    Args:
        degree: At most this degree: a value of a random function, and an input, is a variable. 0 for constants.
        low: All coefficients are multiples of 2 ** low.
        high: All coefficients are at most 2 ** high.
        under: The common denominator: whole numbers and how often each is in it.
    """

    degree: int = 0
    low: float = 0.0
    high: float = 0.0
    under: Mapping[Denominator, int] = field(default_factory=dict)

    @property
    def bits(self) -> float:
        """The number of bits of a coefficient."""
        return self.high - self.low

    def plus(self, other: Bound) -> Bound:
        """Return the bound of a sum."""
        joined = self.joined(other)
        return Bound(joined.degree, joined.low, joined.high + 1, joined.under)

    def times(self, other: Bound) -> Bound:
        """Return the bound of a product."""
        under = dict(self.under)
        for each, times in other.under.items():
            under[each] = under.get(each, 0) + times
        return Bound(self.degree + other.degree, self.low + other.low, self.high + other.high, under)

    def summed(self, terms: int) -> Bound:
        """Return the bound of a sum of so many numbers that are bounded by this."""
        return Bound(self.degree, self.low, self.high + math.log2(max(terms, 1)), self.under)

    def joined(self, other: Bound) -> Bound:
        """Return the bound of what may be one or the other, over a common denominator of both."""
        under = dict(self.under)
        for each, times in other.under.items():
            under[each] = max(under.get(each, 0), times)
        high = max(side.high + _bits(under) - _bits(side.under) for side in (self, other))
        return Bound(max(self.degree, other.degree), min(self.low, other.low), high, under)

    def over(self, name: Hashable, distinct: int) -> Bound:
        """Return the bound of one over constants, among which so many are different."""
        bits = distinct * max(self.bits, 1.0) + _bits(self.under)
        return Bound(0, -abs(self.low), bits, {(name, bits): 1})


VARIABLE = Bound(1)


def _bits(under: Mapping[Denominator, int]) -> float:
    return sum(bits * times for (_, bits), times in under.items())


@dataclass
class Comparisons:
    """What was compared in a run: for each function how many arguments it had, and what bounds them."""

    arguments: dict[str, int] = field(default_factory=dict)
    bounds: dict[str, Bound] = field(default_factory=dict)

    def add(self, function: str, count: int, bound: Bound) -> None:
        """Note arguments of a function."""
        self.arguments[function] = self.arguments.get(function, 0) + count
        self.bounds[function] = self.bounds.get(function, Bound()).joined(bound)

    def chance(self, primes: Sequence[int], roots: int) -> float:
        """Return the chance that any two of them were equal although they stand for different functions."""
        total = 0.0
        for function, count in self.arguments.items():
            worst = self.bounds[function].plus(self.bounds[function])
            pairs = count * (count + 1) / 2
            total += pairs * (math.prod(_of_one(worst, p, roots) for p in primes) + 2.0**-128)
        return min(total, 1.0)


def _of_one(bound: Bound, prime: int, roots: int) -> float:
    return min(1.0, bound.degree / prime + math.ceil(max(bound.bits, 0.0) / BITS) * (1 << roots) / candidates(roots))
