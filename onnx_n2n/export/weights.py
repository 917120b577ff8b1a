"""Which tensors of a model are trained, which go with it, and which never change; and what they are called.

A parameter is what gradients reach in training. A buffer changes too, or was one in the framework: the statistics of
BatchNormalization. Everything else is a constant: whole numbers, masks, tables, the numbers in formulas. Where the
exporter says what was a parameter, that holds; else it is read off how a tensor is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.constants import FLOATS
from onnx_n2n.export.names import legal, path
from onnx_n2n.layouts import SAME, Layout
from onnx_n2n.origins import NORMS, Origin, Origins, Source, Use

# Slots that hold weights, whatever they look like.
SLOTS: Mapping[str, frozenset[int]] = {
    "BatchNormalization": frozenset({1, 2, 3, 4}),
    "Conv": frozenset({1, 2}),
    "ConvTranspose": frozenset({1, 2}),
    "Einsum": frozenset({0, 1, 2}),
    "GRU": frozenset({1, 2, 3}),
    "Gemm": frozenset({0, 1, 2}),
    "GroupNormalization": frozenset({1, 2}),
    "InstanceNormalization": frozenset({1, 2}),
    "LSTM": frozenset({1, 2, 3, 7}),
    "LayerNormalization": frozenset({1, 2}),
    "MatMul": frozenset({0, 1}),
    "PRelu": frozenset({1}),
    "RMSNormalization": frozenset({1}),
    "RNN": frozenset({1, 2, 3}),
    "com.microsoft.Attention": frozenset({1, 2}),
    "com.microsoft.BiasGelu": frozenset({1}),
    "com.microsoft.EmbedLayerNormalization": frozenset({2, 3, 4, 5, 6}),
    "com.microsoft.FastGelu": frozenset({1}),
    "com.microsoft.FusedConv": frozenset({1, 2}),
    "com.microsoft.FusedGemm": frozenset({0, 1, 2}),
    "com.microsoft.FusedMatMul": frozenset({0, 1}),
    "com.microsoft.MultiHeadAttention": frozenset({3}),
    "com.microsoft.SkipLayerNormalization": frozenset({2, 3, 4}),
    "com.microsoft.SkipSimplifiedLayerNormalization": frozenset({2, 3}),
}

# Operators that pass a weight on: what uses their output counts.
PASSED = frozenset({"Cast", "Concat", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})

# Operators whose floating-point operands are weights if they are more than one number.
ARITHMETIC = frozenset({"Add", "Div", "Gather", "Mul", "Sub", "Sum", "Expand"})

# Operators that exporters give tensors of one number: states of zeros, the norm of one group that has no weights.
FILLED = frozenset({"Expand", "InstanceNormalization", "Slice"})

STATISTICS = frozenset({3, 4})  # slots of BatchNormalization
MASK = 1e4  # what a mask adds is larger than any weight
ROLES = NORMS["BatchNormalization"]
TAKEN = frozenset({*ROLES.values(), "affine", "eps", "momentum", "num_batches_tracked", "num_features"}) | {
    "track_running_stats"
}
"""What PyTorch's module of it has itself."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the framework.

    Attributes:
        name: Its dotted name.
        array: Its values, as the framework has them.
        trained: Whether it is a parameter; else a buffer.
        source: Where its name comes from.
        initializers: Names of the initializers that it is in.
    """

    name: str
    array: np.ndarray
    trained: bool
    source: Source
    initializers: tuple[str, ...]


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
    """The weights of a model, as they are found and named.

    Args:
        origins: What is known of them.
        taken: Names of values that are taken; those of weights are put there.
    """

    def __init__(self, origins: Origins, taken: set[str]) -> None:
        self._origins, self._taken = origins, taken
        self._held: dict[ir.Value, tuple[ir.TensorProtocol, bool]] = {}
        self._keys: dict[tuple[ir.Value, tuple[str, ...]], str] = {}
        self._tied: dict[str, str] = {}
        self._norms: dict[str, Sequence[ir.Value | None]] = {}
        self.tensors: dict[str, Tensor] = {}
        self.weights: dict[str, Weight] = {}

    def take(self, value: ir.Value, tensor: ir.TensorProtocol) -> bool:
        """Keep a tensor if it is a weight, and say whether it is."""
        trained = self._trained(value, tensor)
        if trained is not None:
            self._held[value] = (tensor, trained)
        return trained is not None

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
        tensor, trained = self._held[value]
        origin = self._origin(value, use)
        if use is not None and use[0].op_type == "BatchNormalization":
            origin = self._normalisation(use[0], use[1], origin)
        if origin.tied:  # under a name for each place, so that both can be told apart once they differ
            self._tied |= {origin.names[0]: origin.tied, origin.tied: origin.names[0]}
            origin = replace(origin, names=(origin.tied,))
        trained = self._trained_in(use, origin.names[0], trained)
        if (value, origin.names) not in self._keys:
            arrays = origin.layout.unpack(tensor.numpy())
            parts = tuple(
                self._put(name, array, trained, origin.source, str(value.name))
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
        tensors = {names[name]: replace(tensor, name=names[name]) for name, tensor in self.tensors.items()}
        weights = {
            key: replace(weight, parts=tuple(names[part] for part in weight.parts))
            for key, weight in self.weights.items()
        }
        return tensors, weights

    def _origin(self, value: ir.Value, use: Use | None) -> Origin:
        """Return the names of a weight; its own in the file, if nothing else is known."""
        found = self._origins.of(value, use) if use is not None else None
        if found is not None and found.source != "name":
            return found
        return Origin((found.names[0] if found is not None else str(value.name),), SAME, "", "name")

    def _put(self, name: str, array: np.ndarray, trained: bool, source: Source, initializer: str) -> str:
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
        self.tensors[name] = Tensor(name, array, trained, source, (initializer,))
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

    def _trained_in(self, use: Use | None, name: str, trained: bool) -> bool:
        """Say whether a tensor is a parameter for one of its uses: ones may be scales and variances."""
        kind = self._origins.kinds.get(name)
        if kind is not None:
            return kind == "PARAMETER"
        if use is None or self._origins.kinds:
            return trained
        node, slot = use
        if node.op_type == "BatchNormalization":
            return slot not in STATISTICS
        return trained or slot in SLOTS.get(_operator(node), frozenset())

    def _trained(self, value: ir.Value, tensor: ir.TensorProtocol) -> bool | None:
        """Say whether a tensor is a parameter (true), a buffer (false), or neither."""
        if tensor.dtype not in FLOATS:
            return None
        kind = self._origins.kinds.get(str(value.name))
        if kind is not None:
            return {"PARAMETER": True, "BUFFER": False}.get(kind)
        operators = {node.op_type for node, _ in value.uses()}
        made = value.producer() is not None or bool(self._origins.kinds)  # a parameter is an initializer, by its name
        if made and operators and operators <= FILLED and _even(tensor):
            return None
        uses = list(_uses(value))
        if any(node.op_type == "BatchNormalization" and slot in STATISTICS for node, slot in uses):
            return False
        if any(slot in SLOTS.get(_operator(node), frozenset()) for node, slot in uses):
            return True
        if tensor.size <= 1 or not any(node.op_type in ARITHMETIC for node, _ in uses):
            return None
        if self._origins.kinds:  # the exporter has named the parameters; others may be a part of one
            told = {name for node, _ in uses for name in self._origins.arguments(node)}
            return True if any(self._origins.kinds[name] == "PARAMETER" for name in told) else None
        array = tensor.numpy().astype(np.float64)
        return True if np.isfinite(array).all() and np.abs(array).max(initial=0.0) < MASK else None


def _even(tensor: ir.TensorProtocol) -> bool:
    array = tensor.numpy()
    return bool(np.all(array == array.flat[0])) if array.size else True


def _operator(node: ir.Node) -> str:
    return node.op_type if node.domain in {"", "ai.onnx"} else f"{node.domain}.{node.op_type}"


def _uses(value: ir.Value, depth: int = 8) -> list[Use]:
    """Return where a value is used, also behind what passes it on."""
    found: list[Use] = []
    for node, slot in value.uses():
        found.append((node, slot))
        if node.op_type in PASSED and depth:
            found += [use for output in node.outputs for use in _uses(output, depth - 1)]
    return found


def _inside(module: str, names: Iterable[str]) -> set[str]:
    """Return what tensors of some names would be in a module: its attributes."""
    return {name[len(module) + 1 :].partition(".")[0] for name in names if name.startswith(module + ".")}


def _common_parent(names: Iterable[str]) -> str:
    """Return the module that all of these belong to, or an empty text."""
    parents = {name.rpartition(".")[0] for name in names}
    return parents.pop() if len(parents) == 1 else ""
