"""A mean over channels that grow is weighed by their shares, whoever reads it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model

LAYER = "h = MatMul(x, w) s = Add(h, y)"
LOOP = """
    c, z = Loop(one, , state) <body = b (int64 i, bool go, float[1] a) => (bool on, float[1] k, float[2,1] o) {
        on = Identity(go)
        k = Identity(a)
        o = ReduceMean<axes = [1]>(s)
    }>
"""
TEACHERS = {
    "a node": ("m = ReduceMean<axes = [1]>(s) z = Tanh(m)", "float[2,1] z"),
    "a graph output": ("z = ReduceMean<axes = [1]>(s)", "float[2,1] z"),
    "a node and a graph output": ("m = ReduceMean<axes = [1]>(s) z = Tanh(m)", "float[2,1] z, float[2,1] m"),
    "an output of a body": (LOOP, "float[1,2,1] z"),
}


@pytest.mark.parametrize("name", TEACHERS)
@pytest.mark.parametrize("init", ["zero", "drawn", "net2net"])
def test_who_reads_it(name: str, init: str) -> None:
    body, outputs = TEACHERS[name]
    teacher = model(f"{LAYER} {body}", "float[2,5] x, float[2,3] y", outputs, w=(5, 3), one=np.array(1), state=(1,))
    judge = Judge(teacher)
    assert judge.meaningful
    for factor in (4 / 3, 2, 7 / 3):
        result = onnx_n2n.widen(teacher, factor, init=init, verify=False)
        assert result.change.grown
        onnx.checker.check_model(result.model, full_check=True)
        assert list(result.model.graph.output) == list(teacher.graph.output)
        assert judge.error(result.model) < TOLERANCE


def test_over_two_axes() -> None:
    teacher = model(
        "a = MatMul(x, w) t = Transpose<perm = [3, 1, 2, 0]>(a) b = MatMul(t, v) c = Transpose<perm = [3, 1, 0, 2]>(b) "
        "p = Mul(c, c) m = ReduceMean<axes = [0, 2]>(p) d = Sub(p, m) z = ReduceMax<axes = [0, 2]>(d)",
        "float[3,4,1,5] x", "z", w=(5, 3), v=(3, 3),
    )  # fmt: skip
    judge = Judge(teacher)
    assert judge.meaningful
    result = onnx_n2n.widen(teacher, 1.5, init="net2net", verify=False)
    assert len(result.change.grown) == 2
    assert judge.error(result.model) < TOLERANCE
