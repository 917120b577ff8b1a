"""A disk that gets full ends everything that is written in a sentence; what was there before stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import onnx
import pytest

from helpers.calling import call, files, net
from onnx_n2n import enlarge, widen
from onnx_n2n.io import space
from onnx_n2n.testing import Goldens

GROW = ("widen", "net.onnx", "-o", "new.onnx", "--no-verify", "--force")
COMMANDS = {
    "a record": (*GROW, "--record", "old.safetensors"),
    "a recipe": (*GROW, "--save-recipe", "old.yaml"),
    "a joined record": ("join", "one.safetensors", "two.safetensors", "-o", "old.safetensors", "--force"),
    "a page of two models": ("diff", "net.onnx", "net.onnx", "--html", "old.html", "--force"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, two records that join, and a file for each that may be replaced."""
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    first = widen(net(), 2, verify=False)
    first.growth.save("one.safetensors")
    enlarge(first.model, kernel="3x3", verify=False).growth.save("two.safetensors")
    for name in ("old.safetensors", "old.yaml", "old.html"):
        Path(name).write_text("OLD")
    return tmp_path


@pytest.fixture
def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the disk takes no file that is written at once."""

    def refused(path: Path, data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", refused)


@pytest.mark.parametrize("what", COMMANDS)
def test_what_a_full_disk_does_not_take_is_not_there(what: str, folder: Path, full: None) -> None:
    before = files(folder)
    outcome = call(*COMMANDS[what])
    assert outcome.exit_code == 3, outcome.output
    name = next(word for word in COMMANDS[what] if word.startswith("old."))
    assert f"'{name}' could not be written: No space left on device" in " ".join(outcome.output.split())
    assert files(folder) == before


def test_the_student_stays_where_only_its_page_does_not_fit(folder: Path, full: None) -> None:
    outcome = call(*GROW, "--html", "old.html")
    assert outcome.exit_code == 3
    assert "The student is there: 'new.onnx'" in " ".join(outcome.output.split())
    assert Path("old.html").read_text() == "OLD"
    onnx.checker.check_model("new.onnx")


def test_a_golden_model_is_recorded_whole_or_not(folder: Path, full: None) -> None:
    golden = Goldens(folder / "golden", (), "t.py::t", update=True, on_record=lambda _: None)
    with pytest.raises(AssertionError, match="No space left on device"):
        golden.check("net.onnx")
    assert not list((folder / "golden").iterdir())


@pytest.mark.parametrize("to", ["safetensors", "torch"])
def test_an_export_is_called_what_it_will_be(to: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not by its draft, of which nobody has heard."""
    if to == "torch":
        pytest.importorskip("torch")
    monkeypatch.setattr(space, "free", lambda _: 0)
    outcome: Any = call("export", "net.onnx", "--to", to, "-o", "exported")
    assert outcome.exit_code == 3
    assert f"'exported{os.sep}{'weights.safetensors' if to == 'safetensors' else 'model.onnx'}' needs" in outcome.output
    assert ".onnx-n2n-" not in outcome.output
