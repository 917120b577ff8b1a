"""``--dry-run`` prints the report of what would be done, writes nothing and ends with 0, or as the command would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import onnx
import pytest

from helpers.calling import call, files
from onnx_n2n.cli import commands
from onnx_n2n.io import space

LINES = ["widen net.onnx", "widen net.onnx --record growth", "deepen net.onnx", "enlarge net.onnx --kernel 3x3",
         "run net.onnx -p widen,deepen"]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_the_report_is_that_of_the_command_without_what_verifies(folder: Path, line: str) -> None:
    before = files(folder)
    planned = call(*line.split(), "-o", "out.onnx", "--dry-run")
    assert (planned.exit_code, planned.stdout) == (0, "")
    assert files(folder) == before
    done = call(*line.split(), "-o", "out.onnx", "--no-verify")
    report, sentences = planned.stderr.split("Would read")
    assert report.splitlines() == [each for each in done.stderr.splitlines() if not each.startswith(LATER)]
    assert "to out.onnx; needs about" in sentences
    assert "Verification adds one model at a time" in sentences


LATER = ("Not verified.", "No redundant channels", "Redundant", "Written to")


def test_without_verification_nothing_is_said_of_it(folder: Path) -> None:
    assert folder
    assert "Verification adds" not in call("widen", "net.onnx", "--dry-run", "--no-verify").stderr


def test_the_document_is_that_of_the_command(folder: Path) -> None:
    before = files(folder)
    planned = json.loads(call("widen", "net.onnx", "--dry-run", "--json").stdout)
    assert files(folder) == before
    done = json.loads(call("widen", "net.onnx", "--no-verify", "--json").stdout)
    assert planned.keys() == done.keys()
    assert done["estimate"] is None
    assert planned["estimate"]["read"] == Path("net.onnx").stat().st_size
    assert planned["digest"] is None
    differ = {name for name in done if planned[name] != done[name]}
    assert differ == {"digest", "estimate", "clones"}


def test_what_is_refused_is_refused_with_the_same_exit_code(folder: Path) -> None:
    onnx.save(onnx.load("net.onnx"), "net.widened.onnx")
    before = files(folder)
    for line, code in (
        (("widen", "net.onnx"), 2),
        (("widen", "net.onnx", "-o", "no/where.onnx"), 2),
        (("widen", "net.onnx", "-o", "net.onnx", "--force"), 2),
        (("widen", "net.onnx", "--factor", "1.01", "-o", "out.onnx"), 3),
        (("widen", "nowhere.onnx"), 3),
    ):
        planned, done = call(*line, "--dry-run"), call(*line)
        assert planned.exit_code == done.exit_code == code, line
        assert planned.stderr == done.stderr, line
    assert files(folder) == before


@pytest.mark.parametrize("dry_run", [("--dry-run",), ()])
def test_a_full_disk_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch, dry_run: tuple[str, ...]) -> None:
    monkeypatch.setattr(space, "free", lambda _: 3_100)
    monkeypatch.setattr(space, "in_bytes", lambda number: f"{number > 3_100}")
    before = files(folder)
    found = call("widen", "net.onnx", "--factor", 40, *dry_run)
    assert found.exit_code == 3
    assert found.stderr == (
        "Error: 'net.widened.onnx' needs True, and False are free on its disk. Make room there, or choose another "
        "output with -o.\n"
    )
    assert files(folder) == before


def test_stdout_stays_empty(folder: Path) -> None:
    assert folder
    found = call("widen", "net.onnx", "-o", "-", "--dry-run")
    assert (found.exit_code, found.stdout) == (0, "")
    assert "to stdout; needs about" in found.stderr


def test_a_command_that_the_system_does_not_load_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> NoReturn:
        raise OSError(24, "Too many open files")

    assert folder
    monkeypatch.setattr(commands, "import_module", fail)
    error: Any = call("inspect", "net.onnx").exception
    assert error.reason == "the command 'inspect' cannot be loaded: Too many open files"
    assert error.exit_code == 3
