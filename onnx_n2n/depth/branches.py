"""Residual branches: what is computed from a tensor and then added to it, found by structure.

A branch begins at a tensor ``x`` and ends in a sum ``x + f(x)``. A copy of it with its last layers at zero may stand at
``x`` without changing anything: ``x + 0``. That holds whatever the sum goes through next, a norm included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import same, size
from onnx_n2n.depth.grids import Grid
from onnx_n2n.depth.zeros import Refused, Zeros, kept, weight
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.operators import operator_of, plain
from onnx_n2n.graph.passthrough import stored
from onnx_n2n.graph.quantised import DOMAINS, is_quantised
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.uses import Use, operand, reads
from onnx_n2n.rules.traits import idempotent

SUMS = frozenset({"Add", "Sum"})
QUANTISED = "QLinearAdd"  # of two tensors, each with a scale and a zero point behind it
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
LARGEST = 400  # nodes that a branch may have


@dataclass(frozen=True, eq=False)
class Branch:
    """What is added to a tensor.

    Attributes:
        entry: The tensor ``x``.
        entries: The same, also where others take it back from the same quantised numbers.
        grid: What the quantised numbers of ``x`` stand for, where it is taken back from such; or None.
        nodes: The nodes of ``f``, in order.
        sums: The nodes that add.
        zeroed: The uses of constants that are zero in a copy, so that it gives zero.
        activation: The activation behind the sum that also stands before ``x``, so that it may be repeated, or None.
        shape: What branches alike have in common.
    """

    entry: ir.Value
    entries: frozenset[ir.Value]
    grid: Grid | None
    nodes: tuple[ir.Node, ...]
    sums: tuple[ir.Node, ...]
    zeroed: tuple[Use, ...]
    activation: ir.Node | None
    shape: tuple[object, ...]

    @property
    def origin(self) -> ir.Value:
        """The tensor behind which a copy is put: the quantised numbers of ``x``, or ``x`` itself."""
        return self.grid.numbers if self.grid is not None else self.entry


def branches(analysis: Analysis) -> tuple[list[Branch], list[tuple[ir.Node, str]]]:
    """Return the innermost branches of a model's main graph, in order, and the sums of others with why they are not."""
    order = {node: place for place, node in enumerate(analysis.model.graph)}
    found: list[Branch] = []
    refused: list[tuple[ir.Node, str]] = []
    for node in order:
        if not _adds(node) or _inner(node):
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


def _adds(node: ir.Node) -> bool:
    """Say whether a node adds up tensors."""
    if node.op_type == QUANTISED:
        return plain(node.domain) in DOMAINS
    return node.op_type in SUMS and not plain(node.domain)


def _inner(node: ir.Node) -> bool:
    """Say whether a sum is only a part of a larger one."""
    uses = list(node.outputs[0].uses())
    part = node.op_type in SUMS and len(uses) == 1 and uses[0].node.op_type in SUMS
    return part and not node.outputs[0].is_graph_output()


def _terms(node: ir.Node) -> tuple[list[ir.Value], list[ir.Node]]:
    """Return what is added up by a tree of sums that nobody else reads, and the nodes that do it."""
    if node.op_type == QUANTISED:
        return [operand(node, 0), operand(node, 3)], [node]
    terms: list[ir.Value] = []
    sums: list[ir.Node] = []
    waiting: list[ir.Value] = [node.outputs[0]]
    while waiting:  # not by recursion: thousands may be added up
        value = waiting.pop()
        producer = value.producer()
        part = producer is not None and producer.op_type in SUMS
        if producer is not None and (producer is node or (part and _inner(producer))):
            sums.append(producer)
            waiting.extend(operand for operand in reversed(producer.inputs) if operand is not None)
        else:
            terms.append(value)
    return terms, sums[::-1]


def _branch(analysis: Analysis, node: ir.Node, order: dict[ir.Node, int]) -> Branch | None:
    terms, sums = _terms(node)
    computed = [term for term in terms if kept(analysis.constants, term) is None]
    inferred = analysis.shapes.get(node.outputs[0])
    if len(computed) < 2 or (node.op_type != QUANTISED and (inferred is None or inferred.dtype not in FLOATS)):
        return None
    for entry in computed:
        tips = tuple(term for term in terms if term is not entry)
        nodes = _between(analysis, _aliases(analysis, entry), tips, order)
        if nodes is not None and alike(analysis, entry, node.outputs[0]):
            return _checked(analysis, entry, nodes, tips, tuple(sums))
    return None


