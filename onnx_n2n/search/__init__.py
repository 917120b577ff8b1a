"""Students near a budget."""

from onnx_n2n.search.budget import Budget
from onnx_n2n.search.candidates import Candidate, Direction
from onnx_n2n.search.cost import Cost, multiply_adds
from onnx_n2n.search.exploration import explore

__all__ = ["Budget", "Candidate", "Cost", "Direction", "explore", "multiply_adds"]
