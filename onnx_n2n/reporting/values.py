"""How the numbers of two tensors differ; both are read once, and nothing of them is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

CHUNK = 1 << 20  # elements that are compared at a time


@dataclass(frozen=True)
class Values:
    """How the elements of two tensors differ.

    Attributes:
        elements: How many were compared: all, or where the shapes differ those at places that both tensors have.
        different: How many of them are not the same, by their bits; of tensors of two types, by their values.
        largest: The largest difference of two of them, not finite where one of them is not; None if none is a number.
    """

    elements: int
    different: int
    largest: float | None


def formed(tensor: ir.TensorProtocol) -> str:
    """Return the type and the shape of a tensor: ``float[16,3,3,3]``."""
    return f"{tensor.dtype.name.lower()}[{','.join(map(str, tensor.shape.numpy()))}]"


def compared(one: ir.TensorProtocol, other: ir.TensorProtocol) -> Values | None:
    """Compare the elements of two tensors that stand at the same places; None where the ranks differ."""
    if len(one.shape) != len(other.shape):
        return None
    before, after = one.numpy(), other.numpy()
    corner = tuple(slice(min(lengths)) for lengths in zip(before.shape, after.shape, strict=True))
    if before.shape != after.shape:
        before, after = before[corner], after[corner]
    elements, different, largest = int(before.size), 0, 0.0
    before, after = before.reshape(-1), after.reshape(-1)
    numeric = not {before.dtype.kind, after.dtype.kind} & set("OSU")
    for start in range(0, elements, CHUNK):
        a, b = (array[start : start + CHUNK] for array in (before, after))
        unlike = _unlike(a, b)
        if unlike.any():
            different += int(np.count_nonzero(unlike))
            if numeric:
                with np.errstate(all="ignore"):
                    apart = np.abs(_wide(a[unlike]) - _wide(b[unlike])).max()
                largest = float(np.maximum(largest, apart))  # keeps NaN
    return Values(elements, different, largest if numeric else None)


def _unlike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Say of each element whether it differs."""
    if one.dtype != other.dtype or one.dtype.kind in "OSU":
        numeric = not {one.dtype.kind, other.dtype.kind} & set("OSU")
        a, b = (_wide(one), _wide(other)) if numeric else (one, other)
        return np.asarray((a != b) & ~((a != a) & (b != b)), bool)  # NaN is not itself
    bits = [np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1) for array in (one, other)]
    return np.asarray((bits[0] != bits[1]).any(axis=1), bool)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
