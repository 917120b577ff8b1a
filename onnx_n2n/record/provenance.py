"""Which parameters of a training framework the weights of a model were, and how they lie there.

What exporters leave behind is tried in the order of trust. The torch.export exporter writes which placeholders of its
graph are parameters and buffers, under which names (``graph_signature``), and for every node the operation it came from
(``fx_node``), which tells what an anonymous weight is: ``val_17`` beside ``aten.linear(%x, %p_fc_weight)`` is
``fc.weight``, transposed. The TorchScript exporter writes the path of modules into node names: ``onnx::MatMul_12`` of
``/blocks.0/fc/MatMul`` is ``blocks.0.fc.weight``, transposed. Else a name that no exporter made up is the parameter's
own. Nothing is guessed from values here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import GrowthError
from onnx_n2n.graph.constants import FLOATS, constants_of, uniform
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.uses import Use
from onnx_n2n.record.layouts import (
    EVEN,
    GATES,
    SAME,
    TRANSPOSED,
    Biases,
    ChannelLayout,
    Gates,
    Layout,
    Permuted,
)

Source = Literal["metadata", "node", "name", "values", "content", "user"]

SIGNATURE = re.compile(r"^(\w+): (PARAMETER|BUFFER|CONSTANT_TENSOR) target='([^']*)'( persistent=False)?", re.MULTILINE)
PLACEHOLDER = re.compile(r"%(\w+)")
OPERATION = re.compile(r"target=torch\.ops\.aten\.(\w+)")
NESTED = re.compile(r"\[[^\[\]]*\]|\([^()]*\)")
QUOTED = re.compile(r"'([^']*)'")
ANONYMOUS = re.compile(r"^onnx::|^val_\d+$|^_v_\d+$|^_val_\d+$|^const(ant)?_|^\d+$")

# The parameters of a module, by the slot of the node that it becomes.
LAYERS = {operator: {1: "weight", 2: "bias"} for operator in ("Conv", "ConvTranspose", "Gemm", "MatMul")}
NORMS = {
    operator: {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"}
    for operator in (
        "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "RMSNormalization",
    )
}  # fmt: skip
ROLES: Mapping[str, Mapping[int, str]] = {**LAYERS, **NORMS, "PRelu": {1: "weight"}}

# Which argument of an operation of PyTorch an operand is, by the operation and the node that it becomes a part of.
OPERANDS: Mapping[tuple[str, str], int] = {
    ("linear", "MatMul"): 1, ("linear", "Add"): 2, ("group_norm", "Mul"): 2, ("group_norm", "Add"): 3,
    ("prelu", "PRelu"): 1,
}  # fmt: skip
VECTORS = frozenset({"group_norm", "prelu"})  # whose parameters are vectors, however many axes an operand has


@dataclass(frozen=True)
class Origin:
    """The parameters that a weight is made of, for one of the nodes that read it.

    Attributes:
        names: The parameters.
        layout: How they lie in the weight.
        node: The node; a merged weight serves several.
        source: Where that is known from: ``metadata``, ``node`` (its name), ``name`` (of the weight); ``content`` (the
            weight is equal to a parameter of a checkpoint), ``user``; or, of weights of one number throughout,
            ``values``.
        tied: Another name of the same parameter, which its framework used in two places; of a weight that is known by
            its own name only, a name that it may have.
    """

    names: tuple[str, ...]
    layout: Layout
    node: str
    source: Source
    tied: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the origin as JSON-ready values."""
        document = {"names": list(self.names), "layout": str(self.layout), "node": self.node, "source": self.source}
        return document | ({"tied": self.tied} if self.tied else {})

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Origin:
        """Read what :meth:`to_json` gives.

        Raises:
            ValueError: If the layout or the source is none, or it takes another number of parameters.
        """
        layout, names, source = Layout.read(document["layout"]), tuple(document["names"]), document["source"]
        axes = [each for group in layout.joined for each in group]
        if sorted(axis for axis, _ in axes) != list(range(len(axes))) or any(length == 0 for _, length in axes):
            raise ValueError(f"{str(layout)!r} does not name each axis of a parameter once")
        if len(names) not in layout.counts:
            raise ValueError(f"{len(names)} parameters cannot lie as {str(layout)!r}")
        if document.get("tied") and len(names) != 1:
            raise ValueError(f"{len(names)} parameters are tied to one")
        if source not in get_args(Source):
            raise ValueError(f"there is no source {source[:60]!r}")
        return cls(names, layout, document["node"], source, document.get("tied", ""))


