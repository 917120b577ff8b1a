"""Graphs with weights and constants, and what the program of an export decides of them."""

import io
import warnings
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from helpers.needing import needs
from onnx_n2n.export.program import Program

RNG = np.random.default_rng(0)


def anything(*_: Any) -> bool:
    """Know every operator."""
    return True


def drawn(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32) / 2


def trained(program: Program) -> set[str]:
    return {name for name, tensor in program.tensors.items() if tensor.trained}


def constants(program: Program) -> dict[str, str]:
    return {account.name: account.because for account in program.accounts if account.kind == "constant"}


def nodes(**arrays: np.ndarray) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name))
        for name, array in arrays.items()
    ]


def with_nodes(proto: onnx.ModelProto, **arrays: np.ndarray) -> onnx.ModelProto:
    """Put Constant nodes in front of a graph."""
    rest = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes(**arrays), *rest])
    return proto


def graph(body: str, **weights: Any) -> onnx.ModelProto:
    """A graph from float[2,4,8] x to a y of the same shape, whose Constant nodes come later."""
    parsed = parser.parse_graph(f"g (float[2,4,8] x) => (float[2,4,8] y) {{ {body} }}")
    parsed.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items())
    return helper.make_model(parsed, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def exported(net: Any, *inputs: Any, optimize: bool = True) -> onnx.ModelProto:
    """Export a network with PyTorch's default exporter."""
    torch, file = needs("torch"), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, inputs, dynamo=True, optimize=optimize, verbose=False).save(file)
    return onnx.ModelProto.FromString(file.getvalue())
