"""What a run costs. Where all numbers are 1, every product adds 1 to the result, so the sum of that is the count."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from helpers.graphs import grow, model, opened, run
from onnx_n2n.costs.cost import Cost, multiply_adds
from onnx_n2n.costs.formulas import FORMULAS, HARD
from onnx_n2n.errors import InputError


def cost(proto: onnx.ModelProto, **shapes: tuple[int, ...]) -> Cost:
    found = multiply_adds(opened(proto), shapes)
    assert found.total == sum(found.operators.values())
    return found


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def products(proto: onnx.ModelProto) -> int:
    """Count by running the model on ones; its weights must be ones, and it must not pad."""
    feeds = {value.name: ones(*(d.dim_value for d in value.type.tensor_type.shape.dim)) for value in proto.graph.input}
    (output,) = run(proto, feeds)
    return round(output.sum())


SUMS: list[tuple[str, str, dict[str, np.ndarray]]] = [
    ("y = Conv(x, w)", "float[2,6,9,8] x", {"w": ones(4, 6, 3, 2)}),
    ("y = Conv<group=3>(x, w)", "float[2,6,9,8] x", {"w": ones(12, 2, 3, 3)}),
    ("y = Conv<group=6>(x, w)", "float[2,6,9,8] x", {"w": ones(6, 1, 3, 3)}),
    ("y = Conv<strides=[2,3], dilations=[2,1]>(x, w)", "float[2,6,9,8] x", {"w": ones(4, 6, 3, 2)}),
    ("y = Conv(x, w)", "float[2,6,9] x", {"w": ones(5, 6, 4)}),
    ("y = ConvTranspose(x, w)", "float[2,6,5,4] x", {"w": ones(6, 4, 3, 2)}),
    ("y = ConvTranspose<group=2, strides=[2,2]>(x, w)", "float[2,6,5,4] x", {"w": ones(6, 4, 3, 3)}),
    ('y = com.microsoft.FusedConv<group=2, activation="Relu">(x, w)', "float[2,6,9,8] x", {"w": ones(4, 3, 3, 3)}),
    (
        'y = com.microsoft.FusedConv<activation="Relu">(x, w, b, z)',
        "float[2,6,9,8] x",
        {"w": ones(4, 6, 3, 3), "b": np.zeros(4, np.float32), "z": np.zeros((2, 4, 7, 6), np.float32)},
    ),
    ("y = Gemm(x, w)", "float[3,4] x", {"w": ones(4, 5)}),
    ("y = Gemm<transB=1>(x, w)", "float[3,4] x", {"w": ones(5, 4)}),
    ("y = Gemm<transA=1>(x, w)", "float[4,3] x", {"w": ones(4, 5)}),
    ("y = Gemm<transA=1, transB=1>(x, w)", "float[4,3] x", {"w": ones(5, 4)}),
    ("y = MatMul(x, w)", "float[2,3,4] x", {"w": ones(4, 5)}),
    ("y = MatMul(x, w)", "float[2,1,3,4] x", {"w": ones(7, 4, 5)}),
    ("y = MatMul(x, w)", "float[2,3,4] x", {"w": ones(4)}),
    ("y = MatMul(w, x)", "float[2,3,4] x", {"w": ones(3)}),
    ("y = MatMul(w, x)", "float[3] x", {"w": ones(3)}),
    ("t = Transpose<perm=[0,2,1]>(x) y = MatMul(x, t)", "float[2,3,4] x", {}),
    ("y = com.microsoft.FusedMatMul<transA=1>(x, w)", "float[2,4,3] x", {"w": ones(2, 4, 5)}),
    ("y = com.microsoft.FusedMatMul<transB=1>(x, w)", "float[2,3,4] x", {"w": ones(2, 5, 4)}),
    ('y = Einsum<equation="bij,jk->bik">(x, w)', "float[2,3,4] x", {"w": ones(4, 5)}),
    ('y = Einsum<equation="bhqd, bhkd -> bhqk">(x, w)', "float[2,3,4,5] x", {"w": ones(2, 3, 6, 5)}),
    ('y = Einsum<equation="...ij,jk->...ik">(x, w)', "float[2,6,3,4] x", {"w": ones(4, 5)}),
    ('y = Einsum<equation="ii,i->">(x, w)', "float[4,4] x", {"w": ones(4)}),
]


@pytest.mark.parametrize(("body", "inputs", "weights"), [pytest.param(*case, id=case[0]) for case in SUMS])
def test_count_is_the_number_of_products_in_a_run(body: str, inputs: str, weights: dict[str, np.ndarray]) -> None:
    proto = model(body, inputs, "y", **weights)
    found = cost(proto)
    assert found.total == products(proto)
    assert (found.uncounted, found.assumed, found.loops) == ((), (), 0)


def test_padded_convolution_by_hand() -> None:
    body = "h = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b) r = Relu(h) y = Conv<group=4>(r, v)"
    found = cost(model(body, "float[1,3,8,8] x", "y", w=(8, 3, 3, 3), b=(8,), v=(4, 2, 1, 1)))
    assert found.operators == {"Conv": 4 * 4 * 8 * 3 * 9 + 4 * 4 * 4 * 2}


# --- laws


def test_twice_the_hidden_width_costs_twice_as_much() -> None:
    proto = model("h = MatMul(x, w) r = Relu(h) y = MatMul(r, v)", "float[3,8] x", "y", w=(8, 16), v=(16, 4))
    student, _ = grow(proto, factor=2)
    assert cost(proto).total == 3 * (8 * 16 + 16 * 4)
    assert cost(student).total == 2 * cost(proto).total


def test_cost_grows_with_the_batch_and_what_is_free_is_said() -> None:
    proto = model("y = Conv(x, w)", "float[batch,3,height,9] x", "y", w=(4, 3, 1, 3))
    one, many = cost(proto), cost(proto, x=(8, 3, 5, 9))
    assert (one.inputs, one.assumed) == ({"x": (1, 3, 1, 9)}, ("batch", "height"))
    assert (many.inputs, many.assumed) == ({"x": (8, 3, 5, 9)}, ())
    assert many.total == 8 * 5 * one.total == 8 * 5 * 7 * 4 * 9


def test_size_given_for_one_input_holds_for_all_and_the_model_stays_as_it_is() -> None:
    teacher = opened(model("y = MatMul(x, z)", "float[n,m] x, float[m,k] z", "y"))
    found = multiply_adds(teacher, {"x": (3, 5)})
    assert (found.total, found.inputs["z"], found.assumed) == (3 * 5, (5, 1), ("k",))
    assert [str(dim) for value in teacher.graph.inputs for dim in value.shape or ()] == ["n", "m", "m", "k"]


@pytest.mark.parametrize(
    ("operator", "gates", "direction", "sides"),
    [("LSTM", 4, "forward", 1), ("GRU", 3, "reverse", 1), ("RNN", 1, "bidirectional", 2)],
)
def test_recurrence_by_hand(operator: str, gates: int, direction: str, sides: int) -> None:
    body = f'y = {operator}<hidden_size=6, direction="{direction}">(x, w, r)'
    proto = model(body, "float[7,2,5] x", "y", w=(sides, gates * 6, 5), r=(sides, gates * 6, 6))
    assert cost(proto).total == 7 * 2 * sides * gates * 6 * (5 + 6)


def test_attention_costs_what_it_costs_written_out() -> None:
    inputs = "float[2,6,3,4] q, float[2,6,5,4] k, float[2,6,5,7] v"
    whole = cost(model("y = Attention(q, k, v)", inputs, "y", opset=23))
    written = "t = Transpose<perm=[0,1,3,2]>(k) s = MatMul(q, t) p = Softmax(s) y = MatMul(p, v)"
    assert whole.total == cost(model(written, inputs, "y")).total == 2 * 6 * 3 * 5 * (4 + 7)
    merged = "y = Attention<q_num_heads=6, kv_num_heads=2>(q, k, v, , pk, pv)"
    inputs = "float[2,3,24] q, float[2,5,8] k, float[2,5,14] v, float[2,2,9,4] pk, float[2,2,9,7] pv"
    assert cost(model(merged, inputs, "y", opset=23)).total == 2 * 6 * 3 * (5 + 9) * (4 + 7)
    fused = "y = com.microsoft.MultiHeadAttention<num_heads=2>(q, k, v)"
    assert cost(model(fused, "float[2,3,8] q, float[2,5,8] k, float[2,5,8] v", "y")).total == 2 * 3 * 5 * 16


def test_attention_that_projects_by_hand() -> None:
    proto = model("y = com.microsoft.Attention<num_heads=2>(x, w, b)", "float[2,5,6] x", "y", w=(6, 24), b=(24,))
    assert cost(proto).total == 2 * 5 * 6 * 24 + 2 * (2 * 5 * 5 * (4 + 4))


@pytest.mark.parametrize(
    ("body", "shape", "weight"),
    [
        ("y = MatMulInteger(x, w)", "3,4", (4, 5)),
        ("y = QLinearMatMul(x, s, z, w, s, z, s, z)", "3,4", (4, 5)),
        ("y = ConvInteger<group=2>(x, w)", "2,6,9,8", (4, 3, 3, 3)),
        ("y = QLinearConv<group=2>(x, s, z, w, s, z, s, z)", "2,6,9,8", (4, 3, 3, 3)),
    ],
)
def test_quantised_operators_cost_what_the_others_do(body: str, shape: str, weight: tuple[int, ...]) -> None:
    whole = np.ones(weight, np.uint8)
    quantised = model(body, f"uint8[{shape}] x", "y", w=whole, s=np.float32(1), z=np.uint8(0))
    plain = "y = MatMul(x, w)" if "MatMul" in body else "y = Conv<group=2>(x, w)"
    assert cost(quantised).total == products(model(plain, f"float[{shape}] x", "y", w=whole.astype(np.float32)))


def test_what_follows_an_operator_of_onnx_runtime_is_counted_too() -> None:
    body = "h = com.microsoft.FusedMatMul<transB=1>(x, w) g = com.microsoft.BiasGelu(h, b) y = MatMul(g, v)"
    found = cost(model(body, "float[2,3,4] x", "y", w=(2, 6, 4), b=(6,), v=(6, 5)))
    assert (found.total, found.uncounted) == (2 * 3 * 4 * 6 + 2 * 3 * 6 * 5, ())


def test_bodies_of_loops_count_once_and_the_dearer_branch_counts() -> None:
    text = """
    <ir_version: 10, opset_import: ["": 17]>
    teacher (float[3,4] x, bool c, int64 turns) => (float[3,4] y) {
        h = Loop(turns, c, x) <body = body (int64 i, bool a, float[3,4] s) => (bool b, float[3,4] t) {
            b = Identity(a) t = MatMul(s, w)
        }>
        y = If(c) <
            then_branch = dear () => (float[3,4] p) { q = MatMul(h, w) p = MatMul(q, w) },
            else_branch = cheap () => (float[3,4] o) { o = MatMul(h, w) }
        >
    }"""
    proto = parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(ones(4, 4), "w"))
    found = cost(proto)
    assert (found.total, found.loops, found.uncounted) == (3 * 3 * 4 * 4, 1, ())


def test_functions_count_per_call() -> None:
    text = """
    <ir_version: 10, opset_import: ["": 17, "own": 1]>
    teacher (float[3,4] x, float[4,4] w) => (y) { h = own.twice(x, w) y = own.twice(h, w) }
    <domain: "own", opset_import: ["": 17]>
    twice (x, w) => (y) { h = MatMul(x, w) y = MatMul(h, w) }"""
    found = cost(parser.parse_model(text))
    assert (found.total, found.uncounted) == (4 * 3 * 4 * 4, ())


# --- what is not known


@pytest.mark.parametrize(
    ("body", "uncounted"),
    [
        ("y = my.Own(h)", ("Own 'y'",)),
        ("g = my.Own(h) y = MatMul(g, w)", ("Own 'g'", "MatMul 'y'")),
        ("n = NonZero(h) c = Cast<to=1>(n) t = Transpose(c) y = MatMul(t, u)", ("MatMul 'y'",)),
    ],
)
def test_nodes_that_cannot_be_counted_are_named(body: str, uncounted: tuple[str, ...]) -> None:
    proto = model(f"h = MatMul(x, w) {body}", "float[3,4] x", "y", w=(4, 4), u=(2, 2))
    for node in proto.graph.node:
        node.name = ""
    found = cost(proto)
    assert (found.total, found.uncounted) == (3 * 4 * 4, uncounted)


@pytest.mark.parametrize("shapes", [{"z": (1, 4)}, {"x": (3, 5)}, {"x": (4,)}])
def test_shapes_that_do_not_fit_are_refused(shapes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"no input 'z'|cannot have the shape"):
        cost(model("y = MatMul(x, w)", "float[n,4] x", "y", w=(4, 4)), **shapes)


def test_every_operator_of_the_standard_exists() -> None:
    names = {name for domain, name in FORMULAS if not domain} | HARD
    assert all(onnx.defs.has(name) for name in names if name not in {"CausalConvWithState", "LinearAttention"})
