"""Laws of the interface: inside a model hidden states grow, outside its inputs and outputs are the teacher's.

Every table maps a name to the nodes, the inputs and outputs, and the constants of a teacher.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

import onnx_n2n
from helpers.graphs import TOLERANCE, WRONG, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.axes.algebra import Limit
from onnx_n2n.errors import NotApplicable
from onnx_n2n.passes.widen import ChannelSources
from onnx_n2n.verification import verify
from onnx_n2n.width.plan import Request, plan
from onnx_n2n.width.quiet.search import quieten

Teacher = tuple[str, str, str, dict[str, Any]]

D = 6
NORM = {"g": (D,), "b": (D,)}
BLOCK = "n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) y = Add(h, m)"
RMS_BLOCK = BLOCK.replace("LayerNormalization(h, g, b)", "RMSNormalization(h, g)")
MLP = {"A": (D, 8), "B": (8, D)}
STREAM = {"W": (3, D), **NORM, **MLP}

OUTPUTS: dict[str, Teacher] = {
    "a hidden layer": ("h = MatMul(x, W) y = MatMul(h, V)", "float[2,5,3] x", "h, y", {"W": (3, D), "V": (D, 4)}),
    "behind an activation": (
        "k = MatMul(x, W) h = Relu(k) y = MatMul(h, V)", "float[N,5,3] x", "h, y", {"W": (3, D), "V": (D, 4)}),
    "a symbolic name": (
        "h = MatMul(x, W) y = MatMul(h, V)", "float[N,T,3] x", "float[N,T,H] h, y", {"W": (3, D), "V": (D, 4)}),
    "a stream": (f"h = MatMul(x, W) {BLOCK}", "float[2,5,3] x", "y", STREAM),
    "a stream under RMSNorm": (f"h = MatMul(x, W) {RMS_BLOCK}", "float[2,5,3] x", "y", STREAM),
    "a normalised stream": (
        f"h = MatMul(x, W) {BLOCK} z = LayerNormalization(y, g, b)", "float[2,5,3] x", "z", STREAM),
    "all states of a stream": (
        f"h = MatMul(x, W) {BLOCK} z = LayerNormalization(y, g, b)", "float[2,5,3] x", "y, z, h, n", STREAM),
    "two groups, one after the other": (
        "f = MatMul(x, W) u = MatMul(x, U) h = Concat<axis=2>(f, u) a = Tanh(h) y = MatMul(a, V)",
        "float[2,5,3] x", "h, y", {"W": (3, D), "U": (3, 4), "V": (10, 4)}),
    "a group and a bare input": (
        "f = MatMul(x, W) h = Concat<axis=2>(f, c) y = MatMul(f, V)",
        "float[2,5,3] x, float[2,5,1] c", "h, y", {"W": (3, D), "V": (D, 4)}),
    "heads, taken apart": (
        "f = MatMul(x, W) h = Reshape(f, to) r = Relu(f) y = MatMul(r, V)",
        "float[2,5,3] x", "h, y", {"W": (3, D), "V": (D, 4), "to": np.array([2, 5, 2, 3])}),
    "heads, put together": (
        "f = MatMul(x, W) k = Reshape(f, to) t = Transpose<perm=[0,2,1,3]>(k) q = Softmax<axis=2>(t) "
        "u = Transpose<perm=[0,2,1,3]>(q) h = Reshape(u, back) y = MatMul(h, V)",
        "float[2,5,3] x", "h, y",
        {"W": (3, D), "V": (D, 4), "to": np.array([2, 5, 2, 3]), "back": np.array([2, 5, D])}),
    "maps of an image, channels first": (
        "h = Conv<pads=[1,1,1,1]>(x, W) r = Relu(h) y = Conv(r, V)", "float[1,3,8,8] x", "h, y",
        {"W": (D, 3, 3, 3), "V": (4, D, 1, 1)}),
    "a pyramid": (
        "f = Conv(x, W) r = Relu(f) h = Conv<strides=[2,2]>(r, U) u = Relu(h) y = Conv(u, V)", "float[1,3,8,8] x",
        "r, h, y", {"W": (D, 3, 3, 3), "U": (8, D, 1, 1), "V": (4, 8, 1, 1)}),
    "heads and places, put together": (
        "f = MatMul(x, W) h = Reshape(f, to) r = Relu(f) y = MatMul(r, V)",
        "float[2,5,3] x", "h, y", {"W": (3, D), "V": (D, 4), "to": np.array([2, 30])}),
    "the state of a recurrent layer": (
        "h = RNN<hidden_size=6>(x, W, R) y = Relu(x)", "float[5,2,3] x", "h, y", {"W": (1, D, 3), "R": (1, D, D)}),
    "several outputs of one factor": (
        "h = MatMul(x, W) k = Relu(h) t = Transpose<perm=[0,2,1]>(k) y = MatMul(k, V)", "float[2,5,3] x", "h, y, t, k",
        {"W": (3, D), "V": (D, 4)}),
    "read in a branch": (
        "h = MatMul(x, W) q = ReduceMax<keepdims=0>(x) f = Less(half, q) "
        "y = If<then_branch=t () => (float[2,5,4] p) {p = MatMul(h, V)}, "
        "else_branch=s () => (float[2,5,4] z) {u = MatMul(h, V) z = Relu(u)}>(f)",
        "float[2,5,3] x", "h, y", {"W": (3, D), "V": (D, 4), "half": 0.5}),
    "scores that copies share": (
        "q = MatMul(x, W) k = MatMul(x, U) t = Transpose<perm=[0,2,1]>(k) s = MatMul(q, t) y = MatMul(q, V)",
        "float[2,5,3] x", "q, y, s", {"W": (3, D), "U": (3, D), "V": (D, 4)}),
}  # fmt: skip

INPUTS: dict[str, Teacher] = {
    "added to a layer": (
        "f = MatMul(x, W) h = Add(f, e) r = Relu(h) y = MatMul(r, V)", "float[2,5,3] x, float[2,5,6] e", "y",
        {"W": (3, D), "V": (D, 4)}),
    "read by several": (
        "f = MatMul(x, W) h = Add(f, e) r = Mul(h, e) u = Sub(r, e) y = MatMul(u, V)",
        "float[2,5,3] x, float[2,5,6] e", "y", {"W": (3, D), "V": (D, 4)}),
    "embeddings for a stream": (
        f"f = MatMul(x, W) h = Add(f, e) {BLOCK} z = MatMul(y, V)", "float[2,5,3] x, float[2,5,6] e", "z",
        {**STREAM, "V": (D, 4)}),
    "embeddings for a stream under RMSNorm": (
        f"f = MatMul(x, W) h = Add(f, e) {RMS_BLOCK} z = MatMul(y, V)", "float[2,5,3] x, float[2,5,6] e", "z",
        {**STREAM, "V": (D, 4)}),
    "embeddings only": (f"h = Identity(e) {BLOCK} z = MatMul(y, V)", "float[2,5,6] e", "z", {**STREAM, "V": (D, 4)}),
    "scaled embeddings": (
        f"f = Mul(e, d) h = Add(f, c) {BLOCK} z = MatMul(y, V)", "float[2,5,6] e", "z",
        {**STREAM, "V": (D, 4), "c": (D,), "d": np.linspace(0.5, 2, D, dtype=np.float32)}),
    "one vector": (
        f"f = MatMul(x, W) h = Add(f, e) {BLOCK} z = MatMul(y, V)", "float[2,5,3] x, float[6] e", "z",
        {**STREAM, "V": (D, 4)}),
    "maps of an image": (
        "f = Conv(x, W) h = Add(f, e) r = Relu(h) y = Conv(r, V)", "float[1,3,8,8] x, float[1,6,8,8] e", "y",
        {"W": (D, 3, 1, 1), "V": (4, D, 1, 1)}),
    "heads": (
        "f = MatMul(x, W) k = Reshape(f, to) h = Add(k, e) u = Reshape(h, back) r = Relu(u) y = MatMul(r, V)",
        "float[2,5,3] x, float[2,5,2,3] e", "y",
        {"W": (3, D), "V": (D, 4), "to": np.array([2, 5, 2, 3]), "back": np.array([2, 5, D])}),
    "two groups, one after the other": (
        "f = MatMul(x, W) u = MatMul(x, U) k = Concat<axis=2>(f, u) h = Add(k, e) r = Relu(h) y = MatMul(r, V)",
        "float[2,5,3] x, float[2,5,10] e", "y", {"W": (3, D), "U": (3, 4), "V": (10, 4)}),
    "its length is asked for": (
        "f = MatMul(x, W) h = Add(f, e) s = Shape(e) k = Reshape(h, s) r = Relu(k) y = MatMul(r, V)",
        "float[2,5,3] x, float[2,5,6] e", "y", {"W": (3, D), "V": (D, 4)}),
}  # fmt: skip

OPTIONS: tuple[dict[str, Any], ...] = (
    {"factor": 1.5}, {"factor": 2.0}, {"factor": 1.34, "init": "zero"}, {"factor": 2.0, "init": "zero"},
    {"factor": 3.0, "mapping": "cyclic"},
)  # fmt: skip


def teacher_of(body: str, inputs: str, outputs: str, constants: dict[str, Any]) -> onnx.ModelProto:
    used = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    constants = {name: value for name, value in constants.items() if name in used}
    return model(body, inputs, outputs, opset=23 if "RMSNorm" in body else 17, **constants)


def interface(proto: onnx.ModelProto) -> list[bytes]:
    """Return names, order, types, lengths and symbolic lengths of all inputs and outputs."""
    return [value.SerializeToString() for value in (*proto.graph.input, *proto.graph.output)]


def adapters(student: onnx.ModelProto) -> list[str]:
    """Return the operators of the nodes that growth has added, which alone have names here."""
    return [node.op_type for node in student.graph.node if node.name]


TEACHERS = {**{f"output: {name}": entry for name, entry in OUTPUTS.items()},
            **{f"input: {name}": entry for name, entry in INPUTS.items()}}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", TEACHERS)
def test_what_is_at_the_interface_grows_inside_only(name: str, options: dict[str, Any]) -> None:
    teacher = teacher_of(*TEACHERS[name])
    judge = Judge(teacher)
    assert judge.meaningful
    student, growth = grow(teacher, **options)
    assert growth.grown, growth.kept
    assert all(grown.after == math.floor(grown.before * options["factor"] + 0.5) for grown in growth.grown)
    assert interface(student) == interface(teacher)
    onnx.checker.check_model(student, full_check=True)
    assert judge.error(student) < TOLERANCE
    assert set(adapters(student)) & {"Gather", "Concat"}, "nothing at the interface has grown"


@pytest.mark.parametrize("name", TEACHERS)
def test_wrong_channels_at_the_interface_are_wrong(name: str) -> None:
    """The comparison above could have failed: other channels, or none of the combinations, are seen."""
    teacher = teacher_of(*TEACHERS[name])
    judge = Judge(teacher)
    for options in OPTIONS[:2]:
        student, _ = grow(teacher, **options)
        for tensor in student.graph.initializer:
            array = numpy_helper.to_array(tensor)
            if tensor.name.endswith(("_channels", "_combination")):
                wrong = np.roll(array, 1) if array.ndim == 1 else array + 1
                tensor.CopyFrom(numpy_helper.from_array(wrong, tensor.name))
        assert judge.error(student) > WRONG


@pytest.mark.parametrize("name", TEACHERS)
def test_a_student_grows_again(name: str) -> None:
    """What an earlier growth has put at the interface picks from, and copies to, what grows next."""
    teacher = teacher_of(*TEACHERS[name])
    judge = Judge(teacher)
    student, first = grow(teacher, factor=2)
    again, second = grow(student, factor=1.5)
    assert {grown.after for grown in first.grown} >= {grown.before for grown in second.grown} != set()
    assert adapters(again) == adapters(student)
    assert interface(again) == interface(teacher)
    assert judge.error(again) < TOLERANCE


STATE = "so they may be recurrent state (such as a cache)"
REFUSED: dict[str, tuple[str, Teacher]] = {
    "logits": ("graph output 'y'", ("k = Relu(x) y = MatMul(k, W)", "float[2,5,3] x", "y", {"W": (3, D)})),
    "logits of a Softmax": (
        "Softmax", ("k = MatMul(x, W) y = Softmax(k)", "float[2,5,3] x", "y", {"W": (3, D)})),
    "a state": (STATE, (
        "f = MatMul(x, W) t = Add(f, s) y = MatMul(t, V)", "float[2,5,3] x, float[2,5,6] s", "t, y",
        {"W": (3, D), "V": (D, 4)})),
    "the state of a recurrent layer": (STATE, (
        "y, t = RNN<hidden_size=6>(x, W, R, , , s)", "float[5,2,3] x, float[1,2,6] s", "y, t",
        {"W": (1, D, 3), "R": (1, D, D)})),
    "a cache": (STATE, (
        "k = MatMul(x, W) c = Concat<axis=1>(s, k) y = MatMul(c, V)", "float[2,5,3] x, float[2,4,6] s", "c, y",
        {"W": (3, D), "V": (D, 4)})),
    "a cache that went through a student": (STATE, (
        "u = Gather<axis=2>(s, i) k = MatMul(x, W) c = Concat<axis=1>(u, k) y = MatMul(c, V) t = Gather<axis=2>(c, i)",
        "float[2,5,3] x, float[2,4,6] s", "t, y", {"W": (3, D), "V": (D, 4), "i": np.arange(D)})),
    "an input that goes out as it is": (STATE, (
        "f = MatMul(x, W) h = Add(f, s) y = MatMul(h, V)", "float[2,5,3] x, float[2,5,6] s", "float[2,5,6] s, y",
        {"W": (3, D), "V": (D, 4)})),
    "a constant that goes out": ("graph output 'W'", (
        "h = MatMul(x, W) y = MatMul(h, V)", "float[2,5,3] x", "W, y", {"W": (3, D), "V": (D, 4)})),
    "what is computed from constants only": ("graph output 't'", (
        "t = Transpose(W) h = MatMul(x, W) y = MatMul(h, V)", "float[2,5,3] x", "t, y", {"W": (3, D), "V": (D, 4)})),
    "whole numbers go out": ("graph output 'k'", (
        "h = MatMul(x, W) k = Cast<to=7>(h) y = MatMul(h, V)", "float[2,5,3] x", "int64[2,5,6] k, y",
        {"W": (3, D), "V": (D, 4)})),
    "whole numbers come in": ("graph input 'e'", (
        "f = MatMul(x, W) u = Cast<to=1>(e) h = Add(f, u) y = MatMul(h, V)", "float[2,5,3] x, int64[2,5,6] e", "y",
        {"W": (3, D), "V": (D, 4)})),
    "an input of symbolic length": ("", (
        "f = MatMul(x, W) h = Add(f, e) y = MatMul(h, V)", "float[2,5,3] x, float[2,5,H] e", "y",
        {"W": (3, D), "V": (D, 4)})),
    "a sequence": ("graph output 's'", (
        "h = MatMul(x, W) s = SequenceConstruct(h) y = MatMul(h, V)", "float[2,5,3] x", "seq(float[2,5,6]) s, y",
        {"W": (3, D), "V": (D, 4)})),
    "an input that is only read": ("graph input 'e'", ("y = MatMul(e, V)", "float[2,5,6] e", "y", {"V": (D, 4)})),
    "an input with a bias": (
        "graph input 'e'", ("h = Add(e, c) y = MatMul(h, V)", "float[2,5,6] e", "y", {"V": (D, 4), "c": (D,)})),
    "a depthwise convolution of an input": ("graph input 'e'", (
        "h = Conv<group=6>(e, W) y = Conv(h, V)", "float[1,6,8,8] e", "y",
        {"W": (D, 1, 3, 3), "V": (4, D, 1, 1)})),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_stays_pinned_says_why(name: str) -> None:
    reason, entry = REFUSED[name]
    teacher = teacher_of(*entry)
    analysis = analyze(opened(teacher))
    assert all(group.size != D for group in analysis.groups)
    assert any(reason in str(pinned.reason) and pinned.size == D for pinned in analysis.pins), analysis.pins
    student, growth = grow(teacher, factor=2)
    assert not growth.grown
    assert student.graph == opened_again(teacher).graph


def opened_again(teacher: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model as it is after reading and writing it."""
    return ir.serde.serialize_model(opened(teacher))


