"""The exact check: two models are run in finite fields, and equal outputs mean equal functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_n2n import lazily

if TYPE_CHECKING:
    from onnx_n2n.exact.checking import check
    from onnx_n2n.exact.verdict import Verdict

__all__ = ["Verdict", "check"]

__getattr__ = lazily.names(__name__, {"checking": ["check"], "verdict": ["Verdict"]})
