"""Laws of division: as they are stored, the copies of a channel sum to what it had, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from helpers.graphs import STABLE
from onnx_n2n.record.recipe import Recipe, Summed
from onnx_n2n.width.growth import copies

TYPES = [np.dtype(name) for name in (np.float64, np.float32, np.float16)] + [
    np.dtype(getattr(ml_dtypes, name))
    for name in (
        "bfloat16", "float8_e4m3", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
        "float8_e3m4", "float8_e4m3b11fnuz", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn",
    )
]  # fmt: skip
DYADIC = [[0.5, 0.5], [0.5, 0.25, 0.25], [0.25] * 4, [0.5, *[0.125] * 4], [0.0, 0.5, 0.5], [1 / 64] * 64]
OTHERS = [[0.75, 0.25], [0.3, 0.7], [0.0, 0.625, 0.375], [0.1, 0.2, 0.7]]


def every_number(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """Return numbers of all magnitudes: the smallest, the largest, zeros, and any pattern of bits that is finite."""
    patterns = rng.integers(0, 256, 200 * dtype.itemsize, np.uint8)
    if dtype.itemsize == 1 and (bits := ml_dtypes.finfo(dtype).bits) < 8:
        patterns &= 2**bits - 1
    found = patterns.view(dtype)
    info = ml_dtypes.finfo(dtype)
    tiny, most, least = float(info.tiny), float(info.max), float(info.smallest_subnormal)
    edges = np.array([0, -0.0, least, -least, 3 * least, tiny, tiny - least, 2 * tiny - least, most, -most, most / 2])
    found = np.concatenate([found, edges.astype(dtype), np.ones(20).astype(dtype)])
    with np.errstate(invalid="ignore"):
        return found[np.isfinite(found.astype(np.float64))]


def sums(grown: np.ndarray, key: np.ndarray, axis: int) -> np.ndarray:
    """Add up places of the same key, as fractions, in the order of the keys."""
    rows = np.moveaxis(fractions(grown), axis, 0)
    return np.moveaxis(np.stack([rows[key == channel].sum(0) for channel in np.unique(key)]), 0, axis)


def fractions(array: np.ndarray) -> np.ndarray:
    exact = array if array.dtype == object else array.astype(np.float64)
    return np.vectorize(Fraction, otypes=[object])(exact)


@st.composite
def divided(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw index, share and key of an axis of a few channels, each divided in its own way, in any order."""
    shares = draw(st.lists(st.sampled_from([[1.0], *DYADIC[:5], *OTHERS]), min_size=1, max_size=4))
    index = np.repeat(np.arange(len(shares)), [len(each) for each in shares])
    share = np.concatenate(shares)
    order = np.array(draw(st.permutations(range(len(index)))))
    return index[order], share[order], index[order] + 5


