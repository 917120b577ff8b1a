"""Calls grow, the functions they call stay, and operators that ONNX defines by functions need no rule."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, parser

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from onnx_n2n import verify
from onnx_n2n.analysis import functions
from onnx_n2n.analysis.kinds import CallForm
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.errors import ModelError
from onnx_n2n.export.build import program_of
from onnx_n2n.graph.unfolding import DEPTH, LIMIT, Unfolding, bounded, write_out
from onnx_n2n.search.cost import multiply_adds
from onnx_n2n.verification.randomness import drawn


def function(signature: str, body: str, attributes: str = "", imports: str = '"" : 17, "f" : 1') -> onnx.FunctionProto:
    """Build a function of domain ``f``: ``function("Twice (a) => (b)", "b = Add(a, a)")``."""
    name, ends = signature.split(" ", 1)
    listed = f"<{attributes}>" if attributes else ""
    return parser.parse_function(f'<domain: "f", opset_import: [{imports}]> {name} {listed} {ends} {{ {body} }}')


def calling(body: str, *called: onnx.FunctionProto, infer: bool = True, **constants: Any) -> onnx.ModelProto:
    """Build a model with functions between a layer that makes h and one that reads z."""
    constants = {"w": (5, 8), "v": (8, 3), **constants}
    proto = model(f"h = MatMul(x, w) {body} y = MatMul(z, v)", "float[4,5] x", "y", **constants)
    proto.functions.extend(called)
    if not any(each.domain == "f" for each in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid("f", 1))
    return onnx.shape_inference.infer_shapes(proto) if infer else proto


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


def chain(levels: int, calls: int = 1) -> list[onnx.FunctionProto]:
    """Functions F0, F1, ... each of which calls the one before ``calls`` times in a row, and F0 a Relu."""
    found = []
    for level in range(levels):
        operator = f"f.F{level - 1}" if level else "Relu"
        names = ["a", *(f"b{step}" for step in range(1, calls)), "c"]
        lines = (f"{made} = {operator}({read})" for read, made in itertools.pairwise(names))
        found.append(function(f"F{level} (a) => (c)", " ".join(lines)))
    return found


def test_functions_that_call_each_other_deeply_are_pinned() -> None:
    deep = [calling(f"z = f.F{levels - 1}(h)", *chain(levels), infer=False) for levels in (DEPTH, DEPTH + 1)]
    assert [sizes(proto) for proto in deep] == [[8], []]
    bounded(opened(deep[0]))
    with pytest.raises(ModelError, match=f"{DEPTH + 1} deep"):
        bounded(opened(deep[1]))


def outcome(model: ir.Model) -> Any:
    """Everything that an analysis says, with its factors numbered as they come."""
    found = analyze(model)
    values = [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
    said = [(found.axes.get(value), found.contents.get(value)) for value in values]
    return CallForm([said, found.ledger, found.groups, found.pins, found.ports]).key  # type: ignore[list-item]


def written_out(proto: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(onnx.inliner.inline_local_functions(proto))


@pytest.mark.parametrize("levels", [1, 4, 9])
def test_functions_that_call_others_twice_grow_as_when_they_are_written_out(levels: int) -> None:
    proto = calling(f"z = f.F{levels - 1}(h)", *chain(levels, calls=2))
    flat = written_out(proto)
    assert len(flat.graph.node) == 2**levels + 2
    found = [[(g.name, g.size, g.limit, g.members) for g in analyze(opened(each)).groups] for each in (proto, flat)]
    assert found[0] == found[1] != []
    if levels == 4:
        same(proto)


@pytest.mark.parametrize("levels", [20, 30, 64, DEPTH])
def test_functions_are_walked_once_per_kind_of_call(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    walked = []
    copy = functions._copy
    monkeypatch.setattr(functions, "_copy", lambda *call: walked.append(call) or copy(*call))
    assert sizes(calling(f"z = f.F{levels - 1}(h)", *chain(levels, calls=2), infer=False)) == [8]
    assert len(walked) <= 3 * levels


def test_many_calls_in_a_row_are_one_kind_and_grow_as_when_they_are_written_out() -> None:
    block = function("Block (a, m) => (c)", "k = MatMul(a, m) l = f.Silu(k) c = Add(a, l)")
    lines = " ".join(f"h{n + 1} = f.Block({f'h{n}' if n else 'h'}, u{n % 3})" for n in range(200))
    proto = calling(f"{lines} z = Relu(h200)", SILU, block, u0=(8, 8), u1=(8, 8), u2=(8, 8))
    assert sizes(proto) == sizes(written_out(proto)) == [8]


def walked_each(model: ir.Model) -> Any:
    """The outcome of an analysis that walks the function of every call anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functions, "_kind", lambda *_: None)
        return outcome(model)


