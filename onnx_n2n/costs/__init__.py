"""What a model costs, and what a student may cost."""

from onnx_n2n.costs.budget import Budget
from onnx_n2n.costs.cost import Cost, multiply_adds

__all__ = ["Budget", "Cost", "multiply_adds"]
