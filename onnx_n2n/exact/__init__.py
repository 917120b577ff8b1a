"""The exact check: two models are run in finite fields, and equal outputs mean equal functions."""

from onnx_n2n.exact.checking import check
from onnx_n2n.exact.verdict import Verdict

__all__ = ["Verdict", "check"]
