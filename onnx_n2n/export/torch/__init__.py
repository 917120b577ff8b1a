"""PyTorch: a model as a trainable ``nn.Module``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from onnx_n2n.export.build import program_of
from onnx_n2n.export.check import Runner
from onnx_n2n.export.operators.table import known
from onnx_n2n.export.program import Program
from onnx_n2n.export.torch import dtypes, layers
from onnx_n2n.export.torch.emit import Emitter
from onnx_n2n.export.torch.network import Network
from onnx_n2n.io.model import ModelLike

__all__ = ["Network", "module_of", "runner", "to_torch"]


def to_torch(model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> Network:
    """Turn a model into a module; see :func:`onnx_n2n.export.to_torch`."""
    return module_of(program_of(model, known, freeze=freeze, train=train))


def module_of(program: Program) -> Network:
    """Turn a program into a module, in evaluation mode."""
    emitter = Emitter(program, nn.Module())
    for name in program.main.inputs:
        emitter.input(name)
    for step in program.main.steps:
        emitter.step(step)
    found = [emitter.device(name) for name in program.main.outputs]
    emitter.graph.output(found[0] if len(found) == 1 else tuple(found))
    if emitter.arrays:
        emitter.root.add_module(
            emitter.constants, layers.FrozenTensors([dtypes.to_tensor(array) for array in emitter.arrays])
        )
    module = Network(emitter.root, emitter.graph, class_name="Network")
    module.meta["inputs"], module.meta["outputs"] = program.main.inputs, program.main.outputs
    return module.eval()


def runner(module: Network) -> Runner:
    """Return what runs a module on arrays, for :func:`onnx_n2n.export.check.agreement`."""

    def run(feed: Mapping[str, np.ndarray]) -> list[Any]:
        with torch.no_grad():
            found = module(*(dtypes.to_tensor(feed[name]) for name in module.meta["inputs"]))
        return [dtypes.to_array(value) for value in (found if isinstance(found, tuple) else (found,))]

    return run
