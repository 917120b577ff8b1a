"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    activations,
    arithmetic,
    casts,
    decisions,
    matrices,
    moving,
    reductions,
    shapes,
)

__all__ = [
    "activations",
    "arithmetic",
    "casts",
    "decisions",
    "matrices",
    "moving",
    "reductions",
    "shapes",
]