QUIET_INPUTS: dict[str, Teacher] = {  # in these, new channels of an input cannot be computed right behind it
    "on another axis than the last": (
        f"f = MatMul(x, W) t = Transpose<perm=[0,2,1]>(e) h = Add(f, t) {BLOCK} z = MatMul(y, V)",
        "float[2,5,3] x, float[2,6,5] e", "z", {**STREAM, "V": (D, 4)}),
    "as a part of an axis": (
        f"f = MatMul(x, W) t = Reshape(e, to) h = Add(f, t) {BLOCK} z = MatMul(y, V)",
        "float[2,5,3] x, float[2,30] e", "z", {**STREAM, "V": (D, 4), "to": np.array([2, 5, D])}),
    "copied": (
        f"f = MatMul(x, W) t = Gather<axis=2>(e, i) h = Add(f, t) {BLOCK} z = MatMul(y, V)",
        "float[2,5,3] x, float[2,5,3] e", "z", {**STREAM, "V": (D, 4), "i": np.array([0, 1, 2, 2, 0, 1])}),
}  # fmt: skip


@pytest.mark.parametrize("name", QUIET_INPUTS)
def test_streams_that_take_an_input_they_cannot_extend_grow_by_whole_factors(name: str) -> None:
    teacher = teacher_of(*QUIET_INPUTS[name])
    judge = Judge(teacher)
    analysis = analyze(opened(teacher))
    (stream,) = (group for group in analysis.groups if group.limit is Limit.UNIFORM)
    with pytest.raises(NotApplicable, match="graph input 'e' has these channels"):
        quieten(analysis, stream.factor)
    for factor in (1.3, 1.6, 2.0):
        student, growth = grow(teacher, factor=factor)
        wanted = set() if factor < 1.5 else {2 * D}
        assert {grown.after for grown in growth.grown if grown.name == stream.name} == wanted
        assert interface(student) == interface(teacher)
        assert judge.error(student) < TOLERANCE


