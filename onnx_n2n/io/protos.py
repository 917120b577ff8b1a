"""Between ``onnx.ModelProto`` and ``onnx_ir``: nothing that the one says is lost in the other.

What the IR has no room for travels along inside it: sparse and external tensors as :class:`Kept`, all else as
:class:`Carried` in ``graph.meta`` (``ir.Model.clone`` copies the ``meta`` of graphs and values, but not that of the
model). Tensors cross the border as stubs, external tensors whose location is a number, so that neither library copies
weights on the way, or renames a tensor that is the caller's.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.numpy_helper import to_array

from onnx_n2n.errors import ModelError, told
from onnx_n2n.io.sources import Source
from onnx_n2n.io.validity import check
from onnx_n2n.io.wire import LARGE, check_length, fill, locate, outline

# The IR logs what it finds odd. An application that has set up logging gets it; nobody else wants it on the terminal.
logging.getLogger("onnx_ir").addHandler(logging.NullHandler())

Read = Callable[[], ir.TensorProtocol]
"""Fetches the values of one tensor."""

DENSEST = 2**31  # bytes that ONNX Runtime cannot make of a sparse tensor either

_CARRIED, _TYPE, _ANNOTATION = "onnx_n2n.carried", "onnx_n2n.type", "quant_parameter_tensor_names"
_STUB = "\0"  # no name of a file can hold it


class Kept(ir.LazyTensor):
    """A tensor that goes back the way it came, sparse or in an external file, for as long as nobody replaces it.

    Attributes:
        origin: The sparse tensor, or the external one with its location.
    """

    __slots__ = ("origin",)

    def __init__(self, read: Read, like: ir.TensorProtocol, origin: onnx.SparseTensorProto | onnx.TensorProto) -> None:
        super().__init__(read, **_description(like))
        self.origin = origin


@dataclass(frozen=True)
class Files:
    """The files that a model was read from.

    Attributes:
        read: All of them, as they were then.
        external: Whether there are weights in files of their own.
    """

    read: tuple[Source, ...] = ()
    external: bool = False


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
    files: Files = Files()


@dataclass(frozen=True)
class Sketch:
    """A serialised model, with a stub for every tensor; whoever holds it may fill and change the proto."""

    proto: onnx.ModelProto
    tensors: tuple[ir.TensorProtocol, ...]

    def tensor(self, stub: onnx.TensorProto) -> ir.TensorProtocol:
        """Return the tensor that a stub in the proto stands for."""
        return self.tensors[int(stub.external_data[0].value.removeprefix(_STUB))]


def carried(model: ir.Model) -> Carried:
    """Return what a model carries along beside its IR."""
    found = model.graph.meta.get(_CARRIED)
    if isinstance(found, Carried):
        return found
    held = (value.const_value for graph in _all_graphs(model) for value in graph.initializers.values())
    paths = {os.path.realpath(tensor.path) for tensor in held if isinstance(tensor, ir.ExternalTensor)}
    return Carried(files=Files(tuple(Source.of(Path(path)) for path in sorted(paths)), bool(paths)))


@told("the model cannot be represented")
def skeleton(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[tuple[onnx.TensorProto, Read]]]:
    """Copy a caller's model, all but the values of its large initializers.

    Returns:
        The copy, and its initializers that have no values, each with a way to fetch them from the caller's model.
    """
    copy = onnx.ModelProto()
    lazy: list[tuple[onnx.TensorProto, Read]] = []
    _copy_fields(proto, copy, but="graph")
    if proto.HasField("graph"):
        _copy_fields(proto.graph, copy.graph, but="initializer")
    for theirs in proto.graph.initializer:
        ours = copy.graph.initializer.add()
        external = theirs.data_location == onnx.TensorProto.EXTERNAL
        small = math.prod(theirs.dims) <= LARGE  # in elements: to count its bytes, protobuf would serialise it
        if small or external or theirs.data_type == onnx.TensorProto.STRING:
            ours.CopyFrom(theirs)
            continue
        ours.name, ours.data_type, ours.doc_string = theirs.name, theirs.data_type, theirs.doc_string
        ours.dims.extend(theirs.dims)
        ours.metadata_props.extend(theirs.metadata_props)
        lazy.append((ours, partial(_checked, ir.serde.TensorProtoTensor(theirs))))
    return copy, lazy


@told("the model cannot be represented")
def from_proto(
    proto: onnx.ModelProto,
    lazy: Iterable[tuple[onnx.TensorProto, Read]] = (),
    files: Files = Files(),
) -> ir.Model:
    """Turn a proto into the working representation. Its nodes are then in order, whatever they were before.

    A sparse initializer becomes an ordinary one that is made dense when it is read; untouched it goes back sparse,
    grown it is dense. A value of a type that the IR cannot say (a map, an opaque type) has none here, and gets it back.

    Args:
        proto: Becomes part of the model: do not use it again.
        lazy: Tensors of the proto whose values are elsewhere, and how to fetch them.
        files: The files that the proto and its weights are from.

    Raises:
        ModelError: There is no graph, or something that the IR cannot represent, or a value that nothing makes.
    """
    if not proto.HasField("graph"):
        raise ModelError("the model holds no graph", hint="Is it an ONNX model at all?")
    check(proto)
    sources: list[tuple[Read, onnx.SparseTensorProto | onnx.TensorProto | None]] = []

    def stand_in(slot: onnx.TensorProto, read: Read, origin: onnx.SparseTensorProto | None = None) -> None:
        external = slot.data_location == onnx.TensorProto.EXTERNAL
        sources.append((read, onnx.TensorProto.FromString(slot.SerializeToString()) if external else origin))
        locate(slot, f"{_STUB}{len(sources) - 1}")

    for slot in tensors(proto):
        outline(slot)
    for slot, read in lazy:
        stand_in(slot, read)
    graphs = list(_graph_protos(proto.graph))
    for graph in graphs:
        for sparse in graph.sparse_initializer:
            slot = graph.initializer.add(name=sparse.values.name, dims=sparse.dims, data_type=sparse.values.data_type)
            if onnx.TensorProto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
                raise ModelError(f"sparse initializer {slot.name!r} has its values in an external file")
            if outline(slot).nbytes >= DENSEST:
                reason = f"sparse initializer {slot.name!r} is too large to be made dense"
                raise ModelError(reason, shapes=f"{list(sparse.dims)}")
            stand_in(slot, partial(_dense, sparse), sparse)
    untyped = [dict(_take_types(graph)) for graph in graphs]

    def real(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        if not isinstance(tensor, ir.ExternalTensor):
            return _checked(tensor)
        read, origin = sources[int(str(tensor.location).removeprefix(_STUB))]
        return Kept(read, tensor, origin) if origin is not None else ir.LazyTensor(read, **_description(tensor))

    model = ir.serde.deserialize_model(proto)
    for before, after, types in zip(graphs, _graphs(model.graph), untyped, strict=True):
        described = frozenset(info.name for info in before.value_info).intersection(after.initializers)
        after.meta[_CARRIED] = Carried(described, tuple(proto.training_info), files)
        for value in _values(after) if types else ():
            if value.name in types:
                value.meta[_TYPE] = types[value.name]
    _check_defined(model)
    for root in (model.graph, *(function.graph for function in model.functions.values())):
        root.sort()
    _change_tensors(model, real)
    return model


def private(model: ir.Model) -> ir.Model:
    """Copy a caller's model so that no change to the copy shows in it; the values of the tensors are shared.

    Raises:
        ModelError: The nodes are out of order, or one uses a value that nothing makes.
    """
    copy = _clone(model)
    copy.meta.update(model.meta)
    copy.graph.meta[_CARRIED] = carried(model)

    def own(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        description = _description(tensor)
        if isinstance(tensor, Kept):
            return Kept(tensor.raw, tensor, tensor.origin)
        if isinstance(tensor, ir.StringTensor):
            del description["dtype"]
            return ir.StringTensor(tensor.raw, **description)
        if isinstance(tensor, ir.ExternalTensor):
            place = (tensor.location, tensor.offset, tensor.length)
            return ir.ExternalTensor(*place, base_dir=tensor.base_dir, **description)
        return ir.LazyTensor(lambda: tensor, **description)

    _change_tensors(copy, own)
    for graph in _all_graphs(copy):
        for value in _values(graph):
            value.type = deepcopy(value.type)
            if _ANNOTATION in value.meta:
                value.meta[_ANNOTATION] = dict(value.meta[_ANNOTATION])
    return copy


def to_sketch(model: ir.Model) -> Sketch:
    """Serialise a model without its tensors. The model is not changed.

    Where an initializer has a declared shape, as a graph input or in ``value_info``, the declaration follows it.

    Raises:
        ModelError: The nodes are out of order, or one uses a value that nothing makes.
    """
    stubs: list[ir.TensorProtocol] = []

    def stub(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        stubs.append(tensor)
        return ir.ExternalTensor(f"{_STUB}{len(stubs) - 1}", None, None, **_description(tensor))

    clone = _clone(model)
    _change_tensors(clone, stub)
    with told("the model cannot be serialised"):
        sketch = Sketch(ir.serde.serialize_model(clone), tuple(stubs))
    for graph, proto in zip(_graphs(clone.graph), _graph_protos(sketch.proto.graph), strict=True):
        _return_sparse(proto, sketch)
        _return_types(graph, proto)
        _tidy_shapes(graph, proto)
    sketch.proto.training_info.extend(carried(model).training)
    return sketch


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """Turn the working representation into a proto that holds all of its weights, but those still in external files.

    Raises:
        ModelError: The model is not valid, or one of its tensors cannot be read.
    """
    sketch = to_sketch(model)
    for slot in tensors(sketch.proto):
        tensor = sketch.tensor(slot)
        if isinstance(tensor, Kept) and isinstance(tensor.origin, onnx.TensorProto):
            del slot.external_data[:]
            slot.external_data.extend(tensor.origin.external_data)
        else:
            fill(slot, tensor)
    return sketch.proto


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield each dense tensor of a model, in initializers and attributes, branches and functions."""
    for root in (proto.graph, *proto.functions):
        for block in _graph_protos(root):
            if isinstance(block, onnx.GraphProto):
                yield from block.initializer
            for attribute in (attribute for node in block.node for attribute in node.attribute):
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _copy_fields(source: Any, target: Any, but: str) -> None:
    for field, value in source.ListFields():
        if field.name == but:
            continue
        if isinstance(value, (int, str, bytes)):  # bytes are text that is not UTF-8, and not accepted
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).extend(value)


