"""Names for what a pass adds: unique in the whole model, deterministic, and near the names they stand beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.constants import hold
from onnx_n2n.graph.grown import Grown, Make, Parts
from onnx_n2n.graph.subgraphs import nodes_of


class Names:
    """The names that a model uses already, and the ones given out since."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._needs_inputs = model.ir_version < 4  # before IR version 4 every initializer is also a graph input
        self._nodes: set[str] = set()
        self._values: set[str] = set(model.graph.initializers)
        for graph in model.graphs():
            self._values.update(str(value.name) for value in graph.inputs)
            self._values.update(graph.initializers)
        for node in nodes_of(model.graph):
            self._nodes.add(node.name or "")
            self._values.update(str(output.name) for output in node.outputs)

    def node(self, wish: str) -> str:
        """Return ``wish``, with a number if a node has that name."""
        return _unique(wish, self._nodes)

    def value(self, wish: str) -> str:
        """Return ``wish``, with a number if a tensor has that name."""
        return _unique(wish, self._values)

    def register(self, tensor: ir.TensorProtocol) -> ir.Value:
        """Add an initializer whose name has been given out, and return its value."""
        value = ir.Value(
            name=tensor.name, shape=ir.Shape(tensor.shape.numpy()), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self._graph.register_initializer(value)
        if self._needs_inputs:
            self._graph.inputs.append(value)
        return value

    def initializer(self, wish: str, array: np.ndarray) -> ir.Value:
        """Add an initializer with these elements."""
        return self.register(ir.tensor(array, name=self.value(wish)))

    def grown(
        self,
        value: ir.Value,
        like: ir.TensorProtocol,
        shape: Sequence[int],
        make: Make,
        parts: Parts | None = None,
        *,
        replace: bool,
    ) -> ir.Value:
        """Store what becomes of a constant that was ``like``: in its place, or as an initializer named after it."""
        name = str(value.name) if replace else self.value(str(value.name))
        tensor = Grown(make, parts, like, ir.Shape(shape), name)
        if not replace:
            return self.register(tensor)
        hold(value, tensor)
        return value


def _unique(wish: str, taken: set[str]) -> str:
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name)
    return name


def reported(node: ir.Node) -> str:
    """Return the name by which reasons refer to a node: its own, or what it makes."""
    return node.name or f"-> {node.outputs[0].name}"
