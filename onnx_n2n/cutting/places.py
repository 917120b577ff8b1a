"""Where a model is cut: tensors of the main graph, by their names or those of the nodes that make them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from onnx_n2n.errors import GrowthError
from onnx_n2n.graph.names import reported
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.passthrough import COPIES
from onnx_n2n.graph.subgraphs import bodies_of, nested, values_of
from onnx_n2n.verification.localise import computed
from onnx_n2n.words import perhaps

NORMALISERS = frozenset({("", "Softmax"), ("", "LogSoftmax")})
COPYING = frozenset(("", name) for name in COPIES)
SHOWN = 8  # names in a hint


def behind(model: ir.Model, names: Sequence[str]) -> list[ir.Value]:
    """Return the tensors of some names, each once: a name is that of a tensor, or else of the node that makes it.

    Raises:
        GrowthError: There is no such tensor that a model can give, or the name may mean several.
    """
    return list(dict.fromkeys(_tensor(model, name) for name in names))


def ahead(model: ir.Model, names: Sequence[str]) -> list[ir.Value]:
    """Return what goes into the nodes of some names, or that make the tensors of these names, each once.

    That is what other nodes make of the model's inputs; weights and the inputs themselves are not meant.

    Raises:
        GrowthError: There is no such node, or nothing goes into it.
    """
    alive = computed(model)
    found: list[ir.Value] = []
    for name in names:
        node = _node(model, name)
        read = [value for value in node.inputs if value is not None and value.name in alive]
        if not read:
            raise GrowthError(
                "nothing that other nodes make of the model's inputs goes into it",
                node=reported(node), operator=node.op_type, hint="name what comes later with `before=` or `after=`",
            )  # fmt: skip
        found += read
    return list(dict.fromkeys(found))


def unnormalised(model: ir.Model) -> list[ir.Value]:
    """Return the outputs of a model with, in place of each that a Softmax makes, what goes into that."""
    found = []
    for output in model.graph.outputs:
        node = _maker(output)
        logits = node.inputs[0] if node is not None and operator_of(node) in NORMALISERS else None
        found.append(output if logits is None or logits.producer() is None else logits)
    return list(dict.fromkeys(found))


def made_by(value: ir.Value) -> str:
    """Return what makes a tensor, for people."""
    node = _maker(value)
    return "no node" if node is None else f"{node.op_type} node" + f" {node.name!r}" * bool(node.name)


def _maker(value: ir.Value) -> ir.Node | None:
    """Return the node that makes a tensor, in front of those that only copy it."""
    node = value.producer()
    while node is not None and operator_of(node) in COPYING and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node


def _tensor(model: ir.Model, name: str) -> ir.Value:
    made = {value.name: value for node in model.graph for value in node.outputs}
    given = {value.name: value for value in model.graph.outputs}
    if name in made or name in given:
        return made.get(name) or given[name]
    node = _node(model, name)
    values = [value for value in node.outputs if value.name and (value.uses() or value.is_graph_output())]
    if len(values) != 1:
        names = [repr(value.name) for value in values]
        reason = f"the node makes {len(names)} tensors that anything reads"
        hint = f"name one of them: {' or '.join(names)}" if names else "name another place"
        raise GrowthError(reason, node=name, operator=node.op_type, hint=hint)
    return values[0]


def _node(model: ir.Model, name: str) -> ir.Node:
    """Return the node that makes the tensor of a name, or else that has the name.

    Raises:
        GrowthError: There is none in the main graph, or there are several.
    """
    for node in model.graph:
        if any(value.name == name for value in node.outputs):
            return node
    found = [node for node in model.graph if node.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        made = " or ".join(repr(str(node.outputs[0].name)) for node in found[:SHOWN])
        raise GrowthError(f"{len(found)} nodes are named {name!r}", hint=f"name what one makes: {made}")
    raise _refusal(model, name)


def _refusal(model: ir.Model, name: str) -> GrowthError:
    """Return why there is nothing of a name to be given."""
    hint = "name a tensor that a node of the main graph makes, or such a node"
    if name in model.graph.initializers:
        return GrowthError(f"{name!r} is a weight, which the model need not compute", hint=hint)
    if any(value.name == name for value in model.graph.inputs):
        return GrowthError(f"{name!r} is an input, in front of which there is nothing", hint=hint)
    for node in model.graph:
        if any(name in _names(inner) for body in bodies_of(node) for inner in nested(body)):
            reason = f"{name!r} is inside of a node, and only what the main graph makes can be an output"
            return GrowthError(reason, node=reported(node), operator=node.op_type, hint=hint)
    for function in model.functions.values():
        if any(name in _names(body) for body in nested(function.graph)):
            reason = f"{name!r} is inside of function {function.name!r}, which may be called more than once"
            return GrowthError(reason, hint=hint)
    known = list(dict.fromkeys(_names(model.graph)))
    outputs = [repr(str(value.name)) for value in model.graph.outputs][:SHOWN]
    hint = perhaps(name, known, f"outputs are {', '.join(outputs)}")
    return GrowthError(f"there is no tensor or node named {name!r}", hint=hint)


def _names(graph: ir.Graph) -> Iterator[str]:
    yield from (str(value.name) for value in values_of(graph) if value.name)
    yield from (node.name for node in graph if node.name)
