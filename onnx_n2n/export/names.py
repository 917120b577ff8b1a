"""The names that weights had in the framework they were trained in, and how sure that is.

Three sources, in order of trust. The torch.export exporter writes which placeholders of its graph are parameters and
buffers, under which names (``graph_signature``), and for every node the operation it came from (``fx_node``), which
tells what an anonymous weight is: ``val_17`` beside ``aten.linear(%x, %p_fc_weight)`` is ``fc.weight``, transposed.
The TorchScript exporter writes the path of modules into node names: ``onnx::MatMul_12`` of ``/blocks.0/fc/MatMul`` is
``blocks.0.fc.weight``, transposed. What is left keeps its own name, as a path of identifiers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from onnx_n2n.export.layouts import GATES, SAME, TRANSPOSED, Layout

Source = Literal["metadata", "node", "own"]
Use = tuple[ir.Node, int]

SIGNATURE = re.compile(r"^(\w+): (PARAMETER|BUFFER|CONSTANT_TENSOR) target='([^']*)'", re.MULTILINE)
PLACEHOLDER = re.compile(r"%(\w+)")
ANONYMOUS = re.compile(r"^onnx::|^val_\d+$|^_v_\d+$|^const(ant)?_|^\d+$")

# What slot of a node is which parameter of a module.
ROLES = {
    "Conv": {1: "weight", 2: "bias"},
    "ConvTranspose": {1: "weight", 2: "bias"},
    "Gemm": {1: "weight", 2: "bias"},
    "MatMul": {1: "weight"},
}


# The same of norms, whose weights are often merged with others: all scales are 1 when training begins.
NORMS = {"BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "RMSNormalization"}
NORM_ROLES = {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"}


@dataclass(frozen=True)
class Origin:
    """Where a weight came from.

    Attributes:
        names: Names of the framework's tensors that it is made of.
        layout: How it is made of them.
        source: Where the names come from.
    """

    names: tuple[str, ...]
    layout: Layout
    source: Source


class Origins:
    """What is known of the weights of a model.

    Attributes:
        kinds: ``PARAMETER``, ``BUFFER`` or ``CONSTANT_TENSOR``, by the framework's names; empty if nothing says so.
    """

    def __init__(self, model: ir.Model) -> None:
        self._placeholders: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        signature = next(
            (text for key, text in model.graph.metadata_props.items() if key.endswith("graph_signature")), ""
        )
        for placeholder, kind, target in SIGNATURE.findall(signature):
            self._placeholders[placeholder] = target
            self.kinds[target] = kind
        self._layers: Counter[str] = Counter()
        self._cells = {use: found for node in model.graph.all_nodes() for use, found in self._of_cell(node)}

    def of(self, value: ir.Value, use: Use | None) -> Origin:
        """Return where a weight came from that is used by a node at a slot; a merged one has several uses."""
        name = str(value.name)
        if use is not None:
            if use in self._cells:
                return self._cells[use]
            found = self._told(value, *use) or self._walked(value, *use)
            if found is not None:
                return found
        return Origin((name if name in self.kinds else path(name),), SAME, "metadata" if name in self.kinds else "own")

    def arguments(self, node: ir.Node) -> list[str]:
        """Return the weights of the operation that a node came from, in order."""
        text = node.metadata_props.get("pkg.torch.onnx.fx_node", "")
        found = PLACEHOLDER.findall(text.partition("(args")[2])
        return list(dict.fromkeys(self._placeholders[name] for name in found if name in self._placeholders))

    def _told(self, value: ir.Value, node: ir.Node, slot: int) -> Origin | None:
        """Read the metadata of a node."""
        if not self.kinds or any(key.endswith("rule_name") for key in node.metadata_props):
            return None  # what a rewrite left is not what the operation got
        arguments, name = self.arguments(node), str(value.name)
        if name in arguments:
            return None
        if name in self.kinds:  # equal weights are merged: this node had another one
            others = {str(each.name) for each in node.inputs if each is not None and each is not value}
            last = name.rpartition(".")[2]
            found = [each for each in arguments if each not in others and each.rpartition(".")[2] == last]
            return Origin((found[0],), SAME, "metadata") if len(found) == 1 and _merged(value) else None
        role = ROLES.get(node.op_type, {}).get(slot)
        found = [each for each in arguments if each.rpartition(".")[2] == role]
        if role is None or len(found) != 1:
            return None
        linear = "linear" in node.metadata_props.get("pkg.torch.onnx.fx_node", "").partition("(args")[0]
        return Origin((found[0],), TRANSPOSED if node.op_type == "MatMul" and linear else SAME, "metadata")

    def _walked(self, value: ir.Value, node: ir.Node, slot: int) -> Origin | None:
        """Read the path of modules in a node's name."""
        where = module_path(node)
        if not where or self.kinds:
            return None
        if node.op_type in NORMS and slot in NORM_ROLES and _merged(value):
            return Origin((f"{where}.{NORM_ROLES[slot]}",), SAME, "node")
        role = ROLES.get(node.op_type, {}).get(slot)
        if role is None or not ANONYMOUS.match(str(value.name)):
            return None
        return Origin((f"{where}.{role}",), TRANSPOSED if node.op_type == "MatMul" else SAME, "node")

    def _of_cell(self, node: ir.Node) -> Iterator[tuple[Use, Origin]]:
        """Name the packed weights of a recurrent cell."""
        if node.op_type not in GATES or node.domain not in {"", "ai.onnx"}:
            return
        arguments = [name for name in self.arguments(node) if "weight_ih_l" in name]
        source: Source = "metadata" if arguments else "node"
        where = arguments[0].rpartition("weight_ih_l")[0] if arguments else module_path(node) + "."
        weights = node.inputs[1]
        shape = weights.shape if weights is not None else None
        if weights is None or shape is None or where == "." or str(weights.name) in self.kinds:
            return
        layer = self._layers[where]
        self._layers[where] += 1
        directions = ["", "_reverse"] if shape[0] == 2 else [""]
        gates = GATES[node.op_type]
        for slot, stems in ((1, ["weight_ih"]), (2, ["weight_hh"]), (3, ["bias_ih", "bias_hh"])):
            if slot < len(node.inputs) and node.inputs[slot] is not None:
                names = tuple(f"{where}{stem}_l{layer}{end}" for end in directions for stem in stems)
                yield (node, slot), Origin(names, Layout(gates=gates, joined=len(stems)), source)


def _merged(value: ir.Value) -> bool:
    return len({use.node for use in value.uses()}) > 1


def module_path(node: ir.Node) -> str:
    """Return the module that the TorchScript exporter made a node for: ``stem.0`` for ``/stem/stem.0/Conv``."""
    name = node.name or ""
    if not name.startswith("/"):
        return ""
    found: list[str] = []
    for part in name.split("/")[1:-1]:
        if found and part.startswith(found[-1] + "."):  # a child of a list is printed with the list's name
            found[-1] = part
        else:
            found.append(part)
    return ".".join(found)


def path(name: str) -> str:
    """Return a name as a path of identifiers: ``dense_1.kernel_0`` for ``dense_1/kernel:0``."""
    parts = [re.sub(r"\W+", "_", part).strip("_") for part in re.split(r"[./]", name.replace("::", "__"))]
    return ".".join(part for part in parts if part) or "weight"


def common_parent(names: Mapping[str, str] | list[str]) -> str:
    """Return the module that all of these belong to, or an empty text."""
    parents = {name.rpartition(".")[0] for name in names}
    return parents.pop() if len(parents) == 1 else ""
