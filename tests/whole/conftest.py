"""Fixtures of tests on everything together."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2] / "benchmarks"
MODULES = (
    "run", "report", "capacity", "exchange", "progressive", "tables", "data", "grow", "experiments", "probes", "nets",
    "jobs", "training",
)  # fmt: skip


@pytest.fixture
def net2net(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's modules, by name."""
    monkeypatch.syspath_prepend(str(ROOT))
    return SimpleNamespace(**{name: importlib.import_module(f"net2net.{name}") for name in MODULES})
