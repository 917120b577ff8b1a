"""Operators whose fresh channels left the range: teachers that a Relu keeps at zero, with inputs at the edge."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from helpers.graphs import grow, model
from helpers.ranges import exposing, finite, session

DRAWN = np.random.default_rng(0)
LAYER, LAST, WIDE = (np.abs(DRAWN.standard_normal(shape)) + 0.5 for shape in ((4, 6), (6, 3), (8, 12)))


def net(body: str, inputs: str = "float[2,4] x", opset: int = 23, **weights: np.ndarray) -> onnx.ModelProto:
    """Return a teacher between a first and a last layer of weights above zero: from ``h`` to ``s``."""
    last = weights.pop("last", LAST)
    layer = weights.pop("layer", LAYER)
    stored = {name: array.astype(np.float32) if array.dtype == float else array for name, array in weights.items()}
    stored |= {"layer": layer.astype(np.float32), "last": last.astype(np.float32)}
    return model(f"h = MatMul(x, layer) {body} y = MatMul(s, last)", inputs, "y", opset=opset, **stored)


TEACHERS = {
    "a condition chooses of every channel others": (
        net("c = Greater(h, none) r = Where(c, h, none) s = Cosh(r)", none=np.zeros(6)), -2e3),
    "a weight without the channels": (
        net("r = Relu(h) t = Transpose<perm=[2, 0, 1]>(r) c = Conv(t, k) s = Transpose<perm=[1, 2, 0]>(c)",
            "float[2,5,4] x", k=np.full((3, 2, 1), 1e5)), -1e36),
    "Celu with a negative alpha": (net("s = Celu<alpha=-1.0>(h)"), 1e3),
    "angles of a rotation that are no angles": (
        net("r = Relu(h) s = RotaryEmbedding<num_heads=3>(r, c, c, p)", "float[1,3,8] x", layer=WIDE, last=WIDE.T,
            c=np.full((5, 2), 1e5), p=np.array([[0, 1, 2]])), -1e34),
    "a cubic curve far beyond what it leads through": (
        net('r = Relu(h) t = Transpose<perm=[0, 3, 1, 2]>(r) '
            'q = Resize<mode="cubic", cubic_coeff_a=-1000.0>(t,, sizes) s = Transpose<perm=[0, 2, 3, 1]>(q)',
            "float[1,5,5,4] x", sizes=np.array([1, 1, 2, 2], np.float32)), -3e37),
}  # fmt: skip


def test_a_mixture_of_kernels_is_as_large_as_the_largest() -> None:
    """One channel of a depthwise convolution is multiplied by 500, and zero for these inputs."""
    layer, kernel = np.abs(DRAWN.standard_normal((6, 2, 1, 1))) + 0.5, np.full((6, 1, 1, 1), 1e-5)
    layer[5], kernel[5] = -1, 500
    teacher = model(
        "h = Conv(x, w) r = Relu(h) d = Conv<group=6>(r, k) y = Conv(d, o)", "float[1,2,3,3] x", "y",
        w=layer.astype(np.float32), k=kernel.astype(np.float32), o=(2, 6, 1, 1),
    )  # fmt: skip
    feeds = {"x": np.full((1, 2, 3, 3), 3e37, np.float32)}
    assert finite(session(exposing(teacher)).run(None, feeds))
    for seed in range(4):
        student, growth = grow(teacher, factor=6.0, init="zero", seed=seed)
        assert growth.channels
        assert finite(session(student).run(None, feeds))


def test_a_state_whose_gate_goes_below_zero_has_no_bound_of_one() -> None:
    """``(1 - z) * n + z * h`` stays at zero with ``z`` of 1, and with -1 grows by 2 in a step if ``n`` is 1 and -1."""
    steps = 200
    x = np.ones((steps, 1, 2), np.float32)
    x[1::2, 0, 1] = -1
    weight = np.zeros((1, 18, 2), np.float32)
    weight[0, :6, 0], weight[0, 12:, 1] = (40 + DRAWN.random((2, 6))).astype(np.float32)
    teacher = model(
        'o, e = GRU<hidden_size=6, activations=["Tanh", "Tanh"]>(x, w, r) q = Squeeze(e, one) s = Exp(q) '
        "y = MatMul(s, last)", f"float[{steps},1,2] x", "y", opset=20, w=weight, r=np.zeros((1, 18, 6), np.float32),
        last=LAST.astype(np.float32), one=np.array([0]),
    )  # fmt: skip
    student, growth = grow(teacher, factor=3.0, init="zero")
    assert growth.channels
    assert finite(session(exposing(teacher)).run(None, {"x": x}))
    assert finite(session(student).run(None, {"x": x}))


@pytest.mark.parametrize("name", TEACHERS)
def test_students_are_finite_where_their_teachers_are(name: str) -> None:
    teacher, number = TEACHERS[name]
    student, growth = grow(teacher, factor=3.0, init="zero")
    assert growth.channels
    (given,) = teacher.graph.input
    shape = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
    feeds = {"x": np.full(shape, number, np.float32)}
    assert finite(session(exposing(teacher)).run(None, feeds))
    assert finite(session(student).run(None, feeds))


@pytest.mark.parametrize("operator", ["Add", "Div", "Mul", "Pow", "Sub"])
@pytest.mark.parametrize("made", ["Constant<value_floats=[1.0, 2.0, 1.0, 2.0, 1.0, 2.0]>", "RandomNormal<shape=[6]>"])
def test_an_operand_may_be_made_of_nothing(made: str, operator: str) -> None:
    for operands in ("r, c", "c, r"):
        teacher = net(f"b = Relu(h) r = Softplus(b) c = {made}() s = {operator}({operands})")
        assert grow(teacher, factor=2.0, init="zero")[1].channels or made.startswith("Random")
