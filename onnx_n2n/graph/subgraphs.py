"""Graphs inside nodes: the bodies of If, Loop and Scan; and what graphs hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import onnx_ir as ir


def bodies_of(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield the graphs that are attributes of a node."""
    for attribute in node.attributes.data.values():
        kind = attribute.type
        if kind == ir.AttributeType.GRAPH and not attribute.is_ref():
            yield attribute.as_graph()
        elif kind == ir.AttributeType.GRAPHS and not attribute.is_ref():
            yield from attribute.as_graphs()


def nodes_of(graph: ir.Graph) -> Iterator[ir.Node]:
    """Yield the nodes of a graph, each before those inside it, as ``graph.all_nodes()`` does in twice the time."""
    for node in graph:
        yield node
        for body in bodies_of(node):
            yield from nodes_of(body)


def body_protos(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that are attributes of a serialised node, in the order of :func:`bodies_of`."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nested(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield a graph and the graphs inside its nodes."""
    yield graph
    for node in graph:
        for body in bodies_of(node):
            yield from nested(body)


def nested_protos(block: Any) -> Iterator[Any]:
    """Yield a serialised graph or function and the graphs inside its nodes, in the order of :func:`nested`."""
    yield block
    for node in block.node:
        for body in body_protos(node):
            yield from nested_protos(body)


def roots_of(model: ir.Model) -> Iterator[ir.Graph]:
    """Yield the main graph of a model, and the graphs of its functions."""
    yield model.graph
    yield from (function.graph for function in model.functions.values())


def values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield what a graph is given and what its nodes make."""
    yield from graph.inputs
    for node in graph:
        yield from node.outputs
