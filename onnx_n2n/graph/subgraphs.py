"""Graphs inside nodes: the bodies of If, Loop and Scan, and what these read from around them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def bodies_of(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield the graphs that are attributes of a node."""
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what a node reads, and what the nodes in its bodies read."""
    yield from (value for value in node.inputs if value is not None)
    for body in bodies_of(node):
        for inner in body.all_nodes():
            yield from (value for value in inner.inputs if value is not None)
