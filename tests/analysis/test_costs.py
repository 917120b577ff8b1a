"""What growing a group costs, as the tables of ``inspect`` and a budget count it."""

from __future__ import annotations

import pytest

from helpers.graphs import grow, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.graph.constants import parameters


@pytest.mark.parametrize("body", [
    "a = MatMul(x, U) b = MatMul(x, V) h = Concat<axis = 1>(a, b, a) y = MatMul(h, W)",
    "a = MatMul(x, U) b = MatMul(x, V) h = Concat<axis = 1>(a, b) k = Concat<axis = 1>(h, a) y = MatMul(k, W)",
])  # fmt: skip
def test_a_cost_is_what_the_student_has_more(body: str) -> None:
    """Also of a group that stands twice in the axis of a weight, beside others."""
    proto = model(body, "float[2,3] x", "y", U=(3, 4), V=(3, 5), W=(13, 2))
    analysis = analyze(opened(proto))
    before = parameters(analysis.model)
    assert len(analysis.weighty) == 2
    for group in analysis.weighty:
        for after in (group.size + 1, 2 * group.size):
            student, _ = grow(proto, groups={group.name: after})
            assert parameters(opened(student)) - before == analysis.cost(group, after)
