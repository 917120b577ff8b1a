"""ONNX's inference ends the process at some operators whose inputs have no type: it is not asked about these."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from onnx_n2n.graph.inference import FRAGILE, infer

ATTRIBUTES = {
    "EyeLike": {"dtype": 1},
    "RegexFullMatch": {"pattern": "a"},
    "DictVectorizer": {"string_vocabulary": ["a"]},
    "LabelEncoder": {"classes_strings": ["a"]},
}
KINDS = {"EyeLike": 1, "RegexFullMatch": 8, "DictVectorizer": 8, "LabelEncoder": 8}


def behind(operator: str, domain: str, kind: int) -> onnx.ModelProto:
    """Return a model in which a node reads what another one makes, and a branch has such a node as well."""
    stated = ATTRIBUTES[operator]
    own = "ai.onnx.ml" if operator in {"DictVectorizer", "LabelEncoder"} else ""
    inner = helper.make_node(operator, ["h"], ["i"], domain=own, **stated)
    branch = helper.make_graph([inner], "branch", [], [onnx.ValueInfoProto(name="i")])
    nodes = [
        helper.make_node("Identity", ["x"], ["h"], domain=domain),
        helper.make_node(operator, ["h"], ["y"], domain=own, **stated),
        helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch),
    ]
    inputs = [helper.make_tensor_value_info("x", kind, [2, 3]), helper.make_tensor_value_info("c", 9, [])]
    graph = helper.make_graph(nodes, "teacher", inputs, [onnx.ValueInfoProto(name=name) for name in "yz"])
    imports = [helper.make_opsetid(*each) for each in (("", 20), ("ai.onnx.ml", 1), ("other", 1))]
    return helper.make_model(graph, opset_imports=imports)


@pytest.mark.parametrize("operator", sorted(FRAGILE))
@pytest.mark.parametrize("domain", ["other", ""])
def test_fragile_operators(operator: str, domain: str) -> None:
    model = behind(operator, domain, KINDS[operator])
    before = model.SerializeToString(deterministic=True)
    found = infer(model)
    assert model.SerializeToString(deterministic=True) == before
    assert [node.domain for node in found.graph.node] == [node.domain for node in model.graph.node]
    assert list(found.opset_import) == list(model.opset_import)
    if operator == "EyeLike":
        assert found.graph.output[0].type.HasField("tensor_type") == (domain == "")
