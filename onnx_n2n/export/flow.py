"""Where a tensor of a model meets data, also through nodes that compute from it alone, loops and bodies.

A weight may be transposed, cast, put through Exp or picked by the number of a turn before it is multiplied by data. So
the nodes that read it do not show its role. The first nodes do that combine it, or what was computed from it, with a
value that depends on an input of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.export.lanes import LENGTHS, wants_number
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.subgraphs import bodies_of

# Operators through whose results no gradient comes back: they compare, count, round or say where something is.
STEPS = LENGTHS | frozenset(
    {
        "And", "ArgMax", "ArgMin", "Bernoulli", "BitShift", "Ceil", "Equal", "EyeLike", "Floor", "Greater",
        "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less", "LessOrEqual", "Multinomial", "NonMaxSuppression",
        "NonZero", "Not", "OneHot", "Or", "Round", "Sign", "Xor",
    }
)  # fmt: skip
QUANTISED = ("Quant", "QLinear", "Integer", "NBits", "QGemm", "QAttention")
"""What is in the name of an operator that works with whole numbers and frozen scales."""


@dataclass(frozen=True)
class Meeting:
    """A node where a tensor meets data.

    Attributes:
        node: The node; None is an output of the model.
        slot: The input that brings the tensor, or what was made of it.
        passed: The nodes before it that computed something of the tensor alone.
    """

    node: ir.Node | None
    slot: int
    passed: tuple[ir.Node, ...]

    @property
    def steers(self) -> bool:
        """Whether the node only compares, counts or is steered by the tensor, so that no gradient comes back."""
        node = self.node
        if node is None:
            return False
        kind = node.attributes.get("to") if node.op_type == "Cast" else None
        rounded = kind is not None and ir.DataType(kind.value) not in FLOATS
        return rounded or node.op_type in STEPS or wants_number(node.op_type, self.slot) or self.quantised

    @property
    def quantised(self) -> bool:
        """Whether the node works with whole numbers and frozen scales."""
        return self.node is not None and any(part in self.node.op_type for part in QUANTISED)


class Flow:
    """What in a model depends on its inputs, and how values go in and out of bodies."""

    def __init__(self, model: ir.Model) -> None:
        self._outputs = set(model.graph.outputs)
        self._ends: dict[ir.Value, list[tuple[ir.Node, ir.Value]]] = {}  # where the outputs of bodies go
        nodes = list(model.graph.all_nodes())
        for node in nodes:
            for end, goal in _out_of(node):
                self._ends.setdefault(end, []).append((node, goal))
        self._data: set[ir.Value] = set()
        self._spread([value for value in model.graph.inputs if value.const_value is None])
        self._spread([value for node in nodes if node.op_type.startswith("Random") for value in node.outputs])

    def depends(self, value: ir.Value) -> bool:
        """Say whether a value depends on an input of the model."""
        return value in self._data

    def meetings(self, value: ir.Value) -> list[Meeting]:
        """Return where a tensor meets data, in the order of the graph as far as it goes straight on."""
        found: list[Meeting] = []
        seen = {value}
        queue: list[tuple[ir.Value, tuple[ir.Node, ...]]] = [(value, ())]
        while queue:
            current, passed = queue.pop(0)
            if current in self._outputs:
                found.append(Meeting(None, 0, passed))
            for node, slot, goals in self._next(current):
                meeting = Meeting(node, slot, passed)
                if meeting.steers or any(goal in self._data for goal in goals):
                    found.append(meeting)
                    continue
                for goal in goals:
                    if goal not in seen:
                        seen.add(goal)
                        queue.append((goal, (*passed, node)))
        return found

    def _next(self, value: ir.Value) -> Iterator[tuple[ir.Node, int, list[ir.Value]]]:
        """Yield the nodes that read a value, at which slot, and what they make of it."""
        for node, slot in value.uses():
            if any(True for _ in bodies_of(node)):
                yield node, slot, list(_into(node, slot))
            else:
                yield node, slot, list(node.outputs)
        for node, goal in self._ends.get(value, ()):
            yield node, -1, [goal]

    def _spread(self, queue: list[ir.Value]) -> None:
        """Mark what depends on these values. Lengths do not: a tensor cut to the length of data is no data."""
        while queue:
            value = queue.pop()
            if value in self._data:
                continue
            self._data.add(value)
            for node, _, goals in self._next(value):
                if node.op_type not in LENGTHS:
                    queue.extend(goals)


def _into(node: ir.Node, slot: int) -> Iterator[ir.Value]:
    """Yield the input of the body for an input of the node, and the output that has its value if no turn is taken."""
    if node.op_type == "Loop" and slot >= 2:
        yield from _body(node).inputs[slot : slot + 1]
        yield from node.outputs[slot - 2 : slot - 1]
    elif node.op_type == "Scan":
        yield from _body(node).inputs[slot : slot + 1]


def _out_of(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Yield the outputs of bodies with what they become: an input of the next turn, or an output of the node."""
    bodies = list(bodies_of(node))
    if node.op_type == "If":
        for body in bodies:
            yield from zip(body.outputs, node.outputs, strict=False)
    elif node.op_type == "Loop" and bodies:
        body = bodies[0]
        yield from zip(body.outputs[1:], node.outputs, strict=False)
        yield from zip(body.outputs[1:], body.inputs[2:], strict=False)
    elif node.op_type == "Scan" and bodies:
        body, states = bodies[0], len(bodies[0].inputs) - _scanned(node)
        yield from zip(body.outputs, node.outputs, strict=False)
        yield from zip(body.outputs[:states], body.inputs[:states], strict=False)


def _body(node: ir.Node) -> ir.Graph:
    return next(bodies_of(node))


def _scanned(node: ir.Node) -> int:
    attributes: Mapping[str, ir.Attr] = node.attributes
    return int(attributes["num_scan_inputs"].value)
