"""Copies of branches, with weights of their own, the last of which are zero."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.depth.branches import QUANTISED, Branch
from onnx_n2n.depth.grids import Grid
from onnx_n2n.depth.splice import Splice
from onnx_n2n.depth.zeros import is_weight, zeros
from onnx_n2n.graph.passthrough import mover
from onnx_n2n.record.steps import COPY, ZERO


def copy(splice: Splice, analysis: Analysis, block: Sequence[Branch], value: ir.Value) -> ir.Value:
    """Add copies of branches behind ``value``, each of which adds zero to it, and return the sum.

    Quantised numbers are taken back first, and the sum is rounded as they were: with the same scale and zero point.
    """
    grid = block[0].grid
    for branch in block:
        made = _Copy(splice, analysis, branch, grid)
        if grid is None or grid.taken_back is None:
            value = made.add(value)
        else:
            value = grid.leave(splice, made.add(grid.enter(splice, value, branch.entry)))
    return value


class _Copy:
    def __init__(self, splice: Splice, analysis: Analysis, branch: Branch, grid: Grid | None) -> None:
        self.splice, self.analysis, self.branch, self.grid = splice, analysis, branch, grid
        self.zeroed = set(branch.zeroed)
        self.new: dict[ir.Value, ir.Value] = {}
        self.shared: dict[tuple[ir.Value, bool], ir.Value] = {}

    def add(self, value: ir.Value) -> ir.Value:
        """Add one copy, with its sum and the activation behind that."""
        branch = self.branch
        self.new |= dict.fromkeys(branch.entries, value)
        for node in branch.nodes:
            self._node(node, self._operands(node))
        for node in branch.sums:
            operands = self._operands(node)
            if node.op_type == QUANTISED and self.grid is not None:
                operands[6:8] = self.grid.scale, self.grid.zero
            self._node(node, operands)
        out = self.new[branch.sums[-1].outputs[0]]
        if branch.activation is not None:
            node = branch.activation
            self._node(node, self._operands(node))
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

    def _operands(self, node: ir.Node, *, zero: bool = False) -> list[ir.Value | None]:
        """Return what a copy of a node reads; of one that only moves a weight, perhaps a weight of zeros."""
        found: list[ir.Value | None] = []
        for slot, value in enumerate(node.inputs):
            if value is None or value in self.new:
                found.append(value if value is None else self.new[value])
            else:
                found.append(self._weight(value, node, slot, zero=(node, slot) in self.zeroed or (zero and not slot)))
        return found

    def _weight(self, value: ir.Value, node: ir.Node, slot: int, *, zero: bool) -> ir.Value:
        """Return a copy of a weight, also of one behind nodes that only move it; everything else is shared."""
        constants = self.analysis.constants
        if (value, zero) in self.shared:
            return self.shared[value, zero]
        found = value
        if value in constants:
            if zero or is_weight(constants, node, slot):
                array = zeros(constants, node, slot) if zero else constants[value].numpy()
                made = COPY if not zero else ZERO if constants.scalable(value) else ""  # else it is a zero point
                found = self.splice.weight(value, "weight", array, constants[value].dtype, made)
        elif (moving := mover(value)) is not None and self._fixed(moving):
            operands = self._operands(moving, zero=zero)
            if operands != list(moving.inputs):
                self._node(moving, operands)
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
