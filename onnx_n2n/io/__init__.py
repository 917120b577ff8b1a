"""Models, weights and records in and out, and the one way in which anything is written."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx_n2n.io.model import ModelLike, load, open_model, save

__all__ = ["ModelLike", "load", "open_model", "save"]


def __getattr__(name: str) -> Any:
    """Load what handles models when it is asked for: the supervisor, which is here too, starts before it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("onnx_n2n.io.model"), name)
