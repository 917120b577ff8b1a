"""The entry that a failure names is the one that decides it, and a yardstick that was recorded is the same."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_n2n.verification.compare import compare
from onnx_n2n.verification.farthest import farthest
from onnx_n2n.verification.yardstick import GRAINS, recalled, yardstick

FLOAT = GRAINS[ir.DataType.FLOAT]
SHAPE = (2, 3)
places = st.tuples(st.integers(0, 2), st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
kinds = st.sampled_from([np.float32, np.int64])


def answers(kind: type, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(10 * rng.standard_normal(SHAPE)).astype(kind) for _ in range(3)]


@given(places, places, kinds)
def test_the_worst_entry_is_named(one: tuple[int, ...], other: tuple[int, ...], kind: type) -> None:
    truth, student = answers(kind), answers(kind)
    for (feed, *index), by in ((one, 5), (other, 50 if kind is np.float32 else 5)):
        student[feed][tuple(index)] += by
    found = farthest(yardstick(truth, FLOAT), student)
    assert found is not None
    assert (found.feed, *found.index) in ({other} if kind is np.float32 else {one, other})
    assert found.truth == truth[found.feed][found.index]
    assert found.value == student[found.feed][found.index]


@pytest.mark.parametrize("student", [answers(np.float32), [each[:1] for each in answers(np.float32)]])
def test_nothing_is_named_where_nothing_differs_or_all(student: list[np.ndarray]) -> None:
    assert farthest(yardstick(answers(np.float32), FLOAT), student) is None


@given(st.floats(0, 1e-3), st.booleans(), kinds)
def test_a_yardstick_is_made_again_of_what_was_measured(drift: float, still: bool, kind: type) -> None:
    truth = answers(kind)
    truth = truth[:1] * 3 if still else truth
    near = [(each * (1 + drift)).astype(kind) for each in truth]
    first = yardstick(truth, FLOAT, nudged=near)
    again = recalled(
        truth, FLOAT, rounding_error=first.rounding_error, movement=first.movement, is_vacuous=first.vacuous
    )
    assert (again.forms, again.scale, again.vacuous) == (first.forms, first.scale, first.vacuous)
    assert again.tolerance == pytest.approx(first.tolerance, rel=1e-12)
    for student in (truth, near, answers(kind, 1)):
        assert compare("y", again, student).ok is compare("y", first, student).ok
