"""Whatever is changed in a file, `diff` mentions it, but for what its documentation names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnx_n2n
from onnx_n2n.errors import N2NError

node, info, tensor = helper.make_node, helper.make_tensor_value_info, numpy_helper.from_array

UNMENTIONED = re.compile(
    r"doc_string|metadata_props|denotation"  # of nodes, tensors and functions, but not of the graph and the model
    r"|(node|attribute|initializer|opset_import)\*$"  # the same in another order
    r"|value_info|\.(g|graphs\[\d\])\.(input|output)\[\d\]\.type"  # what is declared inside
    r"|\.(g|graphs\[\d\])\.(name|input\[\d\]\.name)|tensors\[0\]\.name|initialization\.name|\.t\.name"  # names inside
    r"|device_configurations"
)
OF_THE_WHOLE = re.compile(r"^(graph\.)?(doc_string|metadata_props)")


def network() -> onnx.ModelProto:
    """Return a model that says something in every field that a model has."""
    branches = [
        helper.make_graph(
            [node("Add", ["x", "w"], [f"{name}0"], f"{name}a"), node(kind, ["x"], [f"{name}1"], f"{name}b")],
            name, [], [info(f"{name}0", 1, None), info(f"{name}1", 1, None)],
        )
        for name, kind in (("then", "Neg"), ("else", "Abs"))
    ]  # fmt: skip
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Sub", ["p", "q"], ["p2"], "p"), node("Mul", ["p", "q"], ["q2"], "q")],
        "body", [info("i", 7, []), info("go", 9, []), info("p", 1, None), info("q", 1, None)],
        [info("on", 9, []), info("p2", 1, None), info("q2", 1, None)],
    )  # fmt: skip
    function = helper.make_function(
        "own", "F", ["a", "b"], ["c", "d"],
        [node("Sub", ["a", "b"], ["c"], "minus"), node("LeakyRelu", ["a"], ["d"], "leaky")],
        [helper.make_opsetid("", 17)], ["alpha"], [helper.make_attribute("beta", 0.5)],
    )  # fmt: skip
    function.doc_string = "function"
    nodes = [
        node("F", ["x", "w"], ["c", "d"], "call", domain="own", alpha=0.25),
        node("Constant", [], ["k"], "number", value=tensor(np.float32([1, 2, 4]))),
        node("Constant", [], ["text"], "text", value_string="text"),
        node("If", ["b"], ["i", "j"], "if", then_branch=branches[0], else_branch=branches[1]),
        node("Loop", ["n", "", "i", "j"], ["l", "m"], "loop", body=body),
        node("Add", ["l", "k"], ["s"], "sum"),
        node("Odd", ["m", "", "w"], ["y", "z"], "odd", domain="own", i=3, f=-0.0, s="s", ints=[1, 2], floats=[0.5, 2.0],
             strings=["a", "b"], t=tensor(np.int32([1, 2]))),
        node("Add", ["s", "c"], ["u"], "u"),
        node("Add", ["d", "s"], ["v"], "v"),
    ]  # fmt: skip
    nodes[6].attribute.append(helper.make_attribute("kind", helper.make_tensor_type_proto(1, [1, "q"])))
    nodes[6].attribute.append(onnx.AttributeProto(name="graphs", type=10, graphs=branches[:1]))
    nodes[6].attribute.append(onnx.AttributeProto(name="tensors", type=9, tensors=[tensor(np.float32([1]), "t")]))
    nodes[0].overload = function.overload = "first"
    nodes[5].doc_string = "node"
    made = [info("y", 1, None), info("z", 1, None), info("u", 1, ["N", 3]), info("v", 1, ["N", 3]), info("text", 8, [])]
    graph = helper.make_graph(
        nodes, "G", [info("x", 1, ["N", 3]), info("b", 9, []), info("n", 7, []), info("idle", 1, [2])], made,
        [tensor(np.float32([1, 2, 3]), "w"), tensor(np.float32([9, 9]), "idle"), tensor(np.array(["a"], object), "t")],
        "graph", [info("s", 1, ["N", 3])],
    )  # fmt: skip
    graph.metadata_props.add(key="of", value="graph")
    noted = graph.quantization_annotation.add(tensor_name="x")
    noted.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="w")
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=sets, ir_version=11)
    model.producer_name, model.producer_version, model.domain = "name", "1", "domain"
    model.model_version, model.doc_string = 3, "model"
    model.metadata_props.add(key="of", value="model")
    training = model.training_info.add()
    training.algorithm.name = "step"
    training.update_binding.add(key="a", value="b")
    model.configuration.add(name="two", num_devices=2, device=["a", "b"])
    model.graph.node[5].device_configurations.add(configuration_id="two", pipeline_stage=1)
    return model


def other(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    return f"{value}_" if isinstance(value, str) else -value if isinstance(value, float) else value + 1


def changes(message: Any, path: str = "") -> Iterator[str]:
    """Make every small change to a message, one after the other; yield what is changed while it is."""
    for field, value in list(message.ListFields()):
        name, nested = path + field.name, field.message_type is not None
        if isinstance(value, int | float | str | bytes):
            with_other = other(value)
            setattr(message, field.name, with_other)
            yield name
            setattr(message, field.name, value)
        elif hasattr(value, "ListFields"):
            yield from changes(value, f"{name}.")
        else:
            whole = [type(each).FromString(each.SerializeToString()) if nested else each for each in value]
            for what, part in (("*", whole[::-1]), ("-", whole[:-1])):
                del value[:]
                value.extend(part)
                if part != whole:
                    yield name + what
                del value[:]
                value.extend(whole)
            for place in range(len(whole)):
                if nested:
                    yield from changes(value[place], f"{name}[{place}].")
                else:
                    value[place] = other(whole[place])
                    yield f"{name}[{place}]"
                    value[place] = whole[place]


def test_whatever_is_changed_is_mentioned() -> None:
    student = network()
    before = student.SerializeToString()
    assert onnx_n2n.diff(before, before).same
    missed, said = [], 0
    for what in changes(student):
        try:
            found = onnx_n2n.diff(before, student.SerializeToString())
        except N2NError:  # it is no model any more
            continue
        if found.same and (OF_THE_WHOLE.match(what) or not UNMENTIONED.search(what)):
            missed.append(what)
        said += not found.same
    assert not missed
    assert said > 150
    assert student.SerializeToString() == before


def test_outputs_that_two_nodes_swap_are_mentioned() -> None:
    def model(first: str, second: str) -> onnx.ModelProto:
        nodes = [node("Neg", ["x"], [first], "minus"), node("Abs", ["x"], [second], "abs")]
        graph = helper.make_graph(nodes, "g", [info("x", 1, [3])], [info("y", 1, [3]), info("z", 1, [3])])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])

    found = onnx_n2n.diff(model("y", "z"), model("z", "y"))
    assert {(each.name, each.what) for each in found.interface} == {("y", "source"), ("z", "source")}
    assert found.interface[0].teacher == "output 0 of Neg 'minus'"


@pytest.mark.parametrize("slots", [(0, 1), (1, 0)])
def test_what_a_body_gives_in_another_order_is_mentioned(slots: tuple[int, int]) -> None:
    teacher, student = network(), network()
    given = next(each for each in student.graph.node[3].attribute if each.name == "then_branch").g.output
    kept = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in given]
    del given[:]
    given.extend(kept[slot] for slot in slots)
    found = onnx_n2n.diff(teacher, student)
    parts = [(change.name, part.what, part.name) for change in found.nodes for part in change.parts]
    assert parts == [("if", "attribute", "then_branch")] * (slots == (1, 0))
