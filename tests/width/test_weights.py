"""Laws of grown weights: what the copies of a channel carry together is what the teacher's channel carried."""

from __future__ import annotations

import os
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

import onnx_n2n
from helpers.graphs import STABLE, model
from onnx_n2n.record.recipe import Recipe, Summed
from onnx_n2n.width.growth import Channels, copies, fresh

FLOATS = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]
NOISE = 0.1
every_float = pytest.mark.parametrize("dtype", FLOATS)


def weight(*shape: int, dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32).astype(dtype)


def summing(channels: Channels, axis: int, rank: int, *, noise: float = NOISE, seed: int = 0) -> Recipe:
    index = tuple(channels.index if place == axis else None for place in range(rank))
    return Recipe(index, (Summed(axis, channels.share, channels.index),), noise=noise, seed=(seed,))


def summed_over_copies(grown: np.ndarray, key: np.ndarray, axis: int) -> np.ndarray:
    """Add up in double precision the places of ``axis`` that have the same key, in the order of the keys."""
    rows = np.moveaxis(grown.astype(np.float64), axis, 0)
    return np.moveaxis(np.stack([rows[key == channel].sum(0) for channel in np.unique(key)]), 0, axis)


def rounding(dtype: type) -> float:
    """What rounding each of a few copies may add up to, for weights of about one."""
    return 16 * float(ml_dtypes.finfo(dtype).eps) if dtype != np.float64 else 0.0


@every_float
@pytest.mark.parametrize("noise", [0.0, NOISE, 1.0])
@pytest.mark.parametrize(("shape", "axis"), [((5, 7), 1), ((5, 7), 0), ((4, 5, 3, 3), 1), ((7,), 0)])
@pytest.mark.parametrize("times", [1.4, 2, 3.3])
def test_copies_carry_together_what_the_channel_carried(
    dtype: type, noise: float, shape: tuple[int, ...], axis: int, times: float
) -> None:
    # The values have 24 bits: in float64 there is room for shares and noise, and the sum is exact.
    teacher = weight(*shape, dtype=dtype)
    channels = copies(shape[axis], round(times * shape[axis]), np.random.default_rng(1))
    grown = summing(channels, axis, len(shape), noise=noise).make(teacher)
    assert grown.dtype == dtype
    found = summed_over_copies(grown, channels.index, axis)
    np.testing.assert_allclose(found, teacher.astype(np.float64), rtol=0, atol=rounding(dtype) * max(1, 4 * noise))


@every_float
def test_copies_within_groups_share_only_with_their_own_group(dtype: type) -> None:
    """A grouped ConvTranspose sums over the inner part of its first axis; the groups, grown too, do not mix."""
    groups, inner = copies(2, 3, None), copies(4, 7, None)
    teacher = weight(8, 3, 2, dtype=dtype)
    index = np.add.outer(groups.index * 4, inner.index).ravel()
    key = np.add.outer(np.arange(3) * 7, inner.index).ravel()
    share = np.tile(inner.share, 3)
    grown = Recipe((index, None, None), (Summed(0, share, key),), noise=NOISE).make(teacher)
    expected = teacher.astype(np.float64).reshape(2, 4, 3, 2)[groups.index].reshape(12, 3, 2)
    np.testing.assert_allclose(summed_over_copies(grown, key, 0), expected, rtol=0, atol=rounding(dtype))


@STABLE
@given(st.data())
def test_without_noise_every_place_is_the_teachers_times_its_share(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    teacher = weight(*shape)
    channels = [copies(n, n + data.draw(st.integers(0, 6)), np.random.default_rng(0)) for n in shape]
    grows, sums = (data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape))) for _ in range(2))
    index = tuple(one.index if grow else None for one, grow in zip(channels, grows, strict=True))
    carry = [axis for axis, both in enumerate(zip(grows, sums, strict=True)) if all(both)]
    recipe = Recipe(index, tuple(Summed(axis, channels[axis].share, channels[axis].index) for axis in carry))
    expected = teacher[np.ix_(*(np.arange(n) if i is None else i for n, i in zip(shape, index, strict=True)))]
    for axis in carry:
        expected = expected * channels[axis].share.astype(np.float32).reshape(-1, *[1] * (len(shape) - axis - 1))
    grown = recipe.make(teacher)
    np.testing.assert_array_equal(grown, expected)
    assert grown.shape == recipe.shape(shape)
    assert recipe.identity == (not any(grows))


