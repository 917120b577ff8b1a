"""If grows: weights in branches and captured ones, and what meets after a branch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.bodies import inside, same, shapes, sizes
from helpers.graphs import WRONG, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze

FLAT = "float[4,5] x, bool go"


def branches(one: str, other: str, *, shape: str = "4,8", rest: str = "y = MatMul(z, v)", **constants: Any) -> Any:
    body = (
        f"h = MatMul(x, w) z = If <then_branch = t () => (float[{shape}] p) {{ {one} }}, "
        f"else_branch = e () => (float[{shape}] q) {{ {other} }}> (go) {rest}"
    )
    return model(body, FLAT, "y", **{"w": (5, 8), "v": (8, 3), **constants})


def test_what_branches_capture_grows_with_what_they_give() -> None:
    student = same(branches("p = Relu(h)", "q = Mul(h, s)", s=(8,)))
    assert dict(shapes(student)) == {"w": [5, 16], "v": [16, 3], "s": [16]}


def test_weights_in_bodies_side_by_side_may_share_a_name() -> None:
    proto = branches("p = MatMul(h, u)", "k = MatMul(h, u) q = Tanh(k)")
    proto = inside(proto, u=(8, 8))
    student = same(proto)
    assert shapes(student)[2:] == [("u", [16, 16]), ("u", [16, 16])]


def test_large_weights_and_tensors_of_one_name_in_bodies_side_by_side_are_not_mixed_up() -> None:
    """Inference reads a skeleton without large weights; what it finds in one body says nothing of the other."""
    proto = branches("i = MatMul(h, u) p = MatMul(i, o)", "i = MatMul(h, u) k = MatMul(i, o) q = Tanh(k)")
    for attribute, width in zip(proto.graph.node[1].attribute, (200, 300), strict=True):
        rng = np.random.default_rng(width)
        for name, shape in (("u", (8, width)), ("o", (width, 8))):
            tensor = numpy_helper.from_array(rng.standard_normal(shape, np.float32) / 10, name)
            attribute.g.initializer.append(tensor)
    shapes_found = analyze(opened(proto)).shapes
    assert [found.lengths for value, found in shapes_found.items() if value.name == "i"] == [(4, 200), (4, 300)]
    assert sizes(proto) == [8, 8, 200, 300]
    same(proto)


def test_a_weight_that_both_branches_use_grows_once() -> None:
    proto = branches("p = MatMul(h, u)", "k = MatMul(h, u) q = Tanh(k)", u=(8, 8))
    student = same(proto)
    assert dict(shapes(student)) == {"w": [5, 16], "u": [16, 16], "v": [16, 3]}


def test_a_weight_that_is_a_constant_in_a_branch_grows() -> None:
    proto = branches("p = MatMul(h, u)", "q = Relu(h)")
    body = proto.graph.node[1].attribute[0].g
    values = numpy_helper.from_array(np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32))
    body.node.insert(0, helper.make_node("Constant", [], ["u"], value=values))
    student = same(proto)
    grown = next(n for n in student.graph.node[1].attribute[0].g.node if n.op_type == "Constant")
    assert list(grown.attribute[0].t.dims) == [16, 16]


def test_a_bias_shared_by_accident_between_branches_and_layers_may_part() -> None:
    body = (
        "h = MatMul(x, w) a = Add(h, b) i = MatMul(x, u) z = If <then_branch = t () => (float[4,3] p) { k = Add(i, b) "
        "l = Relu(k) p = MatMul(l, v) }, else_branch = e () => (float[4,3] q) { q = MatMul(i, v) }> (go) "
        "m = MatMul(a, c) y = Add(z, m)"
    )
    proto = model(body, FLAT, "y", w=(5, 8), u=(5, 8), b=np.zeros(8, np.float32), v=(8, 3), c=(8, 3))
    assert sizes(proto) == [8, 8]
    student = same(proto, factor=2, groups={"w": 12}, exclude=("u",))
    assert dict(shapes(student))["w"] == [5, 12]


def test_a_branch_that_gives_a_constant_as_it_is_keeps_it() -> None:
    proto = branches("k = Relu(h)", "q = Relu(h)")
    body = proto.graph.node[1].attribute[0].g
    body.output[0].name = "s"
    body.initializer.append(numpy_helper.from_array(np.ones((4, 8), np.float32), "s"))
    assert sizes(proto) == []
    same(branches("p = Identity(s)", "q = Relu(h)", s=(4, 8)))


def test_branches_of_different_lengths_or_ranks_pin_what_meets() -> None:
    body = (
        "h = MatMul(x, w) z = If <then_branch = t () => (float[4,n] p) { p = Relu(h) }, "
        "else_branch = e () => (float[4,k] q) { q = Concat <axis = 1> (h, h) }> (go) "
        "s = ReduceSum <keepdims = 0> (z) r = Relu(h) i = MatMul(r, v) a = MatMul(i, c) d = MatMul(a, f) y = Add(d, s)"
    )
    constants = {"w": (5, 8), "v": (8, 6), "c": (6, 7), "f": (7, 2)}
    proto = model(body, FLAT, "y", **constants)
    assert sizes(proto) == [6, 7]
    same(proto)
    body = body.replace("4,k] q", "m] q").replace("Concat <axis = 1> (h, h)", "ReduceMax<axes=[0], keepdims=0>(h)")
    proto = model(body, FLAT, "y", **constants)
    assert sizes(proto) == [6, 7]
    same(proto)


def test_a_branch_with_an_operator_without_a_rule_pins_what_it_touches() -> None:
    body = (
        "h = MatMul(x, w) z = If <then_branch = t () => (float[4,8] p) { k, i = TopK <axis = 1> (h, n) "
        "p = MatMul(k, u) }, else_branch = e () => (float[4,8] q) { q = MatMul(x, r) }> (go) y = MatMul(z, v)"
    )
    proto = model(body, FLAT, "y", w=(5, 8), n=[3], u=(3, 8), r=(5, 8), v=(8, 3))
    assert sizes(proto) == [8]
    student = same(proto)
    assert dict(shapes(student)) == {"w": [5, 8], "u": [3, 16], "r": [5, 16], "v": [16, 3]}


def test_lengths_written_in_a_body_are_rewritten_for_the_use_that_needs_it() -> None:
    """One shape constant serves a reshape that grows, inside, and one that does not, outside."""
    body = (
        "h = MatMul(x, w) z = If <then_branch = t () => (float[2,2,8] p) { p = Reshape(h, to) }, "
        "else_branch = e () => (float[2,2,8] q) { k = Reshape(h, to) q = Relu(k) }> (go) "
        "o = Reshape(g, to) r = ReduceSum(o, last) m = MatMul(z, v) y = Add(m, r)"
    )
    proto = model(body, FLAT + ", float[4,8] g", "y", w=(5, 8), to=[2, 2, 8], v=(8, 3), last=[-1])
    student = same(proto)
    assert dict(shapes(student)) == {"w": [5, 16], "v": [16, 3]}
    shared = next(t for t in student.graph.initializer if t.name == "to")
    assert numpy_helper.to_array(shared).tolist() == [2, 2, 8]


def test_lengths_that_a_branch_decides_upon_are_pinned() -> None:
    """Which of two lengths is asked for is known only at run time."""
    body = (
        "h = MatMul(x, w) to = If <then_branch = t () => (int64[2] p) { p = Shape(h) }, "
        "else_branch = e () => (int64[2] q) { q = Constant <value_ints = [8, 4]> () }> (go) "
        "o = Reshape(h, to) r = ReduceSum <keepdims = 0> (o) i = Relu(h) m = MatMul(i, v) y = Add(m, r)"
    )
    assert sizes(model(body, FLAT, "y", w=(5, 8), v=(8, 3))) == []


def test_lengths_that_both_branches_agree_upon_are_followed() -> None:
    body = (
        "h = MatMul(x, w) to = If <then_branch = t () => (int64[2] p) { p = Shape(h) }, "
        "else_branch = e () => (int64[2] q) { r = Relu(h) q = Shape(r) }> (go) "
        "e = MatMul(x, u) o = Reshape(e, to) a = Add(o, h) y = MatMul(a, v)"
    )
    proto = model(body, FLAT, "y", w=(5, 8), u=(5, 8), v=(8, 3))
    assert sizes(proto) == [8]
    same(proto)


def test_a_sum_of_activations_in_a_branch_gets_its_factor_there() -> None:
    body = (
        "h = MatMul(x, w) z = If <then_branch = t () => (float[4,4] p) { k = Transpose(h) p = MatMul(h, k) }, "
        "else_branch = e () => (float[4,4] q) { q = MatMul(h, u) }> (go) y = MatMul(z, v)"
    )
    proto = model(body, FLAT, "y", w=(5, 8), u=(8, 4), v=(4, 3))
    assert sizes(proto) == [8]
    student = same(proto)
    assert [node.op_type for node in student.graph.node[1].attribute[0].g.node].count("Mul") == 1
    assert not any(node.op_type == "Mul" for node in student.graph.node)


def test_two_levels_of_branches() -> None:
    body = (
        "h = MatMul(x, w) z = If <then_branch = t () => (float[4,8] p) { k = Relu(h) p = If <then_branch = tt () => "
        "(float[4,8] pp) { pp = MatMul(h, u) }, else_branch = te () => (float[4,8] pq) { l = MatMul(k, u) "
        "pq = Add(l, b) }> (stop) }, else_branch = e () => (float[4,8] q) { q = Neg(h) }> (go) y = MatMul(z, v)"
    )
    proto = model(body, FLAT + ", bool stop", "y", w=(5, 8), u=(8, 8), b=(8,), v=(8, 3))
    assert sizes(proto) == [8]
    student = same(proto)
    assert dict(shapes(student)) == {"w": [5, 16], "u": [16, 16], "b": [16], "v": [16, 3]}


def test_the_comparison_would_show_a_share_that_is_missing() -> None:
    """The law of these tests could fail: a weight in a body that lost its shares is seen."""
    proto = branches("p = MatMul(h, u)", "q = MatMul(h, u)", u=(8, 8))
    student, _ = grow(proto)
    damaged = onnx.ModelProto.FromString(student.SerializeToString())
    tensor = next(t for t in damaged.graph.initializer if t.name == "u")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, "u"))
    assert Judge(proto).error(damaged) > WRONG
