"""Recurrent layers with the batch first, which ONNX Runtime's CPU kernels do not run: the ONNX reference judges."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from helpers.graphs import TOLERANCE, WRONG, grow, model

HIDDEN, GATES = 4, {"RNN": 1, "GRU": 3, "LSTM": 4}


def run(proto: onnx.ModelProto) -> list[np.ndarray]:
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    found = ReferenceEvaluator(proto).run(None, {"x": x})
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("init", ["net2net", "zero", "drawn"])
@pytest.mark.parametrize("operator", GATES)
def test_hidden_channels_grow_with_the_batch_first(operator: str, init: str) -> None:
    gates = GATES[operator]
    teacher = model(
        f"h = MatMul(x, W) a, q = {operator}<hidden_size={HIDDEN}, layout=1>(h, w, r, b, , s) z = MatMul(a, V) "
        "p = MatMul(q, V)",
        "float[2,5,3] x",
        "z, p",
        opset=14,
        W=(3, 6),
        V=(HIDDEN, 3),
        w=(1, gates * HIDDEN, 6),
        r=(1, gates * HIDDEN, HIDDEN),
        b=(1, 2 * gates * HIDDEN),
        s=(2, 1, HIDDEN),
    )
    student, growth = grow(teacher, factor=1.7, init=init)
    assert sorted((grown.before, grown.after) for grown in growth.grown) == [(4, 7), (6, 10)]
    expected = run(teacher)
    for ours, theirs in zip(run(student), expected, strict=True):
        assert np.abs(ours - theirs).max() < TOLERANCE
        assert np.ptp(theirs) > WRONG
