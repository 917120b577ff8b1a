"""What belongs to the user stays, also where names and moments are unlucky."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import onnx
import pytest

from helpers.commands import COMMAND, SECONDS, begin, names, run
from helpers.graphs import model
from onnx_n2n import widen
from onnx_n2n.errors import OptionError
from onnx_n2n.export.folder import export
from onnx_n2n.io.rooms import PREFIX, sweep
from onnx_n2n.search.exploration import explore

PYTHON = " ".join(COMMAND)


def net() -> onnx.ModelProto:
    return model("a = MatMul(x, u) b = Relu(a) y = MatMul(b, w)", "float[batch,8] x", "y", u=(8, 24), w=(24, 8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(net(), tmp_path / "net.onnx")
    (tmp_path / "apart").mkdir()
    apart = tmp_path / "apart" / "net.onnx"
    onnx.save(net(), apart, save_as_external_data=True, location="deeper.onnx.data", size_threshold=0)
    return tmp_path


def test_an_exploration_removes_only_what_force_allows(folder: Path) -> None:
    """A file that somebody else has put there meanwhile is not an earlier run's."""
    place = folder / "out" / "wider.onnx"

    def progress(stage: str) -> None:
        if stage.startswith("making"):
            place.write_text("precious")

    explore(folder / "net.onnx", "params=2x", output=folder / "out", verify=False, progress=progress)
    assert place.read_text() == "precious"


def test_an_exploration_keeps_the_weights_of_its_teacher(folder: Path) -> None:
    """They are also those of an earlier student, of a candidate that fails now."""
    apart = folder / "apart"
    shutil.copy(apart / "net.onnx", apart / "deeper.onnx")
    before = (apart / "deeper.onnx.data").read_bytes()
    explore(apart / "net.onnx", "params=1.05x", output=apart, verify=False, force=True)
    assert (apart / "deeper.onnx.data").read_bytes() == before


def test_a_copy_of_a_model_keeps_its_weights_when_the_model_is_replaced(folder: Path) -> None:
    apart = folder / "apart"
    widen(apart / "net.onnx", 1.5, output=apart / "s.onnx", verify=False)
    shutil.copy(apart / "s.onnx", apart / "best.onnx")
    widen(apart / "net.onnx", 2, output=apart / "s.onnx", verify=False, force=True)
    onnx.load(apart / "best.onnx")
    assert len(list(apart.glob("s.onnx.*.data"))) == 2


def test_a_folder_of_the_users_is_not_swept_for_its_name(tmp_path: Path) -> None:
    mine = tmp_path / f"{PREFIX}venv"
    (mine / "bin").mkdir(parents=True)
    sweep(tmp_path)
    assert (mine / "bin").is_dir()


@pytest.mark.parametrize("how", ["moves", "stale", "link"])
def test_a_journal_leads_nowhere_else(how: str, tmp_path: Path) -> None:
    """It may have come in an archive."""
    inside = tmp_path / "models"
    hidden = inside / f"{PREFIX}abcdefgh"
    hidden.mkdir(parents=True)
    (tmp_path / "mine").write_text("precious")
    if how == "link":
        (hidden / "new").symlink_to(tmp_path)
    else:
        (hidden / "new").mkdir()
    (inside / "evil").write_text("evil")
    moves = [["gone", 1], ["../../evil" if how == "moves" else "mine", 1]]
    stale = [["../mine", (tmp_path / "mine").stat().st_ino]] if how == "stale" else []
    (hidden / "journal.json").write_text(json.dumps({"moves": moves, "decides": 0, "stale": stale}))
    sweep(inside)
    assert (tmp_path / "mine").read_text() == "precious"
    assert (inside / "evil").exists()
    assert names(tmp_path) == ["mine", "models"]


def test_a_room_goes_with_folders_that_are_read_only(tmp_path: Path) -> None:
    kept = tmp_path / f"{PREFIX}abcdefgh" / "new" / "export" / "notes"
    kept.mkdir(parents=True)
    (kept / "copy").write_text("")
    kept.chmod(0o555)
    sweep(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["model.onnx", "model.keras", "weights.safetensors"])
