"""The student is the teacher except where growth requires otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper, shape_inference

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model, opened, run


def teacher() -> onnx.ModelProto:
    """Return a model in which some things grow, others do not, and everything that can be described is."""
    proto = model(
        "h = Conv(x, first, bias) r = Relu(h) c = Conv <group = 2> (r, second, bias) t = Reshape(c, to) "
        "s = Add(t, shift) z = MatMul(s, last) p = MaxPool <kernel_shape = [2, 2]> (x) y = ReduceMean <axes = [1]> (p)",
        "float[N,3,4,6] x", "z, y", first=(8, 3, 1, 1), bias=np.zeros(8, np.float32), second=(8, 4, 1, 1), to=[0, 192],
        shift=0.5, last=(192, 3), unused=(2, 2), table=[1, 2, 3],
    )
    proto.producer_name, proto.producer_version, proto.domain, proto.model_version = "maker", "1.2", "org.example", 7
    proto.doc_string = "about the model"
    proto.metadata_props.add(key="author", value="somebody")
    proto.opset_import.append(helper.make_opsetid("org.example", 3))
    graph = proto.graph
    graph.doc_string = "about the graph"
    for node in graph.node:
        node.name, node.doc_string = f"/layers/{node.output[0]}", f"about {node.output[0]}"
        node.metadata_props.add(key="source", value=node.output[0])
    for tensor in graph.initializer:
        tensor.doc_string = f"about {tensor.name}"
        tensor.metadata_props.add(key="source", value=tensor.name)
    graph.input[0].doc_string, graph.output[0].doc_string = "about the input", "about the output"
    listed = [tensor for tensor in graph.initializer if tensor.name in {"first", "bias", "shift"}]
    graph.input.extend(map(listed_input, listed))
    return shape_inference.infer_shapes(proto)


def listed_input(tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)


def widen(model: Any, **options: Any) -> Any:
    return onnx_n2n.widen(model, verify=False, **options).model


def by_name(messages: Any) -> dict[str, Any]:
    return {message.name: message for message in messages}


def dims(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.fixture(scope="module")
def pair() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    old = teacher()
    return old, widen(old)


def test_the_student_computes_the_same(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    old, new = pair
    onnx.checker.check_model(new, full_check=True)
    assert Judge(old).error(new) < TOLERANCE


def test_what_describes_the_model_survives(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    for field in ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string"):
        assert getattr(pair[0], field) == getattr(pair[1], field), field
    assert pair[0].opset_import == pair[1].opset_import
    assert (pair[0].graph.name, pair[0].graph.doc_string) == (pair[1].graph.name, pair[1].graph.doc_string)
    history = {prop.key: prop.value for prop in pair[1].metadata_props}
    entry = json.loads(history.pop("onnx_n2n.lineage"))
    assert history == {"author": "somebody"}
    assert [step["pass"] for step in entry] == ["widen"]


def test_nodes_survive(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    old, new = (list(model.graph.node) for model in pair)
    allowed = {"/layers/c": {"group"}}
    assert [node.name for node in new if node.name in by_name(old)] == [node.name for node in old]
    for before, after in ((node, by_name(new)[node.name]) for node in old):
        assert (before.op_type, before.domain, before.output) == (after.op_type, after.domain, after.output)
        assert (before.doc_string, before.metadata_props) == (after.doc_string, after.metadata_props)
        assert len(before.input) == len(after.input)
        for one, other in zip(before.attribute, after.attribute, strict=True):
            assert one == other or one.name in allowed[before.name]


def test_the_interface_survives_and_listed_initializers_have_their_new_shapes(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    old, new = pair
    assert new.graph.output == old.graph.output
    assert [value.name for value in new.graph.input] == [value.name for value in old.graph.input]
    assert new.graph.input[0] == old.graph.input[0]
    tensors = by_name(new.graph.initializer)
    grown = {value.name: dims(value) for value in new.graph.input[1:]}
    assert grown == {name: list(tensors[name].dims) for name in grown}
    assert grown == {"first": [16, 3, 1, 1], "bias": [16], "shift": []}


def test_tensors_that_do_not_grow_are_the_same_bytes(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    old, new = (by_name(model.graph.initializer) for model in pair)
    assert list(new)[: len(old)] == list(old)
    assert {name for name in old if new[name] == old[name]} == {"shift", "unused", "table"}
    for name in old:
        for field in ("data_type", "doc_string", "metadata_props"):
            assert getattr(new[name], field) == getattr(old[name], field), (name, field)


def test_declared_shapes_are_those_of_the_student(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    old, new = (by_name(model.graph.value_info) for model in pair)
    assert new.keys() == old.keys() >= {"h", "r", "c", "t", "s", "p"}
    assert new["p"] == old["p"]
    assert {name: dims(new[name]) for name in "hcst"} == {
        "h": ["N", 16, 4, 6], "c": ["N", 16, 4, 6], "s": ["N", 384], "t": ["N", 384],
    }


# --- bytes


def test_the_seed_decides_every_byte() -> None:
    first, again, other = (widen(teacher(), seed=seed).SerializeToString(deterministic=True) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_equal_weights_get_noise_of_their_own() -> None:
    equal = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    body = "h = MatMul(x, w) y = MatMul(h, u) z = MatMul(h, v)"
    proto = model(body, "float[2,5] x", "y, z", w=(5, 8), u=equal, v=equal)
    tensors = by_name(widen(proto, init="net2net").graph.initializer)
    assert tensors["u"].raw_data != tensors["v"].raw_data


def test_a_history_grows_by_one_entry_at_a_time() -> None:
    student = widen(widen(teacher(), factor=1.5, seed=3), factor=2)
    history = json.loads(by_key(student.metadata_props)["onnx_n2n.lineage"])
    assert [step["pass"] for step in history] == ["widen{factor=1.5,seed=3}", "widen{factor=2.0}"]
    assert Judge(teacher()).error(student) < TOLERANCE


def by_key(properties: Any) -> dict[str, str]:
    return {prop.key: prop.value for prop in properties}


def test_a_factor_of_one_changes_nothing() -> None:
    result = onnx_n2n.widen(teacher(), 1, verify=False)
    assert not result.modified
    assert result.model == teacher()


# --- the caller's model


def proto_bytes(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString(deterministic=True)


KINDS: dict[str, tuple[Callable[[onnx.ModelProto], Any], Callable[[Any], bytes]]] = {
    "proto": (lambda proto: proto, proto_bytes),
    "gs": (gs.import_onnx, lambda graph: proto_bytes(gs.export_onnx(graph.copy()))),
    "ir": (opened, lambda model: proto_bytes(ir.serde.serialize_model(model))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_argument_is_not_changed_and_what_comes_back_is_of_its_kind(kind: str) -> None:
    make, read = KINDS[kind]
    given = make(teacher())
    before = read(given)
    student = widen(given)
    assert read(given) == before
    assert type(student) is type(given)
    proto = onnx.ModelProto.FromString(read(student))
    assert Judge(teacher()).error(proto) < TOLERANCE
    assert list(by_name(proto.graph.initializer)["first"].dims) == [16, 3, 1, 1]
    # What the student holds is its own.
    widen(student)
    assert read(given) == before


def test_a_file_is_not_changed_and_the_student_is_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(teacher(), path)
    before = path.read_bytes()
    written = widen(path)
    assert written == tmp_path / "model.widened.onnx"
    assert path.read_bytes() == before
    assert onnx.load(written) == widen(teacher())
    assert sorted(tmp_path.iterdir()) == [path, written]


# --- what growth must not reach


def test_branches_keep_what_they_cannot_follow_and_the_rest_grows() -> None:
    body = (
        "h = Conv(x, first) b = If <then_branch = t () => (float[2,12,4,6] p) { i = Hardmax(h) p = Mul(i, scale) },"
        "else_branch = e () => (float[2,12,4,6] q) { q = Hardmax <axis = 1> (h) }> (go) k = Conv(h, last) z = Mul(b, k)"
        "f = Flatten(z) m = MatMul(f, w) y = MatMul(m, v)"
    )
    proto = model(body, "float[2,3,4,6] x, bool go", "y", first=(12, 3, 1, 1), scale=(12, 1, 1), last=(12, 12, 1, 1),
                  w=(288, 5), v=(5, 2))
    student = widen(proto)
    old, new = (by_name(model.graph.initializer) for model in (proto, student))
    assert {name for name in old if new[name] != old[name]} == {"w", "v"}
    before, after = ([onnx.printer.to_text(a.g) for a in m.graph.node[1].attribute] for m in (proto, student))
    assert before == after
    for seed in range(3):  # both branches
        assert Judge(proto, seed).error(student) < TOLERANCE


def test_branches_and_what_they_capture_grow() -> None:
    body = (
        "h = Conv(x, first) b = If <then_branch = t () => (float[2,12,4,6] p) { p = Mul(h, scale) },"
        "else_branch = e () => (float[2,12,4,6] q) { q = Relu(h) }> (go) y = Conv(b, last)"
    )
    proto = model(body, "float[2,3,4,6] x, bool go", "y", first=(12, 3, 1, 1), scale=(12, 1, 1), last=(2, 12, 1, 1))
    student = widen(proto)
    old, new = (by_name(model.graph.initializer) for model in (proto, student))
    assert {name for name in old if new[name] != old[name]} == {"first", "scale", "last"}
    before, after = ([a.g for a in m.graph.node[1].attribute] for m in (proto, student))
    for one, other in zip(before, after, strict=True):
        assert list(map(helper.printable_node, one.node)) == list(map(helper.printable_node, other.node))
        assert (dims(one.output[0]), dims(other.output[0])) == ([2, 12, 4, 6], [2, 24, 4, 6])


def test_a_constant_that_is_also_an_output_stays_and_its_other_uses_grow() -> None:
    proto = model("h = MatMul(x, w) k = Add(h, b) z = MatMul(k, v)", "float[2,5] x", "z, b", w=(5, 8), b=(8,), v=(8, 3))
    student = widen(proto)
    old, new = (by_name(model.graph.initializer) for model in (proto, student))
    assert list(new["w"].dims) == [5, 16]
    assert new["b"] == old["b"]
    feeds = Judge(proto).feeds[0]
    for ours, theirs in zip(run(student, feeds), run(proto, feeds), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_both_names_of_the_default_domain() -> None:
    proto = model("h = Relu(k) k2 = Identity(h) z = MatMul(k2, v)", "float[2,5] x", "z", v=(8, 3), w=(5, 8))
    proto.graph.node.insert(0, helper.make_node("MatMul", ["x", "w"], ["k"]))
    for node in proto.graph.node[::2]:
        node.domain = "ai.onnx"
    assert list(by_name(widen(proto).graph.initializer)["w"].dims) == [5, 16]


def test_before_ir_version_4_every_initializer_is_an_input() -> None:
    """A bias that two layers share becomes two biases, both of them listed."""
    proto = model("h = Conv(x, u, b) k = Relu(h) z = Conv(k, v, b)", "float[2,3,4,6] x", "z", opset=8, u=(8, 3, 1, 1),
                  v=(8, 8, 1, 1), b=(8,))
    proto.ir_version = 3
    proto.graph.input.extend(map(listed_input, proto.graph.initializer))
    student = widen(proto)
    listed = {value.name: dims(value) for value in student.graph.input[1:]}
    assert listed == {tensor.name: list(tensor.dims) for tensor in student.graph.initializer}
    assert sorted(length for (length, *rest) in listed.values() if not rest) == [8, 16]
    onnx.checker.check_model(student, full_check=True)
    assert Judge(proto).error(student) < TOLERANCE


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_keep_their_type(dtype: type) -> None:
    rng = np.random.default_rng(0)
    kind = {2: "float16", 4: "float", 8: "double"}[np.dtype(dtype).itemsize]
    weights = {name: rng.standard_normal(shape).astype(dtype) for name, shape in [("w", (5, 8)), ("v", (8, 3))]}
    body = "h = MatMul(x, w) k = ReduceL2 <axes = [1]> (h) l = Div(h, k) z = MatMul(l, v)"
    proto = model(body, f"{kind}[4,5] x", "z", **weights)
    student = widen(proto)
    expected = numpy_helper.to_array(proto.graph.initializer[0]).dtype
    assert all(numpy_helper.to_array(t).dtype in {expected, np.dtype(np.int64)} for t in student.graph.initializer)
    assert Judge(proto).error(student) < 20 * np.finfo(dtype).eps
