"""The growth record: what became of every weight."""

from onnx_n2n.record.joining import join
from onnx_n2n.record.record import Record, load
from onnx_n2n.record.steps import New, Remade, Step

__all__ = ["New", "Record", "Remade", "Step", "join", "load"]