def test_an_export_replaces_exports_only(folder: Path, name: str) -> None:
    place = folder / "hub"
    place.mkdir()
    (place / name).write_text("precious")
    with pytest.raises(OptionError, match="is no export"):
        export(folder / "net.onnx", "safetensors", place, force=True)
    assert (place / name).read_text() == "precious"


@pytest.mark.parametrize("name", [".", "..", "../here/.."])
def test_an_export_does_not_replace_the_folder_that_one_is_in(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    with pytest.raises(OptionError, match="runs in"):
        export(folder / "net.onnx", "safetensors", name, force=True)
    assert Path.cwd().samefile(folder / "here")


def test_an_export_goes_to_a_folder_by_a_way_that_ends_in_dots(folder: Path) -> None:
    (folder / "out" / "sub").mkdir(parents=True)
    export(folder / "net.onnx", "safetensors", folder / "out" / "sub" / "..", force=True)
    assert names(folder / "out") == ["export.json", "sub", "weights.safetensors"]


def test_a_record_takes_no_place_of_the_weights(folder: Path) -> None:
    apart = folder / "apart"
    assert run(apart, "widen", "net.onnx", "-o", "s.onnx", "--no-verify").returncode == 0
    (data,) = apart.glob("s.onnx.*.data")
    data.unlink()
    found = run(apart, "widen", "net.onnx", "-o", "s.onnx", "--no-verify", "--force", "--record", data.name)
    assert found.returncode == 2, found.stderr
    assert not data.exists()


def test_a_record_may_have_any_name_beside_a_model_on_stdout(folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folder)}
    found = run(folder, "widen", "net.onnx", "-o", "-", "--no-verify", "--record", "stdout", env=environment)
    assert found.returncode == 0
    onnx.checker.check_model(onnx.load_from_string(found.stdout))
    assert names(folder) == ["apart", "net.onnx", "stdout"]


def test_a_pipe_of_inputs_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    for line in ("widen net.onnx -o s.onnx", "export net.onnx --to safetensors -o out"):
        assert run(folder, *line.split(), "--inputs", "pipe").returncode == 3


def test_a_folder_that_is_gone_or_cannot_be_is_said_to_be(folder: Path) -> None:
    gone = "mkdir gone && cd gone && rmdir ../gone"
    for line in (f"{gone} && {PYTHON} widen {folder}/net.onnx --no-verify -o s.onnx",
                 f"{PYTHON} widen net.onnx --no-verify -o {'a' * 300}/s.onnx"):  # fmt: skip
        found = subprocess.run(["sh", "-c", line], cwd=folder, timeout=SECONDS, capture_output=True)
        assert found.returncode == 2, found.stderr
        assert b"does not exist" in found.stderr


@pytest.mark.parametrize("line", ["inspect nothing.onnx", "widen --nothing", "widen net.onnx --no-verify -o s.onnx"])
def test_a_full_stderr_is_no_wrong_student(folder: Path, line: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("nothing here is always full")
    with Path("/dev/full").open("wb") as full:
        found = subprocess.run([*PYTHON.split(), *line.split()], cwd=folder, timeout=SECONDS, stderr=full)
    assert found.returncode == (2 if "--nothing" in line else 3)
    assert (folder / "s.onnx").exists() == line.endswith("s.onnx")


def test_an_exploration_that_is_stopped_leaves_no_process_and_no_folder(folder: Path) -> None:
    """Also while its workers are still on their way."""
    if not Path("/proc/self/task").exists():
        pytest.skip("the system does not list children")
    with begin(folder, "explore", "net.onnx", "--budget", "params=2x", "--jobs", "2", "-o", "out") as process:
        end = time.monotonic() + SECONDS
        while not (folder / "out").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(0.5)
        process.terminate()
        said = process.communicate(timeout=SECONDS)[1]  # the workers would keep the pipe open
    assert process.returncode == 128 + signal.SIGTERM
    assert said.count(b"\n") == 1
    assert names(folder) == ["apart", "net.onnx"]
