"""Putting new nodes behind a tensor, so that whatever read the tensor reads what they make of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.groups import layer_name
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.names import Names
from onnx_n2n.graph.passthrough import stored
from onnx_n2n.record.forms import Form

LAST_PART = re.compile(
    r"([._/:](?:weights?|bias|kernel|gamma|beta|scale|running_\w+|moving_\w+|mean|var))$", re.IGNORECASE
)
MACHINE_MADE = re.compile(r"(onnx::|const|_?val_|_?\d+$|.*::\d+$)", re.IGNORECASE)
MARK = "_deeper"


@dataclass
class Splice:
    """New nodes that stand behind a tensor.

    Attributes:
        names: The names that the model uses.
        origin: The tensor.
        nodes: The new nodes, in order.
        weights: The new weights, each with the name of the weight that it is named after, the nodes that read that with
            their copies, and how it is made (:class:`onnx_n2n.record.steps.New`).
        settings: Numbers of the new nodes that are not those of the nodes that they are like: those, and the new ones.
        forms: What new weights are before they are rounded, by name.
    """

    names: Names
    origin: ir.Value
    nodes: list[ir.Node] = field(default_factory=list)
    weights: dict[ir.Value, tuple[str, list[tuple[ir.Node, ir.Node]], str]] = field(default_factory=dict)
    settings: dict[str, tuple[float | None, float]] = field(default_factory=dict)
    forms: dict[str, Form] = field(default_factory=dict)

    def node(
        self,
        like: ir.Node,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: Sequence[ir.Attr] = (),
        *,
        made: ir.Value | None = None,
        word: str = "",
        outputs: int = 1,
    ) -> ir.Value:
        """Add a node named after ``like``, and return what it makes: a tensor of the type and shape of ``made``.

        Of several ``outputs`` that is the last one, and the others are left out.
        """
        made = made or self.origin
        name = f"{layer_name(like).split(' ')[0]}{MARK}{word and '_'}{word}"
        node = ir.Node(
            like.domain if operator == like.op_type else "", operator, inputs, attributes, name=self.names.node(name),
            num_outputs=outputs,
        )  # fmt: skip
        *others, out = node.outputs
        for each in others:
            each.name = ""
        out.name = self.names.value(f"{made.name}{MARK}")
        out.type, out.shape = made.type, made.shape
        self.nodes.append(node)
        return out

    def parameter(
        self, like: ir.Value | None, word: str, array: np.ndarray, dtype: ir.DataType, near: ir.Value | None = None
    ) -> ir.Value:
        """Add a weight, stored in the type in which ``near`` is, or ``like``, and return what gives it in another one.

        So the weights of a model all have one type, as in files that have 16 bits for numbers that are computed in 32.
        """
        source, moved = stored(like if near is None else near)
        tensor = source.const_value if source is not None else None
        cast = next((node for node in moved if node.op_type == "Cast"), None)
        if cast is None or tensor is None or tensor.dtype not in FLOATS or tensor.dtype == dtype:
            return self.weight(like, word, array, dtype)
        found = self.weight(like, word, array, tensor.dtype)
        out = self.node(cast, "Cast", [found], [ir.AttrInt64("to", dtype)], made=found)
        out.type = ir.TensorType(dtype)
        return out

    def weight(
        self, like: ir.Value | None, word: str, array: np.ndarray, dtype: ir.DataType, made: str = ""
    ) -> ir.Value:
        """Add a weight named after ``like``, or where its name says nothing, after the origin and ``word``."""
        like, _ = stored(like)
        name = str(like.name) if like is not None else ""
        if not name or MACHINE_MADE.match(name):
            wish = f"{self.origin.name}{MARK}.{word}"
        elif LAST_PART.search(name):
            wish = LAST_PART.sub(rf"{MARK}\1", name)
        else:
            wish = f"{name}{MARK}"
        found = self.names.initializer(wish, array.astype(dtype.numpy()))
        self.weights[found] = (name, [], made)
        return found

    def read(self, weight: ir.Value | None, node: ir.Node, copied: ir.Node) -> None:
        """Note that ``copied`` reads a weight as ``node`` reads the one that it is named after."""
        if weight in self.weights:
            self.weights[weight][1].append((node, copied))

    def close(self, result: ir.Value, graph: ir.Graph, order: Mapping[ir.Node, int]) -> None:
        """Insert the nodes behind the origin, and let all who read the origin read ``result``.

        All but those whom the new nodes need: these read the origin, which is the same. ``order`` gives the places of
        the nodes that were there before.
        """
        new, origin = set(self.nodes), self.origin
        needed = self._needed(order)
        producer = origin.producer()
        if producer is None:
            first = next(iter(graph), None)
            if first is None:
                graph.extend(self.nodes)
            else:
                graph.insert_before(first, self.nodes)
        else:
            graph.insert_after(producer, self.nodes)
        for use in list(origin.uses()):
            if use.node not in new and use.node not in needed:
                use.node.replace_input_with(use.idx, result)
        for position, output in enumerate(graph.outputs):
            if output is origin:
                # The name belongs to the interface; what was computed so far gets another one.
                wanted, origin.name = str(origin.name), self.names.value(f"{origin.name}_before")
                result.name = wanted
                result.type, result.shape = origin.type, origin.shape  # what it copies may have none in the file
                result.metadata_props.update(origin.metadata_props)
                graph.outputs[position] = result
        if needed:
            graph.sort()  # some of these stand behind the origin, and so behind the new nodes

    def _needed(self, order: Mapping[ir.Node, int]) -> set[ir.Node]:
        """Return the nodes behind the origin that the new ones read."""
        producer = self.origin.producer()
        first = -1 if producer is None else order.get(producer, -1)
        new, found = set(self.nodes), set[ir.Node]()
        pending = list(_read(self.nodes))
        while pending:
            node = pending.pop().producer()
            if node is None or node in new or node in found or order.get(node, first + 1) <= first:
                continue
            found.add(node)
            pending += _read([node])
        return found


def _read(nodes: Iterable[ir.Node]) -> Iterable[ir.Value]:
    return (value for node in nodes for value in node.inputs if value is not None)
