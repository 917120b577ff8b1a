"""What stands behind an operator of ai.onnx.ml grows as it would behind a tensor that a graph is given."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze

ML = "ai.onnx.ml"
MIXED = "h = MatMul(f, w) r = Relu(h) y = MatMul(r, v)"
CASES = {
    "scaler": ("f = {ML}.Scaler<offset=[0.5, 0.25, 1.0], scale=[2.0, 1.0, 0.5]>(x)", "float[N,3] x", 3),
    "imputer": ("f = {ML}.Imputer<imputed_value_floats=[0.5], replaced_value_float=0.0>(x)", "float[2,3] x", 3),
    "normalizer": ('f = {ML}.Normalizer<norm="L2">(x)', "float[N,3] x", 3),
    "binarizer": ("f = {ML}.Binarizer<threshold=0.1>(x)", "float[N,3] x", 3),
    "one hot": ("z = {ML}.OneHotEncoder<cats_int64s=[0, 1, 2]>(x) f = Flatten(z)", "int64[N,2] x", 6),
    "one hot of a column": ("z = {ML}.OneHotEncoder<cats_int64s=[0, 1, 2]>(x) f = Squeeze(z)", "int64[2,1] x", 3),
    "features of rows": ("f = {ML}.ArrayFeatureExtractor(x, i)", "float[N,3] x", 2),
    "features of a vector": ("f = {ML}.ArrayFeatureExtractor(x, i)", "float[3] x", 2),
    "linear": (
        "z = {ML}.LinearRegressor<coefficients=[1.0, 2.0, 3.0, 0.5, 1.5, -1.0], intercepts=[0.5, 1.0], targets=2>(x) "
        "f = Flatten(z)", "float[N,3] x", 2,
    ),
    "labels": ("c = {ML}.LabelEncoder<keys_int64s=[0, 1], values_int64s=[2, 0]>(x) f = Gather(w0, c)", "int64[N] x", 5),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_behind(name: str) -> None:
    body, given, width = CASES[name]
    tables = {"w0": (3, 5)} if "w0" in body else {}
    picks = {"i": np.array([2, 0])} if "(x, i)" in body else {}
    teacher = model(f"{body.replace('{ML}', ML)} {MIXED}", given, "y", w=(width, 4), v=(4, 3), **tables, **picks)
    next(each for each in teacher.opset_import if each.domain == ML).version = 3
    assert 4 in {group.size for group in analyze(opened(teacher)).groups}
    student, _ = grow(teacher, factor=2.0)
    judge = Judge(teacher)
    assert judge.meaningful
    assert judge.error(student) < TOLERANCE
