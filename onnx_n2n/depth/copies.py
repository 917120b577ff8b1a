"""Copies of branches, with weights of their own, the last of which are zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.depth.branches import Branch
from onnx_n2n.depth.splice import Splice
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.passthrough import mover


def copy(splice: Splice, analysis: Analysis, block: Sequence[Branch], value: ir.Value) -> ir.Value:
    """Add copies of branches behind ``value``, each of which adds zero to it, and return the sum."""
    for branch in block:
        value = _Copy(splice, analysis, branch).add(value)
    return value


class _Copy:
    def __init__(self, splice: Splice, analysis: Analysis, branch: Branch) -> None:
        self.splice, self.analysis, self.branch = splice, analysis, branch
        self.zeroed = set(branch.zeroed)
        self.new: dict[ir.Value, ir.Value] = {}
        self.shared: dict[tuple[ir.Value, bool], ir.Value] = {}

    def add(self, value: ir.Value) -> ir.Value:
        """Add one copy, with its sum and the activation behind that."""
        branch = self.branch
        self.new[branch.entry] = value
        for node in branch.nodes:
            operands = [self._operand(node, slot, each) for slot, each in enumerate(node.inputs)]
            self._node(node, operands)
        for node in branch.sums:
            operands = [self._operand(node, slot, each) for slot, each in enumerate(node.inputs)]
            self._node(node, operands)
        out = self.new[branch.sums[-1].outputs[0]]
        if branch.activation is not None:
            node = branch.activation
            self._node(node, [self._operand(node, slot, each) for slot, each in enumerate(node.inputs)])
            out = self.new[node.outputs[0]]
        return out

    def _node(self, node: ir.Node, operands: list[ir.Value | None]) -> None:
        splice = self.splice
        copied = ir.Node(
            node.domain,
            node.op_type,
            operands,
            list(node.attributes.values()),
            overload=node.overload,
            num_outputs=len(node.outputs),
            version=node.version,
            name=splice.names.node(f"{node.name}_deeper") if node.name else None,
        )
        for old, out in zip(node.outputs, copied.outputs, strict=True):
            if old.name:  # an output that is left out has none
                out.name = splice.names.value(f"{old.name}_deeper")
            else:
                out.name = ""
            out.type, out.shape = old.type, old.shape
            self.new[old] = out
        splice.nodes.append(copied)
        for value in copied.inputs:
            splice.read(value, node, copied)

    def _operand(self, node: ir.Node, slot: int, value: ir.Value | None) -> ir.Value | None:
        if value is None:
            return None
        if value in self.new:
            return self.new[value]
        return self._weight(value, zero=(node, slot) in self.zeroed)

    def _weight(self, value: ir.Value, *, zero: bool) -> ir.Value:
        """Return a copy of a weight, also of one behind nodes that only move it; everything else is shared."""
        if (value, zero) in self.shared:
            return self.shared[value, zero]
        found = value
        if value in self.analysis.constants:
            tensor = self.analysis.constants[value]
            if zero or (tensor.dtype in FLOATS and tensor.size > 1):
                array = np.zeros(tensor.shape.numpy(), tensor.numpy().dtype) if zero else tensor.numpy()
                found = self.splice.weight(value, "weight", array, tensor.dtype)
        elif (node := mover(value)) is not None and self._fixed(node):
            self._node(node, [self._operand(node, slot, each) for slot, each in enumerate(node.inputs)])
            found = self.new.pop(value)
        self.shared[value, zero] = found
        return found

    def _fixed(self, node: ir.Node) -> bool:
        """Say whether a node computes with constants only."""
        for value in node.inputs:
            if value is None or value in self.analysis.constants:
                continue
            producer = mover(value)
            if producer is None or not self._fixed(producer):
                return False
        return True
