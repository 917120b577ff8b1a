"""What differs between two models is said, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import onnx_n2n
from helpers.calling import MODELS, call, net
from helpers.cutting import BODY, classifier
from helpers.graphs import STABLE, model
from helpers.random_nets import teachers
from onnx_n2n.errors import GrowthError
from onnx_n2n.reporting.difference import Diff
from onnx_n2n.reporting.values import CHUNK

GOLDEN = ("resnet", "densenet", "inception_bn", "mobile_se", "unet")
FEW = settings(STABLE, max_examples=15)


def renamed(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same with other names of all nodes and tensors."""
    found = onnx.ModelProto.FromString(proto.SerializeToString())
    graph = found.graph
    del graph.value_info[:]
    for node in graph.node:
        node.name = f"_{node.name}"
        node.input[:] = [name and f"_{name}" for name in node.input]
        node.output[:] = [name and f"_{name}" for name in node.output]
    for entry in (*graph.input, *graph.output, *graph.initializer):
        entry.name = f"_{entry.name}"
    return found


def kinds(found: Diff) -> Counter[str]:
    return Counter(each.what for each in (*found.nodes, *found.weights))


def nodes(found: Diff) -> Counter[str]:
    return Counter(each.what for each in found.nodes)


@FEW
@given(teachers())
def test_a_model_differs_from_itself_in_nothing(teacher: onnx.ModelProto) -> None:
    found = onnx_n2n.diff(teacher, teacher)
    assert found.same
    assert not found
    assert repr(found) == "<Diff: nothing differs>"


@FEW
@given(teachers(), st.sampled_from([1.5, 2.0]))
def test_the_groups_that_grew_are_those_of_the_report(teacher: onnx.ModelProto, factor: float) -> None:
    try:
        result = onnx_n2n.widen(teacher, factor, verify=False)
    except GrowthError:
        return
    if not result.modified:
        return
    found = onnx_n2n.diff(teacher, result.model)
    assert found.nodes_after - found.nodes_before == nodes(found)["added"] - nodes(found)["removed"]
    weighty = {group.name for group in onnx_n2n.analyze(teacher).weighty}
    grown = {(each.name, each.before, each.after) for each in result.change.grown if each.name in weighty}
    assert {(each.name, each.before, each.after) for each in found.grown} == grown
    assert found.passes is not None
    assert not found.metadata  # the lineage is in the passes
    assert [each.name for each in onnx_n2n.diff(result.model, teacher).metadata] == ["onnx_n2n.lineage"]
    assert [entry.text for entry in found.passes] == [result.passes]


@pytest.mark.parametrize("passes", ["outputs{size=20}", "cut{softmax=True},outputs{size=20}", "outputs{size=20},widen"])
def test_an_output_that_became_longer_is_shown_with_its_layer(passes: str) -> None:
    """In the teacher it is no group: outputs keep their shapes, and a Softmax normalises over it."""
    body = BODY if passes.startswith("cut") else BODY.partition("probabilities")[0]
    teacher = classifier(body, outputs="probabilities" if passes.startswith("cut") else "logits")
    result = onnx_n2n.run(teacher, passes, verify=False)
    found = onnx_n2n.diff(teacher, result.model)
    assert ("w", 5, 20) in {(each.name, each.before, each.after) for each in found.grown}
    assert found.grown == tuple(each for each in found.groups if each.before != each.after)
    assert len({each.name for each in found.groups}) == len(found.groups)


def test_groups_of_new_layers_are_not_those_of_an_output() -> None:
    """The new layers make channels that the teacher has, and give them another name; kernels are no groups."""
    teacher = onnx.load(MODELS / "resnet.onnx")
    passes = "deepen{count=1},enlarge{kernel=5x5},outputs{size=20},widen{factor=1.5}"
    found = onnx_n2n.diff(teacher, onnx_n2n.run(teacher, passes, verify=False).model)
    weighty = [group.name for group in onnx_n2n.analyze(teacher).weighty]
    assert [each.name for each in found.groups] == [*weighty, "head"]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_model_under_other_names_has_the_same_nodes(name: str) -> None:
    teacher = onnx.load(MODELS / f"{name}.onnx")
    found = onnx_n2n.diff(teacher, renamed(teacher))
    assert kinds(found).keys() == {"changed", "name"}
    assert {part.what for node in found.nodes for part in node.parts} == {"name"}
    assert all(weight.values is not None and not weight.values.different for weight in found.weights)


def test_what_one_order_adds_the_other_removes() -> None:
    teacher = onnx.load(MODELS / "resnet.onnx")
    student = onnx_n2n.deepen(teacher, count=1, verify=False).model
    there, back = onnx_n2n.diff(teacher, student), onnx_n2n.diff(student, teacher)
    one, other = ({(node.name, node.operator) for node in found.nodes if node.what == what}
                  for found, what in ((there, "added"), (back, "removed")))  # fmt: skip
    assert one
    assert one == other
    assert (there.passes is None, back.passes is None) == (False, True)
    assert {n.operator for n in there.nodes if n.what == "changed"} <= {"Conv", "CastLike", "Add"}


