"""Calls grow, the functions they call stay, and operators that ONNX defines by functions need no rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graphs import TOLERANCE, Judge, grow, model, opened
from onnx import helper, parser

from onnx_n2n.analysis import analyze
from onnx_n2n.functions import DEPTH


def function(signature: str, body: str, attributes: str = "", imports: str = '"" : 17, "f" : 1') -> onnx.FunctionProto:
    """Build a function of domain ``f``: ``function("Twice (a) => (b)", "b = Add(a, a)")``."""
    name, ends = signature.split(" ", 1)
    listed = f"<{attributes}>" if attributes else ""
    return parser.parse_function(f'<domain: "f", opset_import: [{imports}]> {name} {listed} {ends} {{ {body} }}')


def calling(body: str, *functions: onnx.FunctionProto, **constants: Any) -> onnx.ModelProto:
    """Build a model with functions between a layer that makes h and one that reads z."""
    constants = {"w": (5, 8), "v": (8, 3), **constants}
    proto = model(f"h = MatMul(x, w) {body} y = MatMul(z, v)", "float[4,5] x", "y", **constants)
    proto.functions.extend(functions)
    if not any(each.domain == "f" for each in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid("f", 1))
    return onnx.shape_inference.infer_shapes(proto)


def sizes(proto: onnx.ModelProto) -> list[int]:
    return sorted(group.size for group in analyze(opened(proto)).groups if group.members)


def same(proto: onnx.ModelProto, **options: Any) -> onnx.ModelProto:
    """Grow a model in several ways, compare each student with the teacher, and return the last."""
    judge = Judge(proto)
    assert judge.meaningful
    for wanted in ({"init": "zero"}, {"factor": 1.5, "mapping": "cyclic"}, {"noise": 0.5, **options}):
        student, _ = grow(proto, **wanted)
        assert judge.error(student) < TOLERANCE
        assert opened(student).functions.keys() == opened(proto).functions.keys()
        for before, after in zip(proto.functions, student.functions, strict=True):
            assert onnx.printer.to_text(before) == onnx.printer.to_text(after)
        called = [[(n.domain, n.op_type) for n in each.graph.node if n.domain] for each in (proto, student)]
        assert called[0] == called[1]
    return student


def shapes(proto: onnx.ModelProto) -> dict[str, list[int]]:
    return {t.name: list(t.dims) for t in proto.graph.initializer}


LINEAR = function("Linear (a, m, b) => (c)", "k = MatMul(a, m) c = Add(k, b)")
SILU = function("Silu (a) => (c)", "s = Sigmoid(a) c = Mul(a, s)")


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
    student = same(proto, groups={"w": 20})
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
    same(proto, groups={"u": 11})


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
    links = ["Relu", *(f"f.F{number}" for number in range(DEPTH))]
    chain = [function(f"F{number} (a) => (c)", f"c = {operator}(a)") for number, operator in enumerate(links)]
    assert sizes(calling(f"z = f.F{DEPTH - 1}(h)", *chain)) == [8]
    assert sizes(calling(f"z = f.F{DEPTH}(h)", *chain)) == []


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
