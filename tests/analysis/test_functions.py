"""Calls grow, the functions they call stay, and operators that ONNX defines by functions need no rule."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from helpers.functions import SILU, calling, chain, function, same, sizes
from helpers.graphs import opened
from onnx_n2n import verify
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.costs.cost import multiply_adds
from onnx_n2n.errors import ModelError
from onnx_n2n.export.build import program_of
from onnx_n2n.graph.unfolding import DEPTH, LIMIT, Unfolding, bounded, write_out
from onnx_n2n.verification.randomness import drawn


def shapes(proto: onnx.ModelProto) -> dict[str, list[int]]:
    return {t.name: list(t.dims) for t in proto.graph.initializer}


LINEAR = function("Linear (a, m, b) => (c)", "k = MatMul(a, m) c = Add(k, b)")


def test_weights_that_are_passed_to_a_function_grow() -> None:
    proto = calling("k = f.Silu(h) z = f.Linear(k, u, b)", LINEAR, SILU, u=(8, 8), b=(8,))
    assert sizes(proto) == [8, 8]
    student = same(proto)
    assert shapes(student) == {"w": [5, 16], "u": [16, 16], "b": [16], "v": [16, 3]}
    assert not any(node.op_type == "Mul" for node in student.graph.node)


def test_one_function_serves_calls_of_different_lengths() -> None:
    body = "k = f.Linear(h, u, b) l = f.Silu(k) z = f.Linear(l, r, q)"
    proto = calling(body, LINEAR, SILU, u=(8, 6), b=(6,), r=(6, 8), q=(8,))
    assert sizes(proto) == [6, 8, 8]
    student = same(proto, factor=2, groups={"w": 20})
    assert shapes(student)["u"] == [20, 12]


def test_activations_that_a_function_sums_are_multiplied_before_the_call() -> None:
    dot = function("Dot (a, b) => (c)", "t = Transpose(b) c = MatMul(a, t)")
    proto = calling("k = MatMul(x, u) z = f.Dot(h, k)", dot, u=(5, 8), v=(4, 3))
    assert sizes(proto) == [8]
    student = same(proto)
    assert shapes(student)["u"] == [5, 16]


def test_an_operand_that_the_function_also_uses_elsewhere_cannot_carry_shares() -> None:
    both = function("Both (a, m) => (c)", "k = MatMul(a, m) l = ReduceMax <axes = [0]> (m) c = Add(k, l)")
    assert sizes(calling("z = f.Both(h, u)", both, u=(8, 8))) == [8, 8]  # the operand a can
    square = function("Square (a) => (c)", "t = Transpose(a) c = MatMul(a, t)")
    assert sizes(calling("z = f.Square(h)", square, v=(4, 3))) == []
    same(calling("z = f.Both(h, u)", both, u=(8, 8)))


def test_constants_of_a_function_stay() -> None:
    values = ", ".join(f"{n}.0" for n in range(8))
    bias = function("Bias (a) => (c)", f"k = Constant <value = float[8] {{{values}}}> () c = Add(a, k)")
    assert sizes(calling("z = f.Bias(h)", bias)) == []
    half = function("Half (a) => (c)", "k = Constant <value = float {0.5}> () c = Mul(a, k)")
    proto = calling("z = f.Half(h)", half)
    assert sizes(proto) == [8]
    same(proto)


def test_attributes_of_the_call_decide() -> None:
    total = function("Total (a) => (c)", "c = Concat <axis: int = @axis> (a, a)", "axis")
    proto = calling("z = f.Total <axis = 1> (h)", total, v=(16, 3))
    assert sizes(proto) == [8]
    same(proto)
    split = function("Halves (a) => (b, c)", "b, c = Split <axis: int = @axis> (a)", "axis")
    proto = calling("k, l = f.Halves <axis = 1> (h) z = Mul(k, l)", split, v=(4, 3))
    assert sizes(proto) == [4]
    same(proto)


def test_parts_that_a_function_makes_equal_stay_equal() -> None:
    glu = function("Glu (a) => (d)", "b, c = Split <axis = 1> (a) s = Sigmoid(c) d = Mul(b, s)")
    proto = calling("z = f.Glu(h)", glu, v=(4, 3))
    assert sizes(proto) == [4]
    same(proto)
    apart = function("Apart (a) => (b, c)", "b, c = Split <axis = 1> (a)")
    proto = calling("k, l = f.Apart(h) m = MatMul(k, q) n = MatMul(l, r) z = Add(m, n)", apart, q=(4, 8), r=(4, 8))
    assert sizes(proto) == [4, 8]
    same(proto)


def test_lengths_that_are_passed_to_a_function_are_rewritten_and_its_own_pin() -> None:
    shaped = function("Shaped (a, to) => (c)", "k = Relu(a) c = Reshape(k, to)")
    proto = calling("k = f.Shaped(h, to) z = Reshape(k, back)", shaped, to=[4, 2, 4], back=[4, 8])
    assert sizes(proto) == [2, 4]
    same(proto)
    fixed = function("Fixed (a) => (c)", "to = Constant <value_ints = [4, 2, 4]> () c = Reshape(a, to)")
    assert sizes(calling("k = f.Fixed(h) z = Reshape(k, back)", fixed, back=[4, 8])) == []
    kept = function("Kept (a) => (c)", "to = Constant <value_ints = [4, 2, -1]> () c = Reshape(a, to)")
    proto = calling("k = f.Kept(h) z = Reshape(k, back)", kept, back=[4, -1])
    assert sizes(proto) == [4]
    same(proto)


def test_lengths_that_a_function_measures_are_followed() -> None:
    alike = function("Alike (a, b) => (c)", "s = Shape(a) c = Reshape(b, s)")
    proto = calling("k = MatMul(x, u) z = f.Alike(h, k)", alike, u=(5, 8))
    assert sizes(proto) == [8]  # nothing can be added to a length inside a function
    same(proto)
    measure = function("Measure (a) => (s)", "s = Shape(a)")
    proto = calling("s = f.Measure(h) k = MatMul(x, u) z = Reshape(k, s)", measure, u=(5, 8))
    assert sizes(proto) == [8, 8]
    same(proto, factor=2, groups={"u": 11})


def test_functions_call_functions() -> None:
    block = function("Block (a, m, b) => (c)", "k = f.Linear(a, m, b) c = f.Silu(k)")
    proto = calling("z = f.Block(h, u, b)", LINEAR, SILU, block, u=(8, 8), b=(8,))
    assert sizes(proto) == [8, 8]
    assert shapes(same(proto))["u"] == [16, 16]


def test_functions_with_a_branch_and_calls_in_a_body() -> None:
    choose = function(
        "Choose (c, a, m) => (d)",
        "d = If (c) <then_branch = t () => (p) { p = MatMul(a, m) }, else_branch = e () => (q) { q = Relu(a) }>",
    )
    proto = calling("z = f.Choose(on, h, u)", choose, u=(8, 8), on=True)
    assert sizes(proto) == [8]
    body = (
        "z = Loop <body = b (int64 i, bool c, float[4,8] s) => (bool d, float[4,8] t) { d = Identity(c) "
        "t = f.Linear(s, u, b) }> (n, on, h)"
    )
    proto = calling(body, LINEAR, u=(8, 8), b=(8,), n=2, on=True)
    assert sizes(proto) == [8]
    assert shapes(same(proto))["u"] == [16, 16]


def test_functions_that_call_each_other_deeply_are_pinned() -> None:
    deep = [calling(f"z = f.F{levels - 1}(h)", *chain(levels), infer=False) for levels in (DEPTH, DEPTH + 1)]
    assert [sizes(proto) for proto in deep] == [[8], []]
    bounded(opened(deep[0]))
    with pytest.raises(ModelError, match=f"{DEPTH + 1} deep"):
        bounded(opened(deep[1]))


@pytest.mark.parametrize(("levels", "nodes"), [(1, 2), (10, 1024), (30, 2**30), (90, 2**90)])
def test_nodes_are_counted_without_being_written_out(levels: int, nodes: int) -> None:
    proto = calling(f"z = f.F{levels - 1}(h)", *chain(levels, calls=2), infer=False)
    unfolding = Unfolding(opened(proto).functions)
    assert (unfolding.nodes(opened(proto).graph), unfolding.depth(opened(proto).graph)) == (nodes, levels)
    if nodes < LIMIT:
        flat = opened(proto)
        write_out(flat)
        assert len(flat.graph) == nodes + 2
        return
    for running in (bounded, write_out, lambda model: verify(model, model), lambda model: program_of(model, _has_all)):
        with pytest.raises(ModelError, match="unfold to"):
            running(opened(proto))
    assert f"F{levels - 1} 'z'" in multiply_adds(opened(proto)).uncounted


@pytest.mark.parametrize("levels", [1, 2, 30, 90])
@pytest.mark.parametrize("operator", ["RandomNormalLike", "Relu"])
def test_random_numbers_are_looked_for_once_in_each_function(levels: int, operator: str) -> None:
    first, *others = chain(levels, calls=2)
    first.node[0].op_type = operator
    proto = calling(f"z = f.F{levels - 1}(h)", first, *others, infer=False)
    assert [node.op_type for node in drawn(opened(proto)).values()] == [operator] * 2 * (operator != "Relu")


def _has_all(_operator: str, _version: int) -> bool:
    return True


def test_functions_that_call_themselves_are_refused() -> None:
    loops = function("A (a) => (c)", "k = f.B(a) c = f.B(k)"), function("B (a) => (c)", "k = f.A(a) c = f.A(k)")
    proto = calling("z = f.A(h)", *loops, infer=False)
    assert sizes(proto) == []
    with pytest.raises(ModelError, match="calls itself"):
        bounded(opened(proto))


def test_optional_inputs_that_a_call_leaves_out() -> None:
    cut = function("Cut (a, low, high) => (c)", "c = Clip(a, low, high)")
    for arguments in ("h", "h, zero", "h, , one"):
        proto = calling(f"z = f.Cut({arguments})", cut, zero=-0.5, one=1.5)
        assert sizes(proto) == [8]
        same(proto)


def test_the_model_is_not_changed_by_analysis() -> None:
    proto = calling("z = f.Linear(h, u, b)", LINEAR, u=(8, 8), b=(8,))
    given = opened(proto)
    before = ir.serde.serialize_model(given).SerializeToString(deterministic=True)
    analyze(given)
    assert ir.serde.serialize_model(given).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("z = MeanVarianceNormalization <axes = [0]> (h)", [8]),
        ("z = MeanVarianceNormalization <axes = [1]> (h)", [8]),
        ("k = Unsqueeze(h, last) l = MeanVarianceNormalization(k) z = Squeeze(l, last)", [8]),
    ],
)
def test_operators_that_onnx_defines_by_a_function(body: str, found: list[int]) -> None:
    proto = calling(body, opset=18, last=[2, 3])
    assert sizes(proto) == found
    same(proto)


def test_a_scale_has_the_type_of_what_it_scales() -> None:
    """Among the operands of a call there may be others, as here a double that is cast inside."""
    summed = function("Summed (k, a, m) => (c)", "l = CastLike(k, a) d = Mul(a, l) c = MatMul(d, m)")
    body = "r = Relu(h) n = Softplus(e) t = f.Summed(k, r, n) z = Relu(t)"
    proto = calling(body, summed, k=np.array([0.5]), e=(8, 8))
    assert sizes(proto) == [8, 8]
    same(proto)
