"""The command alone shows where to begin, and what it shows works as it stands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from helpers.calling import call, net
from helpers.needing import needs
from onnx_n2n.cli.commands import START
from onnx_n2n.errors import OptionError


def shown() -> Iterator[list[str]]:
    for line in START.splitlines():
        if line.startswith("  onnx-n2n "):
            yield shlex.split(line)[1:]


def test_it_shows_three_commands_on_one_screen() -> None:
    done = call()
    assert (done.exit_code, done.stdout) == (OptionError.exit_code, "")  # a script that forgot the command fails
    assert done.stderr == f"{START}\n"
    assert [line[0] for line in shown()] == ["inspect", "widen", "grow-checkpoint"]
    assert all(len(line) <= 80 for line in START.splitlines())
    assert len(START.splitlines()) < 24


def test_what_it_shows_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = needs("torch")
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    weights = {each.name: torch.tensor(onnx.numpy_helper.to_array(each)) for each in net().graph.initializer}
    torch.save(weights, "last.pt")
    for line in shown():
        done = call(*line)
        assert done.exit_code == 0, done.output
    assert {"net.widened.onnx", "growth.safetensors", "wider.pt"} <= {each.name for each in tmp_path.iterdir()}