@pytest.mark.parametrize("place", [0, CHUNK - 1, CHUNK, CHUNK + 5])
def test_every_element_of_a_large_weight_is_compared(place: int) -> None:
    old = np.zeros((2, CHUNK), np.float32)
    new = old.copy()
    new.flat[place] = -3
    found = onnx_n2n.diff(*(model("y = MatMul(x, w)", "float[1,2] x", "y", w=each) for each in (old, new)))
    (weight,) = found.weights
    assert (weight.name, weight.what) == ("w", "values")
    assert weight.values is not None
    assert (weight.values.elements, weight.values.different, weight.values.largest) == (2 * CHUNK, 1, 3.0)


@pytest.mark.parametrize(
    ("old", "new", "what", "different", "largest"),
    [
        ([1.0, np.nan], [1.0, np.nan], None, 0, 0.0),
        ([0.0, 1.0], [-0.0, 1.0], "values", 1, 0.0),
        ([0.0, 1.0], [np.inf, 1.0], "values", 1, np.inf),
        ([0.0, 1.0], [np.nan, 2.0], "values", 2, np.nan),
        ([1.0, 2.0], [1.0, 2.5, 7.0], "shape", 1, 0.5),
        ([1.0, 2.0], [[1.0, 2.0]], "shape", None, None),
    ],
)
def test_numbers_are_compared_by_their_bits(
    old: list[float], new: list[float], what: str | None, different: int | None, largest: float | None
) -> None:
    sides = (model("y = Add(x, w)", "float[1,1] x", "y", w=np.array(each, np.float32)) for each in (old, new))
    found = onnx_n2n.diff(*sides)
    assert [each.what for each in found.weights] == ([] if what is None else [what])
    for weight in found.weights:
        values = weight.values
        assert (values and values.different) == different
        assert (values is None) or np.array_equal(values.largest, largest, equal_nan=True)


def test_another_type_is_said_with_what_it_rounds() -> None:
    weight = np.array([1.0, 0.1], np.float32)
    sides = (model("c = Cast <to = 1> (w) y = Add(x, c)", "float[2] x", "y", w=each)
             for each in (weight, weight.astype(np.float16)))  # fmt: skip
    (found,) = onnx_n2n.diff(*sides).weights
    assert (found.what, found.before, found.after) == ("type", "float[2]", "float16[2]")
    assert found.values is not None
    assert found.values.different == 1
    assert found.values.largest == pytest.approx(2.4e-5, rel=0.1)


def test_each_thing_that_a_file_says_is_compared() -> None:
    old = net()
    new = onnx.ModelProto.FromString(old.SerializeToString())
    new.graph.node[0].attribute.append(helper.make_attribute("group", 1))
    new.graph.node[1].op_type = "Sigmoid"
    new.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    new.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    new.opset_import[0].version = 18
    new.producer_name = "somebody"
    new.metadata_props.add(key="licence", value="none")
    found = onnx_n2n.diff(old, new)
    assert [(part.what, part.name, part.before, part.after) for node in found.nodes for part in node.parts] == [
        ("attribute", "group", None, "1"), ("operator", "", "Relu", "Sigmoid"),
    ]  # fmt: skip
    assert [(each.where, each.name, each.what) for each in found.interface] == [
        ("input", "x", "shape"), ("output", "y", "type"),
    ]  # fmt: skip
    assert [(each.name, each.before, each.after) for each in found.opsets] == [("", "17", "18")]
    assert [each.name for each in found.header] == ["producer_name"]
    assert [(each.name, each.after) for each in found.metadata] == [("licence", "none")]
    assert not found.weights
    assert found.short == ("2 nodes, 1 metadata entry, 1 opset, 2 inputs or outputs, 1 header field differ")


def test_what_is_wired_otherwise_is_said_by_input() -> None:
    weights = {"v": (3, 3), "w": (3, 3)}
    old = model("a = MatMul(x, v) b = MatMul(x, w) y = Sub(a, b)", "float[1,3] x", "y", **weights)
    new = model("a = MatMul(x, v) b = MatMul(x, w) y = Sub(b, a)", "float[1,3] x", "y", **weights)
    (change,) = onnx_n2n.diff(old, new).nodes
    assert [(part.what, part.name, part.before, part.after) for part in change.parts] == [
        ("input", "0", "a", "b"), ("input", "1", "b", "a"),
    ]  # fmt: skip


