"""Node tests as teachers: what a node reads is made by layers, or is a weight, and layers read what it makes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.wild.judge import Feed


@dataclass(frozen=True)
class Teacher:
    """A node test with layers around it, named after what is done to its inputs."""

    name: str
    model: onnx.ModelProto
    feeds: tuple[Feed, ...]


def without_weights(name: str, model: onnx.ModelProto, seed: int) -> Iterator[Teacher]:
    """Yield a model with each of its weights, and with all of them, made by layers of what the model is given."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = [each for each, array in arrays.items() if array.dtype == np.float32 and array.size > 1]
    weights = [each for each in weights if arrays[each].ndim]
    given = [value.name for value in model.graph.input]
    for wish in [*([each] for each in weights), *([weights] if len(weights) > 1 else [])]:
        rng = np.random.default_rng(seed)
        opened = onnx.ModelProto.FromString(model.SerializeToString())
        tensors = [tensor for tensor in opened.graph.initializer if tensor.name in wish]
        for tensor in tensors:
            opened.graph.initializer.remove(tensor)
            opened.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        inputs = [arrays[value.name] if value.name in wish else _drawn(value, rng) for value in opened.graph.input]
        whole = {k for k, value in enumerate(opened.graph.input) if value.name in given}
        yield Teacher(f"{name} [{', '.join(wish)} computed]", *_around(opened, inputs, set(), rng, plain=whole))


def _drawn(value: onnx.ValueInfoProto, rng: np.random.Generator) -> np.ndarray:
    kind = value.type.tensor_type
    shape = [dim.dim_value or 2 for dim in kind.shape.dim]
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    drawn = rng.standard_normal(shape) if np.issubdtype(dtype, np.floating) else rng.integers(0, 2, shape)
    return drawn.astype(dtype)


def draws(model: onnx.ModelProto) -> bool:
    """Say whether a model drops at random: no other model drops the same."""
    return any(node.op_type == "Dropout" and len(node.input) > 2 for node in model.graph.node)


def teachers(name: str, model: onnx.ModelProto, inputs: Sequence[np.ndarray], seed: int) -> Iterator[Teacher]:
    """Yield a node test behind layers, and with each of its inputs made a weight.

    Args:
        name: Of the test.
        model: The test's model.
        inputs: What the test feeds.
        seed: Of the weights.
    """
    floats = {k for k, array in enumerate(inputs) if array.dtype == np.float32}
    others = set(range(len(inputs))) - floats
    wishes = [("layers", set()), ("constants", others)] if others else [("layers", set())]
    wishes += [(f"weight {k}", {k}) for k in range(len(inputs))]
    wishes += [(f"only {k}", set(range(len(inputs))) - {k}) for k in sorted(floats)] if len(inputs) > 2 else []
    for wish, weights in wishes:
        if floats - weights:
            yield Teacher(f"{name} [{wish}]", *_around(model, inputs, weights, np.random.default_rng(seed)))


def _around(
    model: onnx.ModelProto,
    inputs: Sequence[np.ndarray],
    weights: set[int],
    rng: np.random.Generator,
    plain: Collection[int] = (),
) -> tuple[onnx.ModelProto, tuple[Feed, ...]]:
    graph = onnx.GraphProto.FromString(model.graph.SerializeToString())
    nodes = list(graph.node)
    tensors, starts, feeds = list(graph.initializer), [], ({}, {})
    first: list[onnx.NodeProto] = []
    for k, (value, array) in enumerate(zip(graph.input, inputs, strict=False)):
        if k in weights:
            tensors.append(numpy_helper.from_array(array, value.name))
            continue
        start = onnx.ValueInfoProto()
        start.CopyFrom(value)
        starts.append(start)
        if array.dtype == np.float32 and k not in plain:
            start.name = f"{value.name}_given"
        for feed, off in zip(feeds, (0.0, 0.1), strict=True):
            feed[start.name] = (array * (1 + off * rng.uniform(-1, 1, array.shape))).astype(np.float32)
            if array.dtype != np.float32:
                feed[start.name] = array
        if array.dtype == np.float32 and k not in plain:
            first += _layers(start.name, value.name, array.shape, tensors, rng)
    last: list[onnx.NodeProto] = []
    ends = []
    for value in graph.output:
        kind = value.type.tensor_type
        ends.append(value)
        if kind.elem_type != onnx.TensorProto.FLOAT:
            continue
        shape = [dim.dim_value for dim in kind.shape.dim]
        for axis, length in enumerate(shape):
            if length > 1:
                end = f"{value.name}_read_{axis}"
                last += _layer(value.name, end, len(shape), axis, (length, 3), tensors, rng, same=False)
                ends.append(helper.make_tensor_value_info(end, 1, [n if i != axis else 3 for i, n in enumerate(shape)]))
    whole = helper.make_graph([*first, *nodes, *last], "behind", starts, ends, tensors)
    imports = [helper.make_opsetid(each.domain, each.version) for each in model.opset_import]
    made = helper.make_model(whole, opset_imports=imports, ir_version=model.ir_version, functions=model.functions)
    return made, feeds


def _layers(
    name: str, end: str, shape: Sequence[int], tensors: list[onnx.TensorProto], rng: np.random.Generator
) -> list[onnx.NodeProto]:
    """Return layers over every axis, one after the other, which change little; so what goes in stays in its range."""
    found: list[onnx.NodeProto] = []
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    for axis in axes:
        made = end if axis == axes[-1] else f"{end}_made_{axis}"
        length = shape[axis]
        found += _layer(name, made, len(shape), axis, (length, length), tensors, rng, same=True)
        name = made
    return found or [helper.make_node("Identity", [name], [end])]


def _layer(
    name: str,
    end: str,
    rank: int,
    axis: int,
    shape: tuple[int, int],
    tensors: list[onnx.TensorProto],
    rng: np.random.Generator,
    *,
    same: bool,
) -> list[onnx.NodeProto]:
    """Return a layer over one axis of a tensor, without a bias; nearly the identity, if it is to be the same."""
    weight = np.eye(*shape) + rng.uniform(0, 0.02, shape) if same else rng.standard_normal(shape)
    tensors.append(numpy_helper.from_array(weight.astype(np.float32), f"{end}_weight"))
    order = [*(place for place in range(rank) if place != axis), axis]
    if axis == rank - 1:
        return [helper.make_node("MatMul", [name, f"{end}_weight"], [end])]
    back = [order.index(place) for place in range(rank)]
    return [
        helper.make_node("Transpose", [name], [f"{end}_turned"], perm=order),
        helper.make_node("MatMul", [f"{end}_turned", f"{end}_weight"], [f"{end}_product"]),
        helper.make_node("Transpose", [f"{end}_product"], [end], perm=back),
    ]
