"""Fresh channels that are drawn: old channels stay what they were, and new ones read all that there is."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import onnx_n2n
from helpers.graphs import STABLE, TOLERANCE, WRONG, Judge, model, run
from onnx_n2n.record.record import load

CONV = model(
    "a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, k) b = BatchNormalization(a, g, s, m, v) c = Relu(b) "
    "d = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(c, l) e = Relu(d) f = GlobalAveragePool(e) h = Flatten(f) "
    "y = MatMul(h, w)",
    "float[2,3,6,6] x", "y",
    k=(4, 3, 3, 3), g=np.array([0.5, 1, -1, 2], np.float32), s=(4,), m=(4,), v=np.array([1, 2, 3, 4], np.float32),
    l=(40, 4, 3, 3), w=(40, 3),
)  # fmt: skip


def weights(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in proto.graph.initializer}


def drawn(proto: onnx.ModelProto, factor: float = 2, **options: Any) -> dict[str, np.ndarray]:
    return weights(onnx_n2n.widen(proto, factor, init="drawn", **options).model)


@settings(STABLE, max_examples=20)
@given(st.floats(1.1, 4), st.integers(0, 99))
def test_old_rows_are_the_teachers_and_read_no_new_channel(factor: float, seed: int) -> None:
    judge = Judge(CONV)
    student = onnx_n2n.widen(CONV, factor, init="drawn", seed=seed, verify=False).model
    assert judge.meaningful
    assert judge.error(student) < TOLERANCE
    teacher, found = weights(CONV), weights(student)
    rows, columns = teacher["l"].shape[:2]
    assert np.array_equal(found["l"][:rows, :columns], teacher["l"])
    assert not found["l"][:rows, columns:].any()
    assert not found["w"][rows:].any()
    assert found["l"][rows:].all()


def test_new_rows_go_in_directions_of_their_own_and_their_sums_are_as_large() -> None:
    teacher, mixed, found = weights(CONV), weights(onnx_n2n.widen(CONV, 3, init="zero").model), drawn(CONV, 3)

    def rank(array: np.ndarray) -> int:
        return int(np.linalg.matrix_rank(array.reshape(len(array), -1)))

    assert rank(mixed["k"]) == rank(teacher["k"]) == 4
    assert rank(found["k"]) == 12
    size = np.sqrt(np.square(found["l"][40:]).sum((1, 2, 3)).mean() / np.square(teacher["l"]).sum((1, 2, 3)).mean())
    assert 0.9 < size < 1.1


def test_a_seed_says_what_is_drawn_and_a_record_draws_it_again(tmp_path: Any) -> None:
    result = onnx_n2n.widen(CONV, 2, init="drawn", seed=3)
    result.growth.save(tmp_path / "growth.safetensors")
    (step,) = load(tmp_path / "growth.safetensors").steps
    found = weights(result.model)
    for each in step.remade:
        assert np.array_equal(each.recipe.make(weights(CONV)[each.teacher]), found[each.student]), each.teacher
    again, other = drawn(CONV, seed=3), drawn(CONV, seed=4)
    assert all(np.array_equal(found[name], array) for name, array in again.items())
    assert not np.array_equal(found["k"], other["k"])


@pytest.mark.parametrize("moved", [False, True])
def test_a_state_does_not_feed_on_what_is_drawn(moved: bool) -> None:
    """Also not where other nodes move the weights that read the state."""
    read = "i = Identity(r) " if moved else ""
    teacher = model(
        f"{read}h = MatMul(x, W) a = RNN<hidden_size=4>(h, w, {'i' if moved else 'r'}) z = MatMul(a, V)",
        "float[5,2,3] x", "z", W=(3, 6), V=(4, 3), w=(1, 4, 6), r=(1, 4, 4),
    )  # fmt: skip
    result = onnx_n2n.widen(teacher, 2, init="drawn")
    found = weights(result.model)
    assert np.array_equal(found["r"][0, :4, :4], weights(teacher)["r"][0])
    assert not found["r"][0, :, 4:].any()
    assert np.linalg.matrix_rank(found["w"][0][:, :6]) > 4
    assert Judge(teacher).error(result.model) < TOLERANCE


def test_behind_a_channel_without_variance_what_is_drawn_is_not_huge() -> None:
    """A channel that is always the same is divided by next to nothing."""
    still = {f"v{n}": np.array([1e-12, 1, 2, 3], np.float32) for n in range(3)}
    kernels = {f"k{n}": np.random.default_rng(n).standard_normal((4, 4, 3, 3)) / 4 for n in range(3)}
    for kernel in kernels.values():
        kernel[0] *= 1e-6
    layers = " ".join(
        f"a{n} = Conv<pads=[1,1,1,1]>(x{n}, k{n}) b{n} = BatchNormalization<epsilon=1e-12>(a{n}, g, s, s, v{n}) "
        f"x{n + 1} = Relu(b{n})"
        for n in range(3)
    )
    proto = model(
        f"x0 = Conv(x, w) {layers} p = GlobalAveragePool(x3) q = Flatten(p) y = MatMul(q, V)", "float[2,3,6,6] x", "y",
        w=(4, 3, 1, 1), g=np.ones(4, np.float32), s=np.zeros(4, np.float32), V=(4, 3), **still,
        **{name: kernel.astype(np.float32) for name, kernel in kernels.items()},
    )  # fmt: skip
    result = onnx_n2n.widen(proto, 2, init="drawn", verify=False)
    inside = onnx.ModelProto.FromString(result.model.SerializeToString())
    inside.graph.output.append(onnx.helper.make_empty_tensor_value_info("x3"))
    feed = {"x": np.random.default_rng(0).standard_normal((2, 3, 6, 6), np.float32)}
    channels = np.abs(run(inside, feed)[1]).max((0, 2, 3))
    assert channels[4:].max() < 100 * channels[:4].max()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("a = Exp(h)", "mixtures"), ("b = Exp(h) a = Reciprocal(b)", "copies"), ("a = Sinh(h)", "mixtures"),
        ("b = Relu(h) a = Cosh(b)", "mixtures"), ("a = Pow(h, p)", "mixtures"), ("a = Pow(p, h)", "copies"),
        ("a = Pow(h, t)", "drawn"), ("a = Mul(h, h)", "drawn"), ("b = Mul(h, h) c = Add(b, p) a = Pow(c, i)", "drawn"),
    ],
)  # fmt: skip
def test_before_what_grows_faster_than_a_cube_nothing_is_drawn(body: str, kind: str) -> None:
    """Exp of what is drawn may overflow, or be so small that one over it does."""
    proto = model(
        f"h = MatMul(x, W) {body} y = MatMul(a, V)", "float[5,3] x", "y", W=(3, 4), V=(4, 3), p=np.float32(4),
        t=np.float32(3), i=np.float32(-0.5),
    )  # fmt: skip
    result = onnx_n2n.widen(proto, 2, init="drawn")
    same = onnx_n2n.widen(proto, 2, init="zero")
    assert np.array_equal(weights(result.model)["W"], weights(same.model)["W"]) == (kind != "drawn")
    assert Judge(proto).error(result.model) < WRONG


def test_where_mixtures_must_be_positive_nothing_is_drawn() -> None:
    """Sums over as many places as there may be, behind a Relu."""
    proto = model(
        "a = Conv(x, W) b = Relu(a) c = GlobalAveragePool(b) d = Flatten(c) y = MatMul(d, V)", "float[2,3,h,w] x", "y",
        W=(4, 3, 1, 1), V=(4, 3),
    )  # fmt: skip
    found, same = drawn(proto), weights(onnx_n2n.widen(proto, 2, init="zero").model)
    assert found["W"].shape == (8, 3, 1, 1)
    assert np.array_equal(found["W"], same["W"])


def test_like_a_number_that_is_infinite_new_weights_are_zero() -> None:
    """With its size they would be no numbers, nor would outputs: zero times that is none either."""
    weight = np.array([[1, -1, 2], [0.5, np.inf, 1]], np.float32)
    proto = model("h = MatMul(x, W) a = Sigmoid(h) y = MatMul(a, V)", "float[5,2] x", "y", W=weight, V=(3, 3))
    student = onnx_n2n.widen(proto, 2, init="drawn").model
    new = weights(student)["W"][:, 3:]
    assert np.isfinite(new).all()
    assert [row.any() for row in new.T] == [True, False, True]


def test_weights_inside_of_subgraphs_get_mixtures() -> None:
    """What a loop runs may feed on itself."""
    branch = "() => (float[5,3] {0}) {{ {0}h = MatMul(x, W) {0}a = Tanh({0}h) {0} = MatMul({0}a, V) }}"
    proto = model(
        f"y = If(c) <then_branch = t {branch.format('t')}, else_branch = e {branch.format('e')}>",
        "float[5,2] x, bool c", "y", W=(2, 4), V=(4, 3),
    )  # fmt: skip
    found, same = drawn(proto), weights(onnx_n2n.widen(proto, 2, init="zero").model)
    assert found["W"].shape == (2, 8)
    assert np.array_equal(found["W"], same["W"])


def test_tied_weights_stay_one() -> None:
    table = np.random.default_rng(0).standard_normal((7, 12)).astype(np.float32)
    proto = model(
        "e = Gather(E, i) q = MatMul(x, F) a = Relu(e) b = Tanh(q) c = MatMul(a, V) d = MatMul(b, U) y = Add(c, d)",
        "int64[5] i, float[5,7] x", "y", E=table, F=table.copy(), V=(12, 3), U=(12, 3),
    )  # fmt: skip
    found, same = drawn(proto), weights(onnx_n2n.widen(proto, 2, init="zero").model)
    assert found["F"].shape == (7, 24)
    assert all(np.array_equal(found[name], same[name]) for name in "EF")


def test_what_is_read_again_is_not_drawn() -> None:
    proto = model(
        "h = MatMul(x, A) a = MatMul(h, H) b = Relu(a) c = MatMul(b, H) d = Relu(c) y = MatMul(d, V)",
        "float[5,3] x", "y", A=(3, 4), H=(4, 4), V=(4, 2),
    )  # fmt: skip
    found, same = drawn(proto), weights(onnx_n2n.widen(proto, 2, init="zero").model)
    assert found["H"].shape == (8, 8)
    assert np.array_equal(found["H"], same["H"])
    assert not np.array_equal(found["A"], same["A"])


def test_a_parameter_that_an_export_holds_twice_stays_one() -> None:
    """As of a linear layer that code uses on two and on three dimensions, once turned."""
    weight = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    proto = model(
        "a = Gemm<transB=1>(x, T, b) h = MatMul(z, W) c = Add(h, b) d = Add(a, c) e = Relu(d) y = MatMul(e, V)",
        "float[5,6] x, float[2,5,6] z", "y", T=weight.T.copy(), W=weight, b=(4,), V=(4, 3),
    )  # fmt: skip
    found, same = drawn(proto), weights(onnx_n2n.widen(proto, 2, init="zero").model)
    assert np.array_equal(found["W"], found["T"].T)
    assert all(np.array_equal(found[name], same[name]) for name in "TW")


def test_a_layer_that_is_a_kernel_too_stays_one_parameter() -> None:
    weight = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    proto = model(
        "a = Conv(x, T) b = Relu(a) m = GlobalAveragePool(b) n = Flatten(m) h = MatMul(s, W) d = Add(n, h) "
        "y = MatMul(d, V)",
        "float[5,6,7] x, float[5,6] s", "y", T=weight[:, :, None].copy(), W=weight.T.copy(), V=(4, 3),
    )  # fmt: skip
    found = drawn(proto)
    assert found["T"].shape == (8, 6, 1)
    assert np.array_equal(found["W"].T, found["T"][:, :, 0])


def test_a_second_pass_draws_other_numbers() -> None:
    first = onnx_n2n.widen(CONV, 2)
    found = weights(onnx_n2n.widen(first.model, 2).model)["k"].reshape(16, -1)
    rows = found / np.linalg.norm(found, axis=1, keepdims=True)
    assert np.abs(rows[4:] @ rows[4:].T - np.eye(12)).max() < 0.95


@pytest.mark.parametrize(
    ("name", "kind"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16), ("double", np.float64)]
)
def test_half_precision_has_too_little_room_for_what_is_drawn(name: str, kind: type) -> None:
    rng = np.random.default_rng(0)
    proto = model(
        "h = MatMul(x, A) a = Tanh(h) y = MatMul(a, B)", f"{name}[5,3] x", "y",
        A=rng.standard_normal((3, 4)).astype(kind), B=rng.standard_normal((4, 2)).astype(kind),
    )  # fmt: skip
    found, same = drawn(proto, verify=False), weights(onnx_n2n.widen(proto, 2, init="zero", verify=False).model)
    assert np.array_equal(found["A"], same["A"]) == (name == "float16")


def test_nothing_is_drawn_that_is_computed_in_half_precision() -> None:
    proto = model(
        "c = Cast<to=10>(A) d = Cast<to=10>(B) h = MatMul(x, c) a = Relu(h) y = MatMul(a, d)", "float16[5,3] x", "y",
        A=(3, 4), B=(4, 2),
    )  # fmt: skip
    found, same = drawn(proto, verify=False), weights(onnx_n2n.widen(proto, 2, init="zero", verify=False).model)
    assert found["A"].shape == (3, 8)
    assert np.array_equal(found["A"], same["A"])


@pytest.mark.parametrize("move", ["Identity(H)", "Transpose<perm=[1,0]>(H)"])
def test_a_loop_does_not_feed_on_what_is_drawn_and_moved(move: str) -> None:
    body = "body (int64 i, bool c, float[5,4] s) => (bool d, float[5,4] o) { d = Identity(c) o = MatMul(s, T) }"
    proto = model(
        f"h = MatMul(x, A) T = {move} z = Loop<body = {body}>(n, t, h) y = MatMul(z, C)", "float[5,3] x", "y",
        A=(3, 4), C=(4, 2), n=np.array(9), t=np.array(True), H=(4, 4),
    )  # fmt: skip
    found, same = drawn(proto), weights(onnx_n2n.widen(proto, 2, init="zero").model)
    assert np.array_equal(found["H"], same["H"])
