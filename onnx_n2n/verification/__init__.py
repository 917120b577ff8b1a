"""Verification: teacher and student run side by side in ONNX Runtime."""

from onnx_n2n.verification.compare import OutputVerdict
from onnx_n2n.verification.inputs import parse_shape, read_inputs
from onnx_n2n.verification.sessions import TIME_LIMIT, opened, session
from onnx_n2n.verification.verdict import Verdict, verify

__all__ = ["TIME_LIMIT", "OutputVerdict", "Verdict", "opened", "parse_shape", "read_inputs", "session", "verify"]
