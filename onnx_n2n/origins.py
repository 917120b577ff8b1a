"""Which parameters of a training framework the weights of a model were, and how they lie there.

What exporters leave behind is tried in the order of trust: the names of parameters in the metadata of the torch.export
exporter; the arguments that its nodes name; the paths of modules in the node names of the TorchScript exporter; names
of weights that are paths themselves. Nothing is guessed from values here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.constants import FLOATS, constants_of

SIGNATURE = re.compile(r"^(\w+): (?:PARAMETER|BUFFER) target='([^']*)'", re.MULTILINE)
ARGUMENT = re.compile(r"%(\w+)")
SCOPED = re.compile(r"^/(.*)/(Conv|ConvTranspose|Gemm|MatMul|LSTM|GRU|RNN|\w+Normalization)(_\d+)?$")
PATH = re.compile(r"^[A-Za-z_][\w]*(\.[\w]+)+$")
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
NORMS = {  # the parameters of norms, by input slot
    "BatchNormalization": ("", "weight", "bias", "running_mean", "running_var"),
    "InstanceNormalization": ("", "weight", "bias"),
    "GroupNormalization": ("", "weight", "bias"),
    "LayerNormalization": ("", "weight", "bias"),
    "RMSNormalization": ("", "weight"),
}
RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


@dataclass(frozen=True)
class Origin:
    """One parameter that a weight holds.

    Attributes:
        name: The parameter.
        layout: How it lies in the weight: ``same``, ``transposed``, ``gates:LSTM:0`` (reordered, of that direction of a
            weight), ``biases:LSTM:0`` (joined, too; the two biases of a direction follow each other), or ``channels:0``
            (a vector, as of a norm that was folded into the weight, that grows as the axis does).
        node: The node that reads the weight as this parameter; a merged weight serves several.
        source: Where that is known from: ``metadata``, ``node`` or ``name``. Of a weight that is one number throughout,
            and so may be no parameter, nothing else is known (``values``).
    """

    name: str
    layout: str
    node: str
    source: str

    def to_json(self) -> dict[str, str]:
        """Return the origin as JSON-ready values."""
        return asdict(self)


def origins(model: ir.Model) -> dict[str, tuple[Origin, ...]]:
    """Return what is known of every weight of a model's main graph, by its name."""
    found: dict[str, dict[str, Origin]] = {}
    for origin, weight in _all(model):
        if weight:
            found.setdefault(weight, {}).setdefault(origin.name, origin)
    for value, tensor in constants_of(model.graph):
        name = str(value.name)
        if name not in found and tensor.dtype in FLOATS and _even(tensor.numpy()):
            found[name] = {"": Origin("", "even", "", "values")}
    return {weight: tuple(known.values()) for weight, known in found.items()}


def _even(array: np.ndarray) -> bool:
    """Say whether a tensor holds one number throughout, as zeros that are nobody's parameter."""
    return array.size == 0 or bool(np.all(array == array.flat[0]))


def _all(model: ir.Model) -> Iterator[tuple[Origin, str]]:
    weights = set(model.graph.initializers)
    targets = dict(SIGNATURE.findall(_metadata(model.graph.metadata_props, "graph_signature")))
    parameters = set(targets.values())
    rows: dict[str, int] = {}  # how many layers of a recurrent module have been met
    for node in model.graph:
        name = str(node.name)
        call = _metadata(node.metadata_props, "fx_node").split("(args", 1)[-1]
        named = list(dict.fromkeys(targets[each] for each in ARGUMENT.findall(call) if each in targets))
        read = [str(value.name) for value in node.inputs if value is not None and value.name in weights]
        if node.op_type in RECURRENT:
            yield from _recurrent(node, named, weights, rows)
            continue
        if node.op_type in NORMS:
            yield from _norm(node, named, weights)
        exact = [weight for weight in read if weight in parameters]
        for weight in exact:
            yield Origin(weight, "same", name, "metadata"), weight
        if node.op_type in LAYERS:
            yield from _layer(node, named, weights, parameters)
        for weight in read:
            if weight not in parameters and PATH.match(weight):
                yield Origin(weight, "same", name, "name"), weight
        if node.op_type == "Identity" and read and PATH.match(str(node.outputs[0].name)):
            yield Origin(str(node.outputs[0].name), "same", name, "name"), read[0]  # one of several equal ones


