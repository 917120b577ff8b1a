"""What the weights of a model are called in a framework, and how its values are made of them.

Which tensors are weights is decided in :mod:`onnx_n2n.export.trained`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.export.choice import Decision
from onnx_n2n.export.trained import Decider
from onnx_n2n.layouts import SAME, Layout
from onnx_n2n.origins import NORMS, Origin, Origins, Source, Use

ROLES = NORMS["BatchNormalization"]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the framework.

    Attributes:
        name: Its dotted name.
        array: Its values, as the framework has them.
        trained: Whether it is a parameter; else a buffer.
        source: Where its name comes from.
        initializers: Names of the initializers that it is in.
        because: Why it is a parameter or a buffer, for people.
        guess: Whether that is a guess.
    """

    name: str
    array: np.ndarray
    trained: bool
    source: Source
    initializers: tuple[str, ...]
    because: str = ""
    guess: bool = False


@dataclass(frozen=True)
class Weight:
    """A value of the graph, made of the framework's tensors.

    Attributes:
        parts: Names of the tensors.
        layout: How it is made of them.
        initializer: Name of the initializer that it is in the file.
    """

    parts: tuple[str, ...]
    layout: Layout
    initializer: str


class Weights:
    """The weights of a model, as they are found and named."""

    def __init__(self, origins: Origins, decider: Decider) -> None:
        self._origins, self._decider = origins, decider
        self._held: dict[ir.Value, tuple[ir.TensorProtocol, Decision]] = {}
        self._keys: dict[tuple[ir.Value, tuple[str, ...]], str] = {}
        self._tied: dict[str, str] = {}
        self.tensors: dict[str, Tensor] = {}
        self.weights: dict[str, Weight] = {}

    def take(self, value: ir.Value, tensor: ir.TensorProtocol) -> Decision:
        """Decide over a tensor, and keep it unless it is a constant."""
        decision = self._decider.of(value, tensor, path(str(value.name)))
        if decision.kind != "constant":
            self._held[value] = (tensor, decision)
        return decision

    def merged(self, value: ir.Value | None) -> ir.TensorProtocol | None:
        """Return the vector that a value is, if it is a weight.

        Where vectors are equal, the TorchScript exporter keeps one and writes the others as its Identity. They were
        scales and biases of different layers, and become that again; equal matrices were tied, and stay so.
        """
        tensor = self._held[value][0] if value in self._held else None
        return tensor if tensor is not None and len(tensor.shape) < 2 else None

    def holds(self, value: ir.Value) -> bool:
        """Say whether a value is a weight."""
        return value in self._held

    def use(self, value: ir.Value, use: Use | None) -> str:
        """Return the name of the value that a weight is for a node: merged weights are several."""
        tensor, decision = self._held[value]
        origin = self._origin(value, use)
        if use is not None and use[0].op_type == "BatchNormalization":
            origin = self._normalisation(use[0], use[1], origin)
        if origin.tied:  # under a name for each place, so that both can be told apart once they differ
            self._tied |= {origin.names[0]: origin.tied, origin.tied: origin.names[0]}
            origin = replace(origin, names=(origin.tied,))
        decision = self._decider.for_use(decision, use, origin.names[0])
        if (value, origin.names) not in self._keys:
            arrays = origin.layout.unpack(tensor.numpy())
            parts = tuple(
                self._put(name, array, decision, origin.source, str(value.name))
                for name, array in zip(origin.names, arrays, strict=True)
            )
            key = f"weight:{len(self.weights)}:{parts[0]}"
            self.weights[key] = Weight(parts, origin.layout, str(value.name))
            self._keys[value, origin.names] = key
        return self._keys[value, origin.names]

    def _origin(self, value: ir.Value, use: Use | None) -> Origin:
        """Return the names of a weight; its own as a path of identifiers, if nothing else is known."""
        found = self._origins.of(value, use) if use is not None else None
        if found is not None and found.source != "name":
            return found
        return Origin((path(found.names[0] if found is not None else str(value.name)),), SAME, "", "name")

    def _put(self, name: str, array: np.ndarray, decision: Decision, source: Source, initializer: str) -> str:
        """Register a tensor; one of the same name, or one tied to it, with the same values is the same tensor."""
        wish, number = name, 1
        if self._same(self._tied.get(name, ""), array):
            name = self._tied[name]
        while (there := self.tensors.get(name)) is not None or self._blocked(name):
            if there is not None and self._same(name, array):
                self.tensors[name] = replace(there, initializers=(*there.initializers, initializer))
                return name
            number += 1
            name = f"{wish}_{number}"
        found = self._decider.chosen(decision, (initializer, wish, name))
        trained = found.kind == "trained"
        self.tensors[name] = Tensor(name, array, trained, source, (initializer,), found.because, found.guess)
        return name

    def _same(self, name: str, array: np.ndarray) -> bool:
        return name in self.tensors and np.array_equal(self.tensors[name].array, array)

    def _blocked(self, name: str) -> bool:
        """Say whether a name is a module of other tensors, or one of its modules is a tensor."""
        parts = name.split(".")
        inside = any(".".join(parts[:k]) in self.tensors for k in range(1, len(parts)))
        return inside or any(other.startswith(name + ".") for other in self.tensors)

    def _normalisation(self, node: ir.Node, slot: int, origin: Origin) -> Origin:
        """Give the four tensors of a BatchNormalization the names that a module of it has."""
        names = [self._origin(value, (node, k)).names[0] for k, value in enumerate(node.inputs) if k and value]
        where = _common_parent(names)
        if names == [f"{where}.{role}" for role in ROLES.values()]:
            return origin
        if not where or any(name.startswith(where + ".") for name in self._others(node)):
            where = path(node.name or str(node.outputs[0].name)) + ".batch_norm"
        return replace(origin, names=(f"{where}.{ROLES[slot]}",), layout=SAME)

    def _others(self, node: ir.Node) -> list[str]:
        """Return the names of the weights that a node does not use."""
        return [path(str(value.name)) for value in self._held if value not in node.inputs]


def path(name: str) -> str:
    """Return a name as a path of identifiers: ``dense_1.kernel_0`` for ``dense_1/kernel:0``."""
    parts = [re.sub(r"\W+", "_", part).strip("_") for part in re.split(r"[./]", name.replace("::", "__"))]
    return ".".join(part for part in parts if part) or "weight"


def _common_parent(names: Iterable[str]) -> str:
    """Return the module that all of these belong to, or an empty text."""
    parents = {name.rpartition(".")[0] for name in names}
    return parents.pop() if len(parents) == 1 else ""
