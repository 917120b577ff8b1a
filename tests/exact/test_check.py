"""Laws of the exact check: what is equal, and what is not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.exactly import written
from onnx_n2n.exact import check

PERCEPTRON = "(float[N, 8] x) => (float[N, 5] y) { a = MatMul(x, W) b = Relu(a) y = MatMul(b, V) }"


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {"W": generator.normal(size=(8, 8)).astype("f4"), "V": generator.normal(size=(8, 5)).astype("f4")}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(-30, 2))
def test_one_weight_that_is_off_is_never_equal(row: int, column: int, exponent: int) -> None:
    teacher, wrong = weights(), weights()
    wrong["W"][row, column] += max(2.0**exponent, float(np.spacing(abs(wrong["W"][row, column]))))
    assert check(written(PERCEPTRON, **teacher), written(PERCEPTRON, **wrong)).state != "equal"


def test_a_model_is_equal_to_itself() -> None:
    verdict = check(written(PERCEPTRON, **weights()), written(PERCEPTRON, **weights()))
    assert verdict.state == "equal"
    assert verdict.chance is not None
    assert verdict.chance < 1e-12
