"""Models out: from ``onnx_ir`` to ``onnx.ModelProto``, with all that came in and that the IR has no room for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import onnx
import onnx_ir as ir

from onnx_n2n.errors import told
from onnx_n2n.graph.grown import Grown
from onnx_n2n.graph.subgraphs import nested, nested_protos
from onnx_n2n.io.carried import carried, return_types, tidy_shapes
from onnx_n2n.io.incoming import cloned
from onnx_n2n.io.messages import replace, tensors
from onnx_n2n.io.stand_ins import STUB, Kept, change_tensors, description
from onnx_n2n.io.wire import LARGE, fill


@dataclass(frozen=True)
class Sketch:
    """A serialised model, with a stub for every tensor; whoever holds it may fill and change the proto."""

    proto: onnx.ModelProto
    tensors: tuple[ir.TensorProtocol, ...]

    def tensor(self, stub: onnx.TensorProto) -> ir.TensorProtocol:
        """Return the tensor that a stub in the proto stands for."""
        return self.tensors[int(stub.external_data[0].value.removeprefix(STUB))]


def to_sketch(model: ir.Model) -> Sketch:
    """Serialise a model without its tensors. The model is not changed.

    Where an initializer has a declared shape, as a graph input or in ``value_info``, the declaration follows it.

    Raises:
        ModelError: The nodes are out of order, or one uses a value that nothing makes.
    """
    stubs: list[ir.TensorProtocol] = []

    def stub(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
        stubs.append(tensor)
        return ir.ExternalTensor(f"{STUB}{len(stubs) - 1}", None, None, **description(tensor))

    clone = cloned(model)
    change_tensors(clone, stub)
    with told("the model cannot be serialised"):
        sketch = Sketch(ir.serde.serialize_model(clone), tuple(stubs))
    for graph, proto in zip(nested(clone.graph), nested_protos(sketch.proto.graph), strict=True):
        _return_sparse(proto, sketch)
        return_types(graph, proto)
        tidy_shapes(graph, proto)
    sketch.proto.training_info.extend(carried(model).training)
    return sketch


def to_proto(model: ir.Model, also: Callable[[str, bytes], None] = lambda *_: None) -> onnx.ModelProto:
    """Turn the working representation into a proto that holds all of its weights, but those still in external files.

    What grew is read from the proto afterwards.

    Args:
        model: Is not changed.
        also: Is told each large initializer of the main graph, by name, as soon as its bytes are there.

    Raises:
        ModelError: The model is not valid, or one of its tensors cannot be read.
    """
    sketch = to_sketch(model)
    top = len(sketch.proto.graph.initializer)
    for position, slot in enumerate(tensors(sketch.proto)):  # the initializers of the main graph come first
        tensor = sketch.tensor(slot)
        if isinstance(tensor, Kept) and isinstance(tensor.origin, onnx.TensorProto):
            del slot.external_data[:]
            slot.external_data.extend(tensor.origin.external_data)
        else:
            data = fill(slot, tensor)
            keep(tensor, slot)
            if position < top and len(data) > LARGE:
                also(slot.name, data)
    return sketch.proto


def to_bytes(model: ir.Model) -> bytes:
    """Turn the working representation into what would be in its file.

    Raises:
        ModelError: As for :func:`to_proto`, or it is larger than one file may be.
    """
    with told("the model cannot be serialised"):
        data: bytes = to_proto(model).SerializeToString()
    return data


def keep(tensor: ir.TensorProtocol, slot: onnx.TensorProto) -> None:
    """Read a tensor from a message from now on, if it would be made again otherwise."""
    if isinstance(tensor, Grown):
        tensor.store(partial(ir.serde.TensorProtoTensor, slot))


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
