"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    arithmetic,
    convolution,
    matrices,
    moving,
    pooling,
    shapes,
)

__all__ = [
    "arithmetic",
    "convolution",
    "matrices",
    "moving",
    "pooling",
    "shapes",
]
