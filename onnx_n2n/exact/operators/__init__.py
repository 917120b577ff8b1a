"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    arithmetic,
    classical,
    control,
    matrices,
    moving,
    opaque,
    recurrent,
    sequences,
    shapes,
    texts,
)

__all__ = [
    "arithmetic",
    "classical",
    "control",
    "matrices",
    "moving",
    "opaque",
    "recurrent",
    "sequences",
    "shapes",
    "texts",
]
