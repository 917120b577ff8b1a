"""Axes that move between a layer and an activation, as behind Keras' Conv1D: how a new layer goes there and back."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_n2n.depth.splice import Splice
from onnx_n2n.errors import NotApplicable
from onnx_n2n.graph.constants import Constants

MOVES = frozenset({"Squeeze", "Unsqueeze", "Transpose"})
BACK = {"Squeeze": "Unsqueeze", "Unsqueeze": "Squeeze", "Transpose": "Transpose"}
Labels = tuple[int | None, ...]
"""For each axis of a tensor which axis of the layer's result it is; None for one that was put in."""


def relabelled(constants: Constants, node: ir.Node, labels: Labels) -> Labels:
    """Return the labels behind a node that moves axes.

    Raises:
        NotApplicable: If it is not stated which.
    """
    if node.op_type == "Transpose":
        return tuple(labels[axis] for axis in _order(node, len(labels)))
    attribute, given = node.attributes.get("axes"), node.inputs[1] if len(node.inputs) > 1 else None
    array = constants.small(given) if given is not None else None
    stated = array.ravel().tolist() if array is not None else attribute.value if attribute is not None else ()
    if not stated:
        raise NotApplicable(f"{node.op_type} {node.name!r} before it does not state its axes")
    if node.op_type == "Squeeze":
        gone = {axis % len(labels) for axis in stated}
        return tuple(label for axis, label in enumerate(labels) if axis not in gone)
    rank = len(labels) + len(stated)
    new, left = {axis % rank for axis in stated}, iter(labels)
    return tuple(None if axis in new else next(left) for axis in range(rank))


def back(splice: Splice, moves: Sequence[ir.Node], value: ir.Value, word: str) -> ir.Value:
    """Add nodes that undo moves, the last one first."""
    for node in reversed(moves):
        value = _moved(splice, node, BACK[node.op_type], value, word, undone=True)
    return value


def again(splice: Splice, moves: Sequence[ir.Node], value: ir.Value, word: str) -> ir.Value:
    """Add nodes that move axes as others do."""
    for node in moves:
        value = _moved(splice, node, node.op_type, value, word, undone=False)
    return value


def _moved(splice: Splice, node: ir.Node, operator: str, value: ir.Value, word: str, *, undone: bool) -> ir.Value:
    operands, stated = [value, *node.inputs[1:]], list(node.attributes.values())
    made = node.inputs[0] if undone else node.outputs[0]
    rank = len(made.shape) if made is not None and made.shape is not None else None
    if operator == "Transpose" and "perm" in node.attributes and undone:
        order = _order(node, 0)
        stated = [ir.AttrInt64s("perm", [order.index(axis) for axis in range(len(order))])]
    out = splice.node(node, operator, operands, stated, word=word)
    out.shape = None if rank is None else ir.Shape([None] * rank)
    return out


def _order(node: ir.Node, rank: int) -> list[int]:
    stated = node.attributes.get("perm")
    return list(stated.value) if stated is not None else list(range(rank))[::-1]
