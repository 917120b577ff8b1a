"""Operators by family, each written once, from ONNX's specification; importing this registers them."""

from onnx_n2n.exact.operators import arithmetic, matrices, moving, shapes

__all__ = ["arithmetic", "matrices", "moving", "shapes"]
