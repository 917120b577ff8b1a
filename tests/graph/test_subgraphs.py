"""Graphs inside graphs: serialised or not, they come in the same order, and a field is filled with copies."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from onnx import helper

from onnx_n2n.graph.constants import hold
from onnx_n2n.graph.passthrough import stored
from onnx_n2n.graph.subgraphs import nested, nested_protos, nodes_of
from onnx_n2n.io.messages import replace


def branching(name: str, depth: int) -> onnx.GraphProto:
    """Return a graph of two If nodes, each with two graphs like it inside."""
    nodes = [
        helper.make_node(
            "If",
            ["flag"],
            [f"{name}{k}"],
            then_branch=branching(f"{name}{k}t", depth - 1),
            else_branch=branching(f"{name}{k}e", depth - 1),
        )
        for k in range(2 if depth else 0)
    ]
    return helper.make_graph(nodes, name, [], [helper.make_value_info(f"{name}0", onnx.TypeProto())])


def test_graphs_inside_come_in_the_same_order() -> None:
    proto = branching("g", 2)
    model = ir.serde.deserialize_graph(proto)
    assert [graph.name for graph in nested(model)] == [graph.name for graph in nested_protos(proto)]
    assert len(list(nested(model))) == 1 + 4 + 16


def test_nodes_come_before_those_inside_them() -> None:
    """They come as the IR has them; a reference to an attribute, which a function has, holds no graph."""
    graph = ir.serde.deserialize_graph(branching("g", 3))
    assert list(nodes_of(graph)) == list(graph.all_nodes())
    for node in list(graph.all_nodes())[:1]:
        node.attributes["else_branch"] = ir.RefAttr("else_branch", "branch", ir.AttributeType.GRAPH)
    assert len(list(nodes_of(graph))) == 42 - 10


@pytest.mark.parametrize("names", ["", "a", "abc", "dabecb"])
def test_a_field_is_filled_with_copies(names: str) -> None:
    nodes = {name: helper.make_node("Relu", [name], [name]) for name in "abcde"}
    graph = onnx.GraphProto(node=[nodes["a"], nodes["b"]])
    own = {node.input[0]: node for node in graph.node}
    replace(graph.node, [own.get(name, nodes[name]) for name in names])
    assert [node.input[0] for node in graph.node] == list(names)


def test_a_weight_behind_pass_through_operators_is_the_constant_that_changes() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["": 21]> g (float[4, 3] x) => (float[4, 2] y) {
             w = Constant<value: tensor = float[2, 3] {1, 2, 3, 4, 5, 6}>()
             v = Identity(w)
             u = Transpose<perm: ints = [1, 0]>(v)
             y = MatMul(x, u)
        }"""
    )
    found = ir.from_proto(model)
    product = found.graph.node(-1)
    weight, moved = stored(product.inputs[1])
    assert weight is not None
    assert [node.op_type for node in moved] == ["Transpose", "Identity"]
    hold(weight, ir.tensor([[0.0] * 3] * 5, dtype=ir.DataType.FLOAT))
    again = ir.to_proto(found).graph.node[0]
    assert list(again.attribute[0].t.dims) == [5, 3]
