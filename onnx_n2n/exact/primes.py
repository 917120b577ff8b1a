"""The primes that a run calculates with, drawn anew each time.

A fixed prime would let two models pass that differ by a multiple of it. In a prime of the form 2^n - 1, a weight and
2^n times the weight are the same number. So primes are drawn from all those between 2^25 and 2^26 that are 3 modulo 4
and in which no two powers of 2 that a double can have are equal. Products of two residues fit the 53 bits of a double.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import numpy as np

LOWEST, HIGHEST = 1 << 25, 1 << 26
BITS = 25  # each prime is at least 2 ** BITS
EXPONENTS = 4300  # powers of two from the smallest product of two doubles to the largest, and more
COUNT = 900_000  # there are 947,000 that are 3 modulo 4; few of them have a small order of 2


def drawn(count: int, roots: Iterable[int] = ()) -> tuple[int, ...]:
    """Draw different primes in which each of ``roots``, small primes or -1 times them, has a square root."""
    wanted = tuple(roots)
    found: dict[int, None] = {}
    while len(found) < count:
        p = LOWEST + secrets.randbelow((HIGHEST - LOWEST) // 4) * 4 + 3
        if _is_prime(p) and all(pow(root, (p - 1) // 2, p) == 1 for root in wanted) and _order_is_large(p):
            found[p] = None
    return tuple(found)


def candidates(roots: int) -> int:
    """Return among how many primes one is drawn if so many small primes have to have a root: half as many for each."""
    return COUNT >> roots


_DIVISORS = np.array([n for n in range(3, 1 << 13, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))], np.int64)


def _is_prime(n: int) -> bool:
    return n % 2 == 1 and bool(np.all(n % _DIVISORS))


def _order_is_large(p: int) -> bool:
    """Return whether no power of 2 up to `EXPONENTS` is 1: its order divides p - 1."""
    return all(pow(2, order, p) != 1 for order in range(1, EXPONENTS + 1) if (p - 1) % order == 0)
