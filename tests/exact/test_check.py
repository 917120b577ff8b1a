"""Laws of the exact check: what is equal, and what is not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.exactly import written
from onnx_n2n.errors import ModelError, OptionError
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


def products(layers: int, scale: float = 1.0, seed: int = 0, **changed: np.ndarray) -> onnx.ModelProto:
    """Return a model in which each layer multiplies what the one before gives by itself: the degree doubles."""
    generator = np.random.default_rng(seed)
    constants = {f"W{n}": scale * generator.normal(size=(4, 4)).astype("f4") for n in range(layers)} | changed
    nodes = " ".join(f"a{n} = MatMul(x{n}, W{n}) x{n + 1} = Mul(a{n}, a{n})" for n in range(layers))
    text = f"(float[N, 4] x) => (float[N, 4] y) {{ x0 = Identity(x) {nodes} y = Identity(x{layers}) }}"
    return written(text, **constants)


@pytest.mark.parametrize("layers", [3, 40])
def test_products_of_products_are_equal_to_themselves_and_to_no_others(layers: int) -> None:
    wrong = np.random.default_rng(1).normal(size=(4, 4)).astype("f4")
    assert check(products(layers, 0.1), products(layers, 0.1)).state == "equal"
    assert check(products(layers, 0.1), products(layers, 0.1, W1=wrong)).state != "equal"
    assert check(products(layers, 0.1), products(layers - 1, 0.1)).state != "equal"


def test_products_of_tall_coefficients_are_multiplied_in_both_models() -> None:
    """Layers that change nothing make coefficients taller in one model; what is multiplied behind them is the same."""
    turns = " ".join(f"d{n} = MatMul(x{n}, I) x{n + 1} = MatMul(d{n}, J)" for n in range(40))
    text = "(float[N, 8] x) => (float[N, 8] y) {{ x0 = MatMul(x, W) {} y = Mul(c, c) }}"
    exact = {"I": np.float32(2.0**-100) * np.eye(8, dtype="f4"), "J": np.float32(2.0**100) * np.eye(8, dtype="f4")}
    teacher = written(text.format("c = Identity(x0)"), W=weights()["W"])
    assert (
        check(teacher, written(text.format(f"{turns} c = Identity(x40)"), W=weights()["W"], **exact)).state == "equal"
    )


@pytest.mark.parametrize("model", [b"", bytearray(), io.BytesIO(), None, 5])
def test_what_is_neither_a_path_nor_a_proto_is_an_error_that_says_so(model: Any) -> None:
    sound = written(PERCEPTRON, **weights())
    for pair in ((model, sound), (sound, model)):
        with pytest.raises(OptionError, match=r"takes a path or an onnx.ModelProto, not <class '.*verify"):
            check(*pair)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        check(tmp_path, written(PERCEPTRON, **weights()))
