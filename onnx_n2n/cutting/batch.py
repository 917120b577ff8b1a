"""A first axis of examples that is free: what graphs state about their number is taken back where that is safe."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.constants import Constants
from onnx_n2n.graph.names import Names
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.shapes import infer_types
from onnx_n2n.graph.subgraphs import values_of
from onnx_n2n.verification.localise import computed

SYMBOL = "batch"


@dataclass(frozen=True)
class Freed:
    """What was done to free the axis of examples.

    Attributes:
        symbol: What the axis is called now.
        number: How many examples there had to be.
        inputs: Names of the inputs that have the axis.
        reshaped: Names of the tensors whose shape was stated for that number.
    """

    symbol: str
    number: int
    inputs: tuple[str, ...]
    reshaped: tuple[str, ...]


def free(model: ir.Model) -> Freed | None:
    """Free the first axis of the inputs and outputs of a model that have as many examples there as the first input.

    A Reshape to a shape that begins with the number takes what goes in as it comes instead: the number becomes -1, or 0
    where another length is -1 already. Both give the same for that number, and for another number of examples rows
    stay rows. Whether everything else does too is for who runs the model to find out.

    Args:
        model: Is changed in place.

    Returns:
        What was done; None if the first axes of all inputs are free already.
    """
    graph = model.graph
    given = [value for value in graph.inputs if value.name not in graph.initializers and _first(value) is not None]
    if not given:
        return None
    number = _first(given[0])
    assert number is not None
    inputs = [value for value in given if _first(value) == number]
    symbol = _symbol(model)
    following = _following(model, inputs)
    declared = {value: value.shape for value in graph.outputs if _first(value) == number and value in following}
    for value in inputs:
        value.shape = _from(symbol, value.shape)
    reshaped = tuple(_reshaped(model, number, following))
    _forget(model, following.difference(inputs))
    types = infer_types(model)
    for value in values_of(graph):
        if value.type is not None and value.shape is None and str(value.name) in types:
            value.shape = ir.serde.deserialize_type_proto_for_shape(types[str(value.name)])
    for value, shape in declared.items():
        if value not in inputs and _first(value) is None:
            value.shape = _from(symbol, value.shape or shape)
    return Freed(symbol, number, tuple(str(value.name) for value in inputs), reshaped)


def _first(value: ir.Value) -> int | None:
    """Return the length of a tensor's first axis, if that is stated."""
    first = value.shape[0] if value.shape is not None and len(value.shape) else None
    return first if isinstance(first, int) and first >= 0 else None


def _from(symbol: str, shape: ir.Shape | None) -> ir.Shape:
    assert shape is not None
    return ir.Shape([symbol, *list(shape)[1:]])


def _symbol(model: ir.Model) -> str:
    """Return a name that no axis of the model has."""
    shapes = (value.shape or () for graph in model.graphs() for value in values_of(graph))
    used = {str(dim.value) for shape in shapes for dim in shape if isinstance(dim, ir.SymbolicDim)}
    return next(name for name in (SYMBOL, *(f"{SYMBOL}_{k}" for k in range(2, len(used) + 3))) if name not in used)


def _reshaped(model: ir.Model, number: int, following: Collection[ir.Value]) -> Iterator[str]:
    """Let each Reshape of what follows the inputs take as many examples as there are; yield what it makes."""
    constants, names = Constants(model), Names(model)
    for node in list(model.graph):
        if operator_of(node) != ("", "Reshape") or len(node.inputs) < 2 or node.inputs[0] not in following:
            continue
        shape = node.inputs[1]
        target = None if shape is None else constants.array(shape)
        if shape is None or target is None or target.ndim != 1 or not len(target) or target[0] != number:
            continue
        first = 0 if -1 in target[1:] else -1
        if first == 0 and node.attributes.get_int("allowzero", 0) != 0:
            continue
        node.replace_input_with(1, names.initializer(str(shape.name), np.array([first, *target[1:]], np.int64)))
        _drop(model.graph, shape)
        yield str(node.outputs[0].name)


def _drop(graph: ir.Graph, constant: ir.Value) -> None:
    """Remove a constant that nothing reads any more."""
    if constant.uses() or constant.is_graph_output():
        return
    if constant.name in graph.initializers:
        del graph.initializers[str(constant.name)]
        graph.inputs[:] = [value for value in graph.inputs if value is not constant]
    elif (node := constant.producer()) is not None and node.op_type == "Constant":
        graph.remove(node)


def _following(model: ir.Model, inputs: Collection[ir.Value]) -> set[ir.Value]:
    """Return what depends on some inputs of a model, with these, in its main graph."""
    made = computed(model, [str(value.name) for value in inputs])
    return {*inputs, *(value for node in made.values() for value in node.outputs)}


def _forget(model: ir.Model, following: Collection[ir.Value]) -> None:
    """Forget declared shapes of what depends on the inputs, and of all that is in bodies: they may state the number."""
    for block in model.graphs():
        for value in values_of(block):
            if block is not model.graph or value in following:
                value.shape = None
