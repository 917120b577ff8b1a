"""The growth record: what became of every weight."""

from onnx_n2n.record.joining import join
from onnx_n2n.record.record import New, Record, Remade, Step, load

__all__ = ["New", "Record", "Remade", "Step", "join", "load"]
