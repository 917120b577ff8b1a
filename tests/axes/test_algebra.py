"""Laws of the axis algebra: whatever is tied, split or pinned, axes that were made equal stay equal in any growth."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers.graphs import STABLE
from onnx_n2n.axes.algebra import (
    EMPTY,
    UNIT,
    Axis,
    Factor,
    Limit,
    Product,
    Reason,
    Sum,
    axis_of,
    holds,
    is_pinned,
    leaves,
    limit,
    parts_of,
    pin,
    product,
    resolve,
    same,
    size,
    total,
)
from onnx_n2n.axes.unify import Misaligned, split_inner, split_product, split_sum, unify
from onnx_n2n.width.growth import Growth, copies

WHY = Reason("because", "node")


@st.composite
def axes(draw: st.DrawFn, length: int, depth: int = 3) -> Axis:
    """Draw an expression of a given length."""
    outer = [n for n in range(2, length) if length % n == 0]
    kind = draw(st.sampled_from(["factor", "product", "sum"] if depth and length > 1 else ["factor"]))
    if kind == "product" and outer:
        head = draw(st.sampled_from(outer))
        return Product((draw(axes(head, depth - 1)), draw(axes(length // head, depth - 1))))
    if kind == "sum":
        cut = draw(st.integers(1, length - 1))
        return Sum((draw(axes(cut, depth - 1)), draw(axes(length - cut, depth - 1))))
    return axis_of(length)


LENGTHS = st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16, 24, 36])
some_axis = LENGTHS.flatmap(axes)


@st.composite
def several(draw: st.DrawFn, count: int) -> list[Axis]:
    length = draw(LENGTHS)
    return [draw(axes(length)) for _ in range(count)]


def grow_freely(*grown: Axis, seed: int = 0) -> Growth:
    """Grow every factor that is not pinned by copies of its own."""
    rng = np.random.default_rng(seed)
    free = {factor for axis in grown for factor in leaves(axis) if Limit.PINNED not in factor.limits}
    sizes = {factor: (factor.size or 0) for factor in sorted(free, key=lambda factor: factor.serial)}
    return Growth({f: copies(n, n + int(rng.integers(1, 2 * n + 1)), rng) for f, n in sizes.items()}, (), ())


def assert_equal_in_any_growth(*tied: Axis) -> None:
    growth = grow_freely(*tied)
    first, *others = [(growth.index(axis), growth.share(axis), growth.length(axis)) for axis in tied]
    for other in others:
        np.testing.assert_array_equal(other[0], first[0])
        np.testing.assert_array_equal(other[1], first[1])
        assert other[2] == first[2]


def sizes_of(axis: Axis) -> list[int | None]:
    return [factor.size for factor in leaves(axis)]


# --- normal form


@STABLE
@given(some_axis)
def test_resolve_is_idempotent_and_keeps_the_size(axis: Axis) -> None:
    before = size(axis)
    once = resolve(axis)
    assert same(resolve(once), once)
    assert same(axis, once)
    assert size(once) == before
    assert not isinstance(once, Product) or not any(isinstance(part, Product) for part in once.parts)
    assert not isinstance(once, Sum) or not any(isinstance(part, Sum) for part in once.parts)


@STABLE
@given(some_axis)
def test_units_and_empty_segments_make_no_difference(axis: Axis) -> None:
    assert same(product(UNIT, axis, UNIT), axis)
    assert same(total(EMPTY, axis, EMPTY), axis)


@STABLE
@given(several(2))
def test_a_unit_never_grows(pair: list[Axis]) -> None:
    unify(*pair, WHY)
    assert size(pair[0]) != 1 or not sizes_of(pair[0])
    assert grow_freely(*pair).length(product(UNIT, UNIT)) == 1


@pytest.mark.parametrize("length", [1, 0, None])
def test_length_one_has_no_factors_and_empty_and_unknown_ones_are_pinned(length: int | None) -> None:
    axis = axis_of(length)
    assert is_pinned(axis)
    assert sizes_of(axis) == ([] if length == 1 else [length])


# --- ties


@STABLE
@given(several(2))
def test_tied_axes_are_equal_in_any_growth(pair: list[Axis]) -> None:
    one, other = pair
    before = size(one)
    unify(one, other, WHY)
    assert size(one) == size(other) == before
    assert_equal_in_any_growth(one, other)


def rebuilt(axis: Axis) -> Axis:
    """Return the same expression, of which nothing has been worked out yet."""
    return axis if isinstance(axis, Factor) else type(axis)(tuple(map(rebuilt, axis.parts)))


@STABLE
@given(several(3), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=4), st.data())
def test_what_is_known_of_an_axis_is_known_as_of_now(
    three: list[Axis], pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whatever was asked before a factor was bound, the answer is that of an expression which nobody has asked yet."""
    factors = {leaf for axis in three for leaf in leaves(axis)}
    for left, right in pairs:
        unify(three[left], three[right], WHY)
        with contextlib.suppress(Misaligned):
            split_product(three[left], data.draw(st.integers(1, size(three[left]) or 1)))
        for axis in three:
            fresh = rebuilt(axis)
            assert repr(resolve(axis)) == repr(resolve(fresh))
            assert (size(axis), leaves(axis)) == (size(fresh), leaves(fresh))
            assert {factor for factor in factors if holds(axis, factor)} == factors.intersection(leaves(fresh))


