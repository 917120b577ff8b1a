"""Give a model other outputs, and take away what only led to the old ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.graph.names import reported
from onnx_n2n.graph.subgraphs import bodies_of, nested
from onnx_n2n.graph.uses import reads


@dataclass(frozen=True)
class Taken:
    """What went, by names.

    Attributes:
        outputs: Outputs that there were.
        nodes: Nodes of the main graph; one without a name goes by what it made.
        weights: Initializers.
        inputs: Inputs that nothing reads any more.
        functions: Functions that nothing calls any more.
    """

    outputs: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()


def take(model: ir.Model, outputs: Sequence[ir.Value]) -> Taken:
    """Make these tensors the outputs of a model, in this order, and remove what none of them needs.

    What nothing read before, as an initializer that is just there, stays.

    Args:
        model: Is changed in place.
        outputs: Tensors of its main graph.
    """
    graph = model.graph
    given = [str(value.name) for value in graph.outputs if value not in outputs]
    before, called = _read(graph), _called(model)
    graph.outputs[:] = outputs
    needed, idle = set(outputs), []
    for node in reversed(graph):
        if needed.isdisjoint(node.outputs):
            idle.append(node)
        else:
            needed.update(reads(node))
    graph.remove(idle)
    idle.reverse()
    for node in idle:
        _let_go(node)
    gone = before - _read(graph) - set(outputs)
    weights = [value for value in graph.initializers.values() if value in gone]
    inputs = [str(value.name) for value in graph.inputs if value in gone and value not in weights]
    graph.inputs[:] = [value for value in graph.inputs if value not in gone]  # weights may be among them
    for value in weights:
        del graph.initializers[str(value.name)]
    functions = [each for each in called - _called(model) if each in model.functions]
    for each in functions:
        del model.functions[each]
    return Taken(
        tuple(given), tuple(map(reported, idle)), tuple(str(value.name) for value in weights), tuple(inputs),
        tuple(sorted(name for _, name, _ in functions)),
    )  # fmt: skip


def _let_go(node: ir.Node) -> None:
    """Let a node, and those inside it, read nothing: what they read would still count them among its uses."""
    for each in (node, *(inner for body in bodies_of(node) for inner in body.all_nodes())):
        for slot in range(len(each.inputs)):
            each.replace_input_with(slot, None)


def _read(graph: ir.Graph) -> set[ir.Value]:
    return {value for node in graph for value in reads(node)}


def _called(model: ir.Model) -> set[ir.OperatorIdentifier]:
    """Return the functions that a model calls, also from within others."""
    found: set[ir.OperatorIdentifier] = set()
    blocks: list[ir.Graph] = [model.graph]
    while blocks:
        for identity in _calls(blocks.pop()):
            if identity in model.functions and identity not in found:
                found.add(identity)
                blocks.append(model.functions[identity].graph)
    return found


def _calls(block: ir.Graph) -> Iterator[ir.OperatorIdentifier]:
    for graph in nested(block):
        yield from (node.op_identifier() for node in graph)