def _aliases(analysis: Analysis, entry: ir.Value) -> frozenset[ir.Value]:
    """Return what is the same as a tensor, because it is taken back from the same quantised numbers in the same way."""
    node = entry.producer()
    if node is None or node.op_type != "DequantizeLinear" or node.inputs[0] is None:
        return frozenset({entry})
    alike = [use.node for use in node.inputs[0].uses() if use.idx == 0 and operator_of(use.node) == operator_of(node)]
    identity = analysis.constants.identity
    return frozenset(
        other.outputs[0]
        for other in alike
        if other is node
        or (
            other.attributes == node.attributes
            and len(other.inputs) == len(node.inputs)
            and all(
                one is two or (one is not None and two is not None and None is not identity(one) == identity(two))
                for one, two in zip(other.inputs[1:], node.inputs[1:], strict=True)
            )
        )
    )


def alike(analysis: Analysis, one: ir.Value, other: ir.Value) -> bool:
    """Say whether two tensors have the same shape, as far as that is known before run time."""
    first, second = analysis.axes.get(one), analysis.axes.get(other)
    if first is None or second is None or len(first) != len(second):
        return False
    return all(same(axis, found) or size(axis) == size(found) for axis, found in zip(first, second, strict=True))


def _between(
    analysis: Analysis, entries: frozenset[ir.Value], tips: tuple[ir.Value, ...], order: dict[ir.Node, int]
) -> tuple[ir.Node, ...] | None:
    """Return the nodes on the ways from ``entries`` to ``tips``, in order; None if a tip does not come from there."""
    producers = [entry.producer() for entry in entries]
    first = min(-1 if producer is None else order.get(producer, -1) for producer in producers)
    seen: set[ir.Node] = set()
    pending = [tip.producer() for tip in tips if kept(analysis.constants, tip) is None]
    while pending:
        node = pending.pop()
        if node is None or node in seen or order.get(node, -1) <= first:
            continue
        seen.add(node)
        pending += [value.producer() for value in reads(node) if value not in entries]
    reached, nodes = set(entries), []
    for node in sorted(seen, key=order.__getitem__):
        if not reached.isdisjoint(reads(node)):
            reached.update(node.outputs)
            nodes.append(node)
    ends = (tip in reached or kept(analysis.constants, tip) is not None for tip in tips)
    return tuple(nodes) if all(ends) else None


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
    if not any(weight(analysis.constants, node) is not None for node in nodes):
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
    grid = _grid(analysis, entry, nodes, sums[-1])
    uses = tuple(dict.fromkeys(_zeroed(analysis, frozenset(nodes), tips, sums, grid)))
    shape, activation = _shape(analysis, nodes), _repeated(entry, sums[-1])
    return Branch(entry, _aliases(analysis, entry), grid, nodes, sums, uses, activation, shape)


def _zeroed(
    analysis: Analysis,
    nodes: frozenset[ir.Node],
    tips: tuple[ir.Value, ...],
    sums: tuple[ir.Node, ...],
    grid: Grid | None,
) -> Iterator[Use]:
    """Yield the uses of constants that are zero in a copy of a branch.

    Raises:
        Refused: If zeros would not come through, or could never become anything else.
    """
    zeros, total = Zeros(analysis, nodes), sums[-1]
    if total.op_type == QUANTISED:
        slot = list(total.inputs).index(tips[0])
        if grid is not None:
            grid.added(analysis, operand(total, slot + 1))
        yield from zeros.steps(tips[0], total, total.inputs[slot + 2])
        return
    for tip in tips:
        node = tip.producer()
        if grid is not None and node is not None and node.op_type == "DequantizeLinear":
            grid.added(analysis, operand(node, 1))
        yield from zeros.of(tip, next(each for each in sums if tip in each.inputs))


def _grid(analysis: Analysis, entry: ir.Value, nodes: tuple[ir.Node, ...], total: ir.Node) -> Grid | None:
    """Return what the quantised numbers of a branch's entry stand for, or None where it has none.

    Raises:
        Refused: If they could not be added to and rounded again, and stay as they are.
    """
    node = entry.producer()
    if total.op_type != QUANTISED:
        return Grid.of(analysis, node, 0) if node is not None and node.op_type == "DequantizeLinear" else None
    grid = Grid.of(analysis, total, list(total.inputs).index(entry))
    for reader in nodes:
        for slot, value in enumerate(reader.inputs):
            if value is entry and not (
                is_quantised(reader, slot) and grid.same(analysis, Grid.of(analysis, reader, slot))
            ):
                raise Refused(f"{reader.op_type} {reader.name!r} in it does not read the numbers as the sum does")
    return grid


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
                tuple(analysis.constants[held].shape.numpy()) if held in analysis.constants else None
                for held in (stored(value)[0] for value in node.inputs if value is not None)
                if held is not None
            ),
        )
        for node in nodes
    )
