"""Square roots of fractions, modulo primes in which few small primes have roots."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np

from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.world import Kind, World

DIVISORS = 1 << 16  # a number without a divisor below this, and below its square, is a prime


@lru_cache(maxsize=4096)
def taken_apart(number: Fraction) -> tuple[Fraction, tuple[int, ...]]:
    """Return a fraction and primes: the number is the fraction's square times these primes.

    Raises:
        Undecided: If the number is not above 0, or has prime factors that are too large to find.
    """
    if number <= 0:
        raise Undecided(f"{number} has no root")
    rest, outside, primes = number.numerator * number.denominator, 1, list[int]()
    divisor = 2
    while divisor < DIVISORS and divisor * divisor <= rest:
        while rest % (divisor * divisor) == 0:
            rest, outside = rest // (divisor * divisor), outside * divisor
        if rest % divisor == 0:
            rest //= divisor
            primes.append(divisor)
        divisor += 1 + (divisor > 2)
    if isqrt(rest) ** 2 == rest:
        rest, outside = 1, outside * isqrt(rest)
    if rest >= DIVISORS * DIVISORS:
        raise Undecided(f"the root of {number} needs the factors of {rest}")
    if rest in primes:
        primes.remove(rest)
        rest, outside = 1, outside * rest
    return Fraction(outside, number.denominator), tuple(sorted({*primes, *([rest] if rest > 1 else [])}))


def root(world: World[Kind], number: Fraction) -> Kind:
    """Return the square root of a fraction: products of roots are roots of products.

    Raises:
        Undecided: If the primes that were drawn have no such root.
    """
    outside, primes = taken_apart(number)
    found = world.fraction(*outside.as_integer_ratio())
    for prime in primes:
        found = found * world.root_of(prime, 1)
    return found


class Scaled:
    """Another world, in which roots of x are taken as ``sqrt(c) * sqrt(x / c)``: whatever c is, that is the same.

    A norm over more channels has c times the variance; so its roots are seen to be those of the norm over fewer.

    Args:
        world: What numbers are.
        scale: That number, above 0.
    """

    def __init__(self, world: World[Any], scale: Fraction) -> None:
        self._world, self._scale = world, scale

    def __getattr__(self, name: str) -> Any:
        """Return what the world has."""
        return getattr(self._world, name)

    def rsqrt(self, x: Any, approximately: np.ndarray | None = None) -> Any:
        """Return one over square roots of numbers; what these are as doubles, where they are constants."""
        near = None if approximately is None else approximately / float(self._scale)
        over = self._world.rsqrt(x * self._world.fraction(self._scale.denominator, self._scale.numerator), near)
        return over * root(self._world, 1 / self._scale)

    def sqrt(self, x: Any, approximately: np.ndarray | None = None) -> Any:
        """Return square roots, one over which is what `rsqrt` gives."""
        over = self.rsqrt(x, approximately)
        found = x * over
        self._world.inverses(found, over)
        return found