def test_both_axes_of_a_bilinear_weight_may_carry_shares() -> None:
    rows, columns = copies(5, 8, None), copies(4, 10, None)
    teacher = weight(5, 4, dtype=np.float64)
    parts = (Summed(0, rows.share, rows.index), Summed(1, columns.share, columns.index))
    grown = Recipe((rows.index, columns.index), parts, noise=NOISE).make(teacher)
    found = summed_over_copies(summed_over_copies(grown, rows.index, 0), columns.index, 1)
    np.testing.assert_allclose(found, teacher, rtol=0, atol=1e-15)


def test_noise_parts_the_copies_by_about_as_much_as_asked() -> None:
    teacher, channels = weight(300, 40), copies(40, 80, None)
    recipe = summing(channels, 1, 2)
    plain, noisy = replace(recipe, noise=0.0).make(teacher), recipe.make(teacher)
    np.testing.assert_array_equal(plain[:, :40], plain[:, 40:])
    assert (noisy[:, :40] != noisy[:, 40:]).mean() > 0.98
    assert 0.4 * NOISE < (noisy - plain).std() / teacher.std() < 1.1 * NOISE


def test_noise_leaves_channels_without_copies_alone() -> None:
    teacher, channels = weight(30, 40), copies(40, 50, np.random.default_rng(0))
    grown = summing(channels, 1, 2).make(teacher)
    alone = np.flatnonzero(channels.share == 1)
    assert len(alone) == 30
    np.testing.assert_array_equal(grown[:, alone], teacher[:, channels.index[alone]])


@pytest.mark.parametrize("teacher", [np.ones((3, 4), np.float32), np.zeros((3, 4), np.float32)])
def test_noise_is_relative_to_the_spread_of_the_weight(teacher: np.ndarray) -> None:
    channels = copies(4, 8, None)
    np.testing.assert_array_equal(summing(channels, 1, 2).make(teacher), np.tile(teacher / 2, 2))


@every_float
@pytest.mark.parametrize("noise", [0.0, NOISE])
def test_fresh_channels_are_mixtures_and_send_nothing(dtype: type, noise: float) -> None:
    rows, columns = fresh(200, 300), fresh(40, 60)
    teacher = weight(200, 40, dtype=dtype)
    part = Summed(1, columns.share, columns.index)
    recipe = Recipe(
        (rows.index, columns.index), (part,), (np.arange(300) >= 200, None), noise=noise, mixed=(rows.mixture, None)
    )
    grown = recipe.make(teacher)
    assert grown.dtype == dtype
    np.testing.assert_array_equal(grown[:200, :40], teacher)
    np.testing.assert_array_equal(grown[:, 40:], np.zeros((300, 20)))  # neither old rows nor new ones read what is new
    np.testing.assert_array_equal(grown[200:, :40], rows.mixture.rows(teacher, 0).astype(dtype))
    assert len(np.unique(grown.astype(np.float64), axis=0)) == 300


def test_records_of_before_there_were_mixtures_draw_what_is_fresh() -> None:
    rows, teacher = fresh(200, 300), weight(200, 40)
    recipe = Recipe((rows.index, None), (), (np.arange(300) >= 200, None))
    grown = recipe.make(teacher)
    np.testing.assert_array_equal(grown[:200], teacher)
    assert 0.9 < grown[200:].std() / teacher.std() < 1.1
    assert recipe.drawn
    assert not replace(recipe, mixed=(rows.mixture, None)).drawn


@pytest.mark.parametrize("across", [0, 1])
def test_mixtures_are_the_same_in_one_block_and_in_many(across: int) -> None:
    rows = fresh(700, 1000)
    index = tuple(rows.index if axis == across else None for axis in range(2))
    flags = tuple(np.arange(1000) >= 700 if axis == across else None for axis in range(2))
    teacher = weight(700, 700)
    grown = Recipe(index, (), flags, mixed=tuple(rows.mixture if axis == across else None for axis in range(2)))
    np.testing.assert_array_equal(
        np.moveaxis(grown.make(teacher), across, 0)[700:],
        np.moveaxis(rows.mixture.rows(teacher, across), across, 0),
    )


