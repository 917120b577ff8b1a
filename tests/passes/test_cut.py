"""A model that is cut gives what these tensors were, and has nothing that they do not need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import onnx_n2n
from helpers.cutting import BODY, FEW, UNPROVEN, answers, classifier, drawn
from helpers.graphs import model
from helpers.random_nets import teachers
from onnx_n2n.errors import GrowthError, ModelError, N2NError, OptionError
from onnx_n2n.io.history import history
from onnx_n2n.passes import Cut, Sequential, Widen, parse
from onnx_n2n.passes.driver import Target
from onnx_n2n.record.record import from_file, load
from onnx_n2n.verification.options import Proof


def names(proto: onnx.ModelProto) -> list[str]:
    return [value.name for value in proto.graph.output]


def read(proto: onnx.ModelProto) -> set[str]:
    """Return what nodes read, those in bodies too, and what the model gives."""
    found, graphs = {value.name for value in proto.graph.output}, [proto.graph]
    while graphs:
        graph = graphs.pop()
        for node in graph.node:
            found.update(node.input)
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
        found.update(value.name for value in graph.output)
    return found


# --- laws


@FEW
@given(teachers(), st.data())
def test_a_cut_model_gives_what_the_tensor_was_and_has_nothing_else(teacher: onnx.ModelProto, data: Any) -> None:
    made = [name for node in teacher.graph.node for name in node.output if name in read(teacher)]
    name = data.draw(st.sampled_from(made))
    result = Cut(after=[name])(teacher, proof=UNPROVEN)
    cut = result.model
    if not result.modified:
        assert names(teacher) == [name]
        assert cut is teacher
        return
    onnx.checker.check_model(cut, full_check=True)
    assert names(cut) == [name]
    feed = drawn(teacher)
    taken = {value.name for value in cut.graph.input}
    (ours,) = answers(cut, {key: array for key, array in feed.items() if key in taken})
    (theirs,) = answers(teacher, feed, name)
    assert np.array_equal(ours, theirs, equal_nan=theirs.dtype.kind == "f")
    before, after = read(teacher), read(cut)
    assert all(after.intersection(node.output) for node in cut.graph.node)
    assert {tensor.name for tensor in cut.graph.initializer} - after <= {
        tensor.name for tensor in teacher.graph.initializer
    } - before
    excerpt = result.change.cuts[0]
    kept = {tensor.name for tensor in cut.graph.initializer}
    assert kept | set(excerpt.taken.weights) == {tensor.name for tensor in teacher.graph.initializer}
    assert not kept & set(excerpt.taken.weights)
    assert len(cut.graph.node) + len(excerpt.taken.nodes) == len(teacher.graph.node)
    assert {each.name for each in cut.functions} | set(excerpt.taken.functions) == {e.name for e in teacher.functions}
    assert not Cut(after=[name])(cut, proof=UNPROVEN).modified


@settings(FEW, max_examples=6)
@given(teachers(), st.data())
def test_a_cut_and_growth_are_verified_against_the_first_teacher(teacher: onnx.ModelProto, data: Any) -> None:
    makers = [node for node in teacher.graph.node if node.op_type in {"Conv", "Relu", "MatMul", "Add"}]
    name = data.draw(st.sampled_from([node.output[0] for node in makers if node.output[0] in read(teacher)]))
    result = parse(f"cut{{after={name}}},widen{{factor=2}}")(teacher, proof=Proof(exact=None))
    if result.modified:
        assert result.report.verdict.ok
        assert names(result.model) == (list(result.change.tensors) or names(teacher))
        apart = Widen(factor=2.0)(Cut(after=[name])(teacher, proof=UNPROVEN).model, proof=UNPROVEN)
        assert result.change.grown == apart.change.grown


# --- places


def test_several_places_in_their_order_and_outputs_that_stay() -> None:
    teacher = classifier()
    assert names(Cut(after=["h", "logits"])(teacher).model) == ["h", "logits"]
    assert names(Cut(after=["logits", "node_1", "h"])(teacher).model) == ["logits", "h"]
    both = Cut(after=["probabilities", "g"])(teacher)
    assert names(both.model) == ["probabilities", "g"]
    assert both.change.cuts[0].taken.nodes == ()
    assert both.report.verdict.ok
    swapped = Cut(after=["g", "probabilities"])(both.model)
    assert swapped.modified
    assert names(swapped.model) == ["g", "probabilities"]


def test_before_is_what_goes_into_a_node_but_for_weights_and_inputs() -> None:
    teacher = classifier("g = MatMul(x, v) h = Relu(g) s = Add(h, g) t = Mul(s, c) y = Add(x, t)", c=(1,), v=(6, 6),
                         outputs="y")  # fmt: skip
    assert names(Cut(before=["y"])(teacher).model) == ["t"]
    assert names(Cut(before=["node_2"])(teacher).model) == ["h", "g"]
    assert names(Cut(after=["s"], before=["t", "h"])(teacher).model) == ["s", "g"]
    with pytest.raises(GrowthError, match="nothing that other nodes make") as refusal:
        Cut(before=["g"])(teacher)
    assert (refusal.value.node, refusal.value.operator) == ("node_0", "MatMul")


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
def test_a_softmax_at_the_end_is_taken_off_also_in_front_of_copies(operator: str) -> None:
    body = BODY.replace("Softmax<", f"{operator}<").replace("probabilities =", "p = ")
    teacher = classifier(f"{body} q = Identity(p) probabilities = Cast<to=1>(q)", outputs="probabilities, h")
    result = Cut(softmax=True)(teacher)
    assert names(result.model) == ["logits", "h"]
    assert result.change.cuts[0].taken.nodes == ("node_3", "node_4", "node_5")
    assert result.growth.outputs == ("logits", "h")
    again = Cut(softmax=True)(result.model)
    assert not again.modified
    (idle,) = again.change.idle
    assert idle.reason == (
        "no Softmax stands at the end: Gemm node 'node_2' makes 'logits', Relu node 'node_1' makes 'h'"
    )


def test_a_softmax_of_an_input_stays() -> None:
    teacher = model("y = Softmax(x)", "float[2,3] x", "y")
    assert not Cut(softmax=True)(teacher).modified


def test_classes_are_added_to_a_classifier_with_a_softmax(tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / "net.onnx")
    with pytest.raises(GrowthError, match="Softmax"):
        onnx_n2n.outputs(tmp_path / "net.onnx", 9)
    passes = "cut{softmax=True},outputs{size=9}"
    result = onnx_n2n.run(tmp_path / "net.onnx", passes, output=tmp_path / "more.onnx", exact=True)
    assert result.report.verdict.ok
    assert result.report.exact.state == "equal"
    assert result.change.gained == {"logits"}
    student, feed = onnx.load(tmp_path / "more.onnx"), drawn(classifier())
    assert np.array_equal(answers(student, feed)[0][:, :5], answers(classifier(), feed, "logits")[0])
    assert [entry.text for entry in history(onnx_n2n.load(tmp_path / "more.onnx"))] == passes.split(",")


# --- what goes


def test_inputs_that_nothing_reads_any_more_go_and_it_is_said() -> None:
    body = "a = MatMul(x, v) c = MatMul(z, u) y = Add(a, c)"
    teacher = classifier(body, "float[2,6] x, float[2,3] z, float[4] idle", "y", u=(3, 8))
    result = Cut(after=["a"])(teacher, proof=Proof(exact=True))
    assert [value.name for value in result.model.graph.input] == ["x", "idle"]
    assert result.report.exact.state == "equal"
    taken = result.change.cuts[0].taken
    assert (taken.inputs, taken.weights, taken.outputs) == (("z",), ("u",), ("y",))
    assert taken.nodes == ("node_1", "node_2")
    assert {tensor.name for tensor in result.model.graph.initializer} == {"v", "w", "b"}  # nothing ever read w and b
    assert result.change.notes == ("the model no longer takes 'z', which nothing reads any more",)


def test_functions_go_with_their_last_call_and_those_that_they_call_too() -> None:
    def function(name: str, operator: str, domain: str = "") -> onnx.FunctionProto:
        node = helper.make_node(operator, ["a"], ["b"], domain=domain)
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        return helper.make_function("f", name, ["a"], ["b"], [node], imports)

    teacher = classifier("g = f.Kept(x) h = MatMul(g, v) y = f.Outer(h)", outputs="y")
    teacher.functions.extend([function("Kept", "Relu"), function("Outer", "Inner", "f"), function("Inner", "Tanh"),
                              function("Idle", "Neg")])  # fmt: skip
    result = Cut(after=["h"])(teacher)
    assert [each.name for each in result.model.functions] == ["Kept", "Idle"]
    assert result.change.cuts[0].taken.functions == ("Inner", "Outer")


def test_what_a_body_reads_stays_or_goes_with_its_node() -> None:
    body = """
        g = MatMul(x, v) a = Neg(g) c = Abs(g)
        y = If <then_branch = t () => (float[1,8] p) { p = Relu(a) }, else_branch = e () => (float[1,8] q) { q = Exp(c) }> (k)
        z = Tanh(y)
    """  # noqa: E501 - one node
    teacher = classifier(body, outputs="z", k=np.array(True))
    assert Cut(after=["y"])(teacher).change.cuts[0].taken.nodes == ("node_4",)
    early = Cut(after=["a"])(teacher)
    assert early.change.cuts[0].taken.nodes == ("node_2", "node_3", "node_4")
    grown = Sequential(Cut(after=["a"]), Widen(factor=2.0, only=["v"]))
    with pytest.raises(GrowthError, match="'v' is pinned"):  # its channels are an output now
        grown(teacher, strict=True)
    for name in ("p", "q"):
        with pytest.raises(GrowthError, match="inside of a node") as refusal:
            Cut(after=[name])(teacher)
        assert refusal.value.node == "node_3"


def test_old_files_lose_the_inputs_of_weights_that_go() -> None:
    teacher = classifier(opset=8)
    teacher.ir_version = 3
    teacher.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in teacher.graph.initializer
    )
    result = Cut(after=["h"])(teacher)
    assert [value.name for value in result.model.graph.input] == ["x", "v"]
    assert result.change.cuts[0].taken.inputs == ()


def test_types_are_inferred_with_the_names_of_lengths_that_the_model_has() -> None:
    teacher = classifier("g = MatMul(x, v) n = NonZero(g) h = Relu(g) i = Shape(h) y = Neg(h)", "float[N,6] x", "y")
    for name, kind, shape in (("g", 1, ["N", 8]), ("n", 7, [2, ""]), ("i", 7, [2])):
        (output,) = Cut(after=[name])(teacher, proof=UNPROVEN).model.graph.output
        found = output.type.tensor_type
        assert found.elem_type == kind
        assert [dim.dim_value or dim.dim_param for dim in found.shape.dim] == shape


def test_a_type_that_only_onnx_runtime_knows() -> None:
    body = "g = com.microsoft.CDist<metric = \"sqeuclidean\">(x, c) h = Sqrt(g) y = Neg(h)"
    teacher = classifier(body, outputs="y", c=(3, 6))
    (output,) = Cut(after=["h"])(teacher).model.graph.output
    assert output.type.tensor_type.elem_type == 1
    with pytest.raises(GrowthError, match="the type of 'h' is not known") as refusal:
        Cut(after=["h"])(teacher, proof=UNPROVEN)
    assert refusal.value.operator == "Sqrt"


# --- what is refused


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"after": ["logit"]}, "there is no tensor or node named 'logit'. Perhaps you mean 'logits'"),
        ({"after": ["elsewhere"]}, "there is no tensor or node named 'elsewhere'. Outputs are 'probabilities'"),
        ({"after": ["w"]}, "'w' is a weight"),
        ({"before": ["x"]}, "'x' is an input"),
        ({"after": ["same"]}, "2 nodes are named 'same'. Name what one makes: 'g' or 'h'"),
        ({"after": ["two"]}, "the node makes 2 tensors that anything reads"),
    ],
)
def test_names_that_mean_nothing_or_too_much(options: dict[str, Any], said: str) -> None:
    body = "g = MatMul(x, v) h = Relu(g) i, j, k = Split<axis=1,num_outputs=3>(h) l = Concat<axis=1>(i, k) "
    teacher = classifier(body + "logits = Gemm(l, w) probabilities = Softmax(logits)", opset=18, v=(6, 9), w=(6, 5))
    for node, name in zip(teacher.graph.node, ("same", "same", "two"), strict=False):
        node.name = name
    with pytest.raises(GrowthError) as refusal:
        Cut(**options)(teacher)
    assert said in str(refusal.value)


def test_what_is_in_a_function_is_refused() -> None:
    teacher = classifier("g = f.F(x) y = MatMul(g, v)", outputs="y")
    node = helper.make_node("Relu", ["a"], ["inner"])
    teacher.functions.append(helper.make_function("f", "F", ["a"], ["inner"], [node], [helper.make_opsetid("", 17)]))
    with pytest.raises(GrowthError, match="inside of function 'F'"):
        Cut(after=["inner"])(teacher)


def test_options_that_mean_nothing() -> None:
    with pytest.raises(OptionError, match="nothing says where to cut"):
        Cut()(classifier())
    with pytest.raises(OptionError, match="goes without"):
        Cut(softmax=True, after=["h"])(classifier())


def test_a_cut_comes_first_and_is_always_done() -> None:
    teacher = classifier()
    for passes in ("widen,cut{after=h}", "cut{after=h},widen,cut{after=g}"):
        with pytest.raises(OptionError, match="must come before it"):
            parse(passes)(teacher)
    with pytest.raises(OptionError, match="must come before it"):
        Sequential(Widen(), Sequential(Cut(after=["h"])))(teacher)
    twice = parse("cut{after=logits},cut{after=h},widen")
    twice.check()
    assert str(twice.pick([])) == "cut{after=logits},cut{after=h}"
    assert names(twice(teacher, proof=UNPROVEN).model) == ["h"]


# --- records, and models that are compared later


def test_the_record_names_the_weights_that_went(tmp_path: Path) -> None:
    teacher = classifier()
    for tensor in teacher.graph.initializer:
        tensor.name = {"v": "first.weight", "w": "head.weight", "b": "head.bias"}[tensor.name]
    for node in teacher.graph.node:
        for slot, name in enumerate(node.input):
            node.input[slot] = {"v": "first.weight", "w": "head.weight", "b": "head.bias"}.get(name, name)
    onnx.save(teacher, tmp_path / "net.onnx")
    target = Target(tmp_path / "cut.onnx", record=tmp_path / "growth.safetensors")
    result = parse("cut{after=h},widen{factor=2}")(tmp_path / "net.onnx", output=target, proof=UNPROVEN)
    record = load(tmp_path / "growth.safetensors")
    assert record.gone == ("head.weight", "head.bias")
    assert record.outputs == ("h",)
    assert from_file(record.to_bytes()).to_bytes() == record.to_bytes()
    assert [step.text for step in record.steps] == [step.text for step in result.change.steps]
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in teacher.graph.initializer}
    grown = onnx_n2n.grow_checkpoint(arrays, record)
    assert grown.kept == tuple(arrays)
    assert grown.notes == (
        "the student was cut, and has no counterpart of head.weight, head.bias, which stay as they were",
    )


def test_verify_compares_a_cut_model_with_tensors_of_its_teacher() -> None:
    teacher = classifier("a = MatMul(x, v) c = MatMul(z, u) y = Add(a, c)", "float[2,6] x, float[2,3] z", "y", u=(3, 8))
    cut = Cut(after=["c"])(teacher).model
    assert not onnx_n2n.verify(teacher, cut, tensors=["a"])
    verdict = onnx_n2n.verify(teacher, cut, tensors=["c"])
    assert verdict
    assert [each.name for each in verdict.outputs] == ["c"]
    assert onnx_n2n.verify(teacher, cut, tensors=["c"], exact=True)
    wrong = onnx.ModelProto.FromString(cut.SerializeToString())
    (weight,) = (tensor for tensor in wrong.graph.initializer if tensor.name == "u")
    weight.CopyFrom(numpy_helper.from_array(np.ones((3, 8), np.float32), "u"))
    assert not onnx_n2n.verify(teacher, wrong, tensors=["c"])
    assert onnx_n2n.verify(teacher, wrong, tensors=["c"], exact=True).state == "different"
    for exact in (False, True):
        with pytest.raises(ModelError, match="the teacher has no tensor 'nothing'"):
            onnx_n2n.verify(teacher, cut, tensors=["nothing"], exact=exact)


def test_a_cut_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tensors of the teacher itself are what the student is held against, not those of a cut copy."""
    import onnx_ir as ir

    from onnx_n2n.passes import cut as module

    def spoilt(graph: ir.Model, outputs: Any) -> Any:
        taken = take(graph, outputs)
        weight = graph.graph.initializers["v"]
        assert weight.const_value is not None
        weight.const_value = ir.tensor(weight.const_value.numpy() + 1, name="v")
        return taken

    take = module.take
    monkeypatch.setattr(module, "take", spoilt)
    with pytest.raises(N2NError) as failure:
        Cut(after=["h"])(classifier())
    assert failure.value.exit_code == 1
