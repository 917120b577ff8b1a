"""Laws of growth: the old channels stay, copies share what goes out, and axes follow from their expressions."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.graphs import STABLE
from onnx_n2n.axes.algebra import UNIT, Axis, Factor, Product, Sum, axis_of
from onnx_n2n.width.growth import Channels, Growth, added, copies, fresh, shares

sizes = st.tuples(st.integers(1, 40), st.integers(0, 300)).map(lambda pair: (pair[0], sum(pair)))
generators = st.none() | st.integers(0, 9).map(np.random.default_rng)


@STABLE
@given(sizes, generators)
def test_copies_come_after_the_old_channels_and_take_turns(
    size: tuple[int, int], rng: np.random.Generator | None
) -> None:
    before, after = size
    channels = copies(before, after, rng)
    assert len(channels.index) == len(channels.share) == after
    assert channels.fresh == 0
    np.testing.assert_array_equal(channels.index[:before], np.arange(before))
    for start in range(0, after, before):
        once = channels.index[start : start + before]
        assert len(set(once.tolist())) == len(once)  # nobody is copied twice before all have been copied once


def test_copies_in_turn_and_at_random() -> None:
    np.testing.assert_array_equal(copies(3, 8, None).index, [0, 1, 2, 0, 1, 2, 0, 1])
    assert len({copies(8, 16, np.random.default_rng(seed)).index.tobytes() for seed in range(9)}) > 1


@STABLE
@given(st.lists(st.integers(1, 70), min_size=1, max_size=12), st.randoms())
def test_shares_sum_to_exactly_one_and_are_powers_of_two(counts: list[int], random: object) -> None:
    index = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(len(index)).shuffle(index)
    found = shares(index, len(counts))
    for channel, count in enumerate(counts):
        ours = found[index == channel]
        assert np.sum(ours) == 1.0
        mantissa, _ = np.frexp(ours)
        assert set(mantissa.tolist()) == {0.5}
        assert ours.max() <= 2 * ours.min()  # as even as powers of two allow
        assert (count & (count - 1) > 0) == (ours.max() > ours.min())
        for dtype in (np.float16, np.float32):
            np.testing.assert_array_equal(ours.astype(dtype).astype(float), ours)


@STABLE
@given(sizes, st.booleans())
def test_added_channels_have_no_share(size: tuple[int, int], new: bool) -> None:
    before, after = size
    channels = (fresh if new else added)(before, after)
    np.testing.assert_array_equal(channels.index[:before], np.arange(before))
    np.testing.assert_array_equal(channels.share, np.arange(after) < before)
    assert channels.index.max() < before
    assert channels.fresh == (after - before if new else 0)


# --- axes: the expression of an axis says how it grows, checked place by place


@st.composite
def grown_axes(draw: st.DrawFn) -> tuple[Axis, Growth]:
    factors = [axis_of(draw(st.integers(2, 4))) for _ in range(3)]
    grown: dict[Factor, Channels] = {}
    for factor in factors:
        assert isinstance(factor, Factor)
        before = factor.size or 0
        more, new = draw(st.integers(0, 4)), draw(st.booleans())
        if more and new:
            grown[factor] = fresh(before, before + more)
        elif more:
            grown[factor] = copies(before, before + more, np.random.default_rng(0))
    leaf = st.sampled_from([*factors, UNIT])
    pieces = functools.partial(st.lists, min_size=1, max_size=3)
    nested = st.recursive(leaf, lambda inner: st.builds(_node, st.booleans(), pieces(inner)), max_leaves=4)
    return draw(nested), Growth(grown, (), ())


def _node(product: bool, parts: list[Axis]) -> Axis:
    return (Product if product else Sum)(tuple(parts))


Place = tuple[int, float, bool]  # the old place, its share, whether it is fresh


def places(axis: Axis, growth: Growth) -> tuple[int, list[Place]]:
    """Return the old length, and every new place: spelled out, where the library computes with arrays."""
    if isinstance(axis, Factor):
        before = axis.size or 0
        channels = growth.channels.get(axis)
        if channels is None:
            return before, [(place, 1.0, False) for place in range(before)]
        old = len(channels.index) - channels.fresh
        pairs = enumerate(zip(channels.index, channels.share, strict=True))
        return before, [(int(index), float(share), place >= old) for place, (index, share) in pairs]
    parts = [places(part, growth) for part in axis.parts]
    if isinstance(axis, Sum):
        starts = itertools.accumulate((before for before, _ in parts), initial=0)
        found = [(start + old, s, new) for start, (_, part) in zip(starts, parts, strict=False) for old, s, new in part]
        return sum(before for before, _ in parts), found

    def nest(outer: tuple[int, list[Place]], inner: tuple[int, list[Place]]) -> tuple[int, list[Place]]:
        pairs = itertools.product(outer[1], inner[1])
        return outer[0] * inner[0], [(o[0] * inner[0] + i[0], o[1] * i[1], o[2] or i[2]) for o, i in pairs]

    return functools.reduce(nest, parts, (1, [(0, 1.0, False)]))


@STABLE
@given(grown_axes())
def test_an_axis_grows_as_its_expression_says(pair: tuple[Axis, Growth]) -> None:
    axis, growth = pair
    _, expected = places(axis, growth)
    index, share, new = (list(column) for column in zip(*expected, strict=True))
    np.testing.assert_array_equal(growth.index(axis), index)
    np.testing.assert_array_equal(growth.share(axis), share)
    np.testing.assert_array_equal(growth.fresh(axis), new)
    assert growth.length(axis) == len(expected)
    position = growth.position(axis)
    if growth.touches(axis):
        np.testing.assert_array_equal(position, np.where(new, -1, index))
    else:
        assert position is None


@STABLE
@given(grown_axes())
def test_shares_of_every_old_place_sum_to_one(pair: tuple[Axis, Growth]) -> None:
    axis, growth = pair
    before, _ = places(axis, growth)
    np.testing.assert_array_equal(np.bincount(growth.index(axis), growth.share(axis), before), np.ones(before))


@STABLE
@given(grown_axes())
def test_grow_then_shrink_is_the_identity(pair: tuple[Axis, Growth]) -> None:
    axis, growth = pair
    before, _ = places(axis, growth)
    teacher = np.random.default_rng(0).standard_normal(before)
    _, first = np.unique(growth.index(axis), return_index=True)
    np.testing.assert_array_equal(teacher[growth.index(axis)][first], teacher)


@STABLE
@given(sizes, st.integers(0, 9), st.sampled_from([1.0, 1e30, 1e-30]))
def test_a_fresh_row_gives_less_than_the_largest_old_one(size: tuple[int, int], seed: int, scale: float) -> None:
    """For every x; and no two rows are the same, new or old."""
    before, after = size
    rng = np.random.default_rng(seed)
    rows, x = rng.standard_normal((before, 5)), scale * rng.standard_normal((5, 20))
    found = fresh(before, after, (seed,)).mixture.rows(rows, 0)
    old, new = np.abs(rows @ x).max(0), np.abs(found @ x)
    assert (new < old).all()
    together = np.concatenate([rows, found]).astype(np.float32)
    assert len(np.unique(together, axis=0)) == after


def grown(vector: np.ndarray, axis: Axis, growth: Growth) -> np.ndarray:
    """What becomes of one number for each old place of an axis, spelled out from those of its parts."""
    if isinstance(axis, Factor):
        channels = growth.channels.get(axis)
        if channels is None:
            return vector
        old = vector[channels.index[: len(channels.index) - channels.fresh]]
        new = getattr(channels, "mixture", None)
        return old if new is None else np.concatenate([old, (vector[new.sources] * new.weights).sum(1)])
    if isinstance(axis, Sum):
        ends = np.cumsum([places(part, growth)[0] for part in axis.parts])
        pieces = np.split(vector, ends[:-1])
        return np.concatenate([grown(piece, part, growth) for piece, part in zip(pieces, axis.parts, strict=True)])
    matrix = vector.reshape([places(part, growth)[0] for part in axis.parts])
    for place, part in enumerate(axis.parts):
        matrix = np.apply_along_axis(grown, place, matrix, part, growth)
    return matrix.ravel()


@STABLE
@given(grown_axes())
def test_fresh_places_of_an_axis_are_mixed_part_by_part(pair: tuple[Axis, Growth]) -> None:
    axis, growth = pair
    vector = np.random.default_rng(0).standard_normal(places(axis, growth)[0])
    new = growth.fresh(axis)
    found = growth.mixture(axis)
    assert len(found) == new.sum()
    np.testing.assert_allclose(found.rows(vector, 0), grown(vector, axis, growth)[new], rtol=1e-12, atol=1e-12)
    assert (np.abs(found.weights).sum(1) < 1).all()


@pytest.mark.parametrize("length", [0, 5])
def test_an_axis_that_nothing_touches_stays(length: int) -> None:
    growth, axis = Growth({}, (), ()), axis_of(length)
    assert not growth.touches(axis)
    np.testing.assert_array_equal(growth.index(axis), np.arange(length))
