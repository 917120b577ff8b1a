"""What the nodes of a graph see: names, versions of operators, and attributes of the function around them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace

import onnx

from onnx_n2n.exact.tensor import Value
from onnx_n2n.exact.undecided import Undecided

DEEPEST = 64  # functions and bodies may be inside of each other so often


@dataclass(frozen=True)
class Scope:
    """What a graph's nodes see.

    Args:
        values: Names in the graph, and behind them those of the graphs around it.
        versions: The version of each domain's operators.
        attributes: What the function that it belongs to was called with.
        depth: How many functions and bodies are around it.
        written: Whether the nodes are those of the file; else a rule has made them, and no record speaks of them.
    """

    values: MutableMapping[str, Value]
    versions: Mapping[str, int]
    attributes: Mapping[str, onnx.AttributeProto] = field(default_factory=dict)
    depth: int = 0
    written: bool = True

    def inner(self) -> Scope:
        """Return the scope of a body that sees all of these names.

        Raises:
            Undecided: If it would be too deep.
        """
        if self.depth >= DEEPEST:
            raise Undecided(f"bodies are more than {DEEPEST} deep inside of each other")
        return replace(self, values=ChainMap({}, self.values), depth=self.depth + 1)


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node or a body of it reads, each as often as it is read."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from names_around(graph)


def names_around(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names around a body that it reads, each as often as it is read."""
    made: set[str] = {each.name for each in (*graph.input, *graph.initializer)}
    made |= {each.values.name for each in graph.sparse_initializer}
    for inner in graph.node:
        yield from (name for name in names_read(inner) if name not in made)
        made |= set(inner.output)
    yield from (each.name for each in graph.output if each.name not in made)