# --- determinism


def large() -> tuple[np.ndarray, Recipe]:
    """Return a weight that is grown in several blocks."""
    return weight(600, 600), summing(copies(600, 900, np.random.default_rng(0)), 1, 2)


@pytest.mark.parametrize(("elements", "starts"), [(1, [0, 291, 582]), (1 << 18, [0, 582]), (1 << 30, [0])])
def test_parts_are_the_weight(elements: int, starts: list[int]) -> None:
    teacher, recipe = large()
    expected = recipe.make(teacher)
    parts = list(recipe.parts(teacher, elements))
    np.testing.assert_array_equal(np.concatenate([part for _, _, part in parts], axis=0), expected)
    assert [(axis, start) for axis, start, _ in parts] == [(0, start) for start in starts]


@pytest.mark.parametrize("workers", [1, 7])
def test_the_seed_decides_and_the_number_of_processors_does_not(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    teacher, recipe = large()
    expected = recipe.make(teacher)
    monkeypatch.setattr(os, "cpu_count", lambda: workers)
    np.testing.assert_array_equal(recipe.make(teacher), expected)
    assert (replace(recipe, seed=(1,)).make(teacher) != expected).mean() > 0.6


def test_blocks_do_not_repeat_their_noise() -> None:
    teacher, recipe = large()
    noise = recipe.make(teacher) - replace(recipe, noise=0.0).make(teacher)
    assert len(np.unique(noise, axis=0)) == len(noise)


def test_the_teacher_is_not_changed() -> None:
    teacher, recipe = large()
    before = teacher.copy()
    recipe.make(teacher)
    np.testing.assert_array_equal(teacher, before)


def test_recipes_have_the_same_key_when_they_make_the_same() -> None:
    channels = copies(4, 8, None)
    assert summing(channels, 1, 2).key() == summing(copies(4, 8, None), 1, 2).key()
    others = [summing(channels, 0, 2), summing(copies(4, 7, None), 1, 2), Recipe((None, channels.index))]
    assert len({recipe.key() for recipe in [summing(channels, 1, 2), *others]}) == 4


# --- noise that would feed on itself


def test_weights_that_read_their_own_state_have_no_noise() -> None:
    """Where two copies of a state differ by a rounding step, such noise would multiply that in every step."""
    teacher = model(
        "y, h, c = LSTM<hidden_size=4>(x, W, R) z = Squeeze(y, one) o = MatMul(z, V)", "float[T,1,3] x", "o",
        W=(1, 16, 3), R=(1, 16, 4), V=(4, 2), one=np.array([1]),
    )  # fmt: skip
    (step,) = onnx_n2n.widen(teacher, 2, init="net2net", noise=0.3, verify=False).growth.steps
    noise = {each.teacher: each.recipe.noise for each in step.remade if each.recipe.summed}
    assert noise == {"R": 0.0, "V": 0.3}


@pytest.mark.parametrize(("number", "added"), [(0.3, 0), (1e-45, 1)])
def test_a_number_carries_shares_only_where_its_type_holds_the_product(number: float, added: int) -> None:
    body = "h = MatMul(x, W) r = Relu(h) s = Mul(r, k) u = Transpose<perm=[1,0]>(r) y = MatMul(s, u)"
    teacher = model(body, "float[4,3] x", "y", W=(3, 6), k=np.float32(number))
    student = onnx_n2n.widen(teacher, 2, init="net2net", noise=0, verify=False).model
    assert len(student.graph.node) == len(teacher.graph.node) + added
    scales = [numpy_helper.to_array(each) for each in student.graph.initializer if each.name != "W"]
    made = [float(np.float32(number)) / 2] if not added else [float(np.float32(number)), 0.5]
    assert [float(each.flat[0]) for each in scales][-len(made) :] == made