def _checked(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    if not isinstance(tensor, ir.StringTensor):
        check_length(tensor, len(tensor.tobytes()))
    elif len(tensor.string_data()) != tensor.size:
        raise ModelError(f"tensor {tensor.name!r} does not hold as many strings as its shape says")
    return tensor


def _dense(sparse: onnx.SparseTensorProto) -> ir.TensorProtocol:
    try:
        values, indices, shape = to_array(sparse.values), to_array(sparse.indices), tuple(sparse.dims)
        flat = np.ravel_multi_index(tuple(indices.T), shape) if indices.ndim == 2 else indices
        dense = np.zeros(shape, values.dtype)
        dense.ravel()[flat] = values
    except (IndexError, TypeError, ValueError) as error:
        raise ModelError(f"sparse initializer {sparse.values.name!r} cannot be read: {error}") from error
    return ir.Tensor(dense, ir.DataType(sparse.values.data_type))


def _take_types(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TypeProto]]:
    """Remove the types that the IR cannot say, and yield them."""
    for info in (*graph.input, *graph.output, *graph.value_info):
        kind = info.type
        while (name := kind.WhichOneof("value")) in ("sequence_type", "optional_type"):
            kind = getattr(kind, name).elem_type
        if name in ("map_type", "opaque_type"):
            yield info.name, onnx.TypeProto.FromString(info.type.SerializeToString())
            info.ClearField("type")


