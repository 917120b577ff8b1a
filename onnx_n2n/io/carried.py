"""Side data: what a ``ModelProto`` says and ``onnx_ir`` has no room for, carried along in the ``meta`` of the IR.

It is in ``graph.meta`` and ``value.meta``, since ``ir.Model.clone`` copies these, but not the ``meta`` of the model.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from onnx_n2n.io.messages import replace
from onnx_n2n.io.sources import Source
from onnx_n2n.io.stand_ins import all_graphs, all_values

_CARRIED, _TYPE = "onnx_n2n.carried", "onnx_n2n.type"


@dataclass(frozen=True)
class Files:
    """The files that a model was read from.

    Attributes:
        read: All of them, as they were then.
        external: Whether there are weights in files of their own.
    """

    read: tuple[Source, ...] = ()
    external: bool = False


NO_FILES = Files()


@dataclass(frozen=True)
class Carried:
    """What one graph has and the IR has no room for.

    Attributes:
        described: The initializers that have a ``value_info`` as well; left alone, the IR gives one to each of them.
            None where the IR is all there ever was.
        training: ``ModelProto.training_info``, as it came, even where a weight that it names grows.
        files: The files that the model was read from.
    """

    described: frozenset[str] | None = None
    training: tuple[onnx.TrainingInfoProto, ...] = ()
    files: Files = NO_FILES


def carried(model: ir.Model) -> Carried:
    """Return what a model carries along beside its IR."""
    found = model.graph.meta.get(_CARRIED)
    if isinstance(found, Carried):
        return found
    held = (value.const_value for graph in all_graphs(model) for value in graph.initializers.values())
    paths = {os.path.realpath(tensor.path) for tensor in held if isinstance(tensor, ir.ExternalTensor)}
    return Carried(files=Files(tuple(Source.of(Path(path)) for path in sorted(paths)), bool(paths)))


def carry(graph: ir.Graph, found: Carried) -> None:
    """Let a graph carry something along."""
    graph.meta[_CARRIED] = found


def take_types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    """Remove the types that the IR cannot say, and return them by the names of the values."""
    found: dict[str, onnx.TypeProto] = {}
    for info in (*graph.input, *graph.output, *graph.value_info):
        kind = info.type
        while (name := kind.WhichOneof("value")) in ("sequence_type", "optional_type"):
            kind = getattr(kind, name).elem_type
        if name in ("map_type", "opaque_type"):
            found[info.name] = onnx.TypeProto.FromString(info.type.SerializeToString())
            info.ClearField("type")
    return found


def carry_types(graph: ir.Graph, types: dict[str, onnx.TypeProto]) -> None:
    """Let the values of a graph carry the types that were taken from it."""
    for value in all_values(graph) if types else ():
        if value.name in types:
            value.meta[_TYPE] = types[value.name]


def return_types(graph: ir.Graph, proto: onnx.GraphProto) -> None:
    """Give back the types that were taken, where a value has none now."""
    infos = {info.name: info for info in (*proto.value_info, *proto.input, *proto.output)}
    for value in all_values(graph):
        if value.type is None and _TYPE in value.meta:
            info = infos.get(str(value.name)) or proto.value_info.add(name=value.name)
            info.type.CopyFrom(value.meta[_TYPE])


def tidy_shapes(graph: ir.Graph, proto: onnx.GraphProto) -> None:
    """Bring what is declared about initializers in line with them, and drop what was not declared before."""
    described = graph.meta.get(_CARRIED, Carried()).described
    if described is not None:
        undeclared = graph.initializers.keys() - described
        said = [i for i in proto.value_info if i.name not in undeclared or i.doc_string or i.metadata_props]
        replace(proto.value_info, said)
    for info in (*proto.input, *proto.value_info):
        value = graph.initializers.get(info.name)
        if value is not None and value.const_value is not None and info.type.tensor_type.HasField("shape"):
            for size, declared in zip(value.const_value.shape, info.type.tensor_type.shape.dim, strict=False):
                if declared.HasField("dim_value"):
                    declared.dim_value = size
