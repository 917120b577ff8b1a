"""Who waits sees how far the work is: on a terminal in a line that goes again, elsewhere not at all."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnx_n2n
from helpers.calling import net
from helpers.graphs import model
from onnx_n2n import Widen
from onnx_n2n.cli.console import stages, terminal
from onnx_n2n.io import tensorfile
from onnx_n2n.passes.driver import Target
from onnx_n2n.progress import Meter, Reached, counting, unheard
from onnx_n2n.verification.options import Proof

UNPROVEN = Proof(wanted=False)


class Seen:
    """Takes down all that it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.how_far: dict[str, list[Reached]] = {}

    def __call__(self, stage: str) -> None:
        self.stages.append(stage)

    def reached(self, how_far: Reached) -> None:
        self.how_far.setdefault(self.stages[-1], []).append(how_far)


BODY = "h = Conv(x, w) r = Relu(h) y = Conv(r, v)"


def wide() -> onnx.ModelProto:
    """Return a network with two weights that are streamed."""
    return model(BODY, "float[N,3,6,6] x", "y", w=(400, 3, 1, 1), v=(2, 400, 1, 1))


def check(found: list[Reached], tensors: int) -> None:
    """Every tensor is told once, in bytes that add up."""
    assert [each.tensors for each in found] == list(range(1, tensors + 1))
    assert {(each.all_bytes, each.all_tensors) for each in found} == {(found[-1].bytes, tensors)}
    assert all(one.bytes < two.bytes for one, two in pairwise(found))


@pytest.mark.parametrize("external", [True, False])
def test_each_weight_of_a_student_that_is_written_is_told(external: bool, tmp_path: Path) -> None:
    onnx.save(wide(), tmp_path / "net.onnx", save_as_external_data=external, size_threshold=0)
    seen = Seen()
    done = Widen()(tmp_path / "net.onnx", proof=UNPROVEN, progress=seen, output=Target(tmp_path / "out.onnx"))
    assert done.modified
    assert seen.stages == ["reading the model", "growing", "writing a draft"]
    assert list(seen.how_far) == ["writing a draft"]
    check(seen.how_far["writing a draft"], 2)
    assert seen.how_far["writing a draft"][-1].bytes == 4 * (800 * 3 + 2 * 800)


def test_a_plain_callable_is_told_stages_only(tmp_path: Path) -> None:
    onnx.save(wide(), tmp_path / "net.onnx")
    told: list[Any] = []
    Widen()(tmp_path / "net.onnx", proof=UNPROVEN, progress=told.append)
    assert told == ["reading the model", "growing", "writing a draft"]
    assert not isinstance(told.append, Meter)
    assert isinstance(Seen(), Meter)


def weights(folder: Path, proto: onnx.ModelProto) -> Path:
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}
    with (folder / "net.safetensors").open("wb") as file:
        tensorfile.write(file, arrays)
    return folder / "net.safetensors"


def test_checkpoints_and_exports_tell_of_each_tensor(tmp_path: Path) -> None:
    record, seen = onnx_n2n.widen(net(), 2, verify=False).growth, Seen()
    onnx_n2n.grow_checkpoint(weights(tmp_path, net()), record, tmp_path / "grown.safetensors", progress=seen)
    assert seen.stages == ["growing the checkpoint", "writing the checkpoint"]
    check(seen.how_far["writing the checkpoint"], 2)
    onnx.save(net(), tmp_path / "net.onnx")
    seen = Seen()
    onnx_n2n.export.write(tmp_path / "net.onnx", tmp_path / "folder", to="safetensors", progress=seen)
    assert seen.stages == ["converting the model", "writing the weights"]
    check(seen.how_far["writing the weights"], 2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[io.StringIO], str]:
    """Show a stage and how far it is, and return what a stream was given."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def show(stream: io.StringIO) -> str:
        monkeypatch.setattr("sys.stderr", stream)
        with stages(terminal()) as progress:
            progress("writing")
            done = counting(progress, [1_000_000, 3_000_000])
            done(1_000_000)
            if isinstance(progress, Meter):
                progress.live.refresh()  # type: ignore[attr-defined] # as it does four times a second
        return stream.getvalue()

    return show


def test_a_terminal_shows_how_far_a_stage_is_and_then_nothing(shown: Callable[[io.StringIO], str]) -> None:
    text = shown(Terminal())
    assert "writing ..." in text
    assert "writing: 1.0 of 4.0 MB, 1 of 2 tensors" in text
    assert text.endswith("\x1b[2K")  # the line is cleared


def test_no_color_is_heeded(shown: Callable[[io.StringIO], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(Terminal())
    assert "1 of 2 tensors" in text
    assert not re.search(r"\x1b\[[\d;]*m", text)


def test_a_log_shows_nothing(shown: Callable[[io.StringIO], str]) -> None:
    assert shown(io.StringIO()) == ""


def test_nothing_is_counted_for_nobody() -> None:
    done = counting(unheard, (1 / 0 for _ in "x"))  # type: ignore[misc]
    done(1)
