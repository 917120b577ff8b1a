"""Norms that are written out in single nodes: where their epsilon and their gain are."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from onnx_n2n.graph.constants import Constants
from onnx_n2n.graph.passthrough import behind_copies
from onnx_n2n.graph.uses import Use, operand


def written(mean: ir.Node, constants: Constants, gains: Collection[Use]) -> tuple[Use, Use] | None:
    """Follow a mean of squares through ``x / sqrt(mean + epsilon) * gain``, and return epsilon and gain.

    The gain may be stored as what it is more than a number: ``1 + gain``. None for a gain that is cast: in a type of 16
    bits it would be rounded, so the mean itself is scaled.
    """
    added = _only_reader(mean, {"Add"})
    epsilon = _number(added, constants) if added is not None else None
    root = _only_reader(added, {"Sqrt"}) if added is not None else None
    if root is None or epsilon is None:
        return None
    inverse = _only_reader(root, {"Reciprocal"})
    node = _only_reader(inverse, {"Mul"}) if inverse is not None else _only_reader(root, {"Div"})
    if node is None or (inverse is None and node.inputs[1] is not root.outputs[0]):
        return None
    while node is not None:
        for slot in range(len(node.inputs)):
            if (node, slot) in gains:
                return epsilon, (node, slot)
            if node.op_type == "Mul" and (gain := _beside(node, slot, constants)) is not None:
                return epsilon, gain
        node = _only_reader(node, {"Mul", "Cast", "Identity", "Transpose"})
    return None


def offset(use: Use, constants: Constants) -> float:
    """Return the number that is added to a gain where it is stored as what it is more than that, else 0."""
    node, slot = use
    if node.op_type != "Add":
        return 0.0
    return float(constants[operand(node, 1 - slot)].numpy().reshape(()))


def _beside(node: ir.Node, slot: int, constants: Constants) -> Use | None:
    """Return the use of a gain that a number is added to, for this operand alone."""
    node, slot = behind_copies(node, slot)
    added = operand(node, slot).producer()
    number = _number(added, constants) if added is not None and _only_reader(added, {node.op_type}) is node else None
    if added is None or number is None or added.op_type != "Add":
        return None
    gain = operand(added, 1 - number[1])
    return (added, 1 - number[1]) if gain in constants and constants.scalable(gain) else None


def _only_reader(node: ir.Node, operators: set[str]) -> ir.Node | None:
    uses = list(node.outputs[0].uses())
    alone = len(uses) == 1 and not node.outputs[0].is_graph_output()
    return uses[0].node if alone and uses[0].node.op_type in operators else None


def _number(node: ir.Node, constants: Constants) -> Use | None:
    """Return the operand of a node that is a constant number."""
    for slot, value in enumerate(node.inputs):
        if value is not None and value in constants and constants[value].size == 1:
            return node, slot
    return None
