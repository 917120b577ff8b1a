"""Packages with entry points, installed into a folder without an installer."""

from __future__ import annotations

import importlib
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from onnx_n2n.rules import registry

EXAMPLE = Path(__file__).parent / "plugin"


def install(folder: Path, name: str, entries: Mapping[str, Mapping[str, str]], **modules: str) -> None:
    """Write a package of modules, by name and source, with its entry points by group."""
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [line for group, pairs in entries.items() for line in (f"[{group}]", *map(" = ".join, pairs.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def install_example(folder: Path) -> None:
    """Install the example with the entry points that its pyproject.toml declares."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(EXAMPLE / "n2n_acme", folder / "n2n_acme", ignore=shutil.ignore_patterns("__pycache__"))
    install(folder, project["name"], project["entry-points"])


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose packages are found; when the test ends, they and their rules are forgotten."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))
    monkeypatch.setattr(registry, "_CONTENTS", dict(registry._CONTENTS))
    monkeypatch.setattr(registry, "_RANGES", dict(registry._RANGES))
    monkeypatch.setattr(registry, "_asked", False)
    importlib.invalidate_caches()
    yield folder
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
