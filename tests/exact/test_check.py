"""Laws of the exact check: what is equal, and what is not."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from onnx_n2n.exact import check

PERCEPTRON = "(float[N, 8] x) => (float[N, 5] y) { a = MatMul(x, W) b = Relu(a) y = MatMul(b, V) }"


def model(text: str, opset: int = 18, **weights: np.ndarray) -> onnx.ModelProto:
    """Return a model from ONNX's text and its constants."""
    made = parser.parse_model(f'<ir_version: 9, opset_import: ["": {opset}]> g {text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return made


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {"W": generator.normal(size=(8, 8)).astype("f4"), "V": generator.normal(size=(8, 5)).astype("f4")}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(-30, 2))
def test_one_weight_that_is_off_is_never_equal(row: int, column: int, exponent: int) -> None:
    teacher, wrong = weights(), weights()
    wrong["W"][row, column] += max(2.0**exponent, float(np.spacing(abs(wrong["W"][row, column]))))
    assert check(model(PERCEPTRON, **teacher), model(PERCEPTRON, **wrong)).state != "equal"


def test_a_model_is_equal_to_itself() -> None:
    verdict = check(model(PERCEPTRON, **weights()), model(PERCEPTRON, **weights()))
    assert verdict.state == "equal"
    assert verdict.chance is not None
    assert verdict.chance < 1e-12