def _layer(
    node: ir.Node, named: list[str], weights: set[str], parameters: set[str]
) -> Iterator[tuple[Origin, str]]:
    """Yield what the arguments of a layer, or its path, say of its weight, its bias, and of a norm folded into it."""
    name, weight = str(node.name), node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or weight.name not in weights:
        return
    layout = "transposed" if node.op_type == "MatMul" else "same"
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if named:
        own = str(weight.name)
        if own not in parameters:
            own = next((each for each in named if each.endswith("weight")), "")
            if own:
                yield Origin(own, layout, name, "metadata"), str(weight.name)
        prefix = own.rpartition(".")[0]
        for each in named:
            module, _, kind = each.rpartition(".")
            added = bias is not None and bias.name in weights and bias.name != each and kind == "bias"
            if module != prefix:  # of a norm that was folded into the layer
                yield Origin(each, f"channels:{_outputs(node)}", name, "metadata"), str(weight.name)
            if added and bias is not None:
                yield Origin(each, "same" if module == prefix else "channels:0", name, "metadata"), str(bias.name)
        return
    scope = SCOPED.match(name)
    if scope and not PATH.match(str(weight.name)):
        path = _module(scope[1].split("/"))
        yield Origin(f"{path}.weight", layout, name, "node"), str(weight.name)
        if bias is not None and bias.name in weights and not PATH.match(str(bias.name)):
            yield Origin(f"{path}.bias", "same", name, "node"), str(bias.name)


def _norm(node: ir.Node, named: list[str], weights: set[str]) -> Iterator[tuple[Origin, str]]:
    """Yield the parameters of a norm by where they stand: equal ones are merged, and only one name is left of them."""
    scope = SCOPED.match(str(node.name))
    module = named[0].rpartition(".")[0] if named else _module(scope[1].split("/")) if scope else ""
    for slot, kind in enumerate(NORMS[node.op_type]):
        value = node.inputs[slot] if slot < len(node.inputs) else None
        if kind and module and value is not None and value.name in weights:
            yield Origin(f"{module}.{kind}", "same", str(node.name), "metadata" if named else "node"), str(value.name)


def _outputs(node: ir.Node) -> int:
    """Return which axis of a layer's weight has the channels that it makes."""
    if node.op_type == "MatMul":
        return 1
    if node.op_type == "Gemm":
        transposed = node.attributes.get("transB")
        return 0 if transposed is not None and transposed.value else 1
    return 1 if node.op_type == "ConvTranspose" else 0


def _recurrent(
    node: ir.Node, named: list[str], weights: set[str], rows: dict[str, int]
) -> Iterator[tuple[Origin, str]]:
    scope = SCOPED.match(str(node.name))
    own = [each for each in named if "weight_ih" in each]
    if own:
        prefix = own[0].rpartition("weight_ih")[0]
    elif scope:
        prefix = f"{_module(scope[1].split('/'))}."
    else:
        return
    row = rows.get(prefix, 0)
    rows[prefix] = row + 1
    shape = node.inputs[1].const_value if node.inputs[1] is not None else None
    count = int(shape.shape.numpy()[0]) if shape is not None else 1
    source = "metadata" if own else "node"
    for direction, suffix in enumerate(("", "_reverse")[:count]):
        for slot, part in ((1, "weight_ih"), (2, "weight_hh")):
            layout = f"gates:{node.op_type}:{direction}"
            yield _part(node, slot, f"{prefix}{part}_l{row}{suffix}", layout, source, weights)
        if len(node.inputs) > 3 and node.inputs[3] is not None:
            for part in ("bias_ih", "bias_hh"):
                layout = f"biases:{node.op_type}:{direction}"
                yield _part(node, 3, f"{prefix}{part}_l{row}{suffix}", layout, source, weights)


def _part(
    node: ir.Node, slot: int, name: str, layout: str, source: str, weights: set[str]
) -> tuple[Origin, str]:
    value = node.inputs[slot]
    weight = str(value.name) if value is not None and value.name in weights else ""
    return Origin(name, layout, str(node.name), source), weight


def _module(parts: list[str]) -> str:
    """Return a module's path from the scopes in a node's name, where a child may repeat the name of its parent."""
    path: list[str] = []
    for part in parts:
        if path and (part.startswith(f"{path[-1]}.") or ("." in part and path[-1] == part.split(".")[0])):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)


def _metadata(properties: Mapping[str, str], ending: str) -> str:
    return next((value for key, value in properties.items() if key.endswith(ending)), "")
