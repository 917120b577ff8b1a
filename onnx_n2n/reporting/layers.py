"""The nodes of one model, or of two side by side, with what each costs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from onnx_n2n.costs.cost import Cost, multiply_adds
from onnx_n2n.errors import InputError, ModelError
from onnx_n2n.graph.constants import FLOATS, Constants
from onnx_n2n.graph.operators import measures, qualified
from onnx_n2n.graph.quantised import NARROW
from onnx_n2n.graph.uses import reads
from onnx_n2n.reporting.difference import Diff, title
from onnx_n2n.reporting.pairing import Pairing

SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True)
class Costs:
    """What a model costs, node by node.

    Attributes:
        parameters: How many floating-point and quantised numbers each node reads that none before it has read.
        cost: The multiply-adds of one run; None if they cannot be counted.
    """

    parameters: Mapping[ir.Node, int]
    cost: Cost | None = None

    def of(self, node: ir.Node | None) -> tuple[int, int]:
        """Return the parameters and the multiply-adds of a node; none of one that is not there."""
        if node is None:
            return 0, 0
        macs = {} if self.cost is None else self.cost.nodes
        return self.parameters.get(node, 0), macs.get(str(node.outputs[0].name), 0) if node.outputs else 0


@dataclass(frozen=True)
class Layers:
    """The nodes of a page.

    Attributes:
        nodes: The nodes in the order of the student; those that are gone stand where they were.
        rows: What a page says of each.
        costs: What the models cost: of one, or of teacher and student.
    """

    nodes: tuple[ir.Node, ...]
    rows: tuple[Mapping[str, Any], ...] = field(repr=False)
    costs: tuple[Costs, ...] = field(repr=False)


def costs_of(model: ir.Model, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Costs:
    """Work out what the nodes of a model cost."""
    constants, seen = Constants(model), set()
    found: dict[ir.Node, int] = {}
    for node in model.graph:
        for value in () if measures(node) else reads(node):
            if value in constants and value not in seen and constants[value].dtype in FLOATS | NARROW:
                seen.add(value)
                found[node] = found.get(node, 0) + int(constants[value].size)
    cost = None
    with suppress(InputError, ModelError):
        cost = multiply_adds(model, shapes)
    return Costs(found, cost)


def of_one(model: ir.Model, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Layers:
    """Return the nodes of a model."""
    costs = costs_of(model, shapes)
    nodes = tuple(model.graph)
    return Layers(nodes, tuple(_row(node, *([number] for number in costs.of(node))) for node in nodes), (costs,))


def of_two(
    teacher: ir.Model, student: ir.Model, pairing: Pairing, found: Diff,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Layers:  # fmt: skip
    """Return the nodes of a teacher and its student."""
    costs = costs_of(teacher, shapes), costs_of(student, shapes)
    said = {(each.what, each.name): each for each in found.nodes if not each.scope}
    behind: dict[ir.Node | None, list[ir.Node]] = {}  # nodes that are gone, by the one before them that is not
    partners = {old: new for new, old in pairing.nodes.items()}
    last = None
    for old in teacher.graph:
        if old in partners:
            last = partners[old]
        else:
            behind.setdefault(last, []).append(old)
    nodes, rows = [], []

    def add(node: ir.Node, old: ir.Node | None, new: ir.Node | None) -> None:
        what = "removed" if new is None else "added" if old is None else "changed"
        change = said.get((what, title(node)))
        sides = zip(costs[0].of(old), costs[1].of(new), strict=True)
        row = _row(node, *(list(pair) for pair in sides))
        if change is not None:
            row["s"] = SIGNS[what]
            texts = [[f"{part.what} {part.name}".strip(), part.before, part.after] for part in change.parts]
            row |= {"c": texts} if texts else {}
        nodes.append(node)
        rows.append(row)

    for gone in behind.get(None, ()):
        add(gone, gone, None)
    for new in student.graph:
        add(new, pairing.nodes.get(new), new)
        for gone in behind.get(new, ()):
            add(gone, gone, None)
    return Layers(tuple(nodes), tuple(rows), costs)


def _row(node: ir.Node, parameters: list[int], macs: list[int]) -> dict[str, Any]:
    """Return what a page says of a node, without what is empty."""
    row = {
        "n": title(node),
        "o": qualified(node),
        "p": parameters if any(parameters) else None,
        "m": macs if any(macs) else None,
        "i": [str(value.name) for value in node.inputs if value is not None and value.name],
        "t": [str(value.name) for value in node.outputs if value.name],
    }
    return {key: value for key, value in row.items() if value}
