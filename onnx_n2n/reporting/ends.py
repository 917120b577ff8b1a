"""What goes into a graph and what comes out of it: a caller binds that by place, in bodies and functions."""

from __future__ import annotations

import onnx_ir as ir

from onnx_n2n.graph.operators import qualified
from onnx_n2n.reporting.pairing import Pairing


def alike(old: ir.Graph, new: ir.Graph, pairing: Pairing) -> bool:
    """Say whether two graphs take and give the same, in the same order, whatever it is called."""
    sides = ((old.inputs, new.inputs), (old.outputs, new.outputs))
    return all(
        len(before) == len(after)
        and all(pairing.values.get(other) is one for one, other in zip(before, after, strict=True))
        for before, after in sides
    )


def shown(graph: ir.Graph) -> str:
    """Return what a graph takes and gives as a text: ``(a, b) -> (c, output 0 of Sub)``."""
    given = ", ".join(str(value.name) for value in graph.inputs)
    return f"({given}) -> ({', '.join(f'{value.name}, {source(value)}' for value in graph.outputs)})"


def source(value: ir.Value) -> str:
    """Return where a tensor comes from, for people."""
    node = value.producer()
    if node is not None:
        return f"output {value.index()} of {qualified(node)}" + f" {node.name!r}" * bool(node.name)
    if value.is_graph_input():
        return "an input"
    return "a weight" if value.is_initializer() else "from outside"
