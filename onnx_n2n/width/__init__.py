"""Wider layers: which groups grow, with which channels, and how a model is rewritten."""

from onnx_n2n.width.growth import Channels, Growth
from onnx_n2n.width.request import Request

__all__ = ["Channels", "Growth", "Request"]
