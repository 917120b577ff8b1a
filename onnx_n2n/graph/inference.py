"""ONNX's own inference of shapes, kept from what ends the process.

Its inference of a few operators reads the type of an input without asking whether it is known, which it is not behind
an operator that ONNX does not define. So these nodes are hidden from it until the types of their inputs are found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx

from onnx_n2n.graph.subgraphs import body_protos, nested_protos

FRAGILE = frozenset({"EyeLike", "RegexFullMatch", "DictVectorizer", "LabelEncoder"})
HIDDEN = "hidden:"  # what the domains of hidden nodes begin with


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model with what ONNX infers of shapes and types; the argument stays as it is.

    Raises:
        Exception: Whatever inference dislikes.
    """
    if not any(node.op_type in FRAGILE for node in _nodes(model)):
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    found = onnx.ModelProto()
    found.CopyFrom(model)
    hidden = {HIDDEN + node.domain for node in _nodes(found) if node.op_type in FRAGILE}
    for node in _nodes(found):
        if node.op_type in FRAGILE:
            node.domain = HIDDEN + node.domain
    for block in (found, *found.functions):
        block.opset_import.extend(onnx.helper.make_opsetid(domain, 1) for domain in hidden)
    found = onnx.shape_inference.infer_shapes(found, data_prop=True)
    while _show(found.graph, frozenset()):
        found = onnx.shape_inference.infer_shapes(found, data_prop=True)
    for node in _nodes(found):
        node.domain = node.domain.removeprefix(HIDDEN)
    for block, before in zip((found, *found.functions), (model, *model.functions), strict=True):
        del block.opset_import[:]
        block.opset_import.extend(before.opset_import)
    return found


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for block in (model.graph, *model.functions):
        for graph in nested_protos(block):
            yield from graph.node


def _show(graph: Any, outer: frozenset[str]) -> bool:
    """Show the hidden nodes whose inputs have types by now; say whether there were any."""
    known = [info.name for info in (*graph.input, *graph.output, *graph.value_info) if info.type.WhichOneof("value")]
    typed = outer | {*known, *(tensor.name for tensor in graph.initializer)}
    shown = False
    for node in graph.node:
        if node.domain.startswith(HIDDEN) and typed.issuperset(node.input):
            node.domain = node.domain.removeprefix(HIDDEN)
            shown = True
        for body in body_protos(node):
            shown = _show(body, typed) or shown
    return shown
