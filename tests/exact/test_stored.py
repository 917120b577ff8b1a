"""Large constants: whatever the path, their residues are those that whole numbers of Python give."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_n2n.exact import mended, stored
from onnx_n2n.exact import residues as residues_
from onnx_n2n.exact.field import Field
from onnx_n2n.exact.mended import Block, Mended
from onnx_n2n.exact.residues import Residues, reduced
from onnx_n2n.exact.stored import Parts, Stored

FLOATS = ("float32", "float64", "float16", "bfloat16", "float8_e4m3fn")
WHOLE = ("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64")
SPREADS = ("even", "wide", "few", "subnormal", "zeros")
FIELD = Field(3)


def drawn(name: str, spread: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return numbers of a type: of one size or of all that it has, a few small ones, or many zeros of both signs."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    if name in WHOLE:
        ends = np.iinfo(dtype)
        numbers = rng.integers(ends.min, ends.max, shape, dtype=dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.5, numbers, 0).astype(dtype) if spread == "zeros" else numbers
    info = ml_dtypes.finfo(dtype)
    low, high = int(np.log2(float(info.smallest_subnormal))), int(np.log2(float(info.max)))
    exponents = {
        "even": np.zeros(shape), "wide": rng.integers(low, high, shape),
        "few": np.where(rng.random(shape) < 0.01, low // 2, 0), "subnormal": rng.integers(low, low + 3, shape),
        "zeros": np.where(rng.random(shape) < 0.5, 0.0, -np.inf),
    }[spread]  # fmt: skip
    signs = rng.choice([-1.0, 1.0], shape)
    return np.asarray((signs * rng.uniform(1, 2, shape) * np.exp2(exponents)).astype(dtype))


def residues(array: np.ndarray, prime: int) -> np.ndarray:
    """Return numbers modulo a prime, calculated with fractions."""
    numbers = (Fraction(int(each) if array.dtype.kind in "iu" else float(each)) for each in array.reshape(-1))
    found = [each.numerator * pow(each.denominator, -1, prime) % prime for each in numbers]
    return np.array(found, object).reshape(array.shape)


def require(numbers: Any, expected: np.ndarray, place: int) -> None:
    """Require residues for one prime."""
    assert numbers.shape == expected.shape
    assert (numbers.astype(np.int64) == expected.astype(np.int64)).all()
    assert (numbers >= 0).all()
    assert (numbers < FIELD.primes[place]).all()


shapes = st.tuples(st.integers(1, 70), st.integers(1, 40))
seeds = st.integers(0, 1 << 30)
arrays = st.builds(drawn, st.sampled_from(FLOATS + WHOLE), st.sampled_from(SPREADS), shapes, seeds)


def entered(array: np.ndarray) -> Stored:
    """Return numbers as those of a large constant."""
    return Stored(FIELD, array, FIELD.enter(array).bound)


@given(arrays, st.integers(0, 60), st.booleans())
@settings(deadline=None, max_examples=60)
def test_numbers_are_entered_without_rounding(array: np.ndarray, start: int, turned: bool) -> None:
    """The residues of an array, of part of it, and of it turned, are those of its numbers."""
    numbers = entered(array.T if turned else array)
    part = slice(start, None)
    for place, prime in enumerate(FIELD.primes):
        expected = residues(array.T if turned else array, prime)
        require(numbers.values[place], expected, place)
        require(numbers.slab(place, (..., part)), expected[..., part], place)


@given(arrays, st.integers(1, 9), seeds, st.booleans(), st.sampled_from(["digits", "narrow", "primes"]))
@settings(deadline=None, max_examples=100)
def test_products_are_exact(array: np.ndarray, rows: int, seed: int, turned: bool, path: str) -> None:
    """A product is that of whole numbers, whether digits are shared by all primes or numbers entered for each."""
    array = array.T if turned else array
    x = FIELD.variable(("x", seed), (rows, array.shape[0]))
    with pytest.MonkeyPatch.context() as patch:
        if path == "primes":
            patch.setattr(stored, "FARTHEST", -1e9)
            patch.setattr(residues_, "LONGEST", 11)
            patch.setattr(residues_, "LARGEST", 70)
        if path == "narrow":
            patch.setattr(stored, "TERMS", 7)
            patch.setattr(stored, "BLOCK", 20)
            patch.setattr(stored, "HELD", 40)
        product = (x @ entered(array)).values
    for place, prime in enumerate(FIELD.primes):
        expected = x.values[place].astype(np.int64).astype(object) @ residues(array, prime) % prime
        require(product[place], expected, place)


def test_largest_sums_are_exact() -> None:
    """Sums of as many digits as are added at once, all of the largest size and one sign, are not rounded."""
    terms = stored.TERMS
    array = np.full((terms, 64), np.float32(2 - 2.0**-23))
    array[::2] = np.float32(2 - 2.0**-17)
    for residue in (0.5, 0.5 - 1e-7, 0.5 + 1e-7, 1.0):
        values = np.stack([np.full((2, terms), np.floor(p * residue) - (residue == 1.0)) for p in FIELD.primes])
        x = Residues(FIELD, values, FIELD.variable("x", ()).bound)
        product = (x @ entered(array)).values
        for place, prime in enumerate(FIELD.primes):
            expected = values[place].astype(np.int64).astype(object) @ residues(array, prime) % prime
            require(product[place], expected, place)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("spread", ["even", "wide", "few"])
def test_digits_add_up_to_the_numbers(name: str, spread: str) -> None:
    """Digits are small whole numbers, and add up to the numbers, whatever their exponents."""
    block = drawn(name, spread, (40, 30), 3).astype(np.float64)
    if name == "float64":
        block = np.ldexp(np.frexp(block)[0], np.frexp(block)[1] // 3)
    exact = np.vectorize(Fraction, otypes=[object])
    total = np.zeros(block.shape, object)
    for rows, digits, exponent in stored._digits(block.copy(), int(np.frexp(np.abs(block).max())[1])):
        digits = digits * 2.0**-exponent
        assert (np.abs(digits) <= 2**stored.DIGIT).all()
        total[rows] = total[rows] + exact(digits) * Fraction(2) ** exponent
    assert (total == exact(block)).all()


@st.composite
def patched(draw: st.DrawFn) -> tuple[Mended, list[np.ndarray]]:
    """Draw a constant with a block of other numbers in it, and its residues for each prime."""
    shape = draw(st.sampled_from([(12, 9), (5, 6, 4), (4, 3, 2, 3), (7, 1, 5)]))
    array = drawn(draw(st.sampled_from(FLOATS)), draw(st.sampled_from(["even", "few", "zeros"])), shape, draw(seeds))
    at = tuple(np.array(sorted(draw(st.sets(st.integers(0, n - 1), min_size=1))), np.int64) for n in shape)
    own = tuple(draw(st.integers(1, n)) for n in shape)
    sources = tuple(np.array([draw(st.integers(0, n - 1)) for _ in each]) for each, n in zip(at, own, strict=True))
    numbers = FIELD.variable(("block", draw(seeds)), own)
    found = Mended(FIELD, array, numbers.bound, (Block(at, sources, numbers),))
    expected = []
    for place, prime in enumerate(FIELD.primes):
        whole = residues(array, prime)
        whole[np.ix_(*at)] = numbers.values[place].astype(np.int64)[np.ix_(*sources)]
        expected.append(whole)
    return found, expected


@given(patched(), st.randoms(use_true_random=False), seeds, st.sampled_from(["digits", "primes"]))
@settings(deadline=None, max_examples=80)
def test_blocks_move_and_multiply_with_their_array(
    both: tuple[Mended, list[np.ndarray]], random: Any, seed: int, path: str
) -> None:
    """A constant with other numbers in a block, turned, cut and made a matrix, multiplies as its numbers do."""
    numbers, expected = both
    order = list(range(numbers.ndim))
    random.shuffle(order)
    turned, whole = numbers.transpose(order), [each.transpose(order) for each in expected]
    first = random.randrange(turned.shape[0])
    cut, rest = turned[first:], [each[first:] for each in whole]
    matrix, rows = cut.reshape((cut.shape[0], -1)), [each.reshape(len(each), -1) for each in rest]
    assert all(isinstance(each, Mended) for each in (turned, cut, matrix))
    x = FIELD.variable(("x", seed), (3, matrix.shape[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "FARTHEST", -1e9 if path == "primes" else stored.FARTHEST)
        product = (x @ matrix).values
        other = (FIELD.variable(("z", seed), (2, matrix.shape[1])) @ matrix.transpose((1, 0))).values
    z = FIELD.variable(("z", seed), (2, matrix.shape[1])).values
    for place, prime in enumerate(FIELD.primes):
        require(numbers.values[place], expected[place], place)
        require(turned[first].values[place], whole[place][first], place)
        require(numbers.reshape((-1,)).values[place], expected[place].reshape(-1), place)
        require(product[place], x.values[place].astype(np.int64).astype(object) @ rows[place] % prime, place)
        require(other[place], z[place].astype(np.int64).astype(object) @ rows[place].T % prime, place)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_axes_that_become_one_are_found(shape: list[int], random: Any) -> None:
    """Each axis of a shape is a group of neighbouring ones of another, if it can be made by joining axes."""
    joined, rest = [], list(shape)
    while rest:
        count = random.randint(1, len(rest))
        joined.append(int(np.prod(rest[:count])))
        rest = rest[count:]
    groups = mended._groups(shape, joined)
    assert groups is not None
    assert [axis for group in groups for axis in group] == list(range(len(shape)))
    assert [int(np.prod([shape[axis] for axis in group])) for group in groups] == joined
    assert mended._groups([4, 3], [3, 4]) is None
    assert mended._groups([4], [2, 2]) is None


@given(arrays, st.integers(1, 3), st.booleans())
@settings(deadline=None, max_examples=60)
def test_exponents_bound_all_numbers(array: np.ndarray, step: int, turned: bool) -> None:
    """Each number is a multiple of one power of two, and at most the other, which are those of ends among them."""
    part = array.T[::step] if turned else array[:, ::step]
    low, high = stored.exponents(part)
    numbers = [Fraction(int(each) if part.dtype.kind in "iu" else float(each)) for each in part.reshape(-1)]
    assert all(each / Fraction(2) ** int(low) == int(each / Fraction(2) ** int(low)) for each in numbers)
    assert all(abs(each) <= Fraction(2) ** int(high) for each in numbers)
    if part.dtype.kind not in "iu":
        powers = [int(np.frexp(float(each))[1]) for each in numbers if each]
        assert (low, high) == (min([0, *powers]) - stored.mantissa(part), max([0, *powers]))


@given(st.sampled_from([(3, 5), (3, 40, 7), (3, 1)]), seeds, st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_remainders_are_exact(shape: tuple[int, ...], seed: int, turned: bool, blocks: bool) -> None:
    """Numbers of up to 53 bits come to be what they are modulo each prime, in place, whatever their order in memory."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 1 << int(rng.integers(1, 54)), shape)
    primes = FIELD.column.astype(np.int64).reshape(-1, *[1] * (len(shape) - 1))
    numbers.reshape(-1)[:2] = 0, 2**53 - 1
    numbers[:, -1:] -= numbers[:, -1:] % primes  # multiples of the primes
    values = np.array(numbers, np.float64, order="F" if turned else "C")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residues_, "BLOCK", 4 if blocks else residues_.BLOCK)
        found = reduced(values, primes.astype(np.float64))
        first = reduced(np.array(numbers[0], np.float64), float(FIELD.primes[0]))
    assert found is values
    assert (found == numbers % primes).all()
    assert (first == numbers[0] % FIELD.primes[0]).all()


def test_powers_reach_all_doubles() -> None:
    """The smallest and the largest double are entered as they are."""
    array = np.array([2.0**-1074, np.finfo(np.float64).max, -(2.0**-1022), 0.0, -0.0])
    for prime in FIELD.primes:
        assert (Parts.of(array).modulo([prime])[0] == residues(array, prime).astype(np.int64)).all()
