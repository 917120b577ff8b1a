"""Models in: from ``onnx.ModelProto``, or from a caller's ``onnx_ir.Model``, to a private one that loses nothing.

What the IR has no room for travels along inside it: sparse and external tensors as :class:`Kept`, all else as
:class:`Carried`. Tensors come in as stubs, external tensors whose location is a number, so that neither library copies
weights on the way, or renames a tensor that is the caller's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from copy import deepcopy
from functools import partial

import numpy as np
import onnx
import onnx_ir as ir
from onnx.numpy_helper import to_array

from onnx_n2n.errors import ModelError, told
from onnx_n2n.graph.subgraphs import nested, nested_protos, roots_of
from onnx_n2n.io.carried import NO_FILES, Carried, Files, carried, carry, carry_types, take_types
from onnx_n2n.io.messages import copy_fields, tensors
from onnx_n2n.io.stand_ins import STUB, Kept, Mapped, Read, all_graphs, all_values, change_tensors, description
from onnx_n2n.io.validity import check
from onnx_n2n.io.wire import LARGE, check_length, locate, outline

# The IR logs what it finds odd. An application that has set up logging gets it; nobody else wants it on the terminal.
logging.getLogger("onnx_ir").addHandler(logging.NullHandler())

DENSEST = 2**31  # bytes that ONNX Runtime cannot make of a sparse tensor either
_ANNOTATION = "quant_parameter_tensor_names"


@told("the model cannot be represented")
def skeleton(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, list[tuple[onnx.TensorProto, Read]]]:
    """Copy a caller's model, all but the values of its large initializers.

    Returns:
        The copy, and its initializers that have no values, each with a way to fetch them from the caller's model.
    """
    copy = onnx.ModelProto()
    lazy: list[tuple[onnx.TensorProto, Read]] = []
    copy_fields(proto, copy, but="graph")
    if proto.HasField("graph"):
        copy_fields(proto.graph, copy.graph, but="initializer")
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
        lazy.append((ours, partial(_fetched, theirs)))
    return copy, lazy


@told("the model cannot be represented")
def from_proto(
    proto: onnx.ModelProto,
    lazy: Iterable[tuple[onnx.TensorProto, Read]] = (),
    files: Files = NO_FILES,
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
        locate(slot, f"{STUB}{len(sources) - 1}")

    for slot in tensors(proto):
        outline(slot)
    for slot, read in lazy:
        stand_in(slot, read)
    graphs = list(nested_protos(proto.graph))
    for graph in graphs:
        for sparse in graph.sparse_initializer:
            slot = graph.initializer.add(name=sparse.values.name, dims=sparse.dims, data_type=sparse.values.data_type)
            if onnx.TensorProto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
                raise ModelError(f"sparse initializer {slot.name!r} has its values in an external file")
            if outline(slot).nbytes >= DENSEST:
                reason = f"sparse initializer {slot.name!r} is too large to be made dense"
                raise ModelError(reason, shapes=f"{list(sparse.dims)}")
            stand_in(slot, partial(_dense, sparse), sparse)
    untyped = [take_types(graph) for graph in graphs]

    def real(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        if not isinstance(tensor, ir.ExternalTensor):
            return _checked(tensor)
        read, origin = sources[int(str(tensor.location).removeprefix(STUB))]
        return Kept(read, tensor, origin) if origin is not None else ir.LazyTensor(read, **description(tensor))

    model = ir.serde.deserialize_model(proto)
    for before, after, types in zip(graphs, nested(model.graph), untyped, strict=True):
        described = frozenset(info.name for info in before.value_info).intersection(after.initializers)
        carry(after, Carried(described, tuple(proto.training_info), files))
        carry_types(after, types)
    _check_defined(model)
    for root in roots_of(model):
        root.sort()
    change_tensors(model, real)
    return model


def private(model: ir.Model) -> ir.Model:
    """Copy a caller's model so that no change to the copy shows in it; the values of the tensors are shared.

    Raises:
        ModelError: The nodes are out of order, or one uses a value that nothing makes.
    """
    copy = cloned(model)
    copy.meta.update(model.meta)
    carry(copy.graph, carried(model))

    def own(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        said = description(tensor)
        if isinstance(tensor, Kept):
            return Kept(tensor.raw, tensor, tensor.origin)
        if isinstance(tensor, ir.StringTensor):
            del said["dtype"]
            return ir.StringTensor(tensor.raw, **said)
        if isinstance(tensor, ir.ExternalTensor):
            place = (tensor.location, tensor.offset, tensor.length)
            return Mapped(*place, base_dir=tensor.base_dir, **said)
        return ir.LazyTensor(lambda: tensor, **said)

    change_tensors(copy, own)
    for graph in all_graphs(copy):
        for value in all_values(graph):
            value.type = deepcopy(value.type)
            if _ANNOTATION in value.meta:
                value.meta[_ANNOTATION] = dict(value.meta[_ANNOTATION])
        for node in graph:
            for key, each in list(node.attributes.data.items()):
                said = (each.name, each.type, each.value, each.ref_attr_name)
                node.attributes[key] = ir.Attr(*said, doc_string=each.doc_string)
    return copy


def cloned(model: ir.Model) -> ir.Model:
    """Copy a model, values of tensors apart.

    Raises:
        ModelError: The nodes are out of order, or one uses a value that nothing makes.
    """
    try:
        return model.clone()
    except Exception as error:  # what the IR raises here is its stack, in one sentence
        raise ModelError(
            "the nodes of the model are out of order, or one uses a value that nothing makes",
            hint="model.graph.sort() puts nodes in order",
        ) from error


def _fetched(theirs: onnx.TensorProto) -> ir.TensorProtocol:
    """Return the values of a large tensor in a message, which copies its bytes whenever it is asked for them: once."""
    like = outline(theirs)
    if not theirs.HasField("raw_data") or like.dtype.bitwidth < 8:
        return _checked(like)
    raw = np.frombuffer(theirs.raw_data, np.uint8)
    check_length(like, raw.size)
    return ir.Tensor(raw.view(like.dtype.numpy()).reshape(like.shape.numpy()), like.dtype)


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


def _check_defined(model: ir.Model) -> None:
    for graph in all_graphs(model):
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