def unpacked(origin: Origin, weight: np.ndarray) -> list[np.ndarray]:
    """Return the parameters that lie in a weight.

    Raises:
        GrowthError: If so many cannot, or not so.
    """
    try:
        found = origin.layout.unpack(weight)
    except (IndexError, ValueError, ZeroDivisionError):  # numpy's words for axes and lengths that are not there
        found = []
    if len(found) != max(len(origin.names), 1):
        reason = f"{', '.join(map(repr, origin.names))} cannot be packed into a weight as {origin.layout}"
        raise GrowthError(reason, node=origin.node, shapes=str(list(weight.shape)))
    return found


def origins(model: ir.Model) -> dict[str, tuple[Origin, ...]]:
    """Return what is known of every weight of a model's main graph, by its name."""
    known = Origins(model)
    found: dict[str, list[Origin]] = {}
    weights = set(model.graph.initializers.values())
    for node in model.graph.all_nodes():
        for slot, value in enumerate(node.inputs):
            if value in weights and (origin := known.of(value, (node, slot))) is not None:
                found.setdefault(str(value.name), []).append(origin)
        for value, origin in known.folded(node):
            found.setdefault(str(value.name), []).append(origin)
    for value, tensor in constants_of(model.graph):
        if not found.get(str(value.name)) and tensor.dtype in FLOATS and uniform(tensor.numpy()):
            found[str(value.name)] = [Origin((), EVEN, "", "values")]
    return {weight: tuple(dict.fromkeys(entries)) for weight, entries in found.items() if entries}


