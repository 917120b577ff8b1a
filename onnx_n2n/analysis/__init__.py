"""What may grow, and why the rest may not."""

from onnx_n2n.analysis.groups import Group, Pinned
from onnx_n2n.analysis.redundant import Clones, clones
from onnx_n2n.analysis.result import Analysis
from onnx_n2n.analysis.walk import analyze

__all__ = ["Analysis", "Clones", "Group", "Pinned", "analyze", "clones"]
