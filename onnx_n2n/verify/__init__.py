"""Verification: teacher and student run side by side in ONNX Runtime."""

from onnx_n2n.verify.compare import OutputVerdict
from onnx_n2n.verify.inputs import parse_shape, read_inputs
from onnx_n2n.verify.sessions import TIME_LIMIT, opened, session
from onnx_n2n.verify.verdict import Verdict, verify

__all__ = ["TIME_LIMIT", "OutputVerdict", "Verdict", "opened", "parse_shape", "read_inputs", "session", "verify"]
