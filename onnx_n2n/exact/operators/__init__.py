"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import (
    activations,
    arithmetic,
    attention,
    casts,
    decisions,
    fused_attention,
    fused_products,
    matrices,
    moving,
    norms,
    reductions,
    shapes,
    softmax,
)

__all__ = [
    "activations",
    "arithmetic",
    "attention",
    "casts",
    "decisions",
    "fused_attention",
    "fused_products",
    "matrices",
    "moving",
    "norms",
    "reductions",
    "shapes",
    "softmax",
]