@STABLE
@given(st.data(), divided(), st.sampled_from(TYPES), st.sampled_from([0.0, 1e-6, 0.01, 0.3, 1.0, 100.0]))
def test_copies_sum_to_the_channel_in_every_type(
    data: st.DataObject, axis: tuple[np.ndarray, np.ndarray, np.ndarray], dtype: np.dtype, noise: float
) -> None:
    index, share, key = axis
    seed = data.draw(st.integers(0, 1000))
    numbers = every_number(dtype, np.random.default_rng(seed))
    channels = len(np.unique(index))
    teacher = numbers[: len(numbers) // channels * channels].reshape(channels, -1)
    for place, weight in ((0, teacher), (1, np.ascontiguousarray(teacher.T))):
        places = tuple(index if each == place else None for each in (0, 1))
        grown = Recipe(places, (Summed(place, share, key),), noise=noise, seed=(seed,)).make(weight)
        assert grown.dtype == dtype
        assert_array_equal(sums(grown, key, place), fractions(weight))
        assert not np.take(grown, np.flatnonzero(share == 0), axis=place).astype(np.float64).any()


@STABLE
@given(st.data(), divided(), divided(), st.sampled_from(TYPES), st.sampled_from([0.0, 0.3]))
def test_copies_along_two_axes_sum_to_the_channel(
    data: st.DataObject,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    columns: tuple[np.ndarray, np.ndarray, np.ndarray],
    dtype: np.dtype,
    noise: float,
) -> None:
    shape = len(np.unique(rows[0])), len(np.unique(columns[0]))
    numbers = every_number(dtype, np.random.default_rng(data.draw(st.integers(0, 1000))))
    teacher = np.resize(numbers[data.draw(st.integers(0, len(numbers) - 1)) :], shape)
    parts = tuple(Summed(axis, share, key) for axis, (_, share, key) in enumerate((rows, columns)))
    grown = Recipe((rows[0], columns[0]), parts, noise=noise).make(teacher)
    assert_array_equal(sums(sums(grown, rows[2], 0), columns[2], 1), fractions(teacher))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("share", DYADIC, ids=str)
def test_without_noise_a_copy_is_the_share_wherever_all_copies_can_be(dtype: np.dtype, share: list[float]) -> None:
    teacher, parts = every_number(dtype, np.random.default_rng(0)), np.array(share)[:, None]
    key = np.zeros(len(share), np.int64)
    grown = Recipe((key, None), (Summed(0, parts[:, 0], key),)).make(teacher[None])
    exact = (fractions(parts) * fractions(teacher)).astype(object)
    stored = fractions((parts * teacher.astype(np.float64)).astype(dtype))
    fits = (exact == stored).all(0)
    assert fits.any()
    assert_array_equal(fractions(grown)[:, fits], exact[:, fits])
    assert_array_equal(sums(grown, key, 0)[0], fractions(teacher))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_what_is_no_number_stays_so(dtype: np.dtype, noise: float) -> None:
    teacher = np.array([np.inf, -np.inf, np.nan, 1.0, 0.5]).astype(dtype)
    channels = copies(5, 11, None)
    grown = Recipe((channels.index,), (Summed(0, channels.share, channels.index),), noise=noise).make(teacher)
    odd = ~np.isfinite(teacher.astype(np.float64))[channels.index]
    assert_array_equal(grown.astype(np.float64)[odd], teacher.astype(np.float64)[channels.index][odd])


def noisy(dtype: np.dtype, noise: float, times: int) -> Iterator[np.ndarray]:
    """Yield a weight and each of its copies, all as float64."""
    teacher = np.random.default_rng(0).standard_normal((64, 256)).astype(dtype)
    channels = copies(64, 64 * times, None)
    recipe = Recipe((channels.index, None), (Summed(0, channels.share, channels.index),), noise=noise)
    yield teacher.astype(np.float64)
    yield from recipe.make(teacher).astype(np.float64).reshape(times, 64, 256)


@pytest.mark.parametrize("dtype", TYPES[:10], ids=str)
@pytest.mark.parametrize("noise", [0.01, 0.3])
@pytest.mark.parametrize("times", [2, 3, 4])
def test_copies_part_in_every_type_of_eight_bits_and_more(dtype: np.dtype, noise: float, times: int) -> None:
    _, *parts = noisy(dtype, noise, times)
    for one, other in pairwise(parts):
        assert (one != other).mean(axis=1).min() > (0.9 if dtype.itemsize > 1 and noise > 0.1 else 0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_noise_has_about_the_size_asked_for(dtype: type) -> None:
    for noise in (0.1, 0.3):
        whole, first, second = noisy(np.dtype(dtype), noise, 2)
        assert 0.7 * noise < (first - whole / 2).std() < 1.1 * noise
        assert np.abs((first - whole / 2).mean()) < 0.02
        assert np.abs(second).max() <= 2 * np.abs(whole).max()


@pytest.mark.parametrize("dtype", TYPES[3:10], ids=str)
def test_noise_below_a_unit_parts_some_copies_that_would_be_equal(dtype: np.dtype) -> None:
    whole, first, second = noisy(dtype, 0.002, 2)
    exponents = np.frexp(np.maximum(np.abs(whole), float(ml_dtypes.finfo(dtype).tiny)))[1]
    even = np.ldexp(whole, ml_dtypes.finfo(dtype).nmant + 1 - exponents) % 2 == 0
    assert 0.005 < (first != second)[even & (whole != 0)].mean() < 0.6


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_noise_is_the_same_in_all_types_but_for_their_units(dtype: type, times: int) -> None:
    """So a checkpoint in half precision grows as the one in full precision beside it."""
    whole, *half = noisy(np.dtype(dtype), 0.3, times)
    units = float(ml_dtypes.finfo(dtype).eps) * np.maximum(np.abs(whole), 0.1)
    for one, other in zip(half, [*noisy(np.dtype(np.float32), 0.3, times)][1:], strict=True):
        assert (np.abs(one - other) <= 8 * units).mean() > 0.99  # the others are powers of two when they are rounded


def test_zeros_get_noise() -> None:
    teacher = np.where(np.arange(4096).reshape(64, 64) % 2, 0.0, 1.0)
    for dtype in TYPES:
        channels = copies(64, 128, None)
        recipe = Recipe((channels.index, None), (Summed(0, channels.share, channels.index),), noise=0.3)
        grown = recipe.make(teacher.astype(dtype)).astype(np.float64)[:64][teacher == 0]
        assert 0.05 < grown.std() < 0.3, dtype


def test_the_first_law_is_as_it_was() -> None:
    """Records that name no law come with students that were made by it."""
    channels, teacher = copies(3, 6, None), np.arange(9, dtype=np.float32).reshape(3, 3) / 8
    recipe = Recipe((channels.index, None), (Summed(0, channels.share, channels.index),), noise=0.3, law=1)
    rng = np.random.Generator(np.random.SFC64([0, 0]))
    drawn = np.frombuffer(rng.bytes(18), np.int8).reshape(6, 3) >> 1
    step = np.float32(2.0 ** np.floor(np.log2(0.3 * teacher.std() / 52.3)))
    expected = np.tile(teacher / 2, (2, 1)) + (drawn - np.roll(drawn, 3, axis=0)) * step
    assert_array_equal(recipe.make(teacher), expected)