def test_only_what_is_read_inside_grows() -> None:
    """Of two groups in one output, one is read by a layer."""
    body = "f = MatMul(x, W) u = MatMul(x, U) h = Concat<axis=2>(f, u) y = MatMul(f, V)"
    teacher = model(body, "float[2,5,3] x", "h, y", W=(3, D), U=(3, 4), V=(D, 4))
    student, growth = grow(teacher, factor=2)
    assert [(grown.name, grown.after) for grown in growth.grown] == [("W", 2 * D)]
    assert Judge(teacher).error(student) < TOLERANCE


def test_two_factors_of_one_output_grow_together() -> None:
    teacher = teacher_of(*OUTPUTS["heads, taken apart"])
    sizes = {group.name: 2 * group.size for group in analyze(opened(teacher)).groups}
    student, growth = grow(teacher, factor=1, groups=sizes)
    assert len(growth.grown) == 2
    assert adapters(student) == ["Gather", "Gather"]
    assert interface(student) == interface(teacher)
    assert Judge(teacher).error(student) < TOLERANCE
    again, _ = grow(student, factor=2)
    assert adapters(again) == adapters(student)
    assert Judge(teacher).error(again) < TOLERANCE


def test_channels_that_the_teacher_picks_for_an_output_are_picked_from_more() -> None:
    body = "h = MatMul(x, W) k = Gather<axis=-1>(h, i) y = MatMul(h, V)"
    teacher = model(body, "float[2,5,3] x", "k, y", W=(3, D), V=(D, 4), i=np.array([4, -1, 0, 4]))
    student, growth = grow(teacher, factor=1.5)
    assert [grown.after for grown in growth.grown] == [9]
    assert len(student.graph.node) == len(teacher.graph.node)
    assert Judge(teacher).error(student) < TOLERANCE


