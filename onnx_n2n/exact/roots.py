"""Square roots of fractions, modulo primes in which few small primes have roots."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import isqrt
from typing import Any

from onnx_n2n.exact.undecided import Undecided

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


def root(world: Any, number: Fraction) -> Any:
    """Return the square root of a fraction: products of roots are roots of products.

    Raises:
        Undecided: If the primes that were drawn have no such root.
    """
    outside, primes = taken_apart(number)
    found = world.fraction(*outside.as_integer_ratio())
    for prime in primes:
        found = found * world.root_of(prime, 1)
    return found
