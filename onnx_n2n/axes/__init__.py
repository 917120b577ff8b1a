"""The axis algebra: what the length of one tensor dimension is made of, and how two axes become one."""

from onnx_n2n.axes.algebra import Axis, Factor, Limit, Product, Reason, Sum, resolve, size

__all__ = ["Axis", "Factor", "Limit", "Product", "Reason", "Sum", "resolve", "size"]
