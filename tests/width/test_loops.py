"""Loop and Scan grow: weights in bodies and captured ones, and what is carried round."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnx_n2n
from helpers.bodies import TRIPS, TRUE, inside, same, shapes, sizes
from helpers.graphs import TOLERANCE, Judge, model, opened
from onnx_n2n.analysis.walk import analyze

# --- Loop


def looped(
    inputs: str, outputs: str, nodes: str, *, given: str = "h", made: str = "z", after: str = "", **more: Any
) -> onnx.ModelProto:
    """A loop over values that are carried round, between a layer that makes h and one that reads z."""
    body = (
        f"h = MatMul(x, w) {made} = Loop <body = b (int64 i, bool c, {inputs}) => (bool d, {outputs}) "
        f"{{ d = Identity(c) {nodes} }}> (n, on, {given}) {after or 'y = MatMul(z, v)'}"
    )
    return model(body, "float[4,5] x", "y", **{"w": (5, 8), "v": (8, 3), "n": TRIPS, "on": TRUE, **more})


def test_a_carried_state_grows() -> None:
    proto = looped("float[4,8] s", "float[4,8] t", "k = MatMul(s, u) l = Add(k, b) t = Tanh(l)", u=(8, 8), b=(8,))
    student = same(proto)
    assert dict(shapes(student)) == {"w": [5, 16], "u": [16, 16], "b": [16], "v": [16, 3]}
    ends = student.graph.node[1].attribute[0].g
    for value in (ends.input[2], ends.output[1]):
        assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == [4, 16]


def test_a_loop_that_takes_no_trip_gives_what_it_was_given() -> None:
    same(looped("float[4,8] s", "float[4,8] t", "t = MatMul(s, u)", u=(8, 8), n=np.array(0)))


def test_a_state_that_starts_from_a_constant_grows() -> None:
    nodes = "k = MatMul(s, u) l = Add(k, h) t = Tanh(l)"
    for rows in (1, 4):
        zero = np.zeros((rows, 8), np.float32)
        proto = looped(f"float[{rows},8] s", "float[4,8] t", nodes, given="zero", u=(8, 8), zero=zero)
        assert sizes(proto) == [8]
        same(proto)


def test_states_that_swap_places_are_one_group() -> None:
    proto = looped(
        "float[4,8] s, float[4,8] r", "float[4,8] t, float[4,8] q", "t = Relu(r) q = MatMul(s, u)",
        given="h, g", made="z, o", after="g2 = Identity(g) a = Add(z, o) y = MatMul(a, v)", u=(8, 8), g=(4, 8),
    )
    assert sizes(proto) == [8]
    same(proto)


def test_what_every_trip_hands_out_is_stacked() -> None:
    proto = looped(
        "float[4,8] s", "float[4,8] t, float[4,6] o", "t = MatMul(s, u) o = MatMul(t, q)", made="e, z",
        after="m = MatMul(z, v) f = MatMul(e, p) y = Add(m, f)", u=(8, 8), q=(8, 6), v=(6, 3), p=(8, 3),
    )
    assert sizes(proto) == [6, 8]
    student = same(proto)
    assert dict(shapes(student))["q"] == [16, 12]


def test_what_a_loop_hands_on_unchanged_keeps_all_that_is_known_of_it() -> None:
    """A length that goes round as it is may still say how to reshape."""
    proto = looped(
        "float[4,8] s, int64[2] to", "float[4,8] t, int64[2] to2",
        "k = MatMul(s, u) t = Reshape(k, to) to2 = Identity(to)", given="h, size", made="z, end", u=(8, 8),
    )
    proto.graph.node.insert(1, helper.make_node("Shape", ["h"], ["size"]))
    assert sizes(proto) == [8]
    same(proto)


def test_numbers_that_go_round_with_lengths_are_rewritten_for_all_who_read_them() -> None:
    nodes = (
        "k = MatMul(s, u) to2 = Identity(to) t = If <then_branch = tt () => (float[4,8] p) { a = Reshape(k, to) "
        "p = Reshape(a, back) }, else_branch = te () => (float[4,8] q) { b = Reshape(k, to) q = Reshape(b, back) }> (c)"
    )
    proto = looped("float[4,8] s, int64[3] to", "float[4,8] t, int64[3] to2", nodes, given="h, size", made="z, end",
                   u=(8, 8), back=[4, 8], some=[2, 4])  # fmt: skip
    for node in (
        helper.make_node("Concat", ["rows", "some"], ["size"], axis=0),
        helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
    ):
        proto.graph.node.insert(1, node)
    assert sizes(proto) == [2, 4]
    same(proto)


def test_lengths_that_change_on_the_way_round_are_pinned() -> None:
    proto = looped(
        "float[a,b] s, int64[1] m", "float[a,b] t, int64[1] k",
        "l = Concat <axis = 0> (m, minus) t = Reshape(s, l) k = Neg(m)", given="h, four", made="z, e",
        four=[4], minus=[-1],
    )
    assert sizes(proto) == []


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ("k = Concat <axis = 0> (s, h) t = MatMul(k, u)", [8]),  # only the number of rows changes
        ("k = Concat <axis = 1> (s, h) t = Relu(k)", [6]),
        ("k = Concat <axis = 1> (s, h) a = Transpose(k) f = Flatten(a) t = Transpose(f)", [6]),
        ("t = Gather <axis = 1> (s, some)", [6]),
    ],
)
def test_a_carried_axis_whose_length_changes_is_pinned(nodes: str, found: list[int]) -> None:
    after = "m = ReduceSum <keepdims = 0> (z) aa = MatMul(x, p) ab = Relu(aa) ac = MatMul(ab, q) y = Add(ac, m)"
    proto = looped("float[a,b] s", "float[c,e] t", nodes, after=after, u=(8, 8), p=(5, 6), q=(6, 2), some=[0, 2, 0])
    assert sizes(proto) == sorted({6, *found})
    same(proto)


def test_a_carried_axis_is_followed_through_bodies_that_change_it_late() -> None:
    """The first state becomes longer only because the second one does."""
    after = "m = ReduceSum <keepdims = 0> (z) aa = MatMul(x, p) ab = Relu(aa) ac = MatMul(ab, q) y = Add(ac, m)"
    proto = looped(
        "float[a,b] s, float[k,l] r", "float[c,e] t, float[m,n] o", "t = Relu(r) o = Concat <axis = 1> (r, h)",
        given="h, h", made="z, zz", after=after, p=(5, 6), q=(6, 2),
    )
    assert sizes(proto) == [6]
    same(proto)


def test_a_rank_that_changes_on_the_way_round_is_pinned() -> None:
    proto = looped(
        "float[4,8] s", "float[1,4,8] t", "t = Unsqueeze(s, first)", first=[0], n=np.array(1),
        after="k = MatMul(h, v) m = ReduceSum <keepdims = 0> (z) y = Add(m, k)",
    )
    for value in (*proto.graph.node[1].attribute[0].g.input[2:], *proto.graph.node[1].attribute[0].g.output[1:]):
        value.type.tensor_type.ClearField("shape")
    assert sizes(proto) == []


def test_a_loop_that_counts_by_a_length_pins_it() -> None:
    proto = looped("float[4,8] s", "float[4,8] t", "t = MatMul(s, u)", u=(8, 8), n=np.array(3))
    del proto.graph.initializer[[t.name for t in proto.graph.initializer].index("n")]
    for node in (helper.make_node("Gather", ["size", "one"], ["n"]), helper.make_node("Shape", ["h"], ["size"])):
        proto.graph.node.insert(1, node)
    proto.graph.initializer.append(numpy_helper.from_array(np.array(1), "one"))
    assert sizes(proto) == []


def test_a_sequence_that_is_carried_round_is_pinned() -> None:
    body = (
        "h = MatMul(x, w) e = SequenceEmpty () z = Loop <body = b (int64 i, bool c, seq(float[4,8]) s) => (bool d, "
        "seq(float[4,8]) t) { d = Identity(c) k = Relu(h) t = SequenceInsert(s, k) }> (n, on, e) "
        "f = ConcatFromSequence <axis = 0> (z) y = MatMul(f, v)"
    )
    proto = model(body, "float[4,5] x", "y", w=(5, 8), v=(8, 3), n=TRIPS, on=TRUE)
    assert sizes(proto) == []


def test_a_branch_in_a_loop_captures_through_two_levels() -> None:
    nodes = (
        "k = MatMul(s, u) o = Greater(i, one) t = If <then_branch = tt () => (float[4,8] p) { a = MatMul(h, g) "
        "p = Add(k, a) }, else_branch = te () => (float[4,8] q) { q = Add(s, b) }> (o)"
    )
    proto = looped("float[4,8] s", "float[4,8] t", nodes, u=(8, 8), g=(8, 8), b=(8,), one=np.array(1))
    assert sizes(proto) == [8]
    student = same(proto)
    assert dict(shapes(student)) == {"w": [5, 16], "u": [16, 16], "g": [16, 16], "b": [16], "v": [16, 3]}


def test_a_loop_in_a_loop() -> None:
    nodes = (
        "k = MatMul(s, u) t = Loop <body = bb (int64 j, bool cc, float[4,8] ss) => (bool dd, float[4,8] tt) "
        "{ dd = Identity(cc) kk = MatMul(ss, g) ll = Add(kk, s) tt = Tanh(ll) }> (n, c, k)"
    )
    proto = inside(looped("float[4,8] s", "float[4,8] t", nodes, u=(8, 8)), g=(8, 8))
    assert sizes(proto) == [8]
    assert ("g", [16, 16]) in shapes(same(proto))


def test_a_sum_of_activations_in_a_loop_gets_its_factor_in_every_trip() -> None:
    proto = looped("float[4,8] s", "float[4,8] t", "k = Transpose(s) l = MatMul(s, k) t = MatMul(l, s)", n=np.array(2))
    student = same(proto)
    assert [node.op_type for node in student.graph.node[1].attribute[0].g.node].count("Mul") == 1


# --- Scan


def scanned(nodes: str, *, inputs: str, outputs: str, given: str, made: str, after: str, **more: Any) -> Any:
    options = {name: more.pop(name) for name in list(more) if name.startswith("scan_")}
    body = (
        f"h = MatMul(x, w) {made} = Scan <num_scan_inputs = 1, body = b ({inputs}) => ({outputs}) {{ {nodes} }}> "
        f"({given}) {after}"
    )
    proto = model(body, "float[6,4,5] x", "y", **{"w": (5, 8), **more})
    scan = next(node for node in proto.graph.node if node.op_type == "Scan")
    scan.attribute.extend(helper.make_attribute(name, value) for name, value in options.items())
    return proto


RECURRENCE = "k = MatMul(s, u) l = Add(k, e) t = Tanh(l) o = MatMul(t, q)"


def test_a_recurrence_grows() -> None:
    proto = scanned(
        RECURRENCE, inputs="float[4,8] s, float[4,8] e", outputs="float[4,8] t, float[4,6] o", given="zero, h",
        made="f, z",
        after="m = MatMul(z, v) g = MatMul(f, p) y = Add(m, g)", u=(8, 8), q=(8, 6), v=(6, 3), p=(8, 3),
        zero=np.zeros((4, 8), np.float32),
    )
    assert sizes(proto) == [6, 8]
    student = same(proto)
    assert dict(shapes(student)) == {
        "w": [5, 16], "u": [16, 16], "q": [16, 12], "v": [12, 3], "p": [16, 3], "zero": [4, 16],
    }


@pytest.mark.parametrize("backwards", [0, 1])
def test_other_axes_and_directions(backwards: int) -> None:
    proto = scanned(
        RECURRENCE, inputs="float[6,8] s, float[6,8] e", outputs="float[6,8] t, float[6,6] o", given="zero, h",
        made="f, z", u=(8, 8), q=(8, 6), v=(6, 3),
        after="r = Transpose <perm = [0, 2, 1]> (z) m = MatMul(r, v) y = ReduceSum(m, last)",
        zero=np.zeros((6, 8), np.float32), last=[1], scan_input_axes=[-2], scan_output_axes=[-1],
        scan_input_directions=[backwards], scan_output_directions=[backwards],
    )
    assert sizes(proto) == [6, 8]
    same(proto)


def test_an_axis_that_is_scanned_is_pinned() -> None:
    proto = scanned(
        "t = Add(s, e) o = Identity(t)", inputs="float[6,4] s, float[6,4] e", outputs="float[6,4] t, float[6,4] o",
        given="zero, h", made="f, z", after="y = MatMul(z, v)", zero=np.zeros((6, 4), np.float32), v=(4, 3),
        scan_input_axes=[2],
    )
    assert sizes(proto) == []


def test_the_scan_of_opset_8_is_pinned() -> None:
    proto = scanned(
        RECURRENCE, inputs="float[4,8] s, float[4,8] e", outputs="float[4,8] t, float[4,6] o", given="zero, h",
        made="f, z",
        after="y = MatMul(z, v)", u=(8, 8), q=(8, 6), v=(6, 3), zero=np.zeros((4, 8), np.float32),
    )
    proto.opset_import[0].version = 8
    assert sizes(proto) == []
    assert any("Scan" in pinned.reason.text for pinned in analyze(opened(proto)).pins)


# --- the whole way


def test_models_with_bodies_go_through_files_and_verification(tmp_path: Any) -> None:
    proto = looped("float[4,8] s", "float[4,8] t", "k = MatMul(s, u) t = Tanh(k)")
    proto = inside(proto, u=(8, 8))
    path = tmp_path / "loop.onnx"
    onnx.save(proto, path)
    written = onnx_n2n.widen(path).model
    student = onnx.load(written)
    assert ("u", [16, 16]) in shapes(student)
    assert Judge(proto).error(student) < TOLERANCE
