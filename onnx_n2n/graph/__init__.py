"""Questions about one graph: names, constants, shapes, subgraphs, and what only passes a tensor on."""

from onnx_n2n.graph.constants import Constants
from onnx_n2n.graph.names import Names
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.uses import Use

__all__ = ["Constants", "Names", "Use", "bodies_of"]
