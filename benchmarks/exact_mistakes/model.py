"""A model to be changed, and kinds of errors that are declared by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

LARGE = 1e-2  # what a small error becomes for the independent run
CONVOLUTIONS = {"Conv", "ConvTranspose"}
POOLS = {"MaxPool", "AveragePool", "LpPool"}
NORMS = {"BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"}
ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "Softplus", "Softsign", "Abs", "Neg", "HardSigmoid")
RECURRENT = {"LSTM", "GRU", "RNN"}
REDUCTIONS = {"ReduceMean": "ReduceSum", "ReduceSum": "ReduceMean", "ReduceMax": "ReduceMin", "ReduceMin": "ReduceMax",
              "ReduceL2": "ReduceL1", "ReduceL1": "ReduceL2", "GlobalAveragePool": "GlobalMaxPool",
              "GlobalMaxPool": "GlobalAveragePool"}  # fmt: skip
DTYPES = {TensorProto.FLOAT: "f4", TensorProto.DOUBLE: "f8", TensorProto.FLOAT16: "f2", TensorProto.INT64: "i8",
          TensorProto.INT32: "i4", TensorProto.INT8: "i1", TensorProto.UINT8: "u1", TensorProto.BOOL: "?"}  # fmt: skip


class NoPlaceError(Exception):
    """A model has no place for an error."""


class Model:
    """A model to be changed, and what is drawn for it.

    Args:
        proto: The model; its shapes are inferred.
        draw: What draws the place.
        large: Whether a number moves by `LARGE` instead of a little.
    """

    def __init__(self, proto: onnx.ModelProto, draw: np.random.Generator, large: bool) -> None:
        self.proto, self.draw, self.large = proto, draw, large
        self.nodes = proto.graph.node
        self.constants: dict[str, TensorProto] = {each.name: each for each in proto.graph.initializer}
        for node in self.nodes:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self.constants[node.output[0]] = attribute.t

    def one(self, found: Iterable[Any]) -> Any:
        """Return one of several things.

        Raises:
            NoPlaceError: If there is none.
        """
        things = list(found)
        if not things:
            raise NoPlaceError
        return things[self.draw.integers(len(things))]

    def node(self, *operators: str) -> onnx.NodeProto:
        """Return a node with one of some operators."""
        return self.one(each for each in self.nodes if each.op_type in operators)

    def array(self, name: str) -> np.ndarray:
        """Return a constant's numbers."""
        return numpy_helper.to_array(self.constants[name]).copy()

    def put(self, name: str, array: np.ndarray) -> str:
        """Change a constant's numbers."""
        tensor = self.constants[name]
        kept = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.array(array, order="C"), kept))
        return name

    def named(self, suits: Callable[[TensorProto], bool], kinds: str = "f") -> str:
        """Return the name of a constant of floats (or other kinds) that suits, by its dimensions."""
        return self.one(
            name
            for name, each in self.constants.items()
            if each.data_type in DTYPES and np.dtype(DTYPES[each.data_type]).kind in kinds and suits(each)
        )

    def read_by(self, operators: Iterable[str], *slots: int) -> str:
        """Return the name of a constant of floats that an operator reads at one of some places."""
        wanted = set(operators)
        return self.one(
            node.input[slot]
            for node in self.nodes
            if node.op_type in wanted
            for slot in slots
            if slot < len(node.input)
            and node.input[slot] in self.constants
            and np.dtype(DTYPES.get(self.constants[node.input[slot]].data_type, "U")).kind == "f"
        )

    def types(self) -> dict[str, tuple[int, tuple[Any, ...]]]:
        """Return types and shapes of tensors by name, in the order in which they are made."""
        graph = onnx.shape_inference.infer_shapes(self.proto).graph
        known = {}
        for each in (*graph.input, *graph.value_info, *graph.output):
            tensor = each.type.tensor_type
            if tensor.HasField("shape"):
                known[each.name] = tensor.elem_type, tuple(d.dim_param or d.dim_value or None for d in tensor.shape.dim)
        for name, each in self.constants.items():
            known[name] = each.data_type, tuple(each.dims)
        return known


Function = Callable[[Model], str]


class Kinds(dict[str, Function]):
    """Kinds of errors by name."""

    def kind(self, name: str) -> Callable[[Function], Function]:
        """Declare a kind of errors."""

        def declared(function: Function) -> Function:
            self[name] = function
            return function

        return declared


def label(node: onnx.NodeProto, what: str = "") -> str:
    """Return a node's name for people."""
    return f"{node.op_type} {node.name or node.output[0]} {what}".strip()
