"""How likely it is that two different functions came out equal.

Two functions that differ give different residues, unless the random values happen to be a root of their difference. A
polynomial of degree d that is not zero modulo p vanishes with a chance of at most d / p (Schwartz 1980, Zippel 1979).
It can be zero modulo p and not zero only if p divides all of its coefficients, each a whole number of at most b bits
times a power of two; b / 25 primes of at least 25 bits do, of those that p is drawn from. Primes are drawn one by one,
and each has its own random values, so their chances multiply.

Arguments of random functions are compared in the same way: two that differ and look equal would make two values one.
So each pair of arguments of one function has that chance too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from onnx_n2n.exact.primes import BITS, candidates


@dataclass(frozen=True, slots=True)
class Bound:
    """What a number is at most: its degree as a polynomial, and the bits of its coefficients.

    A value of a random function, and an input, is a variable of degree 1. What no input reaches has degree 0.
    """

    degree: int = 0
    bits: float = 0.0

    def plus(self, other: Bound) -> Bound:
        """Return the bound of a sum."""
        return Bound(max(self.degree, other.degree), max(self.bits, other.bits) + 1)

    def times(self, other: Bound) -> Bound:
        """Return the bound of a product."""
        return Bound(self.degree + other.degree, self.bits + other.bits)

    def summed(self, terms: int) -> Bound:
        """Return the bound of a sum of so many numbers that are bounded by this."""
        return Bound(self.degree, self.bits + math.log2(max(terms, 1)))

    def joined(self, other: Bound) -> Bound:
        """Return the bound of what may be one or the other."""
        return Bound(max(self.degree, other.degree), max(self.bits, other.bits))


VARIABLE = Bound(1, 0.0)


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
    return min(1.0, bound.degree / prime + math.ceil(bound.bits / BITS) * (1 << roots) / candidates(roots))
