"""Residual branches: what is computed from a tensor and then added to it, found by structure.

A branch begins at a tensor ``x`` and ends in a sum ``x + f(x)``. A copy of it with its last layers at zero may stand at
``x`` without changing anything: ``x + 0``. That holds whatever the sum goes through next, a norm included.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import same, size
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.operators import operator_of, plain
from onnx_n2n.graph.passthrough import REARRANGERS, stored
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.uses import Use, operand, reads
from onnx_n2n.rules.traits import idempotent

# Nodes that make zeros of zeros, and learn: the slope of what they do to them is not zero.
PASSING = REARRANGERS | {
    "Dropout", "Flatten", "Slice", "Expand", "Neg", "Gather", "AveragePool", "ReduceMean", "ReduceSum", "Tanh", "Gelu",
    "Swish", "Mish",
}  # fmt: skip
MAKERS = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1, "FusedMatMul": 1}
GAINS = {"BatchNormalization": (1, 2), "LayerNormalization": (1, 2), "RMSNormalization": (1,)}
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
LARGEST = 400  # nodes that a branch may have


class Refused(Exception):  # noqa: N818 - not an error: what looks like a branch cannot be copied, for this reason
    """No copy of a branch can stand in the model."""


@dataclass(frozen=True, eq=False)
class Branch:
    """What is added to a tensor.

    Attributes:
        entry: The tensor ``x``.
        nodes: The nodes of ``f``, in order.
        sums: The nodes that add.
        zeroed: The uses of constants that are zero in a copy, so that it gives zero.
        activation: The activation behind the sum that also stands before ``x``, so that it may be repeated, or None.
        shape: What branches alike have in common.
    """

    entry: ir.Value
    nodes: tuple[ir.Node, ...]
    sums: tuple[ir.Node, ...]
    zeroed: tuple[Use, ...]
    activation: ir.Node | None
    shape: tuple[object, ...]


def branches(analysis: Analysis) -> tuple[list[Branch], list[tuple[ir.Node, str]]]:
    """Return the innermost branches of a model's main graph, in order, and the sums of others with why they are not."""
    order = {node: place for place, node in enumerate(analysis.model.graph)}
    found: list[Branch] = []
    refused: list[tuple[ir.Node, str]] = []
    for node in order:
        if node.op_type != "Add" or plain(node.domain) or _inner(node):
            continue
        try:
            branch = _branch(analysis, node, order)
        except Refused as refusal:
            refused.append((node, str(refusal)))
            continue
        if branch is not None:
            found.append(branch)
    return _innermost(found), refused


def _innermost(found: list[Branch]) -> list[Branch]:
    """Leave out branches that have others in them, or end in one: the shorter ones are kept."""
    kept: set[ir.Value] = set()
    nodes: set[ir.Node] = set()
    sums: set[ir.Node] = set()
    for branch in sorted(found, key=lambda branch: len(branch.nodes)):
        if sums.isdisjoint(branch.nodes) and branch.sums[-1] not in nodes:
            kept.add(branch.sums[-1].outputs[0])
            nodes.update(branch.nodes)
            sums.add(branch.sums[-1])
    return [branch for branch in found if branch.sums[-1].outputs[0] in kept]


def _inner(node: ir.Node) -> bool:
    """Say whether a sum is only a part of a larger one."""
    uses = list(node.outputs[0].uses())
    return len(uses) == 1 and uses[0].node.op_type == "Add" and not node.outputs[0].is_graph_output()


def _terms(analysis: Analysis, node: ir.Node) -> tuple[list[ir.Value], list[ir.Node]]:
    """Return what is added up by a tree of sums that nobody else reads, and the nodes that do it."""
    terms: list[ir.Value] = []
    sums: list[ir.Node] = []
    waiting: list[ir.Value] = [node.outputs[0]]
    while waiting:  # not by recursion: thousands may be added up
        value = waiting.pop()
        producer = value.producer()
        part = producer is not None and producer.op_type == "Add" and value not in analysis.constants
        if producer is not None and (producer is node or (part and _inner(producer))):
            sums.append(producer)
            waiting.extend(operand for operand in reversed(producer.inputs) if operand is not None)
        else:
            terms.append(value)
    return terms, sums[::-1]