def _return_types(graph: ir.Graph, proto: onnx.GraphProto) -> None:
    infos = {info.name: info for info in (*proto.value_info, *proto.input, *proto.output)}
    for value in _values(graph):
        if value.type is None and _TYPE in value.meta:
            info = infos.get(str(value.name)) or proto.value_info.add(name=value.name)
            info.type.CopyFrom(value.meta[_TYPE])


def _return_sparse(proto: onnx.GraphProto, sketch: Sketch) -> None:
    """Make the initializers that came sparse, and that nobody has replaced, sparse again."""
    dense = []
    for slot in proto.initializer:
        tensor = sketch.tensor(slot)
        if isinstance(tensor, Kept) and isinstance(tensor.origin, onnx.SparseTensorProto):
            proto.sparse_initializer.add().CopyFrom(tensor.origin)
            proto.sparse_initializer[-1].values.name = slot.name
        else:
            dense.append(slot)
    replace(proto.initializer, dense)


def _tidy_shapes(graph: ir.Graph, proto: onnx.GraphProto) -> None:
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


def replace(repeated: Any, kept: list[Any]) -> None:
    """Leave only some messages in a repeated field."""
    if len(kept) < len(repeated):
        copies = [type(message).FromString(message.SerializeToString()) for message in kept]
        del repeated[:]
        repeated.extend(copies)