@pytest.mark.parametrize("dtype", ["float16", "double"])
def test_the_combination_has_the_type_of_the_input(dtype: str) -> None:
    number = onnx.helper.tensor_dtype_to_np_dtype({"float16": 10, "double": 11}[dtype])
    weights = {name: np.random.default_rng(0).standard_normal(shape).astype(number) for name, shape in STREAM.items()}
    body = f"f = MatMul(x, W) h = Add(f, e) {BLOCK} z = MatMul(y, B2)"
    teacher = model(
        body, f"{dtype}[2,5,3] x, {dtype}[2,5,6] e", f"{dtype}[2,5,8] z", **weights, B2=weights["B"].T.copy()
    )
    student, growth = grow(teacher, factor=1.5)
    assert D + D // 2 in {grown.after for grown in growth.grown}
    assert Judge(teacher).error(student) < (1e-2 if dtype == "float16" else TOLERANCE)


def test_old_operator_sets_and_initializers_among_the_inputs() -> None:
    teacher = model(*OUTPUTS["a hidden layer"][:3], opset=9, **OUTPUTS["a hidden layer"][3])
    teacher.ir_version = 3
    for tensor in teacher.graph.initializer:
        teacher.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, 1, tensor.dims))
    student, _ = grow(teacher, factor=2)
    onnx.checker.check_model(student, full_check=True)
    assert student.graph.input[0] == teacher.graph.input[0]
    assert student.graph.output == teacher.graph.output
    assert Judge(teacher).error(student) < TOLERANCE


