"""A network of three matrices, its growth, and its checkpoint in one file or several."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

import onnx_n2n
from onnx_n2n.io import tensorfile
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import DTYPES
from onnx_n2n.record.record import Record

SHAPES = {"a.weight": (6, 8), "a.bias": (8,), "b.weight": (8, 10), "c.weight": (10, 5)}


def arrays(kind: str = "F32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(DTYPES[kind]) for name, shape in SHAPES.items()}


@functools.cache
def record(factor: float = 2, noise: float = 0) -> Record:
    """Return how a network of the parameters grows."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in (("x", 6), ("y", 5))]
    nodes = [
        helper.make_node("MatMul", ["x", "a.weight"], ["m"]), helper.make_node("Add", ["m", "a.bias"], ["s"]),
        helper.make_node("Relu", ["s"], ["h"]), helper.make_node("MatMul", ["h", "b.weight"], ["o"]),
        helper.make_node("Relu", ["o"], ["r"]), helper.make_node("MatMul", ["r", "c.weight"], ["y"]),
    ]  # fmt: skip
    weights = [from_array(array, name) for name, array in arrays().items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    found = onnx_n2n.widen(model, factor, init="net2net", noise=noise, verify=False).growth
    assert found is not None
    return found


def save(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    path.write_bytes(tensorfile.to_bytes(tensors, metadata))


def split(folder: Path, files: Mapping[str, str], tensors: Mapping[str, np.ndarray], **metadata: Any) -> Path:
    """Write tensors to files, and their index."""
    for file in set(files.values()):
        save(folder / file, {name: tensors[name] for name, own in files.items() if own == file}, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": metadata, "weight_map": dict(files)}))
    return index


def load(*paths: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for path in paths:
        tensors, _ = tensorfile.read(Source.of(path))
        assert found.keys().isdisjoint(tensors)
        found |= tensors
    return found


def same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> bool:
    """Say whether tensors are the same to the last bit."""
    return found.keys() == wanted.keys() and all(
        (array.dtype, array.shape, array.tobytes()) == (wanted[name].dtype, wanted[name].shape, wanted[name].tobytes())
        for name, array in found.items()
    )