@STABLE
@given(some_axis)
def test_parts_of_a_sum_are_found_by_their_factors(axis: Axis) -> None:
    found = resolve(axis)
    assume(isinstance(found, Sum))
    assert isinstance(found, Sum)
    assert found.starts == [sum(size(part) or 0 for part in found.parts[:n]) for n in range(len(found.parts) + 1)]
    for factor in leaves(found):
        assert found.having[factor] == [n for n, part in enumerate(found.parts) if factor in leaves(part)]


@STABLE
@given(several(4), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6), st.data())
def test_later_ties_splits_and_pins_keep_earlier_ties(
    four: list[Axis], pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    for left, right in pairs:
        unify(four[left], four[right], WHY)
        chosen = four[data.draw(st.integers(0, 3))]
        cut = data.draw(st.integers(1, size(chosen) or 1))
        step: Callable[[Axis, int], object] = data.draw(st.sampled_from([split_product, split_sum, split_inner]))
        with contextlib.suppress(Misaligned):
            step(chosen, cut)
        if data.draw(st.integers(0, 9)) == 0:
            pin(next(iter(leaves(chosen)), chosen), WHY)
    for left, right in pairs:
        assert_equal_in_any_growth(four[left], four[right])


@STABLE
@given(several(2))
def test_the_order_of_a_tie_does_not_matter_to_what_may_grow(pair: list[Axis]) -> None:
    one, other = pair
    mirrored = [_rebuilt(axis) for axis in pair]
    unify(one, other, WHY)
    unify(mirrored[1], mirrored[0], WHY)
    assert free_sizes(one) == free_sizes(other) == free_sizes(mirrored[0])


def free_sizes(axis: Axis) -> list[int]:
    return sorted(factor.size or 0 for factor in set(leaves(axis)) if Limit.PINNED not in factor.limits)


def _rebuilt(axis: Axis) -> Axis:
    axis = resolve(axis)
    return axis_of(axis.size) if isinstance(axis, Factor) else type(axis)(tuple(map(_rebuilt, axis.parts)))


@STABLE
@given(some_axis, some_axis)
def test_axes_of_different_lengths_are_pinned_entirely(one: Axis, other: Axis) -> None:
    assume(size(one) != size(other))
    unify(one, other, WHY)
    assert is_pinned(one)
    assert is_pinned(other)
    assert {factor.limits[Limit.PINNED] for factor in (*leaves(one), *leaves(other))} <= {WHY}


@STABLE
@given(several(2), st.sampled_from(Limit))
def test_limits_are_shared_by_what_is_tied(pair: list[Axis], kind: Limit) -> None:
    one, other = pair
    limit(one, kind, WHY)
    unify(one, other, Reason("something else"))
    assert all(factor.limits.keys() & {kind, Limit.PINNED} for factor in leaves(other))


@STABLE
@given(some_axis)
def test_the_first_reason_is_kept(axis: Axis) -> None:
    pin(axis, WHY)
    pin(axis, Reason("a later one"))
    assert all(factor.limits[Limit.PINNED] is WHY for factor in leaves(axis))


# --- splits


@STABLE
@given(some_axis, st.data())
def test_split_product_recomposes(axis: Axis, data: st.DataObject) -> None:
    length = size(axis) or 0
    outer = data.draw(st.sampled_from([n for n in range(1, length + 1) if length % n == 0]))
    inside_out = data.draw(st.booleans())
    try:
        head, tail = split_inner(axis, length // outer) if inside_out else split_product(axis, outer)
    except Misaligned:
        assume(False)
    assert (size(head), size(tail)) == (outer, length // outer)
    assert_equal_in_any_growth(axis, product(head, tail))


@STABLE
@given(some_axis, st.data())
def test_split_sum_recomposes(axis: Axis, data: st.DataObject) -> None:
    length = size(axis) or 0
    at = data.draw(st.integers(0, length))
    try:
        left, right = split_sum(axis, at)
    except Misaligned:
        assume(False)
    assert (size(left), size(right)) == (at, length - at)
    assert_equal_in_any_growth(axis, total(left, right))


@STABLE
@given(st.integers(2, 60), st.integers(1, 60))
def test_a_factor_splits_wherever_its_length_allows(length: int, at: int) -> None:
    if length % at == 0:
        assert tuple(map(size, split_product(axis_of(length), at))) == (at, length // at)
        assert tuple(map(size, split_inner(axis_of(length), at))) == (length // at, at)
    else:
        with pytest.raises(Misaligned):
            split_product(axis_of(length), at)
    if at <= length:
        assert tuple(map(size, split_sum(axis_of(length), at))) == (at, length - at)
    else:
        with pytest.raises(Misaligned):
            split_sum(axis_of(length), at)


# --- equivalent spellings


def spelled(*outer_to_inner: int) -> Axis:
    return product(*map(axis_of, outer_to_inner))


@pytest.mark.parametrize(
    ("one", "other", "atoms"),
    [
        (spelled(2, 12), spelled(12, 2), [2, 6, 2]),
        (spelled(4, 6), spelled(24), [4, 6]),
        (spelled(2, 3, 4), spelled(6, 4), [2, 3, 4]),
        (spelled(8, 9), spelled(2, 36), [2, 4, 9]),
        (total(axis_of(3), axis_of(5)), total(axis_of(5), axis_of(3)), [3, 2, 3]),
        (total(axis_of(3), axis_of(5)), axis_of(8), [3, 5]),
        (total(spelled(2, 4), spelled(3, 4)), spelled(5, 4), [2, 4, 3, 4]),  # concatenated heads: one width, two counts
        (total(spelled(2, 4), spelled(6, 2)), spelled(10, 2), [2, 2, 2, 6, 2]),
    ],
)
def test_equivalent_spellings_are_refined_to_common_atoms(one: Axis, other: Axis, atoms: list[int]) -> None:
    unify(one, other, WHY)
    assert_equal_in_any_growth(one, other)
    assert sizes_of(one) == atoms
    assert not any(factor.limits for factor in leaves(one))


def test_concat_then_flatten_is_flatten_then_concat() -> None:
    one, other, places = axis_of(3), axis_of(5), axis_of(4)
    whole = product(total(one, other), places)
    apart = total(product(one, places), product(other, places))
    unify(whole, apart, WHY)
    assert_equal_in_any_growth(whole, apart)
    assert not any(map(is_pinned, (one, other, places)))


def test_concat_of_q_k_v_splits_into_heads_that_share_their_width() -> None:
    q, k, v = axis_of(12), axis_of(12), axis_of(12)
    heads, width = split_product(total(q, k, v), 9)
    assert size(heads) == 9
    assert all(same(parts_of(part)[1], width) for part in (q, k, v))
    assert len({id(parts_of(part)[0]) for part in (q, k, v)}) == 3


def test_unknown_lengths_line_up_from_both_ends_and_the_rest_is_pinned() -> None:
    batch, channels, places = axis_of(None), axis_of(12), axis_of(None)
    unify(product(batch, channels, places), product(batch, axis_of(3), axis_of(4), places), WHY)
    assert sizes_of(channels) == [3, 4]
    assert not is_pinned(channels)
    one, other = axis_of(12), axis_of(12)
    unify(product(axis_of(None), one), product(other, axis_of(None)), WHY)
    assert is_pinned(one)
    assert is_pinned(other)


@pytest.mark.parametrize(
    ("axis", "outer", "free"),
    [
        (total(axis_of(4), axis_of(2)), 2, [1]),  # two groups of three, over a border
        (total(spelled(2, 2), axis_of(3), axis_of(5)), 3, [1]),
        (spelled(3, 2), 2, [1]),
        (spelled(6, 4), 4, [2, 2]),
        (spelled(6, 2), 4, [2]),
        (spelled(34, 4), 4, [2, 2]),
        (product(total(axis_of(4), axis_of(2)), axis_of(5)), 2, [1, 5]),
        (total(axis_of(1), axis_of(5)), 3, None),  # a single channel has no factor
    ],
)
def test_a_split_where_nothing_ends(axis: Axis, outer: int, free: list[int] | None) -> None:
    if free is None:
        with pytest.raises(Misaligned):
            split_product(axis, outer, WHY)
        return
    head, tail = split_product(axis, outer, WHY)
    assert (size(head), size(tail)) == (outer, (size(axis) or 0) // outer)
    assert free_sizes(axis) == free
    assert_equal_in_any_growth(axis, product(head, tail))


def test_channels_laid_end_to_end_in_groups_grow_by_copies_side_by_side() -> None:
    left, right = axis_of(4), axis_of(2)
    _, group = split_product(total(left, right), 2, WHY)
    (spare,) = {leaf for leaf in leaves(group) if not is_pinned(leaf)}
    growth = Growth({spare: copies(1, 3, None)}, (), ())
    for axis, length in ((left, 4), (right, 2), (group, 3)):
        np.testing.assert_array_equal(growth.index(axis), np.repeat(np.arange(length), 3))


def test_an_unknown_length_keeps_what_is_split_off_it_apart() -> None:
    batch, channels = axis_of(None), axis_of(12)
    head, inner = split_inner(product(batch, channels), 4)
    assert size(head) is None
    assert sizes_of(inner) == [4]
    with pytest.raises(Misaligned):
        split_inner(product(batch, channels), 24)
    with pytest.raises(Misaligned):
        split_sum(product(batch, channels), 4)


# --- no recursion without end


def test_an_axis_tied_to_itself_at_an_offset() -> None:
    axis = axis_of(100)
    windows = [split_sum(split_sum(axis, start)[1], 90)[0] for start in range(10)]
    for one, other in itertools.pairwise(windows):
        unify(one, other, WHY)
    assert_equal_in_any_growth(*windows)


@pytest.mark.parametrize("backwards", [False, True])
def test_hundreds_of_segments(backwards: bool) -> None:
    axis = rest = axis_of(3000)
    for _ in range(999):
        if backwards:
            rest, _ = split_sum(rest, (size(rest) or 0) - 3)
        else:
            _, rest = split_sum(rest, 3)
    assert sizes_of(axis) == [3] * 1000
    other = total(*(axis_of(6) for _ in range(500)))
    unify(axis, other, WHY)
    assert_equal_in_any_growth(axis, other)


def test_hundreds_of_factors_and_of_ties() -> None:
    axis = rest = axis_of(2**60)
    for _ in range(59):
        _, rest = split_product(rest, 2)
    assert sizes_of(axis) == [2] * 60
    chain = [axis_of(7) for _ in range(3000)]
    for one, other in itertools.pairwise(chain):
        unify(one, other, WHY)
    assert same(chain[0], chain[-1])


def test_hundreds_of_layers_that_concatenate_and_cut() -> None:
    axis = axis_of(8)
    for _ in range(600):
        left, right = split_sum(total(axis, axis_of(4)), 4)
        axis = total(right, left)
        axis = split_sum(axis, 8)[0]
    assert size(axis) == 8


@pytest.mark.parametrize(
    "axis",
    [
        Product((axis_of(0), axis_of(3))),
        Product((axis_of(0), axis_of(None))),
        Sum((Product((axis_of(0), axis_of(3))), Product((axis_of(0), axis_of(3))))),
    ],
)
def test_an_empty_axis_does_not_split(axis: Axis) -> None:
    with pytest.raises(Misaligned):
        split_product(axis, 2)


def test_empty_products_that_do_not_line_up_are_pinned() -> None:
    ours, theirs = Product((axis_of(0), axis_of(3))), Product((axis_of(2), axis_of(0)))
    unify(ours, theirs, WHY)
    assert is_pinned(ours)
    assert is_pinned(theirs)
