"""Types and arrays between ONNX, numpy and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from onnx_n2n.errors import ExportError

TYPES: dict[int, torch.dtype] = {
    ir.DataType.FLOAT.value: torch.float32,
    ir.DataType.FLOAT16.value: torch.float16,
    ir.DataType.DOUBLE.value: torch.float64,
    ir.DataType.BFLOAT16.value: torch.bfloat16,
    ir.DataType.INT64.value: torch.int64,
    ir.DataType.INT32.value: torch.int32,
    ir.DataType.INT16.value: torch.int16,
    ir.DataType.INT8.value: torch.int8,
    ir.DataType.UINT8.value: torch.uint8,
    ir.DataType.UINT16.value: torch.uint16,
    ir.DataType.UINT32.value: torch.uint32,
    ir.DataType.UINT64.value: torch.uint64,
    ir.DataType.BOOL.value: torch.bool,
    ir.DataType.COMPLEX64.value: torch.complex64,
    ir.DataType.COMPLEX128.value: torch.complex128,
}

BYTES: dict[int, torch.dtype] = {
    ir.DataType.FLOAT8E4M3FN.value: torch.float8_e4m3fn,
    ir.DataType.FLOAT8E4M3FNUZ.value: torch.float8_e4m3fnuz,
    ir.DataType.FLOAT8E5M2.value: torch.float8_e5m2,
    ir.DataType.FLOAT8E5M2FNUZ.value: torch.float8_e5m2fnuz,
} | ({ir.DataType.FLOAT8E8M0.value: torch.float8_e8m0fnu} if hasattr(torch, "float8_e8m0fnu") else {})
"""Floating-point numbers of 8 bits: PyTorch stores them, and computes with them after a cast."""
TYPES |= BYTES
FLOAT8 = {ir.DataType(code).numpy().name: dtype for code, dtype in BYTES.items()}

NARROW: dict[str, Any] = {
    "int4": np.int8,
    "int2": np.int8,
    "uint4": np.uint8,
    "uint2": np.uint8,
    "float4_e2m1fn": ir.DataType.FLOAT8E4M3FN.numpy(),  # which has all numbers of 4 bits
}


def to_tensor(array: np.ndarray) -> torch.Tensor:
    """Return a tensor with memory of its own; numbers of fewer bits have 8.

    Raises:
        ExportError: PyTorch has no such type.
    """
    array = np.array(array, order="C", copy=True)
    if array.dtype.name in NARROW:
        array = array.astype(NARROW[array.dtype.name])
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    if array.dtype.name in FLOAT8:
        return torch.from_numpy(array.view(np.uint8)).view(FLOAT8[array.dtype.name])
    try:
        return torch.from_numpy(array)
    except TypeError as failure:
        raise ExportError(f"PyTorch has no tensors of {array.dtype.name}") from failure


def to_array(tensor: Any) -> Any:
    """Return the values of a tensor, or of a list of them, on the host."""
    if isinstance(tensor, (list, tuple)):
        return [to_array(each) for each in tensor]
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ir.DataType.BFLOAT16.numpy())
    if tensor.dtype in BYTES.values():
        kind = next(ir.DataType(code) for code, dtype in BYTES.items() if dtype == tensor.dtype)
        return tensor.view(torch.uint8).numpy().view(kind.numpy())
    return tensor.numpy()


def sent(value: Any, like: torch.Tensor | None) -> torch.Tensor:
    """Send a value of the host lane to the device."""
    return torch.tensor(value, device=None if like is None else like.device)


def fetched(value: torch.Tensor) -> Any:
    """Fetch a value from the device; this waits for it."""
    return value.tolist()