def test_what_is_said_of_an_output_stays_with_its_name() -> None:
    teacher = teacher_of(*OUTPUTS["a hidden layer"])
    output = teacher.graph.output[0]
    output.doc_string = "what the layer makes"
    output.metadata_props.add(key="unit", value="volt")
    student, _ = grow(teacher, factor=2)
    assert interface(student) == interface(teacher)
    assert all(not value.metadata_props for value in student.graph.value_info)


def test_a_name_that_is_taken_already_is_not_given_again() -> None:
    teacher = model("h = MatMul(x, W) h_grown = Relu(h) y = MatMul(h_grown, V)", "float[2,5,3] x", "h, h_grown, y",
                    W=(3, D), V=(D, 4))  # fmt: skip
    student, _ = grow(teacher, factor=2)
    assert interface(student) == interface(teacher)
    assert Judge(teacher).error(student) < TOLERANCE


def test_clones_are_counted_across_the_interface() -> None:
    """Copies without noise, all of which the same weights read, are twins, whatever is picked from them."""
    teacher = teacher_of(*OUTPUTS["a hidden layer"])
    for noise, twins in ((0.0, 2 * D), (0.1, 0)):
        student, _ = grow(teacher, factor=2, mapping="cyclic", noise=noise)
        (found,) = onnx_n2n.clones(student).groups
        assert (found.channels, found.incoming, found.twins) == (2 * D, 2 * D, twins)


def test_a_trace_says_that_outputs_are_the_teachers() -> None:
    analysis = analyze(opened(teacher_of(*OUTPUTS["behind an activation"])))
    trace = ChannelSources(analysis, plan(analysis, Request(factor=2)))
    assert trace["h"] == trace["y"] == (None, None, None)
    assert [None if index is None else len(index) for index in trace["k"]] == [None, None, 2 * D]


def test_a_wrong_student_is_localised_before_its_outputs() -> None:
    """With the trace, what is wrong inside is found although outputs have other names inside than outside."""
    teacher = teacher_of(*OUTPUTS["behind an activation"])
    assert onnx_n2n.widen(teacher, 2).report.verdict.ok
    analysis = analyze(opened(teacher))
    growth = plan(analysis, Request(factor=2))
    trace = ChannelSources(analysis, growth)
    student, _ = grow(teacher, factor=2)
    for tensor in student.graph.initializer:
        if tensor.name == "V":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, "V"))
    verdict = verify(teacher, student, trace=trace)
    assert not verdict.ok
    assert verdict.first_wrong is not None
    assert verdict.first_wrong.startswith("y ")
