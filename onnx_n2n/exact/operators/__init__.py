"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    activations,
    arithmetic,
    casts,
    classical,
    control,
    decisions,
    matrices,
    moving,
    opaque,
    recurrent,
    reductions,
    sequences,
    shapes,
    texts,
)

__all__ = [
    "activations",
    "arithmetic",
    "casts",
    "classical",
    "control",
    "decisions",
    "matrices",
    "moving",
    "opaque",
    "recurrent",
    "reductions",
    "sequences",
    "shapes",
    "texts",
]
