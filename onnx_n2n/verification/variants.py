"""Models that compute the same but for rounding: as their file has half precision, or with weights a few steps off."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

from onnx_n2n.graph.subgraphs import nested_protos
from onnx_n2n.io.messages import replace
from onnx_n2n.verification.quanta import NARROW, REAL
from onnx_n2n.verification.sessions import SessionModel

STIRRED = 2  # axes that a weight has at least: of fewer axes are sizes, scales and limits too


def as_stored(source: SessionModel) -> SessionModel:
    """The model with every tensor of half precision rounded to it.

    Where ONNX Runtime has no kernel for half precision it computes in float32, and goes on with that from node to
    node. So nothing overflows there that would on another device. It does have a kernel of ``Identity``, which it
    uses where two follow each other: a lone node among others runs in float32 as well.
    """
    proto = source.proto()
    for root in (proto.graph, *proto.functions):
        for block in nested_protos(root):
            _round(block)
    return source.holding(proto)


def stirred(source: SessionModel, size: float, seed: int) -> SessionModel:
    """The model with each entry of its weights up to ``size`` of itself off, at random and otherwise in every run.

    The rounding error of a sum of products is that of weights which are as much off. So the answers show what rounding
    does inside, behind what an input one step off does not reach.
    """
    proto = source.proto()
    given = {value.name for value in proto.graph.input}
    nodes = []
    for count, tensor in enumerate(proto.graph.initializer):
        if tensor.data_type in REAL and len(tensor.dims) >= STIRRED and tensor.name not in given:
            name, tensor.name = tensor.name, f"{tensor.name}.exact"
            nodes += _stir(tensor.name, name, tensor.data_type, size, seed + count)
    replace(proto.graph.node, [*nodes, *proto.graph.node])
    return source.holding(proto)


def _stir(old: str, new: str, kind: int, size: float, seed: int) -> list[onnx.NodeProto]:
    wide, factor, product = (f"{new}.{part}" for part in ("wide", "factor", "product"))
    source, end = (wide, product) if kind in NARROW else (old, new)
    nodes = [
        helper.make_node("RandomUniformLike", [source], [factor], low=1 - size, high=1 + size, seed=float(seed)),
        helper.make_node("Mul", [source, factor], [end]),
    ]
    if kind not in NARROW:
        return nodes
    first = helper.make_node("Cast", [old], [wide], to=onnx.TensorProto.FLOAT)
    return [first, *nodes, helper.make_node("Cast", [product], [new], to=kind)]


def _round(block: Any) -> None:
    """Put two Identities behind each tensor of a graph or function that may be of half precision."""
    values = (*block.value_info, *(block.output if isinstance(block, onnx.GraphProto) else ()))
    others = {value.name for value in values if value.type.tensor_type.elem_type not in {0, *NARROW}}
    nodes = []
    for node in block.node:
        nodes.append(node)
        if node.op_type == "Constant":
            continue
        for slot, name in enumerate(node.output):
            if name and name not in others:
                node.output[slot] = f"{name}.made"
                nodes.append(helper.make_node("Identity", [f"{name}.made"], [f"{name}.once"]))
                nodes.append(helper.make_node("Identity", [f"{name}.once"], [name]))
    replace(block.node, nodes)
