"""The growth record: what became of every weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_n2n import lazily

if TYPE_CHECKING:
    from onnx_n2n.record.joining import join
    from onnx_n2n.record.record import Record, load
    from onnx_n2n.record.steps import New, Remade, Step

__all__ = ["New", "Record", "Remade", "Step", "join", "load"]

_HOMES = {"joining": ["join"], "record": ["Record", "load"], "steps": ["New", "Remade", "Step"]}
__getattr__ = lazily.names(__name__, _HOMES)
