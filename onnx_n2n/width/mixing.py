"""Which constants hold mixtures in fresh places, and which hold copies there."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import leaves
from onnx_n2n.graph.operators import measures, plain
from onnx_n2n.graph.passthrough import MOVERS, stored
from onnx_n2n.graph.uses import Use
from onnx_n2n.rules.obligations import Contraction

# Where operators add a constant to what weights make: it is mixed as these are, so that the sum is a mixture too.
ADDED = {"Conv": (2,), "ConvTranspose": (2,), "Gemm": (2,), "Add": (0, 1), "Sub": (0, 1), "Sum": None,
         "RNN": (3,), "GRU": (3,), "LSTM": (3,)}  # fmt: skip
CONVOLUTIONS = frozenset({"Conv", "FusedConv", "NhwcConv", "ConvTranspose"})


def _depthwise(analysis: Analysis, contraction: Contraction) -> bool:
    """Say whether a kernel only scales channels that are there: their mixtures need copies of it, as of other gains."""
    given, kernel = (analysis.axes_of_use(contraction.node, slot) or () for slot in (0, 1))
    parts = [part for each in contraction.summands if each.slot == 0 for part, on in each.parts if on]
    summed = {leaf for part in parts for leaf in leaves(part)}
    made = list(leaves(kernel[0])) if kernel else []
    there = {leaf for axis in given for leaf in leaves(axis)} - summed
    return bool(made) and there.issuperset(made)


def moved(readers: Collection[Use]) -> set[Use]:
    """Return what reads the constants that others only move before they are read."""
    found = [stored(node.inputs[slot])[1] for node, slot in readers]
    return {(nodes[-1], 0) for nodes in found if nodes}


class Mixing:
    """Says of each use of a constant whether fresh places of it are mixtures of the teacher's.

    Args:
        analysis: What the constants are in.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._constants, self._twins = analysis.constants, analysis.twins
        contractions = analysis.ledger.contractions
        self._readers = {
            (contraction.node, each.slot)
            for contraction in contractions for each in contraction.summands
            if not (contraction.node.op_type in CONVOLUTIONS and each.slot == 1 and _depthwise(analysis, contraction))
        }  # fmt: skip
        inside = {use for use in self._readers if use[0].graph is not analysis.model.graph}
        within = inside | moved(inside)
        self._readers |= moved(self._readers)
        self._outside = self._readers - within

    def mixes(self, value: ir.Value, use: Use) -> bool:
        """Say whether a constant has incoming weights of its own, or adds to what has: for all uses of a matrix."""
        if not self._constants.scalable(value):
            return False
        if self._constants.vector_like(value):
            return use in self._readers or self._adds(use)
        uses = [each for each, _ in self._twins.uses(value)]
        return any(other in self._readers for other in uses) or all(map(self._adds, uses))

    def draws(self, value: ir.Value) -> bool:
        """Say whether fresh places of a constant may be random: one layer sums with it, outside of subgraphs.

        What is read again and again may feed on itself, and one parameter in two places must stay one.
        """
        uses = [each for each, _ in self._twins.uses(value) if not measures(each[0])]
        return len(uses) == 1 and uses[0] in self._outside and value not in self._twins.doubled

    def blends(self, use: Use) -> bool:
        """Say whether an operand is a constant that is mixed, also behind nodes that only move it, or is none."""
        value, nodes = stored(use[0].inputs[use[1]])
        return value is None or value not in self._constants or self.mixes(value, (nodes[-1], 0) if nodes else use)

    def _adds(self, use: Use) -> bool:
        node, slot = use
        if node.op_type in MOVERS:
            uses = [(each.node, each.idx) for each in node.outputs[0].uses()]
            return bool(uses) and all(map(self._adds, uses))
        slots = ADDED.get(node.op_type, ()) if not plain(node.domain) else ()
        return slots is None or slot in slots
