"""Laws of what bounds a number as a polynomial, and of how many primes that takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_n2n.exact.chance import VARIABLE, Bound, Comparisons

Polynomial = dict[tuple[int, ...], Fraction]  # a fraction for each product of variables, which are numbered
NAMES, LENGTH = count(), 3


@dataclass(frozen=True)
class Numbers:
    """An array of polynomials with what is said to bound them."""

    values: tuple[Polynomial, ...]
    bound: Bound

    def each(self, what: Callable[..., Polynomial], *others: Numbers, bound: Bound) -> Numbers:
        return Numbers(tuple(what(*row) for row in zip(self.values, *(o.values for o in others), strict=True)), bound)

    def __add__(self, other: Numbers) -> Numbers:
        return self.each(total, other, bound=self.bound.plus(other.bound))

    def __mul__(self, other: Numbers) -> Numbers:
        return self.each(times, other, bound=self.bound.times(other.bound))

    def turned(self) -> Numbers:
        return Numbers((*self.values[1:], self.values[0]), self.bound)

    def summed(self) -> Numbers:
        return Numbers((total(*self.values),) * LENGTH, self.bound.summed(LENGTH))

    def mixed(self, other: Numbers) -> Numbers:
        return Numbers((self.values[0], *other.values[1:]), self.bound.joined(other.bound))

    def over(self) -> Numbers:
        """Return one over numbers that are constants; anything else is left as it is."""
        if self.bound.degree or not all(each.get((), 0) for each in self.values):
            return self
        distinct = len({each[()] for each in self.values})
        return self.each(lambda each: {(): 1 / each[()]}, bound=self.bound.over(next(NAMES), distinct))


def total(*terms: Polynomial) -> Polynomial:
    found: Counter[tuple[int, ...]] = Counter()
    for each in terms:
        for key, number in each.items():
            found[key] += number  # type: ignore[assignment]
    return {key: Fraction(number) for key, number in found.items() if number}


def times(one: Polynomial, two: Polynomial) -> Polynomial:
    return total(*({tuple(sorted(a + b)): one[a] * two[b]} for a, b in product(one, two)))


def constants(numbers: list[tuple[int, int]]) -> Numbers:
    """Return whole numbers times powers of two, as floats are."""
    values = [Fraction(whole) * Fraction(2) ** power for whole, power in numbers]
    low = min(power for _, power in numbers)
    high = max(math.log2(abs(each)) if each else 0 for each in values)
    return Numbers(tuple({(): each} if each else {} for each in values), Bound(0, float(low), math.ceil(high)))


def fractions(pairs: list[tuple[int, int]]) -> Numbers:
    """Return fractions with one denominator, as forms have them."""
    under = pairs[0][1]
    bound = Bound(0, 0.0, 8.0, {(under, float(under.bit_length())): 1} if under > 1 else {})
    return Numbers(tuple({(): Fraction(over, under)} if over else {} for over, _ in pairs), bound)


VARIABLES = Numbers(tuple({(place,): Fraction(1)} for place in range(LENGTH)), VARIABLE)
WHOLE = st.tuples(st.integers(-200, 200), st.integers(-6, 3))
PAIRS = st.tuples(st.integers(-200, 200), st.integers(1, 50))
LEAVES = st.one_of(
    st.lists(WHOLE, min_size=LENGTH, max_size=LENGTH).map(constants),
    st.lists(PAIRS, min_size=LENGTH, max_size=LENGTH).map(fractions),
    st.just(VARIABLES),
)
NUMBERS = st.recursive(
    LEAVES,
    lambda inside: st.one_of(
        st.tuples(inside, inside).map(lambda two: two[0] + two[1]),
        st.tuples(inside, inside).map(lambda two: two[0] * two[1]),
        st.tuples(inside, inside).map(lambda two: two[0].mixed(two[1])),
        inside.map(Numbers.summed),
        inside.map(Numbers.turned),
        inside.map(Numbers.over),
        inside.map(lambda each: each + each.turned()),
    ),
    max_leaves=10,
)


@given(NUMBERS)
def test_a_number_has_at_most_the_bits_and_the_degree_that_bound_it(numbers: Numbers) -> None:
    """In lowest terms, over the power of two, its coefficients are whole, and so small; primes above it are so few."""
    bound = numbers.bound
    for each in numbers.values:
        scaled = [number * Fraction(2) ** -int(bound.low) for number in each.values()]
        under = math.lcm(*(number.denominator for number in scaled))
        assert sum(abs(number) for number in scaled) * under <= Fraction(2) ** math.ceil(bound.bits + 1e-6)
        assert max(map(len, each), default=0) <= bound.total


@given(NUMBERS)
def test_the_common_denominator_is_one(numbers: Numbers) -> None:
    """Without the powers of two, the denominator of a number has no more bits than its own, nor than the common one."""
    bound = numbers.bound
    common = sum(part[1] * often for part, often in bound.under.items())
    for each in numbers.values:
        under = math.lcm(*((number * Fraction(2) ** -int(bound.low)).denominator for number in each.values()))
        assert under <= 2 ** math.ceil(bound.below + 1e-6)
        assert bound.below <= common


def test_numbers_that_stand_alone_have_denominators_of_their_own() -> None:
    """A norm divides each of 64 channels by one number: only a sum over channels has all of the denominators."""
    weights = Bound(0, -24.0, 0.0)
    channels = weights.over("roots", 64).times(VARIABLE)
    assert channels.bits < 4 * weights.bits
    assert channels.plus(channels).bits < 6 * weights.bits
    assert channels.summed(64).bits > 60 * weights.bits
    assert channels.summed(1000).bits < 70 * weights.bits


def test_a_sum_of_inverses_of_polynomials_has_the_degree_of_all_the_others() -> None:
    one, two = (VARIABLE.over(name, 3).summed(3) for name in "ab")
    assert one.total >= 2
    assert one.plus(two).total >= 5


@given(st.integers(0, 60), st.floats(0, 5000), st.integers(1, 10**6), st.integers(0, 3))
def test_so_many_primes_as_are_wanted_are_enough_and_no_more(degree: int, bits: float, size: int, roots: int) -> None:
    compared = Comparisons()
    compared.add("Exp", size, Bound(degree, -bits, 0.0))
    wanted = compared.wanted(1e-12, roots, 5, 9)
    assert 5 <= wanted <= 9
    if wanted < 9:
        assert compared.chance([1 << 25] * wanted, roots) <= 1e-12
    if wanted > 5:
        assert compared.chance([1 << 25] * (wanted - 1), roots) > 1e-12


@pytest.mark.parametrize("count_", [1, 2, 5])
def test_more_primes_have_a_smaller_chance(count_: int) -> None:
    compared = Comparisons()
    compared.add("Exp", 1000, Bound(3, -900.0, 100.0))
    assert compared.chance([1 << 25] * (count_ + 1), 0) < compared.chance([1 << 25] * count_, 0)
