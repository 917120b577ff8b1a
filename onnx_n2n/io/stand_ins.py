"""Stand-ins for tensors: they say all that a tensor does but its values, which are fetched when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.graph.subgraphs import nested, roots_of, values_of

Read = Callable[[], ir.TensorProtocol]
"""Fetches the values of one tensor."""

STUB = "\0"  # begins the location of an external tensor that stands for another; no name of a file can hold it


class Kept(ir.LazyTensor):
    """A tensor that goes back the way it came, sparse or in an external file, for as long as nobody replaces it.

    Attributes:
        origin: The sparse tensor, or the external one with its location.
    """

    __slots__ = ("origin",)

    def __init__(self, read: Read, like: ir.TensorProtocol, origin: onnx.SparseTensorProto | onnx.TensorProto) -> None:
        super().__init__(read, **description(like))
        self.origin = origin


class Mapped(ir.ExternalTensor):
    """An external tensor whose file is mapped only for as long as somebody has the array."""

    __slots__ = ()

    def _alone(self) -> ir.ExternalTensor:
        place = (self.location, self.offset, self.length, self.dtype)
        return ir.ExternalTensor(*place, shape=self.shape, name=self.name, base_dir=self.base_dir)

    def numpy(self) -> np.ndarray:
        """Return the numbers as they are in the file."""
        return self._alone().numpy()

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return self.numpy().__array__(dtype)

    def tobytes(self) -> bytes:
        """Return the bytes that are in the file."""
        return self._alone().tobytes()


def description(tensor: ir.TensorProtocol) -> dict[str, Any]:
    """Return what a stand-in for the tensor says: everything but the values."""
    return {
        "dtype": tensor.dtype,
        "shape": ir.Shape(tensor.shape.numpy()),
        "name": tensor.name,
        "doc_string": tensor.doc_string,
        "metadata_props": dict(tensor.metadata_props),
    }


def all_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """Yield all graphs of a model, also those of functions and those inside nodes."""
    for root in roots_of(model):
        yield from nested(root)


def all_values(graph: ir.Graph) -> dict[ir.Value, None]:
    """Return what a graph is given, stores and makes, each once."""
    return dict.fromkeys((*values_of(graph), *graph.initializers.values()))


def change_tensors(model: ir.Model, change: Callable[[ir.TensorProtocol], ir.TensorProtocol]) -> None:
    """Replace every tensor of a model."""
    for graph in all_graphs(model):
        for value in all_values(graph):
            if value.const_value is not None:
                value.const_value = change(value.const_value)
        for node in graph:
            for key, attribute in list(node.attributes.data.items()):
                if attribute.is_ref():
                    continue
                content = attribute.value
                if attribute.type == ir.AttributeType.TENSOR:
                    content = change(content)
                elif attribute.type == ir.AttributeType.TENSORS:
                    content = [change(tensor) for tensor in content]
                else:
                    continue
                node.attributes[key] = ir.Attr(attribute.name, attribute.type, content, doc_string=attribute.doc_string)
