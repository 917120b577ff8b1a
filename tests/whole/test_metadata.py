"""What the package says about itself is true, and said in one way."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import onnx_n2n
from helpers.needing import lacking, needs
from onnx_n2n.cli import output
from onnx_n2n.export import folder
from onnx_n2n.record import record
from onnx_n2n.testing import documents
from onnx_n2n.version import VERSION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PYTHON = "Programming Language :: Python :: 3."


def versions() -> list[str]:
    """Return the versions of Python that the classifiers name."""
    named = [each.removeprefix(PYTHON) for each in PROJECT["project"]["classifiers"] if each.startswith(PYTHON)]
    return [f"3.{minor}" for minor in sorted(named, key=int)]


def test_the_lowest_python_is_the_same_everywhere() -> None:
    lowest = versions()[0]
    assert PROJECT["project"]["requires-python"] == f">={lowest}"
    assert PROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")
    assert f"FROM python:{lowest}-slim" in (ROOT / "Dockerfile").read_text("utf-8")


def test_the_classifiers_name_the_python_that_continuous_integration_runs() -> None:
    """A version that is named must have been run; who tries another one here only learns that it is not named."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if running not in versions():
        lacking(f"the classifiers name {versions()} and not {running}, with which this runs")
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"Python {' and '.join(versions())} on CPUs" in readme, "the limits name other versions"


def test_the_citation_has_the_version_and_the_description() -> None:
    citation = dict(re.findall(r"^([\w-]+): (.*)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE))
    assert citation["version"] == VERSION
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["abstract"] == PROJECT["project"]["description"] + "."


def test_the_page_on_stability_names_the_versions_of_files() -> None:
    page = (ROOT / "docs" / "stability.md").read_text("utf-8")
    rows = [row.strip() for row in re.findall(r"^\| [^|]+ \| (`\w+` \d+) \|", page, re.MULTILINE)]
    assert rows == [
        f"`schema_version` {output.SCHEMA_VERSION}", f"`version` {record.VERSION}",
        f"`schema_version` {folder.SCHEMA_VERSION}", f"`onnx_golden` {documents.FORMAT}",
    ]  # fmt: skip


def test_the_page_on_stability_names_packages_that_hand_on_public_names() -> None:
    page = (ROOT / "docs" / "stability.md").read_text("utf-8")
    packages = page.partition("the names of `__all__` in")[2].partition("|")[0]
    named = re.findall(r"`(?:onnx_n2n\.)?(\w+)`", packages)
    assert {*onnx_n2n._PACKAGES} - {"errors"} <= {*named}
    assert named == sorted(named)
    assert all(importlib.import_module(f"onnx_n2n.{name}").__all__ for name in named)


def test_continuous_integration_makes_every_session_but_benchmarks() -> None:
    sessions = re.findall(r"^@nox\.session\ndef (\w+)", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE)
    checked = re.findall(r"^check (.*)$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert {"benchmarks", "tests", *" ".join(checked).split()} == set(sessions)  # tests: by the README's own command


def test_benchmarks_that_need_no_data_are_compared_with_the_results_that_are_kept() -> None:
    found = re.search(r"^COMPARED = (\{.*?^\})", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    compared = ast.literal_eval(found[1]) if found else {}
    for script in compared.values():
        assert '"--out"' in (ROOT / "benchmarks" / script.split()[0]).read_text("utf-8")
    kept = {path.stem[: -len("-2026-12-01")] for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert kept - {"export-corpus-jax", "export-corpus-torch", "export-parameters"} <= compared.keys()


def test_nox_reads_its_file() -> None:
    needs("nox")
    command = [sys.executable, "-m", "nox", "--list", "--noxfile", str(ROOT / "noxfile.py")]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
