"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    arithmetic,
    attention,
    fused_attention,
    fused_products,
    matrices,
    moving,
    norms,
    shapes,
    softmax,
)

__all__ = [
    "arithmetic",
    "attention",
    "fused_attention",
    "fused_products",
    "matrices",
    "moving",
    "norms",
    "shapes",
    "softmax",
]
