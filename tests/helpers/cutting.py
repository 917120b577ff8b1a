"""A classifier to cut, and what a model gives for drawn inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import settings

from helpers.graphs import STABLE, model
from onnx_n2n.verification.options import Proof
from onnx_n2n.verification.runtime import runtime

FEW = settings(STABLE, max_examples=15, deadline=None)
UNPROVEN = Proof(wanted=False)
TOLERANCE = 1e-5

BODY = """
    g = MatMul(x, v) h = Relu(g) logits = Gemm<transB=1>(h, w, b) probabilities = Softmax<axis=-1>(logits)
"""


def classifier(body: str = BODY, inputs: str = "float[1,6] x", outputs: str = "probabilities", **more: Any) -> Any:
    found = model(body, inputs, outputs, **{"v": (6, 8), "w": (5, 8), "b": (5,), **more})
    for place, node in enumerate(found.graph.node):
        node.name = f"node_{place}"
    return found


def answers(proto: onnx.ModelProto, feed: dict[str, np.ndarray], *names: str) -> list[np.ndarray]:
    """Run a model and return its outputs, or tensors of it."""
    copy = onnx.ModelProto.FromString(proto.SerializeToString())
    if names:
        del copy.graph.output[:]
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = runtime().SessionOptions()
    options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = runtime().InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, feed)
    return found


def drawn(proto: onnx.ModelProto, seed: int = 0, rows: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    stored = {tensor.name for tensor in proto.graph.initializer}
    return {
        value.name: rng.standard_normal(
            [dim.dim_value or rows for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in proto.graph.input
        if value.name not in stored
    }


def close(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, TOLERANCE, TOLERANCE))
