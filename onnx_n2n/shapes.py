"""Shapes as ONNX's own inference finds them, on a skeleton without weights."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import onnx
import onnx_ir as ir

logger = logging.getLogger(__name__)

SMALL = 1024  # elements up to which a constant is kept for inference to read


@dataclass(frozen=True)
class Inferred:
    """What inference found out about a tensor: its lengths (None where not known) and its type."""

    lengths: tuple[int | None, ...] | None
    dtype: ir.DataType | None


def infer_shapes(model: ir.Model) -> dict[str, Inferred]:
    """Return what is known of every tensor of the main graph, by name.

    The model is not changed. Where inference fails, the declared shapes remain.
    """
    found = {
        str(value.name): Inferred(None if value.shape is None else tuple(map(known_length, value.shape)), value.dtype)
        for node in model.graph
        for value in node.outputs
        if value.shape is not None or value.dtype is not None
    }
    try:
        proto = onnx.shape_inference.infer_shapes(_skeleton(model), data_prop=True)
    except Exception as failure:  # whatever it dislikes, the declared shapes remain
        logger.debug("shape inference failed: %s", failure)
        return found
    for info in [*proto.graph.value_info, *proto.graph.output]:
        if info.type.HasField("tensor_type"):
            kind = info.type.tensor_type
            dims = [known_length(d.dim_value if d.HasField("dim_value") else None) for d in kind.shape.dim]
            lengths = tuple(dims) if kind.HasField("shape") else None
            found[info.name] = Inferred(lengths, ir.DataType(kind.elem_type) if kind.elem_type else None)
    return found


def known_length(dim: object) -> int | None:
    """Return a dimension as a length; None for a symbol, and for the -1 that some exporters write."""
    return dim if isinstance(dim, int) and dim >= 0 else None


def _skeleton(model: ir.Model) -> onnx.ModelProto:
    """Serialise a model with its large initializers turned into graph inputs, which need no data."""
    bare = model.clone()
    for name, value in list(bare.graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.size > SMALL:
            value.shape = ir.Shape(tensor.shape.numpy())
            value.type = ir.TensorType(tensor.dtype)
            del bare.graph.initializers[name]
            value.const_value = None
            if value not in bare.graph.inputs:
                bare.graph.inputs.append(value)
    return ir.serde.serialize_model(bare)
