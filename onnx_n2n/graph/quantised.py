"""Quantised numbers: which operands are whole numbers that stand for others, and where their zero points are.

Whole numbers cannot be scaled. So where a sum runs over copies of a channel, one of these has all of the teacher's
weight and the others have zero: the result is the same to the last bit, and no scale changes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.uses import Use

_Type = ir.DataType
WHOLE = frozenset(
    {_Type.INT2, _Type.UINT2, _Type.INT4, _Type.UINT4, _Type.INT8, _Type.UINT8, _Type.INT16, _Type.UINT16, _Type.INT32}
)
# No operator takes lengths or indices of these types, so that they are data wherever they stand.
NARROW = (WHOLE - {_Type.INT32}) | {
    _Type.FLOAT4E2M1, _Type.FLOAT8E4M3FN, _Type.FLOAT8E4M3FNUZ, _Type.FLOAT8E5M2, _Type.FLOAT8E5M2FNUZ,
    _Type.FLOAT8E8M0,
}  # fmt: skip


class ConstantTensors(Protocol):
    """The constant tensors of a model."""

    def __contains__(self, value: ir.Value) -> bool: ...

    def __getitem__(self, value: ir.Value) -> ir.TensorProtocol: ...


# For each operand: the slot of its zero point, and along which of its axes that may run, in words where it depends.
OPERANDS: dict[str, dict[int, tuple[int, tuple[int, ...] | str]]] = {
    "DequantizeLinear": {0: (2, "axis")},
    "QLinearConv": {0: (2, ()), 3: (5, (0,))},
    "QLinearMatMul": {0: (2, (-2,)), 3: (5, (-1,))},
    "QGemm": {0: (2, ()), 3: (5, "columns")},
    "ConvInteger": {0: (2, ()), 1: (3, (0,))},
    "MatMulInteger": {0: (2, (-2,)), 1: (3, (-1,))},
    "MatMulIntegerToFloat": {0: (4, (-2,)), 1: (5, (-1,))},
    "DynamicQuantizeMatMul": {1: (3, (-1,))},
    "DynamicQuantizeLSTM": {1: (9, (0, 2)), 2: (11, (0, 2))},
    "QAttention": {0: (6, ()), 1: (7, (1,))},
}
BIASES = {"QLinearConv": 8, "QGemm": 6}
DOMAINS = {"", "com.microsoft"}
ROUNDING = {"QuantizeLinear", "DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention"}


def is_quantised(node: ir.Node, slot: int) -> bool:
    """Say whether a node takes quantised numbers at a slot, and computes with them as they are."""
    return plain(node.domain) in DOMAINS and slot in OPERANDS.get(node.op_type, ())


def rounds(node: ir.Node) -> bool:
    """Say whether a node rounds floating-point numbers to quantised ones."""
    return plain(node.domain) in DOMAINS and (node.op_type in ROUNDING or node.op_type.startswith("QLinear"))


def only_quantised(uses: Collection[Use]) -> bool:
    """Say whether all uses of a tensor are as quantised numbers, as zero points of some, or as sums of products."""
    return bool(uses) and all(
        is_quantised(node, slot)
        or (
            plain(node.domain) in DOMAINS
            and (
                slot == BIASES.get(node.op_type)
                or any(slot == zero for zero, _ in OPERANDS.get(node.op_type, {}).values())
            )
        )
        for node, slot in uses
    )


def zero_point(tensors: ConstantTensors, node: ir.Node, slot: int) -> np.ndarray | None:
    """Return what stands for zero in a constant operand of whole numbers, as an int64 array that broadcasts over it.

    None if the operand is no such constant, or its zero point is computed.
    """
    value = node.inputs[slot]
    if not is_quantised(node, slot) or value is None or value not in tensors or tensors[value].dtype not in WHOLE:
        return None
    place, along = OPERANDS[node.op_type][slot]
    zero = node.inputs[place] if place < len(node.inputs) else None
    if zero is None:
        return np.zeros((), np.int64)
    if zero not in tensors:
        return None
    array = tensors[zero].numpy().astype(np.int64)
    shape = tuple(tensors[value].shape.numpy())
    if array.size == 1:
        return array.reshape(())
    if array.ndim == len(shape) > 1:
        return _spread_blocks(array, shape)
    full = [1] * len(shape)
    for axis, length in zip(_along(node, along), array.shape, strict=False):
        full[axis] = length
    return array.reshape(full)


def _along(node: ir.Node, along: tuple[int, ...] | str) -> tuple[int, ...]:
    if not isinstance(along, str):
        return along
    found = node.attributes.get("axis" if along == "axis" else "transB")
    if along == "axis":
        return (1 if found is None else found.value,)
    return (0 if found is not None and found.value else 1,)


def _spread_blocks(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a zero point that holds for blocks of an axis for every place of it."""
    for axis, (blocks, length) in enumerate(zip(array.shape, shape, strict=True)):
        if blocks not in {1, length}:
            array = np.repeat(array, -(-length // blocks), axis=axis)[(slice(None),) * axis + (slice(length),)]
    return array
