"""Groups: the factors that may grow, named after the layer that makes them, and the axes that may not, with reasons."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from onnx_n2n.analysis.facts import Walked, Weighed, WeightUse
from onnx_n2n.analysis.naming import names_of
from onnx_n2n.analysis.roles import Part, parts_in
from onnx_n2n.axes.algebra import Axis, Factor, Limit, Reason, is_pinned, is_unit, leaves, limit, pin, singled, size
from onnx_n2n.graph.names import reported
from onnx_n2n.graph.operators import measures
from onnx_n2n.graph.passthrough import mover
from onnx_n2n.graph.subgraphs import nodes_of
from onnx_n2n.rules.obligations import Ledger

CUTTERS = frozenset({"Gather", "Slice"})
CUT_AWAY = "nothing reads what it cuts away"
TAKEN_APART = Reason("the model picks its channels one by one, so they cannot move", "")
WEIGHT_SUFFIX = re.compile(r"[._/:](weights?|kernel|[wW](_\d+)?)$", re.IGNORECASE)
MACHINE_MADE = re.compile(r"(onnx::|const|_?val_|_?\d+$|.*::\d+$)|.*(_quantized|_transposed)", re.IGNORECASE)


@dataclass(frozen=True)
class Member:
    """One weight axis that belongs to a group.

    Attributes:
        layer: Name of the node that uses the weight.
        operator: Its operator.
        weight: Name of the weight.
        axis: Which axis of the weight.
        shape: The weight's shape.
        consumes: Whether the node sums over the axis (it reads the group's channels), or makes or passes them.
    """

    layer: str
    operator: str
    weight: str
    axis: int
    shape: tuple[int, ...]
    consumes: bool

    @property
    def title(self) -> str:
        """How a person knows the layer: by its weight, or by its node where the weight's name says nothing."""
        return title_of(self.weight, self.layer)


def title_of(weight: str, layer: str) -> str:
    """Return how a person knows a layer: by its weight's name, or by its own where that says nothing."""
    bare = WEIGHT_SUFFIX.sub("", weight)
    return bare if bare and not MACHINE_MADE.match(bare) else layer.strip("/")


@dataclass(frozen=True)
class Group:
    """All the axes that must grow together.

    Attributes:
        name: Unique name, after the layer that makes the channels, and after what they are for (``naming.py``).
        size: Number of channels.
        limit: What growth may not do here (None: anything goes), with its ``reason``.
        members: The weight axes of the group, in graph order.
        factor: The factor in the axis algebra.
        part: What its channels are for, where the structure shows it.
    """

    name: str
    size: int
    limit: Limit | None
    reason: Reason | None
    members: tuple[Member, ...]
    factor: Factor = field(repr=False, compare=False)
    part: Part | None = field(default=None, repr=False, compare=False)

    @property
    def spare(self) -> bool:
        """Whether its size says how many copies of each channel stand side by side."""
        return self.size == 1

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers on the group, without repetition."""
        return tuple(dict.fromkeys(member.layer for member in self.members))


@dataclass(frozen=True)
class Pinned:
    """A weight axis that may not grow, and why.

    Attributes:
        weight: Name of the weight.
        axis: Which axis of it.
        size: How long that is.
        layer: Name of the node that uses it.
        reason: Why.
        parameters: How many numbers the weight has; a longer axis would give it more.
    """

    weight: str
    axis: int
    size: int
    layer: str
    reason: Reason
    parameters: int


def layer_name(node: ir.Node) -> str:
    """Return how a person can find a node: its name, or what it makes."""
    return node.name or f"{node.op_type} -> {node.outputs[0].name}"


def _owner(node: ir.Node) -> ir.Node:
    """Return the layer that a weight of a node belongs to: that of a quantised one stands behind a DequantizeLinear."""
    uses = tuple(node.outputs[0].uses()) if node.op_type == "DequantizeLinear" else ()
    return uses[0].node if len(uses) == 1 else node


Read = Mapping[ir.Node, Sequence[tuple[int, ir.Value, tuple[Axis, ...]]]]
"""For each node, in graph order, the slot, the tensor and the axes of every weight that it reads."""


def read_by(graph: ir.Graph, walked: Weighed) -> Read:
    """Return the weights that the nodes of a graph read."""
    return {node: tuple(weights_of(node, walked)) for node in nodes_of(graph)}


def limit_groups(read: Read, walked: Walked, ledger: Ledger) -> None:
    """Limit factors where only the whole model tells: means over their channels, and weights that are cut to pieces."""
    for evenness in ledger.evenness:
        limit(evenness.axis, Limit.UNIFORM, evenness.reason)
    readers: dict[Factor, list[ir.Node]] = {}
    passed: set[Factor] = set()
    for node, weights in read.items():
        for _, _, axes in weights:
            for factor in (factor for axis in axes for factor in leaves(axis)):
                readers.setdefault(factor, []).append(_owner(node))
        made = (axis for value in node.outputs for axis in walked.known.get(value, ()))
        passed.update(factor for axis in made for factor in leaves(axis))
    for factor, nodes in readers.items():
        if factor not in passed and all(node.op_type in CUTTERS for node in nodes):
            pin(factor, Reason(f"{nodes[0].op_type}: {CUT_AWAY}", reported(nodes[0])))


def groups_of(graph: ir.Graph, read: Read, walked: Walked, ledger: Ledger) -> tuple[Group, ...]:
    """Collect what may grow, in graph order; pins and limits are known by then (:func:`limit_groups`)."""
    consumed = consumed_axes(ledger, walked)
    members: dict[Factor, list[Member]] = {}
    weights: list[WeightUse] = []
    for node, here in read.items():
        for slot, value, axes in here:
            shape = tuple(size(axis) or 0 for axis in axes)
            owner, name = _owner(node), str(value.name)
            layer, operator = layer_name(owner), owner.op_type
            found = [
                Member(layer, operator, name, position, shape, (node, slot, position) in consumed)
                for position in range(len(axes))
            ]
            for member, axis in zip(found, axes, strict=True):
                for factor in leaves(axis):
                    members.setdefault(factor, []).append(member)
            made = tuple(axis for member, axis in zip(found, axes, strict=True) if not member.consumes)
            weights.append(WeightUse(node, slot, axes, made, found[0].title if found else ""))
        for output in node.outputs:
            for axis in walked.known.get(output, ()):
                for factor in leaves(axis):
                    members.setdefault(factor, [])
    free = {factor: found for factor, found in members.items() if Limit.PINNED not in factor.limits}
    parts = parts_in(free, graph, weights, walked, ledger)
    names = names_of({factor: _name(found) for factor, found in free.items()}, parts)
    return tuple(
        _group(name, factor, tuple(found), parts.get(factor))
        for name, (factor, found) in zip(names, free.items(), strict=True)
    )


def pins_of(read: Read) -> tuple[Pinned, ...]:
    """Collect the weight axes on which no factor may grow, in graph order, each once."""
    found: dict[tuple[str, int], Pinned] = {}
    for node, weights in read.items():
        for _, value, axes in weights:
            lengths = [size(axis) or 0 for axis in axes]
            for position, axis in enumerate(axes):
                reason = _why_pinned(axis)
                if reason is not None:
                    layer = layer_name(_owner(node))
                    pinned = Pinned(str(value.name), position, lengths[position], layer, reason, math.prod(lengths))
                    found.setdefault((pinned.weight, position), pinned)
    return tuple(found.values())


def _why_pinned(axis: Axis) -> Reason | None:
    """Return the reason of the longest factor, if no factor may grow."""
    factors = list(leaves(axis))
    if not factors:
        return None if is_unit(axis) else singled(axis) or TAKEN_APART
    return max(factors, key=lambda factor: factor.size or 0).limits[Limit.PINNED] if is_pinned(axis) else None


def weights_of(node: ir.Node, walked: Weighed) -> Iterator[tuple[int, ir.Value, tuple[Axis, ...]]]:
    """Yield the slot, the tensor and the axes of every weight that a node reads."""
    if measures(node):
        return
    for slot, value in enumerate(node.inputs):
        if value is not None and (_is_weight(value, walked) or _is_filled(value)):
            axes = walked.axes_of_use(node, slot)
            if axes is not None:
                yield slot, value, axes


def consumed_axes(ledger: Ledger, walked: Weighed) -> frozenset[tuple[ir.Node, int, int]]:
    """Return node, slot and position of every axis that is summed over, there or behind a Transpose or the like."""
    found: set[tuple[ir.Node, int, int]] = set()
    for contraction in ledger.contractions:
        if contraction.scale is not None:
            continue  # scores of attention: what they are summed over has been made by the weights that stand there
        for summand in contraction.summands:
            node, slot, position = contraction.node, summand.slot, summand.position
            found.add((node, slot, position))
            while (producer := mover(node.inputs[slot])) is not None:
                node, slot = producer, 0
                axes = walked.axes_of_use(node, slot)
                if axes is None:
                    break
                if node.op_type == "Transpose":
                    stated = node.attributes.get("perm")
                    position = (stated.value if stated is not None else range(len(axes) - 1, -1, -1))[position]
                found.add((node, slot, position))
    return frozenset(found)


def _is_weight(value: ir.Value, walked: Weighed) -> bool:
    return value in walked.constants and walked.constants.growable(value)


def _is_filled(value: ir.Value) -> bool:
    """Say whether a tensor is made by ConstantOfShape, as models shipped without their weights have them."""
    producer = value.producer()
    return producer is not None and producer.op_type == "ConstantOfShape"


def _group(name: str, factor: Factor, members: tuple[Member, ...], part: Part | None) -> Group:
    strictest = max(factor.limits, default=None)
    return Group(
        name=name,
        size=factor.size or 0,
        limit=strictest,
        reason=factor.limits[strictest] if strictest is not None else None,
        members=members,
        factor=factor,
        part=part,
    )


def _name(members: list[Member]) -> str:
    """Return the name of the layer that makes the channels."""
    makers = [member for member in members if not member.consumes and sum(n > 1 for n in member.shape) > 1]
    return next((member.title for member in makers or members), "activation")
