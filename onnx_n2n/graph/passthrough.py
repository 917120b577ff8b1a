"""Nodes that only move a tensor: a weight is the same weight behind them."""

from __future__ import annotations

import onnx_ir as ir

MOVERS = frozenset({"Identity", "Cast", "Transpose", "DequantizeLinear"})


def mover(value: ir.Value | None) -> ir.Node | None:
    """Return the node that makes a tensor, if it only moves another."""
    producer = value.producer() if value is not None else None
    return producer if producer is not None and producer.op_type in MOVERS else None


def stored(value: ir.Value | None) -> tuple[ir.Value | None, list[ir.Node]]:
    """Return the tensor that others only move, with the nodes that do, the last one first."""
    moved = []
    while (node := mover(value)) is not None:
        moved.append(node)
        value = node.inputs[0]
    return value, moved
