"""Keras 3: a model as a ``keras.Model`` of one layer that computes in JAX, on the backends that can take JAX in.

Importing this makes the layer known to Keras, so that ``keras.models.load_model`` finds it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import ExportError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.check import Runner
from onnx_n2n.export.keras.layer import Network, free, kind_of, names_of
from onnx_n2n.export.keras.plan import LayerPlan, Slot
from onnx_n2n.export.operators.table import known
from onnx_n2n.export.program import Program
from onnx_n2n.io.kinds import plain
from onnx_n2n.io.model import ModelLike, open_model

__all__ = ["Network", "load", "model_of", "runner", "to_keras"]

BACKENDS = ("jax", "tensorflow")


def to_keras(model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> keras.Model:
    """Turn a model into a Keras model; see :func:`onnx_n2n.export.to_keras`."""
    model = plain(model).model  # it is opened twice
    return model_of(program_of(model, known, freeze=freeze, train=train), model)


def model_of(program: Program, model: ModelLike) -> keras.Model:
    """Turn a program into a Keras model.

    Args:
        program: What is computed.
        model: The model that it was made of, which says types and shapes of inputs and outputs.

    Raises:
        ExportError: Keras runs on a backend that cannot, or an input or output is no tensor.
    """
    check_backend()
    graph = open_model(model).model.graph
    taken = {value.name: value for value in graph.inputs}
    inputs = tuple(_slot(taken[name], name) for name in program.main.inputs)
    layer = Network(LayerPlan(program, inputs, tuple(_slot(value, str(value.name)) for value in graph.outputs)))
    given = [
        keras.Input(batch_shape=free(slot), dtype=kind_of(slot.dtype), name=name)
        for slot, name in zip(inputs, names_of(inputs), strict=True)
    ]
    taking = given[0] if len(given) == 1 else given
    return keras.Model(taking, layer(taking))


def load(path: str | os.PathLike[str]) -> keras.Model:
    """Open what ``model.save`` wrote.

    Raises:
        ExportError: Keras runs on a backend that cannot, or the file is not one of Keras.
    """
    check_backend()
    try:
        return keras.models.load_model(Path(path))
    except (ValueError, TypeError, OSError) as failure:
        reason = f"Keras cannot load {str(path)!r}: {' '.join(str(failure).split())[:300]}"
        raise ExportError(reason) from failure


def runner(model: keras.Model) -> Runner:
    """Return what runs a model on arrays, for :func:`onnx_n2n.export.check.agreement`."""
    layer = next(layer for layer in model.layers if isinstance(layer, Network))
    outputs = names_of(layer.plan.outputs)

    def run(feed: Mapping[str, np.ndarray]) -> list[Any]:
        given = [feed[slot.name] for slot in layer.plan.inputs]
        inputs = given[0] if len(given) == 1 else given
        filtering = keras.config.is_traceback_filtering_enabled()
        keras.config.disable_traceback_filtering()  # with it, Keras writes an error's sentence anew
        try:
            found = _found(model, inputs)
        finally:
            if filtering:
                keras.config.enable_traceback_filtering()
        return [np.asarray(found[name] if isinstance(found, dict) else found) for name in outputs]

    return run


def check_backend() -> None:
    """Refuse the backends of Keras that JAX does not run on.

    Raises:
        ExportError: It is one of them.
    """
    backend = keras.backend.backend()
    if backend not in BACKENDS:
        hint = "Set KERAS_BACKEND=jax or tensorflow before Keras is imported"
        hint += "; or use to_torch, whose module is plain PyTorch" if backend == "torch" else ""
        raise ExportError(f"Keras runs on {backend} here, which cannot take in what is computed in JAX", hint=hint)


def _found(model: keras.Model, inputs: Any) -> Any:
    try:
        return model.predict_on_batch(inputs)
    except ExportError:  # a length depends on data, or on what is not known while it is compiled
        return model(inputs)


def _slot(value: ir.Value, name: str) -> Slot:
    if not isinstance(value.type, ir.TensorType):
        raise ExportError(f"{name!r} is no tensor, and the inputs and outputs of a Keras model are tensors")
    if value.shape is None and value.is_graph_input():
        raise ExportError(f"the file does not say how many axes {name!r} has, which Keras has to know")
    shape = None if value.shape is None else tuple(_length(length) for length in value.shape)
    return Slot(name, value.type.dtype.numpy().name, shape)


def _length(length: int | ir.SymbolicDim) -> int | str | None:
    return length.value if isinstance(length, ir.SymbolicDim) else int(length)
