"""Lies are never called equal, truths are called equal or at least not different; the pairs are in `helpers`."""

from __future__ import annotations

import pytest

from helpers.lies import attributes, finite, graphs, indices, lengths, order, remainders, shapes, sizes, types
from helpers.lying import Pair, cases, differ
from helpers.truths import EQUAL, NOT_DIFFERENT
from onnx_n2n.exact import check

TABLES = (attributes, finite, graphs, indices, lengths, order, remainders, shapes, sizes, types)


@pytest.mark.parametrize("lie", cases([lie for table in TABLES for lie in table.LIES]))
def test_a_lie_is_never_called_equal(lie: Pair) -> None:
    teacher, student = lie.models()
    assert lie.specified or differ(teacher, student, lie.feeds)
    assert "equal" not in [check(teacher, student).state for _ in range(lie.runs)]


@pytest.mark.parametrize("truth", cases(EQUAL))
def test_a_truth_is_called_equal(truth: Pair) -> None:
    teacher, student = truth.models()
    verdict = check(teacher, student)
    assert verdict.state == "equal", verdict.reason
    assert not differ(teacher, student, truth.feeds)


@pytest.mark.parametrize("truth", cases(NOT_DIFFERENT))
def test_a_truth_by_another_law_is_not_called_different(truth: Pair) -> None:
    teacher, student = truth.models()
    assert check(teacher, student).state != "different"
