"""What all tests share: a folder for tests of the command line, and how hypothesis draws."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import onnx
import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")


def pytest_configure() -> None:
    """Say what is missing once, and not in every test."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise pytest.UsageError("the tests run models, and no ONNX Runtime is here: pip install -e '.[test,gpu]'")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small model, in which the group ``w`` can grow."""
    from calling import net  # runs models: only where pytest_configure has found what for

    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    return tmp_path