def kept_apart(body: str, *called: onnx.FunctionProto, **constants: Any) -> None:
    """Make sure that the calls in one model say what each alone would; ``body`` makes z of h."""
    proto = calling(body, *called, **constants)
    model = opened(proto)
    assert outcome(model) == walked_each(model)
    if sizes(proto):
        same(proto)


def test_kinds_of_calls_are_kept_apart() -> None:
    glu = function("Glu (a) => (d)", "b, c = Split <axis = 1> (a) s = Sigmoid(c) d = Mul(b, s)")
    lanes = "g = MatMul(x, u) k = f.Glu(h) l = f.Glu(g)"
    kept_apart(f"{lanes} z = Concat <axis = 1> (k, l)", glu, u=(5, 12), v=(10, 3))
    soft = function("Soft (a) => (c)", "c = Softmax <axis: int = @axis> (a)", "axis")
    lanes = "g = MatMul(x, u) k = f.Soft <axis = 1> (h) l = f.Soft <axis = 0> (g)"
    kept_apart(f"{lanes} z = Concat <axis = 1> (k, l)", soft, u=(5, 8), v=(16, 3))
    total = function("Total (a) => (c)", "c = Concat <axis: int = @axis> (a, a)", "axis")
    kept_apart("k = f.Total <axis = 1> (h) z = f.Total <axis = 0> (k)", total, v=(16, 3))
    bias = function("Bias (a, m, b) => (c)", "k = MatMul(a, m) c = Sum(k, b)")
    either = function("Either (a, m, b) => (c)", "k = MatMul(a, m) c = Clip(k, , b)")
    kept_apart("k = f.Either(h, u) z = f.Either(k, t, top)", either, u=(8, 8), t=(8, 8), top=0.5)
    kept_apart("k = f.Bias(h, u, b) z = f.Bias(k, t, c)", bias, u=(8, 6), b=(6,), t=(6, 8), c=(1,))
    shaped = function("Shaped (a, to) => (c)", "k = Relu(a) c = Reshape(k, to)")
    kept_apart("k = f.Shaped(h, p) l = f.Shaped(k, q) z = f.Shaped(l, r)", shaped, p=[4, 2, 4], q=[4, 8], r=[4, 8])
    taken = function("Taken (a, i) => (c)", "c = Gather <axis = 1> (a, i)")
    kept_apart("k = f.Taken(h, i) z = f.Taken(k, j)", taken, i=[4, 5, 6, 7, 0, 1, 2, 3], j=[0, 1, 2, 3, 4, 5, 6, 7])
    both = function("Both (a, b) => (c)", "c = Add(a, b)")
    kept_apart("k = MatMul(x, u) l = f.Both(h, h) z = f.Both(l, k)", both, u=(5, 8))


@pytest.mark.parametrize("body", ["c = Softmax(a)", "k, l = Split <axis = 1> (a) c = Concat <axis = 1> (l, k)"])
@pytest.mark.parametrize(("one", "other"), list(itertools.product(["Identity", "Softmax", "Reciprocal"], repeat=2)))
def test_what_limits_one_call_is_not_taken_for_another(body: str, one: str, other: str) -> None:
    """Each lane has a pin of its own, a limit of its own, or none, when it comes to the function."""
    lanes = f"g = MatMul(x, u) h1 = {one}(h) g1 = {other}(g) h2 = f.Body(h1) g2 = f.Body(g1)"
    kept_apart(f"{lanes} z = Concat <axis = 1> (h2, g2)", function("Body (a) => (c)", body), u=(5, 8), v=(16, 3))


