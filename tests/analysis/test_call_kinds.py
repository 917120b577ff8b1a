"""Calls of one kind are walked once, and say what each alone would."""

from __future__ import annotations

import itertools
from typing import Any

import onnx
import onnx.inliner
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.functions import SILU, calling, chain, function, same, sizes
from helpers.graphs import opened
from onnx_n2n.analysis import functions
from onnx_n2n.analysis.kinds import CallForm
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.graph.unfolding import DEPTH


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


def test_too_many_kinds_of_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = calling("z = f.F5(h)", *chain(6, calls=2))
    monkeypatch.setattr(functions, "_kind", lambda *_: None)
    assert sizes(proto) == [8]
    monkeypatch.setattr(functions, "LIMIT", 100)
    found = analyze(opened(proto))
    assert not found.groups
    assert any("in too many ways" in pinned.reason.text for pinned in found.pins)
