"""Inputs whose values say how much is computed: durations, scales, counts. Large ones would fill the memory."""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from onnx_n2n.graph.subgraphs import bodies_of

# Slots whose values say how large a result is, or how often a body runs, without any end.
SIZES: dict[str, Container[int]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Loop": (0,),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "Tile": (1,),
    "Upsample": (1,),
}

# Operators whose results are no larger for larger operands.
STEADY = {
    *("And", "ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual"),
    *("NonMaxSuppression", "NonZero", "Not", "Or", "Shape", "Sigmoid", "Sign", "Size", "Softmax", "Tanh"),
}


def sizing(model: ir.Model) -> frozenset[str]:
    """Find the inputs that hold real numbers of which a size is computed.

    Args:
        model: A model whose functions are inlined.
    """
    given = [value for value in model.graph.inputs if value.dtype is not None and value.dtype.is_floating_point()]
    return frozenset(str(value.name) for value in given if _sizes(model.graph, {value}))


def _sizes(graph: ir.Graph, reached: set[ir.Value]) -> bool:
    """Whether what is reached says a size in a graph; what it reaches further is added to it."""
    for node in graph:
        slots = [slot for slot, value in enumerate(node.inputs) if value in reached]
        if any(slot in SIZES.get(node.op_type, ()) for slot in slots):
            return True
        found = bool(slots)
        for body in bodies_of(node):
            for _ in range(2):  # what a step hands on is read by the next
                if found:
                    reached |= set(body.inputs)
                if _sizes(body, reached):
                    return True
                found = found or any(value in reached for value in body.outputs)
        if found and node.op_type not in STEADY:
            reached |= set(node.outputs)
    return False