def _branch(analysis: Analysis, node: ir.Node, order: dict[ir.Node, int]) -> Branch | None:
    terms, sums = _terms(analysis, node)
    computed = [term for term in terms if term not in analysis.constants]
    inferred = analysis.shapes.get(node.outputs[0])
    if len(computed) < 2 or inferred is None or inferred.dtype not in FLOATS:
        return None
    for entry in computed:
        tips = tuple(term for term in terms if term is not entry)
        nodes = _between(analysis, entry, tips, order)
        if nodes is not None and alike(analysis, entry, node.outputs[0]):
            return _checked(analysis, entry, nodes, tips, tuple(sums))
    return None


def alike(analysis: Analysis, one: ir.Value, other: ir.Value) -> bool:
    """Say whether two tensors have the same shape, as far as that is known before run time."""
    first, second = analysis.axes.get(one), analysis.axes.get(other)
    if first is None or second is None or len(first) != len(second):
        return False
    return all(same(axis, found) or size(axis) == size(found) for axis, found in zip(first, second, strict=True))


def _between(
    analysis: Analysis, entry: ir.Value, tips: tuple[ir.Value, ...], order: dict[ir.Node, int]
) -> tuple[ir.Node, ...] | None:
    """Return the nodes on the ways from ``entry`` to ``tips``, in order; None if some tip does not come from there."""
    producer = entry.producer()
    first = -1 if producer is None else order.get(producer, -1)
    seen: set[ir.Node] = set()
    pending = [tip.producer() for tip in tips if tip not in analysis.constants]
    while pending:
        node = pending.pop()
        if node is None or node in seen or order.get(node, -1) <= first:
            continue
        seen.add(node)
        pending += [value.producer() for value in reads(node) if value is not entry]
    reached, nodes = {entry}, []
    for node in sorted(seen, key=order.__getitem__):
        if not reached.isdisjoint(reads(node)):
            reached.update(node.outputs)
            nodes.append(node)
    return tuple(nodes) if all(tip in reached or tip in analysis.constants for tip in tips) else None


def _checked(
    analysis: Analysis,
    entry: ir.Value,
    nodes: tuple[ir.Node, ...],
    tips: tuple[ir.Value, ...],
    sums: tuple[ir.Node, ...],
) -> Branch | None:
    """Return the branch if there is something in it to learn.

    Raises:
        Refused: If a copy of it would need more than new weights.
    """
    if not any(node.op_type in MAKERS and _weight(analysis, node) is not None for node in nodes):
        return None  # a formula such as x + 0.044715 x^3
    if len(nodes) > LARGEST:
        raise Refused(f"a branch of {len(nodes)} nodes is a model of its own")
    for node in nodes:
        if any(True for _ in bodies_of(node)):
            raise Refused(f"{node.op_type} {node.name!r} in it has a body, and is not copied")
        if node.op_type in RANDOM:
            raise Refused(f"{node.op_type} {node.name!r} in it throws dice")
        for output in node.outputs:
            if output.is_graph_output():
                raise Refused(f"it gives {str(output.name)!r} out of the model, as a cache that a copy would need too")
    reader = {tip: node for node in sums for tip in node.inputs if tip is not None}
    zeroed = dict.fromkeys(use for tip in tips for use in _writers(analysis, tip, set(nodes), reader[tip]))
    return Branch(entry, nodes, sums, tuple(zeroed), _repeated(entry, sums[-1]), _shape(analysis, nodes))


