"""A golden model: `pytest --update-golden` records what it computes, and `pytest` compares ever after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx_n2n.testing import Goldens

MODELS = Path("models")


def test_resnet(onnx_golden: Goldens) -> None:
    onnx_golden.check(MODELS / "resnet.onnx")
