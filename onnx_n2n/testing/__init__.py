"""Tests of models: an assertion, and a pytest plugin that records what a model computes and compares ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_n2n import lazily

if TYPE_CHECKING:
    from onnx_n2n.testing.goldens import Goldens
    from onnx_n2n.testing.same import assert_same_function

__all__ = ["Goldens", "assert_same_function"]

__getattr__ = lazily.names(__name__, {"goldens": ("Goldens",), "same": ("assert_same_function",)})