def _repeated(entry: ir.Value, total: ir.Node) -> ir.Node | None:
    """Return the activation behind a sum if the entry comes out of the same one, which then changes nothing there."""
    uses, before = list(total.outputs[0].uses()), entry.producer()
    if len(uses) != 1 or before is None:
        return None
    node = uses[0].node
    alike = operator_of(node) == operator_of(before)
    settled = list(node.inputs[1:]) == list(before.inputs[1:]) or node.op_type == "Relu"
    return node if alike and settled and idempotent(node) and node.attributes == before.attributes else None


def _shape(analysis: Analysis, nodes: tuple[ir.Node, ...]) -> tuple[object, ...]:
    """Return what branches alike have in common: operators, and the shapes of the weights that they read."""
    return tuple(
        (
            node.op_type,
            tuple(
                tuple(analysis.constants[value].shape.numpy()) if value in analysis.constants else None
                for value in node.inputs
                if value is not None
            ),
        )
        for node in nodes
    )


# --- what must be zero


def _writers(analysis: Analysis, value: ir.Value, nodes: set[ir.Node], reader: ir.Node) -> list[Use]:
    """Return the constants that must be zero so that a tensor is.

    Raises:
        Refused: If zeros would not come through, or could never become anything else.
    """
    if value in analysis.constants:
        return [(reader, reader.inputs.index(value))]
    node = value.producer()
    if node is None or node not in nodes:
        raise Refused(f"{str(value.name)!r} is added too, and is made outside of it")
    maker = _weight(analysis, node)
    if maker is not None:
        biases = [slot for slot in range(maker + 1, len(node.inputs)) if node.inputs[slot] is not None]
        _, moved = stored(node.inputs[maker])
        found: list[Use] = [(moved[-1], 0) if moved else (node, maker)]
        for slot in biases:
            found += _writers(analysis, operand(node, slot), nodes, node)
        return found
    if node.op_type in GAINS:
        slots = [slot for slot in GAINS[node.op_type] if slot < len(node.inputs) and node.inputs[slot] is not None]
        if all(node.inputs[slot] in analysis.constants for slot in slots):
            return [(node, slot) for slot in slots]
        raise Refused(f"{node.op_type} {node.name!r} has a gain that is computed")
    if node.op_type in {"Add", "Sub", "Sum", "Where"}:
        operands = [v for slot, v in enumerate(node.inputs) if v is not None and (slot or node.op_type != "Where")]
        return [use for operand in operands for use in _writers(analysis, operand, nodes, node)]
    if node.op_type in {"Mul", "Div"}:
        return _factors(analysis, node, nodes)
    if node.op_type in PASSING and node.inputs[0] is not None:
        return _writers(analysis, node.inputs[0], nodes, node)
    raise Refused(f"{node.op_type} {node.name!r} stands between its last layer and the sum")


def _factors(analysis: Analysis, node: ir.Node, nodes: set[ir.Node]) -> list[Use]:
    """Make one factor of a product zero."""
    reasons = []
    for factor in node.inputs[: 2 if node.op_type == "Mul" else 1]:
        if factor is not None and factor not in analysis.constants:
            try:
                return _writers(analysis, factor, nodes, node)
            except Refused as refusal:
                reasons.append(str(refusal))
    raise Refused(reasons[0] if reasons else f"{node.op_type} {node.name!r} multiplies constants")


def _weight(analysis: Analysis, node: ir.Node) -> int | None:
    """Return the input slot of a layer's constant weight that can be zero, or None where there is none."""
    slot = MAKERS.get(node.op_type)
    if slot is None or len(node.inputs) <= slot:
        return None
    value, moved = stored(node.inputs[slot])
    # A zero behind a Transpose is one in front of it, too, and in all other uses.
    turned = all(each.op_type in {"Identity", "Transpose"} and _lone(each.inputs[0]) for each in moved)
    held = value is not None and value in analysis.constants and analysis.constants.scalable(value)
    return slot if held and turned else None


def _lone(value: ir.Value | None) -> bool:
    return value is not None and len(value.uses()) == 1
