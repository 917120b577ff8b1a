"""Shapes as ONNX's own inference finds them, on a skeleton without weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.inference import infer
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.subgraphs import nested, nested_protos, values_of
from onnx_n2n.graph.unfolding import LIMIT, Unfolding

logger = logging.getLogger(__name__)

SMALL = 1024  # elements up to which a constant is kept for inference to read


@dataclass(frozen=True)
class Inferred:
    """What inference found out about a tensor: its lengths (None where not known) and its type."""

    lengths: tuple[int | None, ...] | None
    dtype: ir.DataType | None


STANDARD = {
    "QuantizeLinear": "QuantizeLinear", "DequantizeLinear": "DequantizeLinear", "FusedConv": "Conv",
    "FusedGemm": "Gemm", "BiasGelu": "Add", "Gelu": "Identity", "FastGelu": "Identity", "QuickGelu": "Identity",
    "SkipLayerNormalization": "Identity", "SkipSimplifiedLayerNormalization": "Identity",
}  # fmt: skip
"""Operators of ONNX Runtime, and those of the standard whose first result has the same type and shape."""


def infer_shapes(model: ir.Model, functions: Sequence[onnx.FunctionProto] = ()) -> dict[ir.Value, Inferred]:
    """Return what is known of every tensor that a node makes or a body is given.

    The model is not changed. Where inference fails, the declared shapes remain.

    Args:
        model: The model. Calls of its own functions are not looked into if these unfold too far.
        functions: Further functions that it calls.
    """
    found = {
        value: Inferred(None if value.shape is None else tuple(map(known_length, value.shape)), value.dtype)
        for graph in model.graphs()
        for value in values_of(graph)
        if value.shape is not None or value.dtype is not None
    }
    try:
        proto = _skeleton(model)
        proto.functions.extend(functions)
        proto = infer(proto)
    except Exception as failure:  # whatever it dislikes, the declared shapes remain
        logger.debug("shape inference failed: %s", failure)
        return found
    for graph, described in zip(nested(model.graph), nested_protos(proto.graph), strict=True):
        values = {str(value.name): value for value in values_of(graph)}  # names are unique in one graph, not in all
        for info in [*described.input, *described.value_info, *described.output]:
            if info.name in values and info.type.HasField("tensor_type"):
                kind = info.type.tensor_type
                dims = [known_length(d.dim_value if d.HasField("dim_value") else None) for d in kind.shape.dim]
                lengths = tuple(dims) if kind.HasField("shape") else None
                found[values[info.name]] = Inferred(lengths, ir.DataType(kind.elem_type) if kind.elem_type else None)
    return found


def infer_types(model: ir.Model) -> dict[str, onnx.TypeProto]:
    """Return the types of tensors that nodes of the main graph make, as far as inference finds them, by name.

    Lengths that it does not know have no name there, unless the model has one for them.
    """
    try:
        graph = infer(_skeleton(model)).graph
    except Exception as failure:  # whatever it dislikes
        logger.debug("type inference failed: %s", failure)
        return {}
    infos = [*graph.output, *graph.value_info]
    said = (dim for value in _described(model) for dim in value.shape or () if isinstance(dim, ir.SymbolicDim))
    known = {str(dim.value) for dim in said}
    for dim in (dim for info in infos for dim in info.type.tensor_type.shape.dim):
        if dim.HasField("dim_param") and dim.dim_param not in known:
            dim.Clear()
    return {info.name: info.type for info in infos if info.type.WhichOneof("value")}


def _described(model: ir.Model) -> Iterator[ir.Value]:
    for graph in model.graphs():
        yield from values_of(graph)


def derived_types(node: ir.Node, version: int, given: Sequence[ir.DataType | None]) -> list[ir.DataType | None]:
    """Return the element type of every output of a node as it follows from those of its inputs.

    Inference of whole models stops at the first operator that ONNX does not know. Such operators compute in the type of
    their first floating-point operand, unless they quantise.
    """
    found: list[ir.DataType | None] = [None] * len(node.outputs)
    if node.domain == "com.microsoft":
        quantises = node.op_type.startswith(("QLinear", "QGemm", "Quantize", "DynamicQuantizeLinear"))
        if quantises:
            return found
        found[0] = next((dtype for dtype in given if dtype in FLOATS), None)
    elif node.op_type == "Cast" and "to" in node.attributes and not node.attributes["to"].is_ref():
        found[0] = ir.DataType(node.attributes["to"].value)
    else:
        try:
            schema = onnx.defs.get_schema(node.op_type, version, plain(node.domain))
        except onnx.defs.SchemaError:
            return found
        bound = {
            schema.inputs[min(slot, len(schema.inputs) - 1)].type_str: dtype
            for slot, dtype in enumerate(given)
            if dtype is not None and schema.inputs
        }
        for slot in range(min(len(found), len(schema.outputs))):
            stated = schema.outputs[slot].type_str
            found[slot] = ir.DataType.FLOAT if stated == "tensor(float)" else bound.get(stated)
    return found


def known_length(dim: object) -> int | None:
    """Return a dimension as a length; None for a symbol, and for the -1 that some exporters write."""
    return dim if isinstance(dim, int) and dim >= 0 else None


def _skeleton(model: ir.Model) -> onnx.ModelProto:
    """Serialise a model with its large initializers turned into graph inputs, which need no data."""
    bare = model.clone()
    if Unfolding(bare.functions).nodes(bare.graph) > LIMIT:
        bare.functions.clear()  # inference would walk every call anew
    for graph in bare.graphs():
        for node in graph:
            if node.domain == "com.microsoft" and node.op_type in STANDARD:
                node.domain, node.op_type = "", STANDARD[node.op_type]
        for name, value in list(graph.initializers.items()):
            tensor = value.const_value
            if tensor is not None and tensor.size > SMALL:
                value.shape = ir.Shape(tensor.shape.numpy())
                value.type = ir.TensorType(tensor.dtype)
                del graph.initializers[name]
                value.const_value = None
                if graph is not bare.graph:
                    value.name = f"{name} of {graph.name} {id(graph)}"  # bodies side by side may use a name twice
                if graph is not bare.graph or not value.is_graph_input():
                    bare.graph.inputs.append(value)
    return ir.serde.serialize_model(bare)
