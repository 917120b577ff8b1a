"""What the weights of a model are called in a framework, and how its values are made of them.

Which tensors are weights is decided in :mod:`onnx_n2n.export.trained`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.export.choice import Decision
from onnx_n2n.export.names import legal, path
from onnx_n2n.export.program import Tensor, Weight
from onnx_n2n.export.trained import Decider
from onnx_n2n.graph.uses import Use
from onnx_n2n.record.layouts import SAME
from onnx_n2n.record.provenance import NORMS, Origin, Origins, Source

ROLES = NORMS["BatchNormalization"]
TAKEN = frozenset({*ROLES.values(), "affine", "eps", "momentum", "num_batches_tracked", "num_features"}) | {
    "track_running_stats"
}
"""What PyTorch's module of it has itself."""


class Weights:
    """The weights of a model, as they are found and named.

    Args:
        origins: What is known of them.
        decider: Says which are parameters.
        taken: Names of values that are taken; those of weights are put there.
    """

    def __init__(self, origins: Origins, decider: Decider, taken: set[str]) -> None:
        self._origins, self._decider, self._taken = origins, decider, taken
        self._held: dict[ir.Value, tuple[ir.TensorProtocol, Decision]] = {}
        self._keys: dict[tuple[ir.Value, tuple[str, ...]], str] = {}
        self._tied: dict[str, str] = {}
        self._norms: dict[str, Sequence[ir.Value | None]] = {}
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
            while key in self._taken:
                key += ":"
            self._taken.add(key)
            self.weights[key] = Weight(parts, origin.layout, str(value.name))
            self._keys[value, origin.names] = key
        return self._keys[value, origin.names]

    def named(self) -> tuple[dict[str, Tensor], dict[str, Weight]]:
        """Return the tensors, and how values are made of them, by the names that a framework can take."""
        names = legal(self.tensors)
        tensors = {names[name]: self._chosen(tensor, names[name]) for name, tensor in self.tensors.items()}
        weights = {
            key: replace(weight, parts=tuple(names[part] for part in weight.parts))
            for key, weight in self.weights.items()
        }
        return tensors, weights

    def _chosen(self, tensor: Tensor, name: str) -> Tensor:
        """Return a tensor by its final name, as the user wants it."""
        decision = Decision("trained" if tensor.trained else "state", tensor.because, tensor.guess)
        found = self._decider.chosen(decision, (*tensor.initializers, tensor.name, name))
        return replace(tensor, name=name, trained=found.kind == "trained", because=found.because, guess=found.guess)

    def _origin(self, value: ir.Value, use: Use | None) -> Origin:
        """Return the names of a weight; its own in the file, if nothing else is known."""
        found = self._origins.of(value, use) if use is not None else None
        if found is not None and found.source != "name":
            return found
        return Origin((found.names[0] if found is not None else str(value.name),), SAME, "", "name")

    def _put(self, name: str, array: np.ndarray, decision: Decision, source: Source, initializer: str) -> str:
        """Register a tensor; one of the same name, or one tied to it, with the same values is the same tensor."""
        wish, number = name, 1
        if self._same(self._tied.get(name, ""), array):
            name = self._tied[name]
        while (there := self.tensors.get(name)) is not None:
            if self._same(name, array):
                self.tensors[name] = replace(there, initializers=(*there.initializers, initializer))
                return name
            number += 1
            name = f"{wish}_{number}"
        trained = decision.kind == "trained"
        self.tensors[name] = Tensor(name, array, trained, source, (initializer,), decision.because, decision.guess)
        return name

    def _same(self, name: str, array: np.ndarray) -> bool:
        return name in self.tensors and np.array_equal(self.tensors[name].array, array)

    def _normalisation(self, node: ir.Node, slot: int, origin: Origin) -> Origin:
        """Give the four tensors of a BatchNormalization the names that a module of it has."""
        names = [self._origin(value, (node, k)).names[0] for k, value in enumerate(node.inputs) if k and value]
        where, others = _common_parent(names), self._others(node)
        if names == [f"{where}.{role}" for role in ROLES.values()] and not _inside(where, others) & TAKEN:
            return origin
        where = _common_parent(map(path, names))
        if not where or _inside(where, others):
            where = path(node.name or str(node.outputs[0].name)) + ".batch_norm"
        wish, number = where, 1
        while self._norms.setdefault(where, node.inputs[1:5]) != node.inputs[1:5] or _inside(where, others):
            number += 1
            where = f"{wish}_{number}"
        return replace(origin, names=(f"{where}.{ROLES[slot]}",), layout=SAME)

    def _others(self, node: ir.Node) -> list[str]:
        """Return the names of the weights that a node does not use."""
        return [path(str(value.name)) for value in self._held if value not in node.inputs]


def _inside(module: str, names: Iterable[str]) -> set[str]:
    """Return what tensors of some names would be in a module: its attributes."""
    return {name[len(module) + 1 :].partition(".")[0] for name in names if name.startswith(module + ".")}


def _common_parent(names: Iterable[str]) -> str:
    """Return the module that all of these belong to, or an empty text."""
    parents = {name.rpartition(".")[0] for name in names}
    return parents.pop() if len(parents) == 1 else ""
