"""The source distribution has all that its tests need, and an installation all packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from helpers.needing import lacking, needs

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("benchmarks/results/", ".gitignore")  # megabytes of tables and plots, which nothing here reads


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """The files that git knows here, and that are not deleted."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        lacking("this is no git repository, or git is not installed")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def test_every_tracked_file_is_in_the_sdist(tracked: set[str], tmp_path: Path) -> None:
    needs("build")
    for name in tracked:  # a copy, since setuptools also packs what an earlier build has listed
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next((tmp_path / "dist").glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in tracked - packed if not name.startswith(LEFT_OUT)} == set()


def test_every_package_is_installed() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    inits = [*ROOT.glob("onnx_n2n/**/__init__.py"), *ROOT.glob("passes/**/__init__.py")]
    made = [init.parent.relative_to(ROOT).parts for init in inits]
    assert sorted(named) == sorted(".".join(("onnx_n2n",) * (parts[0] == "passes") + parts) for parts in made)
