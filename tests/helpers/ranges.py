"""Whether all that a model computes is finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort


def session(proto: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def exposing(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that gives out all that its nodes make."""
    found = onnx.ModelProto.FromString(proto.SerializeToString())
    known = {value.name for value in found.graph.output}
    made = [name for node in found.graph.node for name in node.output if name and name not in known]
    found.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    return found


def finite(values: list[Any]) -> bool:
    arrays = [value for value in values if isinstance(value, np.ndarray) and value.dtype.kind == "f"]
    return all(np.isfinite(array).all() for array in arrays)