class Origins:
    """What is known of the weights of a model.

    Attributes:
        kinds: ``PARAMETER``, ``BUFFER`` or ``CONSTANT_TENSOR``, by the framework's names; empty if nothing says so.
    """

    def __init__(self, model: ir.Model) -> None:
        self._placeholders: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        signature = _metadata(model.graph.metadata_props, "graph_signature")
        for placeholder, kind, target, unsaved in SIGNATURE.findall(signature):
            self._placeholders[placeholder] = target
            self.kinds[target] = "CONSTANT_TENSOR" if unsaved else kind  # a buffer that no checkpoint has
        nodes = list(model.graph.all_nodes())
        named = {name for node in nodes for name in self.arguments(node)}
        self._unread = {name for name, kind in self.kinds.items() if kind == "PARAMETER" and name not in named}
        self._layers: Counter[str] = Counter()  # how many layers of a recurrent module have been met
        self._cells = {use: origin for node in nodes for use, origin in self._of_cell(node)}

    def arguments(self, node: ir.Node) -> list[str]:
        """Return the weights of the operation that a node came from, in order."""
        found = PLACEHOLDER.findall(_metadata(node.metadata_props, "fx_node").partition("(args")[2])
        return list(dict.fromkeys(self._placeholders[name] for name in found if name in self._placeholders))

    def of(self, value: ir.Value, use: Use) -> Origin | None:
        """Return what a weight is made of for a node that reads it at a slot; None if nothing is known."""
        name, (node, slot) = str(value.name), use
        if use in self._cells:
            return self._cells[use]
        told = self._told(value, node, slot) or self._walked(value, node, slot)
        if told is not None:
            return replace(told, tied=self._tied(node, told.names[0])) if told.names[0] in self.kinds else told
        if name in self.kinds:
            return Origin((name,), SAME, str(node.name), "metadata", self._tied(node, name))
        if self.kinds or ANONYMOUS.match(name):  # what the signature does not list is no parameter, or was computed
            return None
        return self._copied(node) or Origin((name,), SAME, str(node.name), "name", _elsewhere(node, name))

    def folded(self, node: ir.Node) -> Iterator[tuple[ir.Value, Origin]]:
        """Yield the parameters of norms that were folded into a layer, with the weights whose channels they have."""
        if node.op_type not in LAYERS:
            return
        module = self._module(node)
        for name in self.arguments(node):
            if name.rpartition(".")[0] != module:
                for value, axis in zip(node.inputs[1:3], (outputs(node), 0), strict=False):
                    if value is not None and value.const_value is not None:
                        yield value, Origin((name,), ChannelLayout(axis), str(node.name), "metadata")

    def _module(self, node: ir.Node) -> str:
        """Return the module of a layer: that of its weight, or of the first of its arguments."""
        weight = str(node.inputs[1].name) if len(node.inputs) > 1 and node.inputs[1] is not None else ""
        arguments = [weight] if weight in self.kinds else self.arguments(node)
        return arguments[0].rpartition(".")[0] if arguments else ""

    def _told(self, value: ir.Value, node: ir.Node, slot: int) -> Origin | None:
        """Read the metadata of a node."""
        if node.op_type == "InstanceNormalization" and _operation(node) == "group_norm":
            return None  # it has ones and zeros, and the weights come behind it
        arguments, name, role = self.arguments(node), str(value.name), ROLES.get(node.op_type, {}).get(slot)
        rewritten = any(key.endswith("rule_name") for key in node.metadata_props)  # its arguments are those of a norm
        # Ones may be the scale and the variance of one norm, and of others.
        own_place = node.op_type not in NORMS or role == name.rpartition(".")[2]
        if not arguments or (name in arguments and own_place) or (rewritten and name in self.kinds):
            return None
        if name in self.kinds or node.op_type in NORMS:  # equal weights are merged: this node had another one
            others = {str(each.name) for each in node.inputs if each is not None and each is not value}
            last = role if node.op_type in NORMS else name.rpartition(".")[2]
            found = [each for each in arguments if each not in others and each.rpartition(".")[2] == last]
        else:
            own = f"{self._module(node)}.{role}".lstrip(".")
            found = [own] if role is not None and own in (self.kinds if rewritten else arguments) else []
        operation = _operation(node)
        if not found and not rewritten and name not in self.kinds:
            found = self._operand(node, operation)
        layout: Layout = TRANSPOSED if node.op_type == "MatMul" and operation == "linear" else SAME
        if operation in VECTORS and node.op_type not in NORMS:
            layout = _vector(value)
        return Origin((found[0],), layout, str(node.name), "metadata") if len(found) == 1 else None

    def _operand(self, node: ir.Node, operation: str) -> list[str]:
        """Return the argument of an operation that a node has as its own: anonymous, since it was computed from it."""
        position = OPERANDS.get((operation, node.op_type), -1)
        text = _metadata(node.metadata_props, "fx_node").partition("(args = (")[2].partition("), kwargs")[0]
        while NESTED.search(text):
            text = NESTED.sub("", text)
        given = text.split(", ")
        placeholder = given[position].removeprefix("%") if 0 <= position < len(given) else ""
        return [self._placeholders[placeholder]] if placeholder in self._placeholders else []

    def _tied(self, node: ir.Node, name: str) -> str:
        """Return the parameter of a node's own module, if it reads one of the same kind of another module instead.

        Of tied parameters torch.export names one, wherever they are read.
        """
        modules = QUOTED.findall(_metadata(node.metadata_props, "name_scopes"))
        last = name.rpartition(".")[2]
        return next((own for module in modules[::-1] if (own := f"{module}.{last}") in self._unread), "")

    def _walked(self, value: ir.Value, node: ir.Node, slot: int) -> Origin | None:
        """Read the path of modules in a node's name."""
        where, role = module_path(node), ROLES.get(node.op_type, {}).get(slot)
        if not where or role is None or self.kinds:
            return None
        merged = node.op_type in NORMS and len({use.node for use in value.uses()}) > 1 and not _at_home(value, node)
        if not merged and not ANONYMOUS.match(str(value.name)):
            return None
        own = _beside(node, where) or f"{where}.{role}"
        layout = TRANSPOSED if node.op_type == "MatMul" else _vector(value) if node.op_type == "PRelu" else SAME
        return Origin((own,), layout, str(node.name), "node")

    def _copied(self, node: ir.Node) -> Origin | None:
        """Read the name that a weight has behind an Identity: TorchScript keeps one of several equal ones."""
        name = str(node.outputs[0].name)
        if node.op_type != "Identity" or ANONYMOUS.match(name):
            return None
        return Origin((name,), SAME, str(node.name), "name")

    def _of_cell(self, node: ir.Node) -> Iterator[tuple[Use, Origin]]:
        """Name the packed weights of a recurrent cell."""
        if node.op_type not in GATES or plain(node.domain):
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
        for slot, stems in ((1, ["weight_ih"]), (2, ["weight_hh"]), (3, ["bias_ih", "bias_hh"])):
            if slot < len(node.inputs) and node.inputs[slot] is not None:
                names = tuple(f"{where}{stem}_l{layer}{end}" for end in directions for stem in stems)
                layout = (Biases if len(stems) > 1 else Gates)(node.op_type)
                yield (node, slot), Origin(names, layout, str(node.name), source)


