"""What a growth rounds is named by its form, and what is stored is the form, rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from helpers.enlarging import UNPROVEN
from helpers.forms import errors
from helpers.graphs import model
from helpers.growths import BESIDE, CLASSIFIER, MEAN, QUIET
from onnx_n2n.passes import Outputs, Widen

RMS = model(
    "h = Gather(E, i) s = Mul(h, h) m = ReduceMean<axes=[-1]>(s) e = Add(m, eps) q = Sqrt(e) n = Div(h, q) "
    "o = Mul(n, g) a = MatMul(o, A) r = Relu(a) b = MatMul(r, B) t = Add(h, b) "
    "s2 = Mul(t, t) m2 = ReduceMean<axes=[-1]>(s2) e2 = Add(m2, eps) q2 = Sqrt(e2) n2 = Div(t, q2) "
    "o2 = Mul(n2, g) y = MatMul(o2, V)",
    "int64[2,5] i", "y", E=(7, 6), eps=np.array([0.03], np.float32), g=(6,), A=(6, 8), B=(8, 6), V=(6, 3),
)  # fmt: skip
GAINED = model(
    "h = MatMul(x, W) k = Mul(h, d) l = Div(k, e) n = LayerNormalization(l, g, b) y = MatMul(n, V)",
    "float[2,5,3] x", "y", W=(3, 6), d=np.linspace(0.7, 1.9, 6, dtype=np.float32),
    e=np.linspace(-3.3, -0.9, 6, dtype=np.float32).reshape(1, 6), g=(6,), b=(6,), V=(6, 3),
)  # fmt: skip
INPUT = model(
    "f = MatMul(x, W) q = Mul(p, d) h = Add(f, q) n = LayerNormalization(h, g, b) y = MatMul(n, V)",
    "float[2,5,3] x, float[2,5,6] p", "y", W=(3, 6), d=np.linspace(0.7, 1.9, 6, dtype=np.float32), g=(6,), b=(6,),
    V=(6, 3),
)  # fmt: skip
NORMED = model("h = MatMul(x, W) r = Relu(h) n = ReduceL2<axes=[1],keepdims=1>(r) e = Add(n, one) d = Div(r, e) "
               "y = MatMul(d, V)", "float[2,3] x", "y", W=(3, 5), one=1.0, V=(5, 2))  # fmt: skip
CASES: dict[str, tuple[Any, onnx.ModelProto, set[str]]] = {
    "layer norm": (Widen(factor=1.5), QUIET, {"W", "B", "g", "n.epsilon", "o.epsilon"}),
    "layer norm, copies": (Widen(factor=1.7, init="net2net"), QUIET, {"W", "B", "g", "n.epsilon", "o.epsilon"}),
    "root mean square": (Widen(factor=1.5), RMS, {"g", "eps_2", "eps_3"}),
    "a gain beside one": (Widen(factor=1.5), BESIDE, {"g", "eps_2"}),
    "scaled streams": (Widen(factor=1.5), GAINED, {"W", "g", "n.epsilon"}),
    "mean of an input": (Widen(factor=1.5), INPUT, {"W", "g", "n.epsilon", "p_combination"}),
    "weighed mean": (Widen(factor=1.5, init="net2net"), MEAN, {"ReduceMean_share", "ReduceMean_share_2"}),
    "length": (Widen(factor=1.5, init="net2net"), NORMED, {"ReduceL2_share"}),
    "outputs": (Outputs(8), CLASSIFIER, {"w", "b"}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_stored_is_the_form_within_one_unit(name: str) -> None:
    growing, teacher, names = CASES[name]
    result = growing(teacher, proof=UNPROVEN)
    rounded, exact = errors(result.growth, teacher, result.model)
    assert rounded.keys() == names
    assert max(rounded.values()) <= 1, rounded
    assert not any(exact.values()), exact
