"""Protobuf's own messages: what all of a model's are, and fields that are filled anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx

from onnx_n2n.graph.subgraphs import nested_protos


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield each dense tensor of a model, in initializers and attributes, branches and functions."""
    for root in (proto.graph, *proto.functions):
        for block in nested_protos(root):
            if isinstance(block, onnx.GraphProto):
                yield from block.initializer
            for attribute in (attribute for node in block.node for attribute in node.attribute):
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def copy_fields(source: Any, target: Any, but: str) -> None:
    """Copy all fields of a message but one into an empty one."""
    for field, value in source.ListFields():
        if field.name == but:
            continue
        if isinstance(value, (int, str, bytes)):  # bytes are text that is not UTF-8, and not accepted
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).extend(value)


def replace(repeated: Any, wanted: Iterable[Any]) -> None:
    """Let a repeated field hold other messages besides its own, or fewer; as many as it has are taken to be its own."""
    wanted = list(wanted)
    if len(wanted) != len(repeated):
        copies = [type(message).FromString(message.SerializeToString()) for message in wanted]
        del repeated[:]
        repeated.extend(copies)
