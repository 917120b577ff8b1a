"""Two models in doubles, by the reference implementation of the onnx package: how far their outputs are apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
FEEDS = 6  # inputs that are drawn for each set of shapes


def doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model in which what is float32 is float64."""
    found = onnx.ModelProto.FromString(model.SerializeToString())
    del found.graph.value_info[:]
    _double(found.graph)
    for function in found.functions:
        _nodes(function.node)
    return found


def moved(one: onnx.ModelProto, two: onnx.ModelProto, shapes: Sequence[Mapping[str, Sequence[int]]]) -> float:
    """Return by how much outputs differ at most, relative to their largest number; at least one feed has to run.

    Raises:
        RuntimeError: If no feed runs.
    """
    runs = [ReferenceEvaluator(doubled(each)) for each in (one, two)]
    largest, ran, why = 0.0, 0, ""
    for feed in feeds(one, shapes):
        try:
            with np.errstate(all="ignore"):
                results = [run.run(None, feed) for run in runs]
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            continue
        ran += 1
        largest = max(largest, *(_apart(old, new) for old, new in zip(*results, strict=True)))
    if not ran:
        raise RuntimeError(why)
    return largest


def feeds(model: onnx.ModelProto, shapes: Sequence[Mapping[str, Sequence[int]]]) -> Iterator[dict[str, np.ndarray]]:
    """Yield inputs: normal numbers of several scales, whole numbers of several ranges, booleans."""
    constants = {each.name for each in model.graph.initializer}
    rows = max((each.dims[0] for each in model.graph.initializer if len(each.dims) == 2), default=2)
    for given in shapes:
        for number in range(FEEDS):
            draw = np.random.default_rng(number)
            feed = {}
            for each in model.graph.input:
                if each.name in constants:
                    continue
                kind = each.type.tensor_type.elem_type
                dtype = onnx.helper.tensor_dtype_to_np_dtype(DOUBLE if kind == FLOAT else kind)
                shape = tuple(given[each.name])
                if dtype.kind == "b":
                    feed[each.name] = draw.random(shape) < 0.5
                elif dtype.kind in "iu":
                    feed[each.name] = draw.integers(0, min(rows, 2 << number * 2), shape).astype(dtype)
                else:
                    feed[each.name] = (draw.standard_normal(shape) * (1, 3, 0.1)[number % 3]).astype(dtype)
            yield feed


def _double(graph: onnx.GraphProto) -> None:
    for each in (*graph.input, *graph.output):
        if each.type.tensor_type.elem_type == FLOAT:
            each.type.tensor_type.elem_type = DOUBLE
    for tensor in graph.initializer:
        _tensor(tensor)
    _nodes(graph.node)


def _nodes(nodes: Any) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _tensor(attribute.t)
            if attribute.HasField("g"):
                _double(attribute.g)
            if node.op_type in {"Cast", "EyeLike"} and attribute.name in {"to", "dtype"} and attribute.i == FLOAT:
                attribute.i = DOUBLE
            if node.op_type == "Constant" and attribute.name in {"value_float", "value_floats"}:
                values = attribute.f if attribute.name == "value_float" else list(attribute.floats)
                attribute.CopyFrom(
                    onnx.helper.make_attribute(
                        "value", numpy_helper.from_array(np.float64(values)[()] + np.zeros(np.shape(values)))
                    )
                )
        if node.op_type == "ConstantOfShape" and not node.attribute:
            node.attribute.append(onnx.helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))


def _tensor(tensor: TensorProto) -> None:
    if tensor.data_type == FLOAT:
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), name))


def _apart(old: Any, new: Any) -> float:
    """Return how far two results are apart, relative to the largest number: infinity where they are of another kind."""
    if isinstance(old, list):
        return max((_apart(*pair) for pair in zip(old, new, strict=False)), default=0.0)
    old, new = np.asarray(old), np.asarray(new)
    if old.shape != new.shape or old.dtype != new.dtype:
        return float("inf")
    if old.dtype.kind not in "fiub":
        return float((old != new).any())
    old, new = old.astype(np.float64), new.astype(np.float64)
    if (np.isfinite(old) & ~np.isfinite(new)).any():
        return float("inf")
    said = np.isfinite(old) & np.isfinite(new)
    apart = np.abs(old - new)[said].max(initial=0.0)
    return float(apart / max(np.abs(old)[said].max(initial=0.0), 1e-30)) if apart else 0.0
