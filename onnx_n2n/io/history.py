"""The history that a model carries in its metadata: which passes made it, from which parents."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.version import VERSION

KEY = "onnx_n2n.lineage"
_ENCODER = json.JSONEncoder(default=str)


@dataclass(frozen=True)
class Entry:
    """One pass in the history of a model.

    Attributes:
        text: The pass with its options, as it prints.
        seed: The seed of everything random in it; None if nothing was.
        parent: The digest of the model that it was given.
        version: The version of onnx-n2n.
        idle: Why it has done nothing, next to passes that did; empty where it did something. The pass behind it has the
            same parent.
    """

    text: str
    seed: int | None
    parent: str
    version: str = VERSION
    idle: str = ""


def history(model: ir.Model) -> tuple[Entry, ...]:
    """Return what the metadata of a model says of its passes, the oldest first; nothing if it cannot be read."""
    try:
        entries = json.loads(model.metadata_props.get(KEY, "[]"))
        found = tuple(
            Entry(entry["pass"], entry["seed"], entry["parent"], entry["version"], entry.get("idle", ""))
            for entry in entries
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()
    return found if all(map(_sound, found)) else ()


def _sound(entry: Entry) -> bool:
    texts = (entry.text, entry.parent, entry.version, entry.idle)
    return all(isinstance(text, str) for text in texts) and isinstance(entry.seed, int | None)


def record(model: ir.Model, *entries: Entry) -> None:
    """Append entries to the history of a model."""
    if not entries:
        return
    found = [{"pass": entry.text, **asdict(entry)} for entry in (*history(model), *entries)]
    for entry in found:
        del entry["text"]
        if not entry["idle"]:
            del entry["idle"]
    model.metadata_props[KEY] = json.dumps(found)


def digest(model: ir.Model) -> str:
    """Return the SHA-256 of what a model is: nodes, weights, interface and history, wherever its weights are stored.

    The weights are read one after the other. Names count, because another pass may be told to look for them; what is
    only for people (doc strings, declared shapes of intermediate tensors) does not.
    """
    found = hashlib.sha256()

    def add(*parts: object) -> None:
        found.update(_encoded(parts))

    for graph in model.graphs():
        for value in (*graph.inputs, *graph.outputs):
            add(value.name, value.dtype, value.shape)
        for name, value in graph.initializers.items():
            if value.const_value is not None:
                _add_tensor(found, name, value.const_value)
        for node in graph:
            add(node.domain, node.op_type, node.name)
            add([value and value.name for value in node.inputs], [value.name for value in node.outputs])
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                    _add_tensor(found, attribute.name, attribute.as_tensor())
                elif attribute.type not in {ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS}:
                    add(attribute.name, attribute.ref_attr_name, _written(attribute))
    for function in model.functions.values():
        found.update(ir.serde.serialize_function(function).SerializeToString(deterministic=True))
    add(sorted(model.opset_imports.items()), model.metadata_props.get(KEY))
    return found.hexdigest()


def _encoded(parts: object) -> bytes:
    return _ENCODER.encode(parts).encode()


def _written(attribute: ir.Attr) -> Any:
    """Return the value of an attribute as a file has it, where numbers are of single precision."""
    if attribute.is_ref() or attribute.type not in {ir.AttributeType.FLOAT, ir.AttributeType.FLOATS}:
        return attribute.value
    found = np.asarray(attribute.value, np.float32).tolist()
    return tuple(found) if isinstance(found, list) else found


def _add_tensor(found: hashlib._Hash, name: str, tensor: ir.TensorProtocol) -> None:
    found.update(_encoded([name, tensor.dtype, list(tensor.shape.numpy())]))
    if tensor.dtype == ir.DataType.STRING:
        found.update(_encoded(tensor.numpy().tolist()))
    else:
        found.update(np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data)