def test_types_and_constants_make_kinds_of_their_own() -> None:
    """The axes alone do not tell these calls apart."""
    dot = function("Dot (a, m) => (c)", "c = MatMul(a, m)")
    floats = "g = MatMul(x, s) m = Relu(u) k = f.Dot(h, m)"
    integers = "o = Relu(t) p = Cast <to = 7> (o) i = Cast <to = 7> (g) j = f.Dot(i, p) l = Cast <to = 1> (j)"
    for lanes in (f"{floats} {integers}", f"g = MatMul(x, s) {integers} {floats.removeprefix('g = MatMul(x, s) ')}"):
        kept_apart(f"{lanes} z = Concat <axis = 1> (k, l)", dot, s=(5, 8), u=(8, 8), t=(8, 8), v=(16, 3))
    taken = function("Taken (a, i) => (c)", "c = Gather <axis = 1> (a, i)")
    lanes = "g = MatMul(x, u) k = f.Taken(h, i) l = f.Taken(g, j) z = Concat <axis = 1> (k, l)"
    for first, second in itertools.permutations([[0, 1, 2, 3], [0, 7, 1, 6]]):
        kept_apart(lanes, taken, u=(5, 8), i=first, j=second)


BODIES = (
    "c = Relu(a)",
    "c = Softmax(a)",
    "c = MatMul(a, m)",
    "k = MatMul(a, m) c = Add(k, a)",
    "k = Transpose(m) c = MatMul(a, k)",
    "k = MatMul(m, n) c = MatMul(a, k)",
    "k = ReduceMean <axes = [1]> (a) c = Sub(a, k)",
    "k, l = Split <axis = 1> (a) c = Concat <axis = 1> (l, k)",
    "k = Shape(a) c = Reshape(a, k)",
    "k = Shape(a) l = Identity(k) c = Expand(a, l)",
    "i = Constant <value_ints = [4, 5, 6, 7, 0, 1, 2, 3]> () c = Gather <axis = 1> (a, i)",
    "k = Constant <value_ints = [4, 2, 4]> () l = Reshape(a, k) s = Shape(a) c = Reshape(l, s)",
    "k = Constant <value_ints = [4, 2, -1]> () l = Reshape(a, k) "
    "s = Constant <value_ints = [4, -1]> () c = Reshape(l, s)",
    "c = Unheard(a)",
)


@st.composite
def stacks(draw: st.DrawFn) -> onnx.ModelProto:
    """Models of two lanes that call functions G0, G1, ..., which call those before, and the bodies above."""
    signature = "{} (a, m, n) => (c)"
    made = [function(signature.format(f"B{number}"), body) for number, body in enumerate(BODIES)]
    callees = st.sampled_from([f"B{number}" for number in range(len(BODIES))])

    def calls(start: str, end: str, weights: tuple[str, ...], names: st.SearchStrategy[str]) -> str:
        between = [f"k{step}" for step in range(draw(st.integers(0, 3)))]
        steps = itertools.pairwise([start, *between, end])
        weight = st.sampled_from(weights)
        return " ".join(f"{new} = f.{draw(names)}({old}, {draw(weight)}, {draw(weight)})" for old, new in steps)

    for level in range(draw(st.integers(1, 4))):
        made.append(function(signature.format(f"G{level}"), calls("a", "c", ("m", "n"), callees)))
        callees |= st.just(f"G{level}")
    lanes = calls("h", "k", ("u", "t"), callees), calls("g", "l", ("u", "t"), callees)
    body = f"g = MatMul(x, s) {lanes[0]} {lanes[1].replace('k', 'l')} z = Concat <axis = 1> (k, l)"
    return calling(body, *made, s=(5, 8), u=(8, 8), t=(8, 8), v=(16, 3))


@settings(max_examples=25, deadline=None)
@given(stacks())
def test_a_call_like_an_earlier_one_means_what_its_own_walk_would(proto: onnx.ModelProto) -> None:
    model = opened(proto)
    assert outcome(model) == walked_each(model)


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


def test_too_many_kinds_of_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = calling("z = f.F5(h)", *chain(6, calls=2))
    monkeypatch.setattr(functions, "_kind", lambda *_: None)
    assert sizes(proto) == [8]
    monkeypatch.setattr(functions, "LIMIT", 100)
    found = analyze(opened(proto))
    assert not found.groups
    assert any("in too many ways" in pinned.reason.text for pinned in found.pins)


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
