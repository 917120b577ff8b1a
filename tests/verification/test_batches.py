"""Rows of a batch that mix are found whatever inputs are given, and rows that stay apart are not taken for mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnx_n2n
from helpers.graphs import model
from onnx_n2n.errors import GrowthError, InputError
from onnx_n2n.passes import Cut
from onnx_n2n.verification.options import Proof

MIXING = {
    "centred": "m = ReduceMean<axes=[0], keepdims=1>(x) y = Sub(x, m)",
    "of all products": "t = Transpose<perm=[1, 0]>(x) g = MatMul(t, x) y = MatMul(x, g)",
    "the first row": "g = Gather<axis=0>(x, i) y = Add(x, g)",
    "divided by their number": "s = Shape(x) n = Gather(s, first) f = Cast<to=1>(n) y = Div(x, f)",
    "of largest rows": "a = ArgMax<axis=0, keepdims=1>(x) f = Cast<to=1>(a) y = Add(x, f)",
}
INPUTS = {
    "zeros": lambda shape: np.zeros(shape, np.float32),
    "ones": lambda shape: np.ones(shape, np.float32),
    "equal rows": lambda shape: np.broadcast_to(np.arange(shape[1], dtype=np.float32), shape).copy(),
}


def fixed(body: str, number: int) -> Any:
    constants = {"i": np.int64([0]), "first": np.int64(0)}
    used = {name: value for name, value in constants.items() if f", {name})" in body}
    return model(body, f"float[{number},6] x", "y", opset=17, **used)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("body", MIXING.values(), ids=MIXING.keys())
def test_inputs_whose_rows_are_the_same_hide_no_mixture(body: str, kind: str, number: int) -> None:
    teacher = fixed(body, number)
    with pytest.raises(GrowthError, match="the batch cannot be free"):
        onnx_n2n.cut(teacher, free_batch=True, inputs={"x": INPUTS[kind]((number, 6))})


@pytest.mark.parametrize("kind", INPUTS)
def test_rows_that_stay_apart_are_free_with_any_inputs(kind: str) -> None:
    teacher = fixed("a = Relu(x) m = ReduceMean<axes=[1], keepdims=1>(a) y = Sub(a, m)", 2)
    assert onnx_n2n.cut(teacher, free_batch=True, inputs={"x": INPUTS[kind]((2, 6))}).modified


def test_rows_that_cannot_differ_are_refused() -> None:
    """The table has one entry, so no other index runs."""
    teacher = model(
        "e = Gather(t, x) m = ReduceMean<axes=[0], keepdims=1>(e) y = Sub(e, m)", "int64[1,3] x", "y", t=(1, 4)
    )
    with pytest.raises((InputError, GrowthError)):
        onnx_n2n.cut(teacher, free_batch=True, inputs={"x": np.zeros((1, 3), np.int64)})


def test_a_free_batch_that_mixes_is_no_student_with_given_rows() -> None:
    body = MIXING["centred"]
    student = Cut(free_batch=True)(fixed(body, 1), proof=Proof(wanted=False)).model
    verdict = onnx_n2n.verify(fixed(body, 1), student, rows=True, inputs={"x": np.zeros((1, 6), np.float32)})
    assert not verdict.ok
