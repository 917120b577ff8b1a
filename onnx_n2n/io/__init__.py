"""Models, weights and records in and out, and the one way in which anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_n2n import lazily

if TYPE_CHECKING:
    from onnx_n2n.io.model import ModelLike, load, open_model, save

__all__ = ["ModelLike", "load", "open_model", "save"]

__getattr__ = lazily.names(__name__, {"model": __all__})  # the supervisor, which is here too, starts before it
