"""A program as a config of Keras holds it: dicts, lists, numbers and texts, which JSON takes.

Weights are only said to be there, with names, shapes and types: Keras keeps what is in them. Everything else is written
down, constants as ONNX tensors. What is read is what was decided when the model was exported, which tensor is a
parameter and what it is called, and is not worked out again from other values.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.errors import ExportError
from onnx_n2n.export.program import Block, Program, ProgramStep, Tensor, Weight
from onnx_n2n.record.layouts import Layout

FORMAT = 1


@dataclass(frozen=True)
class Slot:
    """An input or output of a model.

    Attributes:
        name: Its name in the file.
        dtype: The name of its type in numpy.
        shape: Its lengths: numbers, names, and None for what the file does not say. None if not even their number
            is known.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class LayerPlan:
    """What a layer does.

    Attributes:
        program: The program; its tensors are only shapes and types once it has been written.
        inputs: What comes in, in the order of the graph.
        outputs: What goes out, in the order of the graph.
    """

    program: Program
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]


def written(plan: LayerPlan) -> dict[str, Any]:
    """Write a plan, without the values of its weights.

    Raises:
        ExportError: An attribute is neither a number, a text nor an array.
    """
    program = plan.program
    return {
        "format": FORMAT,
        "inputs": [_slot(slot) for slot in plan.inputs],
        "outputs": [_slot(slot) for slot in plan.outputs],
        "tensors": {name: _tensor(tensor) for name, tensor in program.tensors.items()},
        "weights": {name: _weight(weight) for name, weight in program.weights.items()},
        "constants": {name: _plain(array) for name, array in program.constants.items()},
        "host": sorted(program.host),
        "main": _block(program.main),
    }


def read(text: Mapping[str, Any]) -> LayerPlan:
    """Read a plan; its weights are zeros of the right shapes and types, which take no memory.

    Raises:
        ExportError: A later version has written it.
    """
    if text["format"] != FORMAT:
        reason = f"a version of onnx-n2n whose format is {text['format']} has written this; this one knows {FORMAT}"
        raise ExportError(reason, hint="Run: pip install --upgrade onnx-n2n")
    return LayerPlan(
        program=Program(
            main=_read_block(text["main"]),
            tensors={name: _read_tensor(name, tensor) for name, tensor in text["tensors"].items()},
            weights={name: _read_weight(weight) for name, weight in text["weights"].items()},
            constants={name: _read_plain(array) for name, array in text["constants"].items()},
            host=frozenset(text["host"]),
            outputs=tuple(slot["name"] for slot in text["outputs"]),
        ),
        inputs=tuple(_read_slot(slot) for slot in text["inputs"]),
        outputs=tuple(_read_slot(slot) for slot in text["outputs"]),
    )


def _slot(slot: Slot) -> dict[str, Any]:
    return {"name": slot.name, "dtype": slot.dtype, "shape": None if slot.shape is None else list(slot.shape)}


def _read_slot(text: Mapping[str, Any]) -> Slot:
    return Slot(text["name"], text["dtype"], None if text["shape"] is None else tuple(text["shape"]))


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "shape": list(tensor.array.shape),
        "dtype": tensor.array.dtype.name,
        "trained": tensor.trained,
        "source": tensor.source,
        "initializers": list(tensor.initializers),
    }


def _read_tensor(name: str, text: Mapping[str, Any]) -> Tensor:
    zeros = np.broadcast_to(np.zeros((), np.dtype(text["dtype"])), text["shape"])
    return Tensor(name, zeros, text["trained"], text["source"], tuple(text["initializers"]))


def _weight(weight: Weight) -> dict[str, Any]:
    return {"parts": list(weight.parts), "layout": str(weight.layout), "initializer": weight.initializer}


def _read_weight(text: Mapping[str, Any]) -> Weight:
    return Weight(tuple(text["parts"]), Layout.read(text["layout"]), text["initializer"])


def _block(block: Block) -> dict[str, Any]:
    return {
        "inputs": list(block.inputs),
        "outputs": list(block.outputs),
        "steps": [
            {
                "operator": step.operator,
                "version": step.version,
                "name": step.name,
                "inputs": list(step.inputs),
                "outputs": list(step.outputs),
                "attributes": {name: _plain(value) for name, value in step.attributes.items()},
                "blocks": {name: _block(inner) for name, inner in step.blocks.items()},
            }
            for step in block.steps
        ],
    }


def _read_block(text: Mapping[str, Any]) -> Block:
    return Block(tuple(text["inputs"]), tuple(text["outputs"]), tuple(_read_step(step) for step in text["steps"]))


def _read_step(text: Mapping[str, Any]) -> ProgramStep:
    return ProgramStep(
        operator=text["operator"],
        version=text["version"],
        name=text["name"],
        inputs=tuple(text["inputs"]),
        outputs=tuple(text["outputs"]),
        attributes={name: _read_plain(value) for name, value in text["attributes"].items()},
        blocks={name: _read_block(inner) for name, inner in text["blocks"].items()},
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        proto = ir.serde.serialize_tensor(ir.Tensor(np.array(value, order="C")))
        return {"tensor": base64.b64encode(zlib.compress(proto.SerializeToString())).decode("ascii")}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, int | float | str):
        raise ExportError(f"an attribute of the type {type(value).__name__} cannot be saved in a Keras model")
    return value


def _read_plain(text: Any) -> Any:
    if isinstance(text, Mapping):
        proto = onnx.TensorProto.FromString(zlib.decompress(base64.b64decode(text["tensor"])))
        return ir.serde.deserialize_tensor(proto).numpy()
    return [_read_plain(each) for each in text] if isinstance(text, list) else text
