"""Pass-through operators: nodes that only move a tensor, so that a weight is the same weight behind them."""

from __future__ import annotations

import onnx_ir as ir

COPIES = frozenset({"Identity", "Cast"})  # every element stays at its place
REARRANGERS = COPIES | {"Reshape", "Squeeze", "Transpose", "Unsqueeze"}  # the same elements, in whatever shape
EXPANDERS = frozenset({("", "Expand"), ("", "Identity"), ("", "Cast")})  # what differs along an axis did before
MOVERS = COPIES | {"Transpose", "DequantizeLinear"}  # the axes are still there


def mover(value: ir.Value | None) -> ir.Node | None:
    """Return the node that makes a tensor, if it only moves another and keeps its axes."""
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type in MOVERS else None


def stored(value: ir.Value | None) -> tuple[ir.Value | None, list[ir.Node]]:
    """Return the tensor that others only move, with the nodes that do, the last one first."""
    moved = []
    while (node := mover(value)) is not None:
        moved.append(node)
        value = node.inputs[0]
    return value, moved
