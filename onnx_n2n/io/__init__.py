"""Models, weights and records in and out, and the one way in which anything is written."""

from onnx_n2n.io.model import ModelLike, load, open_model, save

__all__ = ["ModelLike", "load", "open_model", "save"]
