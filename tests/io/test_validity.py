"""What ONNX's own schemas forbid is refused when a model is read; what ONNX Runtime runs is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, helper

from helpers.bodies import TRIPS, TRUE
from helpers.calling import MODELS
from helpers.graphs import model
from helpers.sound_models import sound
from onnx_n2n.errors import ModelError
from onnx_n2n.graph.constants import SMALL, Constants
from onnx_n2n.io.model import open_model
from onnx_n2n.io.validity import DEEPEST, check

Spoil = Callable[[onnx.ModelProto], object]


@pytest.mark.parametrize("name", sound())
def test_sound_models_pass(name: str) -> None:
    check(onnx.ModelProto.FromString(sound()[name]["m.onnx"]))


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_models_of_exporters_pass(path: Path) -> None:
    check(onnx.load(path))


def test_what_is_not_in_a_schema_is_left_alone() -> None:
    """Old exporters write attributes that no operator has, and operators that ONNX does not know."""
    proto = model("a = Relu(x) b = com.microsoft.Gelu(a) y = my.Own(b)", "float[2] x", "y")
    for node in proto.graph.node:
        node.attribute.append(helper.make_attribute("consumed_inputs", [0, 0]))
        node.attribute.append(helper.make_attribute("blob", b"\xff\xfe"))
    check(proto)


def first(change: Callable[[onnx.NodeProto], object]) -> Spoil:
    return lambda proto: change(proto.graph.node[0])


def attribute(name: str, value: object) -> Spoil:
    def spoil(node: onnx.NodeProto) -> None:
        del node.attribute[:]
        node.attribute.append(helper.make_attribute(name, value))

    return first(spoil)


def calling(*calls: str) -> Spoil:
    """Add functions ``a``, ``b``, ... of which each calls the next that is named, and the last the first."""

    def spoil(proto: onnx.ModelProto) -> None:
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
        for name, callee in zip(calls, [*calls[1:], calls[0]], strict=True):
            node = helper.make_node(callee, ["i"], ["o"], domain="my")
            proto.functions.append(helper.make_function("my", name, ["i"], ["o"], [node], imports))

    return spoil


def body(change: Callable[[onnx.GraphProto], object]) -> Spoil:
    return lambda proto: change(proto.graph.node[1].attribute[0].g)


def version(domain: str, number: int) -> Spoil:
    return lambda proto: proto.opset_import.add(domain=domain, version=number)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (attribute("to", "float"), "'to' is of type STRING, and should be of type INT (Cast"),
        (attribute("to", 1.0), "'to' is of type FLOAT, and should be of type INT"),
        (attribute("to", 99), "'to' is 99, which is no type of elements"),
        (attribute("saturate", 1), "lacks attribute 'to'"),
        (first(lambda node: node.attribute.extend(list(node.attribute))), "attribute 'to' is there twice"),
        (first(lambda node: node.input.append("x")), "has 2 inputs, and its operator takes 1 (Cast"),
        (first(lambda node: node.input.pop()), "has 0 inputs"),
        (first(lambda node: node.output.append("z")), "has 2 outputs"),
        (first(lambda node: node.input.__setitem__(0, "")), "leaves out input 0"),
        (first(lambda node: setattr(node.attribute[0], "ref_attr_name", "a")), "refers to one of a function"),
        (first(lambda node: setattr(node.attribute[0], "type", AttributeProto.GRAPH)), "of type GRAPH, and should be"),
        (first(lambda node: node.attribute.add(name="own", type=AttributeProto.TENSOR)), "TENSOR, and holds nothing"),
        (first(lambda node: node.attribute[0].g.SetInParent()), "of type INT, and holds a graph"),
        (calling("f"), "function 'f' calls itself"),
        (calling("f", "g", "h"), "function 'f' calls itself"),
        (body(lambda graph: graph.input.pop()), "graph 'body' inside a node has 2 inputs, where the node needs 3"),
        (body(lambda graph: graph.output.pop()), "has 1 outputs, where the node needs 2"),
        (body(lambda graph: graph.node[0].input.append("n")), "has 2 inputs, and its operator takes 1 (Identity"),
        (version("", 2**40), "imports version 1099511627776 of 'ai.onnx'"),
        (version("", 0), "imports version 0 of 'ai.onnx'"),
        (version("my", 2**63 - 1), "of 'my', which there cannot be"),
        (version("ai.onnx", 13), "imports version 13 of 'ai.onnx', and version 17 too"),
        (lambda proto: setattr(proto, "ir_version", 2**40), "version 1099511627776 of ONNX's file format"),
        (lambda proto: setattr(proto, "ir_version", -1), "version -1 of ONNX's file format"),
    ],
)
def test_what_is_refused(spoil: Spoil, reason: str) -> None:
    proto = model(
        "a = Cast<to=1>(x) y = Loop(trips, go, a) <body = body (int64 n, bool c, float[2] s) => (bool d, float[2] t) "
        "{d = Identity(c) t = Relu(s)}>",
        "float[2] x", "y", trips=TRIPS, go=TRUE,
    )  # fmt: skip
    open_model(proto)
    spoil(proto)
    with pytest.raises(ModelError, match=re.escape(reason)):
        open_model(proto)


def test_texts_are_utf8() -> None:
    data = model("y = Relu(x)", "float[2] x", "y").SerializeToString().replace(b"teacher", b"te\xffcher")
    proto = onnx.ModelProto.FromString(data)
    with pytest.raises(ModelError, match="not UTF-8"):
        check(proto)
    with pytest.raises(ModelError, match="utf-8"):
        open_model(proto)


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST + 1])
def test_how_deep_graphs_may_be_nested(depth: int) -> None:
    proto = onnx.ModelProto(ir_version=9)
    graph = proto.graph
    for _ in range(depth - 1):
        graph = graph.node.add(op_type="Own", domain="my").attribute.add(name="g", type=AttributeProto.GRAPH).g
        graph.SetInParent()
    if depth > DEEPEST:
        with pytest.raises(ModelError):
            check(proto)
    else:
        check(proto)


@pytest.mark.parametrize(
    ("body", "operands"),
    [
        ("z = Range(a, b, c)", {"a": 0, "b": 2**62, "c": 1}),
        ("z = Range(a, b, c)", {"a": 0, "b": 1, "c": 0}),
        ("z = ConstantOfShape(a)", {"a": [2**31, 2**31]}),
        ("z = ConstantOfShape(a)", {"a": [-1]}),
        ("z = Expand(a, b)", {"a": [1], "b": [2**40, 1]}),
        ("z = Tile(a, b)", {"a": [1], "b": [2**62]}),
        ("z = Concat<axis=0>(a, a)", {"a": np.ones(SMALL, np.int64)}),
        ("z = Gather(a, b)", {"a": np.ones((1, SMALL), np.int64), "b": np.zeros(SMALL, np.int64)}),
        ("z = Add(a, b)", {"a": np.ones((SMALL, 1), np.int64), "b": np.ones((1, SMALL), np.int64)}),
        ("z = Where(a, b, c)", {"a": np.ones((SMALL, 1, 1), bool), "b": np.ones((SMALL, 1), np.int64),
                                "c": np.ones(SMALL, np.int64)}),
    ],
)  # fmt: skip
def test_what_would_be_large_is_not_computed(body: str, operands: dict[str, object], recwarn: object) -> None:
    assert folded(f"{body} y = Identity(z)", **operands) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("z = Range(a, b, c)", [1, 4, 7]),
        ("z = ConstantOfShape(c1)", [0, 0, 0]),
        ("z = Expand(c1, b1)", [3] * 9),
        ("z = Tile(c1, c1)", [3, 3, 3]),
        ("z = Gather(two, c0)", [[5, 6]]),
        ("z = Div(c1, c0)", None),  # 3 / 0 is whatever run time makes of it, in silence here
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_small_is(body: str, expected: object) -> None:
    found = folded(
        f"{body} y = Identity(z)", a=np.array(1), b=np.array(9), c=np.array(3), c1=np.array([3]), b1=np.array([9]),
        c0=np.array([0]), two=np.array([[5, 6]]),
    )  # fmt: skip
    assert found is not None
    assert expected is None or found.tolist() == expected


def test_a_chain_of_constants_may_be_long() -> None:
    links = " ".join(f"a{i + 1} = Identity(a{i})" for i in range(3000))
    found = folded(f"{links} y = Identity(a3000)", a0=np.array(7))
    assert found is not None
    assert found == 7


def folded(body: str, **operands: object) -> np.ndarray | None:
    constants = {name: value if isinstance(value, np.ndarray) else np.array(value) for name, value in operands.items()}
    opened = open_model(model(body, "", "y", **constants)).model
    return Constants(opened).small(next(iter(opened.graph.outputs)))
