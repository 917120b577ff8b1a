"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    arithmetic,
    control,
    matrices,
    moving,
    recurrent,
    sequences,
    shapes,
)

__all__ = [
    "arithmetic",
    "control",
    "matrices",
    "moving",
    "recurrent",
    "sequences",
    "shapes",
]