def _description(tensor: ir.TensorProtocol) -> dict[str, Any]:
    """Return what a stand-in for the tensor says: everything but the values."""
    return {
        "dtype": tensor.dtype,
        "shape": ir.Shape(tensor.shape.numpy()),
        "name": tensor.name,
        "doc_string": tensor.doc_string,
        "metadata_props": dict(tensor.metadata_props),
    }


def _change_tensors(model: ir.Model, change: Callable[[ir.TensorProtocol], ir.TensorProtocol]) -> None:
    """Replace every tensor of a model, and every attribute by a copy."""
    for graph in _all_graphs(model):
        for value in _values(graph):
            if value.const_value is not None:
                value.const_value = change(value.const_value)
        for node in graph:
            for key, attribute in list(node.attributes.items()):
                content = attribute.value
                if attribute.is_ref():
                    pass
                elif attribute.type == ir.AttributeType.TENSOR:
                    content = change(content)
                elif attribute.type == ir.AttributeType.TENSORS:
                    content = [change(tensor) for tensor in content]
                names = (attribute.name, attribute.type, content, attribute.ref_attr_name)
                node.attributes[key] = ir.Attr(*names, doc_string=attribute.doc_string)


def _graphs(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yield a graph and the graphs inside its nodes."""
    yield graph
    for attribute in (attribute for node in graph for attribute in node.attributes.values()):
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) and not attribute.is_ref():
            inner = attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else [attribute.as_graph()]
            for graph_ in inner:
                yield from _graphs(graph_)


def _graph_protos(block: Any) -> Iterator[Any]:
    """Yield a graph or function and the graphs inside its nodes, in the order of :func:`_graphs`."""
    yield block
    for attribute in (attribute for node in block.node for attribute in node.attribute):
        for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            yield from _graph_protos(inner)


def _all_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    for root in (model.graph, *(function.graph for function in model.functions.values())):
        yield from _graphs(root)


def _values(graph: ir.Graph) -> Iterable[ir.Value]:
    made = (output for node in graph for output in node.outputs)
    return dict.fromkeys((*graph.inputs, *graph.initializers.values(), *made))


def _check_defined(model: ir.Model) -> None:
    for graph in _all_graphs(model):
        for node in graph:
            for value in node.inputs:
                if value is not None and not _is_defined(value):
                    reason = f"{value.name!r} is used, but nothing makes it"
                    raise ModelError(reason, node=node.name or "", operator=node.op_type)
        for output in graph.outputs:
            if not _is_defined(output):
                raise ModelError(f"nothing makes output {output.name!r}")


def _is_defined(value: ir.Value) -> bool:
    return value.producer() is not None or value.is_graph_input() or value.is_initializer()


def _clone(model: ir.Model) -> ir.Model:
    try:
        return model.clone()
    except Exception as error:  # what the IR raises here is its stack, in one sentence
        raise ModelError(
            "the nodes of the model are out of order, or one uses a value that nothing makes",
            hint="model.graph.sort() puts nodes in order",
        ) from error
