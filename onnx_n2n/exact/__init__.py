"""The exact check: two models are run in finite fields, and equal outputs mean equal functions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx_n2n.exact.checking import check
    from onnx_n2n.exact.verdict import Verdict

__all__ = ["Verdict", "check"]

_HOMES = {"Verdict": "verdict", "check": "checking"}  # not by `lazily`: this package needs nothing else of ours


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
