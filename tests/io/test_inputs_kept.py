"""No command writes what it reads, and none hands over what it made of files that were changing."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

import onnx_n2n
from helpers.calling import call, files, net
from onnx_n2n.errors import OptionError

KEPT = [
    "widen net.onnx -o {0} --force",
    "widen net.onnx -o student.onnx --record {0} --force",
    "widen net.onnx --inputs data.npz -o {0} --force",
    "widen net.onnx --inputs data.npz --record {0} --force",
    "deepen net.onnx --calibrate data.npz -o {0} --force",
    "run net.onnx -p deepen{{calibrate=data.npz}} -o {0} --force",
    "grow-checkpoint last.safetensors --record growth --teacher net.onnx --student grown.onnx -o {0} --force",
]


@pytest.fixture
def inputs(folder: Path) -> Path:
    """A folder with all that commands read, each also by a second name."""
    onnx.save(net(), "net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    assert call("widen", "net.onnx", "-o", "grown.onnx", "--record", "growth").exit_code == 0
    np.savez("data.npz", x=np.ones((1, 3, 6, 6), np.float32))
    save_file({w.name: onnx.numpy_helper.to_array(w) for w in net().graph.initializer}, "last.safetensors")
    for path in list(folder.iterdir()):
        os.link(path, f"hard-{path.name}")
    return folder


@pytest.mark.parametrize("line", KEPT)
def test_what_a_command_reads_it_never_writes(inputs: Path, line: str) -> None:
    before = files(inputs)
    read = {
        "widen": ["net.onnx", "net.onnx.data"],
        "deepen": ["net.onnx", "net.onnx.data", "data.npz"],
        "run": ["net.onnx", "net.onnx.data", "data.npz"],
        "grow-checkpoint": ["last.safetensors", "growth", "net.onnx", "net.onnx.data", "grown.onnx"],
    }[line.split()[0]]
    for name in (*read, *(["data.npz"] if "data.npz" in line else [])):
        for way in (name, f"hard-{name}", f"../{inputs.name}/{name}"):
            result = call(*line.format(way).split())
            assert (result.exit_code, result.stdout) == (2, ""), (way, result.stderr)
            assert "is an input, and inputs are never written" in result.stderr
            assert files(inputs) == before


def test_the_library_does_not_either(inputs: Path) -> None:
    before = files(inputs)
    for name in ("net.onnx", "hard-net.onnx", "net.onnx.data"):
        with pytest.raises(OptionError, match="inputs are never written"):
            onnx_n2n.widen("net.onnx", output=name, force=True)
        with pytest.raises(OptionError, match="inputs are never written"):
            onnx_n2n.save(onnx_n2n.load("net.onnx"), name, force=True)
    assert files(inputs) == before


@pytest.mark.parametrize("name", ["net.onnx", "net.onnx.data", "data.npz"])
@pytest.mark.parametrize("change", [os.utime, lambda path: os.truncate(path, 20)], ids=["touched", "cut"])
def test_an_input_that_changes_meanwhile_ends_it(
    inputs: Path, name: str, change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, module = onnx_n2n.verify, importlib.import_module("onnx_n2n.verification")

    def interfere(*arguments: Any, **options: Any) -> Any:
        options.pop("trace")
        verdict = verify(*arguments, **options)
        change(inputs / name)
        return verdict

    monkeypatch.setattr(module, "verify", interfere)
    before = sorted(files(inputs))
    result = call("widen", "net.onnx", "--inputs", "data.npz", "-o", "student.onnx")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "has changed while it was read" in result.stderr
    assert sorted(files(inputs)) == before
