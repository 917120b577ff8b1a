"""Pass-through operators: nodes that only move a tensor, so that a weight is the same weight behind them."""

from __future__ import annotations

import onnx_ir as ir

from onnx_n2n.graph.uses import Use, operand

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


def behind_copies(node: ir.Node, slot: int) -> Use:
    """Return the use of what an operand was before nodes that repeat it to the last bit, for this operand alone."""
    while (made := mover(operand(node, slot))) is not None and _repeats(made) and len(made.outputs[0].uses()) == 1:
        node, slot = made, 0
    return node, slot


def _repeats(node: ir.Node) -> bool:
    """Say whether numbers are the same behind a node: a floating-point type of more bits rounds none."""
    if node.op_type != "Cast":
        return node.op_type == "Identity"
    before, after = operand(node, 0).dtype, ir.DataType(node.attributes.get_int("to", 0))
    wider = before is not None and before.is_floating_point() and 16 <= before.bitwidth < after.bitwidth
    return wider and after.is_floating_point()
