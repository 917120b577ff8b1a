"""How the attributes of two nodes differ, in texts; bodies are compared node by node elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from onnx_n2n.reporting.values import formed
from onnx_n2n.words import brief

BODIES = frozenset({ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS})
FLOATS = frozenset({ir.AttributeType.FLOAT, ir.AttributeType.FLOATS})
SHOWN = 8  # elements of a tensor that a text has at most


def differing(
    before: Mapping[str, ir.Attr], after: Mapping[str, ir.Attr]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield name and texts of the attributes that differ; None for one that a node does not have."""
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if one is None or other is None or not _alike(one, other):
            yield name, None if one is None else said(one), None if other is None else said(other)


def _alike(one: ir.Attr, other: ir.Attr) -> bool:
    if (one.type, one.ref_attr_name) != (other.type, other.ref_attr_name):
        return False
    if one.is_ref() or one.type == ir.AttributeType.GRAPH:
        return True
    if one.type == ir.AttributeType.GRAPHS:
        return len(one.value) == len(other.value)
    if one.type == ir.AttributeType.TENSOR:
        return _same(one.value, other.value)
    if one.type == ir.AttributeType.TENSORS:
        return len(one.value) == len(other.value) and all(map(_same, one.value, other.value))
    if one.type in FLOATS:
        return bool(np.float32(one.value).tobytes() == np.float32(other.value).tobytes())  # zero has a sign
    return str(one.value) == str(other.value)


def _same(one: ir.TensorProtocol, other: ir.TensorProtocol) -> bool:
    if (one.dtype, tuple(one.shape.numpy())) != (other.dtype, tuple(other.shape.numpy())):
        return False
    if one.dtype == ir.DataType.STRING:
        return bool(one.numpy().tolist() == other.numpy().tolist())
    return one.tobytes() == other.tobytes()


def said(attribute: ir.Attr) -> str:
    """Return the value of an attribute as a text, cut where it is long."""
    if attribute.is_ref():
        return f"@{attribute.ref_attr_name}"
    if attribute.type in BODIES:
        return "graph" if attribute.type == ir.AttributeType.GRAPH else f"{len(attribute.value)} graphs"
    if attribute.type == ir.AttributeType.TENSOR:
        return _tensor(attribute.value)
    if attribute.type == ir.AttributeType.TENSORS:
        return f"{len(attribute.value)} tensors"
    if attribute.type in FLOATS:
        return brief(" ".join(f"{number:.6g}" for number in np.ravel(attribute.value)))
    if isinstance(attribute.value, list | tuple):
        return brief(" ".join(map(str, attribute.value)))
    return brief(str(attribute.value))


def _tensor(tensor: ir.TensorProtocol) -> str:
    kind = formed(tensor)
    return f"{kind} {brief(' '.join(map(str, tensor.numpy().ravel())))}" if tensor.size <= SHOWN else kind
