"""Verification: teacher and student run side by side in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_n2n import lazily

if TYPE_CHECKING:
    from onnx_n2n.verification.asking import parse_shape
    from onnx_n2n.verification.compare import OutputVerdict
    from onnx_n2n.verification.inputs import read_inputs
    from onnx_n2n.verification.runtime import TIME_LIMIT
    from onnx_n2n.verification.sessions import opened, session
    from onnx_n2n.verification.verdict import Verdict, verify

__all__ = ["TIME_LIMIT", "OutputVerdict", "Verdict", "opened", "parse_shape", "read_inputs", "session", "verify"]

_HOMES = {
    "asking": ["parse_shape"],
    "compare": ["OutputVerdict"],
    "inputs": ["read_inputs"],
    "runtime": ["TIME_LIMIT"],
    "sessions": ["opened", "session"],
    "verdict": ["Verdict", "verify"],
}
__getattr__ = lazily.names(__name__, _HOMES)
