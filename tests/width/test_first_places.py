"""A law of what an output of a model picks: of channels that grew, the first places that hold the teacher's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from helpers.graphs import STABLE
from onnx_n2n.axes.algebra import Axis, Factor, leaves, product, size, total
from onnx_n2n.width.boundary import first_places
from onnx_n2n.width.growth import Channels, Growth, added, copies, fresh


def axes() -> st.SearchStrategy[Axis]:
    factors = st.builds(Factor, st.integers(2, 4))
    pairs = lambda parts: st.lists(parts, min_size=2, max_size=3)  # noqa: E731
    return st.recursive(factors, lambda parts: pairs(parts).map(lambda found: product(*found))
                        | pairs(parts).map(lambda found: total(*found)), max_leaves=5)  # fmt: skip


@STABLE
@given(axes(), st.data())
def test_the_first_places_hold_the_teachers_channels_in_their_order(axis: Axis, data: st.DataObject) -> None:
    channels: dict[Factor, Channels] = {}
    for factor in leaves(axis):
        before = factor.size or 0
        after = data.draw(st.integers(before, 3 * before))
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        kinds = [copies(before, after, rng), fresh(before, after), added(before, after)]
        channels[factor] = data.draw(st.sampled_from(kinds))
    growth = Growth(channels, (), ())
    places = first_places(growth, axis)
    assert np.array_equal(growth.index(axis)[places], np.arange(size(axis) or 0))
    assert not growth.fresh(axis)[places].any()
    for old, place in enumerate(places):
        assert not np.any((growth.index(axis)[:place] == old) & ~growth.fresh(axis)[:place])
