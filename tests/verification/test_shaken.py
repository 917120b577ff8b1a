"""Laws of teachers in which errors grow: no right student is called wrong, and no wrong one right."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.graphs import model
from onnx_n2n.errors import InputError
from onnx_n2n.verification import stress, verify

SEEDS = st.integers(0, 2**16)


def chaotic(seed: int, gain: float, length: str, last: str = "Identity", wide: float = 1.0) -> onnx.ModelProto:
    rng, hidden = np.random.default_rng(seed), 12
    into, own, out = (rng.standard_normal(shape) for shape in ((1, hidden, 4), (1, hidden, hidden), (hidden, 3)))
    body = f"h, _ = RNN<hidden_size = {hidden}>(x, w, r) s = Squeeze(h, one) a = MatMul(s, u) y = {last}(a)"
    weights = {name: array.astype(np.float32) for name, array in (("w", into), ("r", gain * own), ("u", wide * out))}
    return model(body, f"float[{length},1,4] x", f"float[{length},1,3] y", **weights, one=[1])


def flipped(proto: onnx.ModelProto, order: np.ndarray) -> onnx.ModelProto:
    """The same recurrence with its states in another order, so that it sums in another."""
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}
    changed = {"w": arrays["w"][:, order], "r": arrays["r"][:, order][:, :, order], "u": arrays["u"][order]}
    copy = onnx.ModelProto.FromString(proto.SerializeToString())
    for each in copy.graph.initializer:
        if each.name in changed:
            each.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(changed[each.name]), each.name))
    return copy


def right(teacher: onnx.ModelProto, student: onnx.ModelProto, seed: int) -> bool:
    """Whether nobody calls the student wrong."""
    try:
        return verify(teacher, student, seed=seed).ok
    except InputError as failure:
        return "cannot be told from rounding" in failure.reason


@settings(max_examples=10, deadline=None)
@given(SEEDS)
@example(31)
def test_a_recurrence_that_is_chaotic_calls_no_right_student_wrong(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(12)
    for length, last, wide in (("64", "Identity", 1.0), ("T", "Identity", 1.0), ("T", "Exp", 3.0)):
        teacher = chaotic(seed, 1.5, length, last, wide)
        assert right(teacher, flipped(teacher, order), seed)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from([1e-3, 1e-2, 1.0]))
def test_where_errors_do_not_grow_a_wrong_student_is_wrong(seed: int, off: float) -> None:
    teacher = chaotic(seed, 0.1, "64")
    student = onnx.ModelProto.FromString(teacher.SerializeToString())
    for each in student.graph.initializer:
        if each.name == "u":
            array = onnx.numpy_helper.to_array(each)
            each.CopyFrom(onnx.numpy_helper.from_array(array * np.float32(1 + off), "u"))
    assert not verify(teacher, student, seed=seed).ok


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([1e-4, 1e-5]))
def test_a_difference_of_nearly_equal_numbers_is_granted_their_rounding(seed: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    into, out, other = (rng.standard_normal(shape).astype(np.float32) for shape in ((6, 32), (32, 5), (32, 5)))
    body = "a = MatMul(x, w) r = Relu(a) p = MatMul(r, u) q = MatMul(r, v) y = Sub(p, q)"

    def net(order: np.ndarray, off: float = 0.0) -> onnx.ModelProto:
        nearly = out + np.float32(apart + off) * other
        return model(body, "float[N,6] x", "float[N,5] y", w=into[:, order], u=out[order], v=nearly[order])

    teacher = net(np.arange(32))
    assert right(teacher, net(rng.permutation(32)), seed)
    assert not verify(teacher, net(np.arange(32), 100 * apart), seed=seed).ok


DURATIONS = (
    "a = MatMul(x, w) r = Relu(a) b = MatMul(r, u) d = Exp(b) s = ReduceSum<keepdims = 0>(d) "
    "n = Cast<to = 7>(s) k = Range(zero, n, one) f = Cast<to = 1>(k) "
)


def test_values_that_a_size_is_computed_of_are_not_made_large() -> None:
    weights = {"w": np.ones((6, 16)), "u": np.ones((16, 5)) / 8, "zero": np.int64(0), "one": np.int64(1)}
    typed = {name: array.astype(np.float32) if name in "wu" else array for name, array in weights.items()}
    inputs, output = "float[N,6] x, float z", "float[K] y"
    free = model(DURATIONS + "y = Mul(f, z)", inputs, output, **typed)
    verdict = verify(free, free)
    assert verdict.ok
    assert not any("times" in each.what for each in verdict.tried)


@pytest.mark.parametrize("body", [
    "e = Exp(x) m = ReduceMax<keepdims = 0>(e) n = Cast<to = 7>(m) "
    "y = Loop(n, t, x) <body = b (int64 i, bool c, float[N,4] h) => (bool c2, float[N,4] h2) "
    "{ c2 = Identity(c) h2 = Tanh(h) }>",
])  # fmt: skip
def test_nor_are_those_that_say_how_often_a_body_runs(body: str) -> None:
    proto = model(body, "float[N,4] x", "float[N,4] y", t=np.array(True))
    assert not any("times" in each.what for each in verify(proto, proto).tried)


def test_a_body_that_runs_longer_for_large_inputs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stress, "SCALES", (1e4, 1e3))
    body = (
        "a = MatMul(x, w) m = ReduceMax<keepdims = 0>(x) l = Mul(m, many) "
        "n = Loop(, t, zero) <body = b (int64 i, bool c, float h) => (bool c2, float h2) "
        "{ h2 = Add(h, one) c2 = Less(h2, l) }> y = Add(a, n)"
    )
    numbers = {"many": np.float32(1e5), "one": np.float32(1), "zero": np.float32(0), "t": np.array(True)}
    proto = model(body, "float[2,6] x", "float[2,5] y", w=np.ones((6, 5), np.float32), **numbers)
    start = time.monotonic()
    assert onnx_n2n.verify(proto, proto).ok
    assert time.monotonic() - start < 15
