"""Which axes of graph inputs and outputs may grow inside the model, while outside they keep their length.

A layer of a model may read what is also an output, as the next block does with a hidden state. Inside, the tensor may
then grow, and a Gather before the output picks the channels that were there before. What nobody reads inside, such as
logits, would gain nothing by that and stays as it is. Likewise an input may grow where a weight inside makes channels
of the same axis, as where it is added to a stream: a Gather behind the input copies its channels.

Channels of both an input and an output may be recurrent state, such as a cache, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.analysis.facts import Walked
from onnx_n2n.analysis.roles import computed_in
from onnx_n2n.axes.algebra import Factor, Reason, is_pinned, leaves, parts_of, pin, size
from onnx_n2n.graph.constants import Constants
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.subgraphs import nodes_of
from onnx_n2n.rules.obligations import Ledger, Port

AS_A_STATE = "so they may be recurrent state (such as a cache)"


@dataclass(frozen=True)
class Pickers:
    """The Gathers with constant indices that stand right behind an input or before an output of a graph.

    An earlier growth has put them there, or somebody who wants only some of the channels. They are the border between
    inside and outside: the axis that they pick from, or copy to, need not be that of the input or output.
    """

    graph: ir.Graph
    constants: Constants

    def origin(self, node: ir.Node) -> ir.Value | None:
        """Return the graph input that a node picks from, if it alone does, possibly behind others of its kind."""
        value = node.inputs[0] if self._picks(node) else None
        if value is None or value in self.constants or len(value.uses()) > 1 or value.is_graph_output():
            return None
        producer = value.producer()
        return self.origin(producer) if producer is not None else value if value.is_graph_input() else None

    def destination(self, node: ir.Node) -> ir.Value | None:
        """Return the graph output that a node picks for, if that alone reads it, possibly before others of its kind."""
        if not self._picks(node):
            return None
        value = node.outputs[0]
        uses = list(value.uses())
        if value.is_graph_output():
            return None if uses else value
        return self.destination(uses[0].node) if len(uses) == 1 and uses[0].idx == 0 else None

    def _picks(self, node: ir.Node) -> bool:
        if operator_of(node) != ("", "Gather") or node.graph is not self.graph:
            return False
        indices = node.inputs[1]
        return indices is not None and indices in self.constants and len(self.constants[indices].shape) == 1


def settle(graph: ir.Graph, walked: Walked, ledger: Ledger, candidates: Iterable[Port]) -> tuple[Port, ...]:
    """Decide which factors at the interface may grow, pin all others, and return the axes that may.

    Args:
        graph: The graph.
        walked: What is known of its tensors.
        ledger: What its nodes sum over.
        candidates: The axes of its inputs and outputs.
    """
    candidates = list(candidates)
    computed = computed_in(graph, walked)
    read, made = set(_read(ledger, computed)), set(_made(graph, walked, computed))
    inputs, outputs = (
        {leaf: port.value for port in candidates if port.inward is inward for leaf in leaves(port.axis)}
        for inward in (True, False)
    )
    for port in candidates:
        useful = made if port.inward else read
        plain = Reason(f"graph {'input' if port.inward else 'output'} {port.value.name!r}")
        if size(port.axis) is None:  # a part is free, so no constant indices say where the teacher's channels are
            pin(port.axis, plain)
        for part in parts_of(port.axis):
            met = next((leaf for leaf in leaves(part) if leaf in inputs and leaf in outputs), None)
            if met is not None:
                names = f"graph input {inputs[met].name!r} and graph output {outputs[met].name!r}"
                pin(part, Reason(f"{names} both have these channels, {AS_A_STATE}"))
            for leaf in leaves(part):
                if leaf not in useful or port.value not in computed:
                    pin(leaf, plain)
    return tuple(port for port in candidates if not is_pinned(port.axis))


def _read(ledger: Ledger, computed: set[ir.Value]) -> Iterator[Factor]:
    """Yield the factors that a weight sums over."""
    for contraction in ledger.contractions:
        if any(contraction.node.inputs[summand.slot] not in computed for summand in contraction.summands):
            for axis, summed in contraction.summands[0].parts:
                yield from leaves(axis) if summed else ()


def _made(graph: ir.Graph, walked: Walked, computed: set[ir.Value]) -> Iterator[Factor]:
    """Yield the factors that weights make: a result has them, and of the operands only weights do."""
    for node in nodes_of(graph):
        if node.outputs and node.outputs[0] in computed:
            weights, given = set[Factor](), set[Factor]()
            for slot, value in enumerate(node.inputs):
                found = given if value in computed else weights
                for axis in (walked.axes_of_use(node, slot) or ()) if value is not None else ():
                    found.update(leaves(axis))
            weights -= given
            for output in node.outputs:
                for axis in walked.known.get(output, ()):
                    yield from (leaf for leaf in leaves(axis) if leaf in weights)
