"""The law of floors: no number of a tensor is below its floor, whatever a model is given, in any precision."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.graphs import STABLE, model, opened
from helpers.probes import CASES
from helpers.ranges import exposing, session
from helpers.wild.positive import STEPS
from helpers.wild.sheet import Sheet, Value
from helpers.wild.teacher import finished
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.rules.floors import FLOORS

SCALES = (1e-20, 1e-3, 1.0, 30.0, 1e4, 1e18, 3e38)
KINDS = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64}


def check(teacher: onnx.ModelProto) -> int:
    """Make sure that no operand is below its floor; return how many have one."""
    analysis, runs = analyze(opened(teacher)), session(exposing(teacher))
    names = [value.name for value in runs.get_outputs()]
    floors: dict[str, float] = {}
    for node in analysis.model.graph:
        for slot, value in enumerate(node.inputs):
            if value is not None and value.name in names and np.isfinite(least := analysis.floors.of(node, slot).least):
                floors[str(value.name)] = least
    rng = np.random.default_rng(0)
    for scale in SCALES if floors else ():
        feeds = {}
        for value in runs.get_inputs():
            shape = [dim if isinstance(dim, int) else 3 for dim in value.shape]
            if value.type not in KINDS:
                return 0
            kind = KINDS[value.type]
            most = float(np.finfo(kind).max)
            feeds[value.name] = np.clip(rng.standard_normal(shape) * scale, -most, most).astype(kind)
        for name, array in zip(names, runs.run(None, feeds), strict=True):
            if name in floors:
                assert np.nanmin(array.astype(np.float64), initial=np.inf) >= floors[name], (name, scale)
    return len(floors)


@pytest.mark.parametrize("operator", sorted(name for _, name in FLOORS))
def test_no_number_behind_an_operator_is_below_its_floor(operator: str) -> None:
    assert operator in CASES
    for case in CASES[operator]:
        if not case.reference:
            check(case.teacher)


@STABLE
@given(st.integers(0, 2**32))
def test_no_number_in_a_graph_of_positive_numbers_is_below_its_floor(seed: int) -> None:
    sheet = Sheet(seed)
    arrays = tuple(sheet.rng.standard_normal((3, 4, 4)).astype(np.float32) for _ in range(2))
    sheet.inputs["x"] = sheet.values["x"] = Value("x", arrays, False)  # type: ignore[arg-type]
    for _ in range(4):
        with sheet.attempt():
            sheet.one_of(list(STEPS))(sheet)
    if sheet.nodes:
        check(finished(sheet, [sheet.nodes[-1].output[0]]))


@pytest.mark.parametrize("kind", ["float16", "float", "double"])
def test_a_number_that_a_type_rounds_to_zero_is_no_floor(kind: str) -> None:
    """In half precision the root of what is above 1e-8 may be 0, and so may a square of what is above 1e-3."""
    body = f"h = MatMul(x, W) c = Clip(h, low) b = Cast<to={onnx.TensorProto.FLOAT16}>(c) z = Log(b) y = Identity(z)"
    low = np.array(1e-6, {"float16": np.float16, "float": np.float32, "double": np.float64}[kind])
    rows = np.ones((3, 4), low.dtype)
    found = analyze(opened(model(body, f"{kind}[2,3] x", "y", W=rows, low=low)))
    node = next(node for node in found.model.graph if node.op_type == "Log")
    assert not found.floors.of(node, 0).positive
    assert found.floors.of(node, 0).never_negative
