"""Networks drawn at random grow by random options, and ONNX Runtime says whether they still compute the same.

``N2N_EXAMPLES`` says how many are drawn.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from onnx import helper

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge
from helpers.random_nets import teachers
from onnx_n2n.axes.algebra import Limit

EXAMPLES = int(os.environ.get("N2N_EXAMPLES", "500"))

options = st.fixed_dictionaries(
    {
        "factor": st.sampled_from([1.5, 2.0, 3.0]) | st.floats(1.1, 3),
        "init": st.sampled_from(["net2net", "zero", "drawn"]),
        "mapping": st.sampled_from(["random", "cyclic"]),
        "noise": st.sampled_from([0.0, 0.1, 0.5]),
        "multiple_of": st.sampled_from([1, 4]),
        "seed": st.integers(0, 99),
    }
)


def interface(model: onnx.ModelProto) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return inputs and outputs, without initializers that are listed as inputs; those must have their shape."""
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for value in model.graph.input:
        assert shapes.get(value.name) in (None, [dim.dim_value for dim in value.type.tensor_type.shape.dim])
    return [value for value in model.graph.input if value.name not in shapes], list(model.graph.output)


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(teachers(), options, st.booleans())
def test_students_of_random_teachers(teacher: onnx.ModelProto, wanted: dict[str, Any], apart: bool) -> None:
    note("\n".join(map(helper.printable_node, teacher.graph.node)))
    onnx.checker.check_model(teacher, full_check=True)
    judge = Judge(teacher)
    assume(judge.meaningful)
    if apart:  # every group by a factor of its own, also those that multiply within one axis
        rng = np.random.default_rng(wanted["seed"])
        free = [group for group in onnx_n2n.analyze(teacher).groups if group.limit is not Limit.UNIFORM]
        sizes = {group.name: group.size + int(rng.integers(1, group.size + 1)) for group in free}
        wanted = {**wanted, "groups": sizes, "exclude": ("*",), "multiple_of": 1}
    result = onnx_n2n.widen(teacher, verify=False, **wanted)
    grown = {group.name: group.after for group in result.change.grown}
    assert "hidden" in grown
    assert all(size % wanted["multiple_of"] == 0 for size in grown.values())
    assert interface(result.model) == interface(teacher)
    onnx.checker.check_model(result.model, full_check=True)
    assert judge.error(result.model) < TOLERANCE
