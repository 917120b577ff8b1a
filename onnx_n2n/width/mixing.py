"""Which constants hold mixtures in fresh places, and which hold copies there."""

from __future__ import annotations

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.passthrough import MOVERS, stored
from onnx_n2n.graph.uses import Use

# Where operators add a constant to what weights make: it is mixed as these are, so that the sum is a mixture too.
ADDED = {"Conv": (2,), "ConvTranspose": (2,), "Gemm": (2,), "Add": (0, 1), "Sub": (0, 1), "Sum": None,
         "RNN": (3,), "GRU": (3,), "LSTM": (3,)}  # fmt: skip


class Mixing:
    """Says of each use of a constant whether fresh places of it are mixtures of the teacher's.

    Args:
        analysis: What the constants are in.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._constants = analysis.constants
        contractions = analysis.ledger.contractions
        self._readers = {(contraction.node, each.slot) for contraction in contractions for each in contraction.summands}
        moved = [stored(node.inputs[slot])[1] for node, slot in self._readers]
        self._readers |= {(nodes[-1], 0) for nodes in moved if nodes}  # of weights that others only move

    def mixes(self, value: ir.Value, use: Use) -> bool:
        """Say whether a constant has incoming weights of its own, or adds to what has: for all uses of a matrix."""
        if not self._constants.scalable(value):
            return False
        if self._constants.vector_like(value):
            return use in self._readers or self._adds(use)
        uses = [(each.node, each.idx) for each in value.uses()]
        return any(other in self._readers for other in uses) or all(map(self._adds, uses))

    def _adds(self, use: Use) -> bool:
        node, slot = use
        if node.op_type in MOVERS:
            uses = [(each.node, each.idx) for each in node.outputs[0].uses()]
            return bool(uses) and all(map(self._adds, uses))
        slots = ADDED.get(node.op_type, ()) if not plain(node.domain) else ()
        return slots is None or slot in slots
