"""The module that a program becomes. It is copied and pickled as the nodes of its graph, which any process can read.

``torch.fx`` pickles a module by the code of its ``forward``, and runs that on stand-ins to read it again. Lengths that
are numbers of Python, and graphs that decide by them, do not run on stand-ins.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.fx.graph import CodeGen
from torch.fx.node import map_aggregate

from onnx_n2n.export.names import ARGUMENTS

WRITTEN = frozenset({"_code", "_compiled_call_impl", "_graph", "_lineno_map", "_prologue_start"})
"""Attributes that are made from the graph again."""

CONTAINERS = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True)
class NodeOutput:
    """The result of a node, as an argument of another one.

    Attributes:
        name: The node.
    """

    name: str


@dataclass(frozen=True)
class NodeCall:
    """A node of a graph, without the graph.

    Attributes:
        op: Its kind, as ``torch.fx`` has it.
        target: What it calls, or the name of what it gets.
        args: Its arguments.
        kwargs: Its arguments by name.
        name: Its name.
    """

    op: str
    target: str | Callable[..., Any]
    args: Any
    kwargs: Any
    name: str


class Graph(fx.Graph):
    """A graph of ``torch.fx`` that also answers what the TorchScript exporter asks.

    With ``dynamic_axes``, that exporter takes every module that has a ``graph`` for one of ``torch.jit``, and asks for
    the names of what goes in and comes out.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in sorted(ARGUMENTS):  # no variable may hide what generated code means by these
            self._graph_namespace.create_name(name, None)

    def inputs(self) -> list[NamedNode]:
        """Return the inputs."""
        return [NamedNode(str(node.target)) for node in self.nodes if node.op == "placeholder"]

    def outputs(self) -> list[NamedNode]:
        """Return no outputs, as they have no names here."""
        return []


@dataclass(frozen=True)
class NamedNode:
    """A value as ``torch.jit`` has it.

    Attributes:
        name: Its name.
    """

    name: str

    def debugName(self) -> str:  # noqa: N802 - PyTorch's name
        """Return its name."""
        return self.name


class Network(fx.GraphModule):
    """An ``nn.Module`` whose ``code`` can be read; see :func:`onnx_n2n.export.to_torch`."""

    def __reduce__(self) -> Any:
        """Pickle the graph, and what is in the module now."""
        if type(self.graph._codegen) is not CodeGen:  # somebody has given it another signature
            return super().__reduce__()
        return restored, (_calls(self.graph), self._own())

    def __copy__(self) -> Network:
        """Copy the module, not what is in it."""
        own = self._own()
        return restored(_calls(self.graph), own | {name: own[name].copy() for name in CONTAINERS})

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        """Copy the module and all that is in it."""
        found = memo[id(self)] = restored(_calls(self.graph), {})
        found.__dict__.update(copy.deepcopy(self._own(), memo))
        return found

    def _own(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in WRITTEN}


def restored(calls: list[NodeCall], own: dict[str, Any]) -> Network:
    """Return a module with a graph, and with what is in it."""
    graph = Graph()
    nodes: dict[str, fx.Node] = {}

    def argument(value: Any) -> Any:
        return map_aggregate(value, lambda each: nodes[each.name] if isinstance(each, NodeOutput) else each)

    for call in calls:
        nodes[call.name] = graph.create_node(
            call.op, call.target, argument(call.args), argument(call.kwargs), name=call.name
        )
    module = Network(nn.Module(), fx.Graph(), class_name="Network")
    module.__dict__.update(own)
    module.graph = graph
    return module


def _calls(graph: fx.Graph) -> list[NodeCall]:
    def named(value: Any) -> Any:
        return NodeOutput(value.name) if isinstance(value, fx.Node) else value

    def argument(value: Any) -> Any:
        return map_aggregate(value, named)

    return [
        NodeCall(node.op, node.target, argument(node.args), argument(node.kwargs), node.name) for node in graph.nodes
    ]
