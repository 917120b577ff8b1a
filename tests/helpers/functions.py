"""Models with functions of their own, and how they grow."""

from __future__ import annotations

import itertools
from typing import Any

import onnx
from onnx import helper, parser

from helpers.graphs import TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze


def function(signature: str, body: str, attributes: str = "", imports: str = '"" : 17, "f" : 1') -> onnx.FunctionProto:
    """Build a function of domain ``f``: ``function("Twice (a) => (b)", "b = Add(a, a)")``."""
    name, ends = signature.split(" ", 1)
    listed = f"<{attributes}>" if attributes else ""
    return parser.parse_function(f'<domain: "f", opset_import: [{imports}]> {name} {listed} {ends} {{ {body} }}')


SILU = function("Silu (a) => (c)", "s = Sigmoid(a) c = Mul(a, s)")


def calling(body: str, *called: onnx.FunctionProto, infer: bool = True, **constants: Any) -> onnx.ModelProto:
    """Build a model with functions between a layer that makes h and one that reads z."""
    constants = {"w": (5, 8), "v": (8, 3), **constants}
    proto = model(f"h = MatMul(x, w) {body} y = MatMul(z, v)", "float[4,5] x", "y", **constants)
    proto.functions.extend(called)
    if not any(each.domain == "f" for each in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid("f", 1))
    return onnx.shape_inference.infer_shapes(proto) if infer else proto


def sizes(proto: onnx.ModelProto) -> list[int]:
    """The sizes of the groups that may grow."""
    return sorted(group.size for group in analyze(opened(proto)).groups if group.members)


def same(proto: onnx.ModelProto, **options: Any) -> onnx.ModelProto:
    """Grow a model in several ways, compare each student with the teacher, and return the last."""
    judge = Judge(proto)
    assert judge.meaningful
    for wanted in ({"init": "zero"}, {"factor": 1.5, "mapping": "cyclic"}, {"noise": 0.5, **options}):
        student, _ = grow(proto, **wanted)
        assert judge.error(student) < TOLERANCE
        assert opened(student).functions.keys() == opened(proto).functions.keys()
        for before, after in zip(proto.functions, student.functions, strict=True):
            assert onnx.printer.to_text(before) == onnx.printer.to_text(after)
        called = [[(n.domain, n.op_type) for n in each.graph.node if n.domain] for each in (proto, student)]
        assert called[0] == called[1]
    return student


def chain(levels: int, calls: int = 1) -> list[onnx.FunctionProto]:
    """Functions F0, F1, ... each of which calls the one before ``calls`` times in a row, and F0 a Relu."""
    found = []
    for level in range(levels):
        operator = f"f.F{level - 1}" if level else "Relu"
        names = ["a", *(f"b{step}" for step in range(1, calls)), "c"]
        lines = (f"{made} = {operator}({read})" for read, made in itertools.pairwise(names))
        found.append(function(f"F{level} (a) => (c)", " ".join(lines)))
    return found
