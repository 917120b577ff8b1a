"""A folder for tests of the command line."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from calling import net


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small model, in which the group ``w`` can grow."""
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    return tmp_path
