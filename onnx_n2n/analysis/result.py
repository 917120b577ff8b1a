"""What an analysis says: what may grow, what growing it costs and owes to its nodes, and why the rest may not."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import onnx_ir as ir

from onnx_n2n.analysis.costs import costs_of
from onnx_n2n.analysis.groups import Group, Pinned
from onnx_n2n.axes.algebra import Axis, Factor, Product, Reason, leaves, resolve, size
from onnx_n2n.axes.symbolic import ShapeValue
from onnx_n2n.graph.constants import Constants, parameters
from onnx_n2n.graph.shapes import Inferred
from onnx_n2n.graph.subgraphs import bodies_of, nodes_of
from onnx_n2n.graph.twins import Twins
from onnx_n2n.rules.floors import Floors
from onnx_n2n.rules.obligations import Contraction, Evenness, Ledger, Port
from onnx_n2n.words import count


@dataclass(frozen=True)
class Analysis:
    """What may grow in a model, and what growing it owes to its nodes.

    Attributes:
        model: The model that was analysed; not changed, and the one that a rewrite of this analysis must be given.
        axes: The axes of each tensor of known rank.
        uses: The axes of a constant at one use of it, where its uses need not agree (biases, scales).
        constants: Which tensors are constant.
        twins: Which of them are one parameter.
        contents: What small tensors say.
        sequences: The axes of each tensor of a sequence.
        shapes: What shape inference knows of each tensor.
        floors: How small the numbers of each tensor can be.
        ledger: The obligations of all nodes.
        groups: What may grow, in graph order.
        pins: The weight axes that may not grow, with their reasons.
        ports: The axes of graph inputs and outputs that may grow inside, and only there.
        lost: Why the rank of a tensor is unknown.
    """

    model: ir.Model
    axes: Mapping[ir.Value, tuple[Axis, ...]]
    uses: Mapping[tuple[ir.Node, int], tuple[Axis, ...]]
    constants: Constants
    twins: Twins
    contents: Mapping[ir.Value, ShapeValue]
    sequences: Mapping[ir.Value, Sequence[tuple[Axis, ...]]]
    shapes: Mapping[ir.Value, Inferred]
    floors: Floors
    ledger: Ledger
    groups: tuple[Group, ...]
    pins: tuple[Pinned, ...]
    ports: tuple[Port, ...]
    lost: Mapping[ir.Value, Reason] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Analysis: {count(len(self.weighty), 'group')} can grow, {len(self.pins)} weight axes are pinned>"

    def axes_of_use(self, node: ir.Node, slot: int) -> tuple[Axis, ...] | None:
        """Return the axes of an input of a node, or None when its rank is unknown or it was not analysed."""
        return lookup(self.uses, self.axes, node, slot)

    @cached_property
    def weighty(self) -> tuple[Group, ...]:
        """The groups that weights have, in graph order: growing them makes the model larger."""
        return tuple(group for group in self.groups if group.members)

    @cached_property
    def head_sizes(self) -> frozenset[Factor]:
        """The sizes of heads in attention that can grow by heads."""
        free = {group.factor for group in self.weighty}
        parts = {group.factor: group.part for group in self.groups if group.part is not None}
        return frozenset(factor for factor, part in parts.items() if part.heads & free)

    def cost(self, group: Group, after: int) -> int:
        """Return how many parameters the model gains when a group alone grows to ``after`` channels."""
        return round(self.gain({group.factor: after}))

    def gain(self, lengths: Mapping[Factor, float], among: Collection[Factor] | None = None) -> float:
        """Return how many parameters the model gains when factors have other lengths.

        Args:
            lengths: The lengths; a fraction says what a total would be that no model has.
            among: Count only the weights on these factors; usually those on any that has another length.
        """
        touched = {
            value: axes
            for factor in (lengths if among is None else among)
            for value, axes in self._weights.get(factor, {}).items()
        }
        return sum(
            math.prod(_length(axis, lengths) for axis in axes) - math.prod(size(axis) or 0 for axis in axes)
            for axes in touched.values()
        )

    def beside(self, factors: Collection[Factor]) -> set[Factor]:
        """Return the factors of all weights that some factors are on: what growing these costs depends on them."""
        touched = (axes for factor in factors for axes in self._weights.get(factor, {}).values())
        return {leaf for axes in touched for axis in axes for leaf in leaves(axis)}

    @cached_property
    def _weights(self) -> Mapping[Factor, Mapping[ir.Value, tuple[Axis, ...]]]:
        """For each factor the weights it is on, with all their axes."""
        found: dict[Factor, dict[ir.Value, tuple[Axis, ...]]] = {}
        for node in nodes_of(self.model.graph):
            for slot, value in enumerate(node.inputs):
                if value is not None and value in self.constants and self.constants.growable(value):
                    axes = self.axes_of_use(node, slot) or ()
                    for axis in axes:
                        for factor in leaves(axis):
                            found.setdefault(factor, {})[value] = axes
        return found

    @cached_property
    def nodes(self) -> Mapping[Factor, Mapping[ir.Node, Sequence[int]]]:
        """For each factor the nodes that have to do with it, in graph order, with the input slots that have it.

        These read it, make it, or have such nodes in their bodies.
        """
        found: dict[Factor, dict[ir.Node, list[int]]] = {}
        around: dict[ir.Graph, tuple[ir.Node, ...]] = {self.model.graph: ()}
        for node in nodes_of(self.model.graph):
            nodes = (*around[node.graph], node)  # type: ignore[index]
            around |= dict.fromkeys(bodies_of(node), nodes)
            slots: dict[Factor, list[int]] = {}
            for value in node.outputs:
                slots |= {factor: [] for axis in self.axes.get(value, ()) for factor in leaves(axis)}
            for slot in range(len(node.inputs)):
                for factor in {factor for axis in self.axes_of_use(node, slot) or () for factor in leaves(axis)}:
                    slots.setdefault(factor, []).append(slot)
            for factor, read in slots.items():
                here = found.setdefault(factor, {})
                for each in nodes:
                    here.setdefault(each, [])
                here[node] += read
        return found

    @cached_property
    def contractions(self) -> Mapping[ir.Node, Sequence[Contraction]]:
        """For each node what it sums over."""
        found: dict[ir.Node, list[Contraction]] = {}
        for contraction in self.ledger.contractions:
            found.setdefault(contraction.node, []).append(contraction)
        return found

    @cached_property
    def evenness(self) -> Mapping[Factor, Sequence[Evenness]]:
        """For each factor the means over axes that have it."""
        found: dict[Factor, list[Evenness]] = {}
        for evenness in self.ledger.evenness:
            for factor in dict.fromkeys(leaves(evenness.axis)):
                found.setdefault(factor, []).append(evenness)
        return found

    def to_json(self, ways: Mapping[Factor, str] | None = None) -> dict[str, Any]:
        """Return groups and pins as JSON-ready values.

        Args:
            ways: How each group may grow, as :func:`onnx_n2n.width.plan.ways` says; without it, this is left out.
        """
        return {
            "parameters": parameters(self.model),
            "groups": [
                {
                    "name": group.name,
                    "size": group.size,
                    **({} if ways is None else {"grows": ways[group.factor]}),
                    "only_named": group.factor in self.head_sizes,
                    "reason": str(group.reason) if group.reason is not None else None,
                    "parameters_per_channel": self.cost(group, group.size + 1),
                    "parameters_to_double": self.cost(group, 2 * group.size),
                    "members": [
                        {
                            "layer": member.layer,
                            "operator": member.operator,
                            "weight": member.weight,
                            "axis": member.axis,
                            "shape": list(member.shape),
                            "consumes": member.consumes,
                        }
                        for member in group.members
                    ],
                }
                for group in self.weighty
            ],
            "pinned": [
                {
                    "weight": pinned.weight,
                    "axis": pinned.axis,
                    "size": pinned.size,
                    "parameters": pinned.parameters,
                    "layer": pinned.layer,
                    "reason": pinned.reason.text,
                    "node": pinned.reason.node,
                }
                for pinned in self.pins
            ],
            "costs": [
                {"reason": cost.reason, "axes": len(cost.pins), "parameters": cost.parameters}
                for cost in costs_of(self.pins)
            ],
        }


def lookup(
    uses: Mapping[tuple[ir.Node, int], tuple[Axis, ...]],
    axes: Mapping[ir.Value, tuple[Axis, ...]],
    node: ir.Node,
    slot: int,
) -> tuple[Axis, ...] | None:
    """Return the axes of an input of a node: those of this use, or else those of the tensor."""
    value = node.inputs[slot]
    found = uses.get((node, slot))
    return found if found is not None or value is None else axes.get(value)


def _length(axis: Axis, lengths: Mapping[Factor, float]) -> float:
    """Return how long an axis is when some factors have other lengths; of a sum only the parts that change count."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        return lengths.get(axis, axis.size or 0)
    if isinstance(axis, Product):
        return math.prod(_length(part, lengths) for part in axis.parts)
    changed = {number for factor in axis.having.keys() & lengths.keys() for number in axis.having[factor]}
    gained = (_length(axis.parts[number], lengths) - (size(axis.parts[number]) or 0) for number in changed)
    return axis.starts[-1] + sum(gained)
