"""Where a node reads a tensor, and what it reads there."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnx_n2n.graph.subgraphs import bodies_of

Use = tuple[ir.Node, int]
"""A node and one of its input slots."""


def operand(node: ir.Node, slot: int) -> ir.Value:
    """Return an operand that is there."""
    value = node.inputs[slot]
    assert value is not None
    return value


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what a node reads, with what its bodies read, also from around them."""
    yield from (value for value in node.inputs if value is not None)
    for body in bodies_of(node):
        for inner in body.all_nodes():
            yield from (value for value in inner.inputs if value is not None)
