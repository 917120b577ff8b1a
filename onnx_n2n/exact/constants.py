"""A model's constants and attributes by the names that a growth record has for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import onnx
from onnx import helper

from onnx_n2n.exact.files import File, domain_of, opsets

FEW = 64  # numbers


class Named:
    """A model's constants and nodes by name; a name that two of them have stands for none.

    Args:
        file: The model.
    """

    def __init__(self, file: File) -> None:
        self.file = file

    @cached_property
    def _nodes(self) -> list[tuple[onnx.NodeProto, dict[str, int]]]:
        """All nodes with the versions of their operators, also those in bodies and functions."""
        proto = self.file.proto
        main = opsets(proto.opset_import)
        found = [(node, main) for graph in self._graphs for node in graph.node]
        for function in proto.functions:
            versions = opsets(function.opset_import)
            found += [(node, versions) for node in function.node]
            found += [(node, versions) for graph in inside(function.node) for node in graph.node]
        return found

    @cached_property
    def _graphs(self) -> list[onnx.GraphProto]:
        return [self.file.proto.graph, *inside(self.file.proto.graph.node)]

    @cached_property
    def _tensors(self) -> dict[str, onnx.TensorProto]:
        bodies = [graph for function in self.file.proto.functions for graph in inside(function.node)]
        graphs = [*self._graphs, *bodies]
        found = [(each.name, each) for graph in graphs for each in graph.initializer]
        counts = Counter(name for name, _ in found)
        counts.update(each.values.name for graph in graphs for each in graph.sparse_initializer)
        for node, _ in self._nodes:
            counts.update(each for each in node.output if each)
            if node.op_type == "Constant" and len(node.attribute) == 1 and _holds(node.attribute[0]):
                found.append((node.output[0], node.attribute[0].t))
        return {name: tensor for name, tensor in found if counts[name] == 1 and name}

    @cached_property
    def _by_name(self) -> dict[str, tuple[onnx.NodeProto, dict[str, int]] | None]:
        found: dict[str, tuple[onnx.NodeProto, dict[str, int]] | None] = {}
        for node, versions in self._nodes:
            for name in {each for each in (node.name, *node.output) if each}:
                found[name] = None if name in found else (node, versions)
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all constants."""
        return iter(self._tensors)

    def array(self, name: str) -> np.ndarray | None:
        """Return a constant; None if there is none of that name, or more than one."""
        return self.file.array(self._tensors[name]) if name in self._tensors else None

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """Return the nodes that read a tensor."""
        return [node for node, _ in self._nodes if name in node.input]

    def setting(self, name: str) -> np.float32 | None:
        """Return a number among the attributes, ``node.attribute``: where it is not written, what its definition says.

        None where there is no such node, or more than one, or it says nothing.
        """
        node_name, _, attribute = name.rpartition(".")
        if (found := self._by_name.get(node_name)) is None:
            return None
        node, versions = found
        if stated := [each for each in node.attribute if each.name == attribute]:
            one = stated[0]
            plain = len(stated) == 1 and one.type == onnx.AttributeProto.FLOAT and not one.ref_attr_name
            return np.float32(one.f) if plain else None
        domain = domain_of(node.domain)
        try:
            schema = onnx.defs.get_schema(node.op_type, versions.get(domain, 1), domain)
        except onnx.defs.SchemaError:
            return None
        default = schema.attributes[attribute].default_value if attribute in schema.attributes else None
        if default is None or default.type != onnx.AttributeProto.FLOAT:
            return None
        return np.float32(helper.get_attribute_value(default))

    def has_node(self, name: str) -> bool:
        """Return whether there is exactly one node of a name, or with an output of that name."""
        return self._by_name.get(name) is not None

    def same(self, array: np.ndarray) -> bool:
        """Return whether some constant has the same elements."""
        return any(_same(self.file.array(each), array) for each in self._tensors.values() if _alike(each, array))


def inside(nodes: object) -> list[onnx.GraphProto]:
    """Return the graphs inside of nodes, also those inside of others."""
    found: list[onnx.GraphProto] = []
    for node in nodes:  # type: ignore[attr-defined]
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                found += [graph, *inside(graph.node)]
    return found


def _holds(attribute: onnx.AttributeProto) -> bool:
    """Return whether a node holds a tensor itself, and not what its function was called with."""
    return attribute.name == "value" and not attribute.ref_attr_name


def _alike(tensor: onnx.TensorProto, array: np.ndarray) -> bool:
    return tuple(tensor.dims) == array.shape and helper.tensor_dtype_to_np_dtype(tensor.data_type) == array.dtype


def _same(one: np.ndarray, two: np.ndarray) -> bool:
    """Return whether two arrays of one shape and type have the same bits; their beginnings tell most of them apart."""
    return all(
        np.ascontiguousarray(each).tobytes() == np.ascontiguousarray(other).tobytes()
        for each, other in ((one.reshape(-1)[:FEW], two.reshape(-1)[:FEW]), (one, two))
    )