def _at_home(value: ir.Value, node: ir.Node) -> bool:
    """Say whether a weight that several nodes read has its name of this one, where all others are of one module."""
    others = [each for each in node.inputs[1:] if each is not None and each is not value and len(each.uses()) == 1]
    modules = {str(each.name).rpartition(".")[0] for each in (value, *others)}
    return bool(others) and len(modules) == 1 and "" not in modules


def _beside(node: ir.Node, where: str) -> str:
    """Return the name of a weight that goes with a bias that is added: ``attn.in_proj_weight`` of ``in_proj_bias``."""
    uses = list(node.outputs[0].uses()) if node.op_type == "MatMul" else []
    if len(uses) != 1 or uses[0].node.op_type != "Add":
        return ""
    values = [value for value in uses[0].node.inputs if value is not None]
    makers = [value.producer() for value in values]  # an Identity copies one of several equal biases
    stored = [value for value, node in zip(values, makers, strict=True) if node is None or node.op_type == "Identity"]
    names = [str(value.name).rpartition(".")[2] for value in stored]
    found = [name for name in names if name.endswith("bias") and module_path(uses[0].node) == where]
    return f"{where}.{found[0].removesuffix('bias')}weight" if found else ""


def _elsewhere(node: ir.Node, name: str) -> str:
    """Return what a parameter is called in the module that reads it, if that may have been given another module's.

    TorchScript keeps one name of tied parameters. That there is another one, only a checkpoint can tell.
    """
    where, (module, _, last) = module_path(node), name.rpartition(".")
    tied = where and module and not f"{module}.".startswith(f"{where}.") and not f"{where}.".startswith(f"{module}.")
    return f"{where}.{last}" if tied else ""


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


def _vector(value: ir.Value) -> Layout:
    """Return how a vector lies in a weight that has axes of length one around it, so that it broadcasts."""
    lengths = [int(length) for length in value.shape or () if isinstance(length, int)]
    if len(lengths) < 2:
        return SAME
    at = next((place for place, length in enumerate(lengths) if length != 1), 0)
    return Permuted(f"{'-' * at}0{'-' * (len(lengths) - at - 1)}")


def outputs(node: ir.Node) -> int:
    """Return which axis of a layer's weight has the channels that it makes."""
    if node.op_type == "MatMul":
        return 1
    if node.op_type == "Gemm":
        transposed = node.attributes.get("transB")
        return 0 if transposed is not None and transposed.value else 1
    return 1 if node.op_type == "ConvTranspose" else 0


def _operation(node: ir.Node) -> str:
    """Return the operation of PyTorch that a node came from: ``linear``."""
    found = OPERATION.search(_metadata(node.metadata_props, "fx_node"))
    return found.group(1) if found else ""


def _metadata(properties: Mapping[str, str], ending: str) -> str:
    return next((value for key, value in properties.items() if key.endswith(ending)), "")