def test_bodies_and_functions_are_compared() -> None:
    body = "y = If (c) <then_branch = t () => (p) {{ p = {} (x) }}, else_branch = e () => (q) {{ q = Neg(x) }}>"
    old, new = (model(body.format(name), "bool c, float[3] x", "y") for name in ("Abs", "Exp"))
    (change,) = onnx_n2n.diff(old, new).nodes
    assert change.scope.endswith(".then_branch")
    assert change.parts[0].before == "Abs"
    plain = model("y = Neg(x)", "float[3] x", "y")
    assert [(n.what, n.operator) for n in onnx_n2n.diff(plain, old).nodes] == [
        ("changed", "If"), ("added", "Abs"), ("added", "Neg"),
    ]  # fmt: skip
    assert [n.what for n in onnx_n2n.diff(old, plain).nodes] == ["changed", "removed", "removed"]


def test_a_weight_that_becomes_a_constant_node_is_the_same_weight() -> None:
    old = model("y = Add(x, w)", "float[2] x", "y", w=np.ones(2, np.float32))
    new = onnx.ModelProto.FromString(old.SerializeToString())
    tensor = new.graph.initializer.pop()
    new.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    found = onnx_n2n.diff(old, new)
    assert not found.weights
    assert [(each.what, each.operator) for each in found.nodes if each.what == "added"] == [("added", "Constant")]


def test_external_weights_are_the_same_wherever_they_are(tmp_path: Path) -> None:
    proto = model("y = MatMul(x, w)", "float[1,300] x", "y", w=(300, 300))
    onnx.save(proto, tmp_path / "in.onnx")
    onnx.save(proto, tmp_path / "out.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    assert onnx_n2n.diff(tmp_path / "in.onnx", tmp_path / "out.onnx").same


def test_the_command_ends_with_0_whatever_differs_and_with_3_where_nothing_can_be_compared(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "a.onnx")
    other = net()
    array = 2 * numpy_helper.to_array(other.graph.initializer[1])
    other.graph.initializer[1].CopyFrom(numpy_helper.from_array(array, "v"))
    onnx.save(other, tmp_path / "b.onnx")
    (tmp_path / "c.onnx").write_bytes(b"no model")
    same, differs = (call("diff", tmp_path / "a.onnx", tmp_path / f"{name}.onnx") for name in "ab")
    assert (same.exit_code, differs.exit_code) == (0, 0)
    assert same.output.startswith("Nothing differs: 3 nodes, ")
    assert "other values  v" in differs.output
    document = json.loads(call("diff", "--json", tmp_path / "a.onnx", tmp_path / "b.onnx").output)
    assert not document["same"]
    assert [each["name"] for each in document["weight_changes"]] == ["v"]
    assert call("diff", tmp_path / "a.onnx", tmp_path / "c.onnx").exit_code == 3
    assert call("diff", "-", "-").exit_code == 2


def test_sizes_of_groups_go_up_and_passes_are_one_sentence(tmp_path: Path) -> None:
    """Sizes are numbers: 128 stands after 16. Only the first pass was given this teacher."""
    teacher = model("h = Conv(x, a) i = Relu(h) j = Conv(i, b) k = Relu(j) y = Conv(k, c)", "float[N,3,6,6] x", "y",
                    a=(128, 3, 1, 1), b=(16, 128, 1, 1), c=(2, 16, 1, 1))  # fmt: skip
    onnx.save(teacher, tmp_path / "a.onnx")
    student = onnx_n2n.run(teacher, "widen{groups=a:160,seed=3},widen{groups=b:20}", verify=False).model
    onnx.save(student, tmp_path / "b.onnx")
    said = call("diff", tmp_path / "a.onnx", tmp_path / "b.onnx").output
    first = said.splitlines()[0]
    assert first.count("Made of this teacher by") == said.count("Made of this teacher by") == 1
    assert ", then widen{" in first, said
    assert [row[:2] for row in map(str.split, said.splitlines()) if row[:1] in (["16"], ["128"])] == [
        ["16", "20"], ["128", "160"],
    ]  # fmt: skip


def test_the_rest_of_a_table_stands_right_below_it(tmp_path: Path) -> None:
    operators = [
        "Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Identity",
        "LeakyRelu", "Mish", "Neg", "Relu", "Round", "Selu", "Sigmoid",
        "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh",
    ]  # fmt: skip
    names = ["x", *(f"t{n}" for n in range(1, len(operators))), "y"]
    edges = zip(operators, names[:-1], names[1:], strict=True)
    body = " ".join(f"{made} = {operator}({read})" for operator, read, made in edges)
    onnx.save(model("y = Not(x)", "bool[2] x", "bool[2] y"), tmp_path / "a.onnx")
    onnx.save(model(body, "float[2] x", "float[2] y"), tmp_path / "b.onnx")
    lines = call("diff", tmp_path / "a.onnx", tmp_path / "b.onnx").output.splitlines()
    rest = next(n for n, line in enumerate(lines) if line.startswith("And ") and "more kinds" in line)
    assert lines[rest - 1].strip()
    assert not lines[rest + 1].strip()
