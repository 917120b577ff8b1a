"""A graph and its weights: each initializer gets a tensor, as it is stored, and a Cast where the class computes so."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import ModelError
from onnx_n2n.graph.constants import SMALL
from onnx_n2n.graph.subgraphs import bodies_of, nodes_of
from onnx_n2n.huggingface.folder import Folder
from onnx_n2n.huggingface.keys import Read, read, unlike
from onnx_n2n.huggingface.network import Network
from onnx_n2n.huggingface.tracing import traced
from onnx_n2n.huggingface.workspace import Workspace
from onnx_n2n.io.tensorfile import DTYPES
from onnx_n2n.words import brief

CAST = ".cast"  # behind the name of a weight, of what its stored numbers become


def keys_read(network: Network, folder: Folder) -> Read:
    """Say how a class reads the tensors of a folder.

    Raises:
        ModelError: It does not find all that it needs, or something of another shape.
    """
    found, kind = read(network, folder.tensors), network.kind.__name__
    if found.lacking:
        raise ModelError(
            f"the folder has no {brief(repr(found.lacking[0]))}, which {kind} would draw at random"
            + (f", nor {len(found.lacking) - 1} others" if len(found.lacking) > 1 else ""),
        )
    for name, key in found.plain.items():
        if folder.tensors[key].shape != network.shapes[name]:
            raise ModelError(
                f"tensor {key!r} is not of the shape that config.json says",
                shapes=f"{list(folder.tensors[key].shape)} where {kind} has {list(network.shapes[name])}",
            )
    if other := unlike(folder, found.double):
        raise ModelError(
            f"{other[0]!r} and {found.double[other[0]]!r} are one parameter of {kind}, and not the same in the folder",
            hint="say in config.json whether they are tied, with 'tie_word_embeddings'",
        )
    return found


def tensors_of(network: Network, folder: Folder, found: Read, place: Workspace) -> dict[str, ir.TensorProtocol]:
    """Return all tensors that a network has, by the first of their names, as they are in the files of a folder.

    Raises:
        ModelError: The class does not say what one is.
    """
    tensors: dict[str, ir.TensorProtocol] = {
        name: place.tensor(folder.tensors[key], name) for name, key in found.plain.items()
    }
    for made in found.made:
        specs = [folder.tensors[key].dtype for keys in made.keys.values() for key in keys]
        for name in made.names:
            tensors[network.one.get(name, name)] = _later(network, folder, found, name, DTYPES[specs[0]])
    return tensors | computed(network)


def _later(network: Network, folder: Folder, found: Read, name: str, dtype: np.dtype) -> ir.TensorProtocol:
    """Return a tensor that a class makes of others, made whenever it is asked for."""
    made = next(each for each in found.made if name in each.names)
    shape = ir.Shape(network.shapes[name])

    def make() -> ir.TensorProtocol:
        array = made.make(network, folder)[name]
        if (array.shape, array.dtype) != (shape.numpy(), dtype):
            raise ModelError(f"{name!r} becomes {array.dtype} {list(array.shape)}, not {dtype} {list(shape)}")
        return ir.tensor(array, name=name)

    return ir.LazyTensor(make, ir.DataType.from_numpy(dtype), shape, name=name)


def computed(network: Network) -> dict[str, ir.TensorProtocol]:
    """Return the buffers that a class computes, by the first of their names."""
    return {network.one[name]: ir.tensor(array, name=name) for name, array in network.buffers.items()}


def link(model: ir.Model, network: Network, tensors: Mapping[str, ir.TensorProtocol]) -> None:
    """Give the initializers of a traced graph their values, and the first names of what they are.

    Raises:
        ModelError: One is nothing that the class has a name for.
    """
    graph, casts = model.graph, dict[str, ir.Node]()
    for value in list(graph.initializers.values()):
        before = str(value.name)
        if value.const_value is not None:  # worked out of no weight
            continue
        name = network.one.get(before, before)
        if name not in tensors:
            raise ModelError(f"the graph of {network.kind.__name__} has a constant {before!r} of unknown value")
        del graph.initializers[before]
        if (first := graph.initializers.get(name)) is not None:  # of tied parameters that the graph names apart
            value.replace_all_uses_with(first if first.dtype == value.dtype else casts[name].outputs[0])
            continue
        tensor, kind = tensors[name], value.dtype
        value.name, value.const_value, value.dtype = name, tensor, tensor.dtype
        value.shape = ir.Shape(tensor.shape.numpy())
        graph.initializers[name] = value
        if kind is not None and tensor.dtype != kind:
            cast = ir.node("Cast", [value], {"to": int(kind)}, name=f"{name}{CAST}")
            casts[name], made = cast, cast.outputs[0]
            made.name, made.dtype, made.shape = f"{name}{CAST}", kind, value.shape
            for node, slot in list(value.uses()):
                if node is not cast:
                    node.replace_input_with(slot, made)
    waiting = {cast.outputs[0]: cast for cast in casts.values()}
    for node in list(graph):  # each stands where it is needed first: what runs node by node has few at once
        inside = (each for body in bodies_of(node) for each in nodes_of(body))
        for needed in (value for each in (node, *inside) for value in each.inputs):
            if needed is not None and needed in waiting:
                graph.insert_before(node, waiting.pop(needed))


def call_alike(model: ir.Model, tensors: Mapping[str, ir.TensorProtocol]) -> None:
    """Give constants that a class works out the names that a student has for the same numbers: its record has these."""
    graph = model.graph
    taken = {value.name for value in (*graph.inputs, *(each for node in graph.all_nodes() for each in node.outputs))}
    names: dict[tuple[object, ...], str] = {}
    for name, tensor in tensors.items():
        if name not in taken and name not in graph.initializers and tensor.size <= SMALL:
            names.setdefault(_numbers(tensor), name)
    for before, value in list(graph.initializers.items()):
        made, same = value.const_value, tensors.get(before)
        if made is None or made.size > SMALL or (same is not None and _numbers(same) == _numbers(made)):
            continue
        if _numbers(made) in names:
            del graph.initializers[before]
            value.name = names.pop(_numbers(made))
            graph.initializers[value.name] = value


def _numbers(tensor: ir.TensorProtocol) -> tuple[object, ...]:
    return tensor.dtype, tuple(tensor.shape), tensor.tobytes()


def model_of(folder: Folder, network: Network, found: Read, place: Workspace) -> ir.Model:
    """Return the graph of a folder, with its weights where they are.

    Args:
        folder: The folder.
        network: Its class.
        found: How that reads its tensors.
        place: Where these are as external data.

    Raises:
        ModelError: The class does not export.
    """
    model = traced(network)
    link(model, network, tensors_of(network, folder, found, place))
    return model
