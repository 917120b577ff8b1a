"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    arithmetic,
    convolution,
    fused,
    matrices,
    moving,
    pooling,
    quantised,
    resizing,
    sampling,
    shapes,
)

__all__ = [
    "arithmetic",
    "convolution",
    "fused",
    "matrices",
    "moving",
    "pooling",
    "quantised",
    "resizing",
    "sampling",
    "shapes",
]
