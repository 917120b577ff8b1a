"""The command line on bad input: one paragraph, an exit code, and nothing lies about after it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from helpers.calling import MODELS, call, files, net
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.passes import widen as widen_module
from onnx_n2n.width.growth import Growth


def external(location: str) -> None:
    proto = net()
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "big"))
    onnx.save(proto, "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=100)
    proto = onnx.load("net.onnx", load_external_data=False)
    proto.graph.initializer[-1].external_data[0].value = location
    onnx.save(proto, "net.onnx")


def truncated() -> None:
    whole = (MODELS / "resnet.onnx").read_bytes()
    Path("net.onnx").write_bytes(whole[: len(whole) // 2])


def arrays(**values: np.ndarray) -> Callable[[], None]:
    return lambda: np.savez("data.npz", **values)


def text(name: str, content: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(content)


def saved(body: str) -> Callable[[], None]:
    return lambda: onnx.save(net(body), "net.onnx")


WRONG = [  # what is done first, the command line, its exit code, and what the error must say
    (None, "widen nope.onnx", 3, ["'nope.onnx' does not exist", "looked for in"]),
    (None, "widen .", 3, ["is a folder without a model.onnx"]),
    (text("net.onnx", ""), "widen net.onnx", 3, ["is empty"]),
    (text("net.onnx", "weights, here and there"), "widen net.onnx", 3, ["is not an ONNX file"]),
    (text("net.onnx", "weights, here and there"), "inspect net.onnx", 3, ["is not an ONNX file"]),
    (text("net.onnx", "weights, here and there"), "inspect --json net.onnx", 3, ["is not an ONNX file"]),
    (text("a.onnx", "weights, here and there"), "verify net.onnx a.onnx", 3, ["'a.onnx' is not an ONNX file"]),
    (None, "verify net.onnx nope.onnx", 3, ["'nope.onnx' does not exist"]),
    (truncated, "widen net.onnx", 3, ["is cut short"]),
    (lambda: external("gone.bin"), "widen net.onnx", 3, ["'gone.bin'", "does not exist"]),
    (lambda: external("../weights.bin"), "widen net.onnx", 3, ["outside of the model's folder", "Copy it"]),
    (lambda: external("/etc/hostname"), "inspect net.onnx", 3, ["outside of the model's folder", "Copy it"]),
    (saved("h = Conv(x, w) r = Unheard(h) y = Conv(r, v)"), "widen net.onnx", 3, ["no rule for Unheard", "inspect"]),
    (saved("h = Conv(x, w) r = my.Relu(h) y = Conv(r, v)"), "widen net.onnx", 3, ["no rule for my::Relu", "inspect"]),
    (saved("a = my.Relu(x) h = Conv(a, w) r = Relu(h) y = Conv(r, v)"), "widen net.onnx", 3, ["cannot open the model"]),
    (None, "widen net.onnx --factor 0.5", 2, ["--factor must be a finite number of at least 1, not 0.5"]),
    (None, "widen net.onnx --factor -2", 2, ["at least 1, not -2"]),
    (None, "widen net.onnx --factor nan", 2, ["must be a finite number"]),
    (None, "widen net.onnx --factor inf", 2, ["must be a finite number"]),
    (None, "widen net.onnx --factor two", 2, ["'two' is not a valid float", "onnx-n2n widen -h"]),
    (None, "widen net.onnx --factor 1", 3, ["nothing is asked to grow", "--factor above 1"]),
    (None, "widen net.onnx --factor 1.01", 3, ["not even one channel", "larger --factor"]),
    (None, "widen net.onnx --multiple-of 0", 2, ["--multiple-of must be at least 1, not 0"]),
    (None, "widen net.onnx --noise nan", 2, ["--noise must be a finite number"]),
    (None, "widen net.onnx --group V=8", 3, ["no group named 'V'", "inspect"]),
    (None, "widen net.onnx --group v=8", 3, ["'v' is pinned", "graph output 'y'", "inspect"]),
    (None, "widen net.onnx --group w=4", 3, ["nothing is asked to grow", "larger --group"]),
    (None, "widen net.onnx --group w=3", 2, ["has 4 channels already and cannot shrink"]),
    (None, "widen net.onnx --group w", 2, ["NAME=SIZE", "onnx-n2n widen -h"]),
    (None, "widen net.onnx --group w=²", 2, ["NAME=SIZE"]),
    (None, "widen net.onnx --include V*", 3, ["--include", "inspect"]),
    (None, "widen net.onnx --exclude *", 3, ["--exclude", "inspect"]),
    (text("out.onnx", "mine"), "widen net.onnx -o out.onnx", 2, ["'out.onnx' exists already", "--force"]),
    (text("net.widened.onnx", "mine"), "widen net.onnx", 2, ["exists already", "--force"]),
    (None, "widen net.onnx -o net.onnx --force", 2, ["is an input, and inputs are never written", "-o"]),
    (None, "widen net.onnx -o ../{name}/net.onnx --force", 2, ["is an input, and inputs are never written", "-o"]),
    (None, "widen net.onnx -o nope/out.onnx", 2, ["the folder 'nope' does not exist"]),
    (None, "widen net.onnx -o net.onnx/out.onnx", 2, ["the folder 'net.onnx' does not exist"]),
    (None, "widen net.onnx -o .. --force", 2, ["is a folder"]),
    (None, "widen net.onnx --input x:1,4,6,6", 3, ["cannot have the shape [1, 4, 6, 6]", "[N,3,6,6]"]),
    (None, "widen net.onnx --input x:1,3", 3, ["cannot have the shape [1, 3]"]),
    (None, "widen net.onnx --input z:1,3,6,6", 3, ["no input 'z'", "inputs are x"]),
    (None, "widen net.onnx --input x=1,3,6,6", 2, ["'x=1,3,6,6'", "name:1,3,224,224"]),
    (None, "widen net.onnx --inputs data.npz", 3, ["data.npz", "does not exist"]),
    (text("data.npz", "numbers"), "widen net.onnx --inputs data.npz", 3, ["is no npz file", "numpy.savez"]),
    (arrays(z=np.ones(3)), "widen net.onnx --inputs data.npz", 3, ["no input 'z'", "inputs are x"]),
    (arrays(x=np.ones((1, 3), np.float32)), "widen net.onnx --inputs data.npz", 3, ["wrong shape", "[N, 3, 6, 6]"]),
    (arrays(x=np.ones((1, 3, 6, 6))), "verify net.onnx net.onnx --inputs data.npz", 3, ["float64", "wants float32"]),
    (None, "widen", 2, ["Missing argument 'MODEL'", "onnx-n2n widen -h"]),
    (None, "widen net.onnx --fast", 2, ["No such option", "--fast", "onnx-n2n widen -h"]),
    (None, "shrink net.onnx", 2, ["No such command 'shrink'", "onnx-n2n -h"]),
]


@pytest.mark.parametrize(
    ("before", "line", "code", "says"), [pytest.param(*row, id=f"{i}-{row[1]}") for i, row in enumerate(WRONG)]
)
def test_what_is_wrong_ends_in_one_paragraph_and_no_file(
    folder: Path, before: Callable[[], object] | None, line: str, code: int, says: list[str]
) -> None:
    if before is not None:
        before()
    there = files(folder)
    words = line.format(name=folder.name).split()
    result = call(*(word for word in words if word != "--json"))
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith(".\n")
    assert result.stderr.count("\n") == 1
    for part in says:
        assert part in result.stderr
    assert files(folder) == there
    document = call(*words[:1], "--json", *words[1:])  # says the same to programs
    error = json.loads(document.stdout)["error"]
    assert (document.exit_code, document.stderr, error["code"]) == (code, result.stderr, code)
    parts = [" ".join(part.split()).lower() for key, part in error.items() if key not in {"code", "kind"}]
    assert all(part in result.stderr.lower() for part in parts)
    assert files(folder) == there


def test_verbose_adds_the_traceback(folder: Path) -> None:
    result = call("widen", "net.onnx", "--factor", "nan", "-v")
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert "OptionError" in result.stderr


@pytest.mark.parametrize(
    ("failure", "code", "says"),
    [
        (ZeroDivisionError("by\nzero"), 4, "a bug in onnx-n2n (ZeroDivisionError: by zero). Please report it"),
        (MemoryError(), 3, "not enough memory"),
        (RecursionError(), 3, "nested too deep"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_whatever_happens_on_the_way_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int, says: str
) -> None:
    def verify(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(importlib.import_module("onnx_n2n.verification"), "verify", verify)
    there = files(folder)
    result = call("widen", "net.onnx")
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(folder) == there
    assert "Traceback" in call("widen", "net.onnx", "-v").stderr


def test_wrong_student_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite = widen_module.rewrite

    def rewrite_wrongly(analysis: Analysis, growth: Growth, **options: Any) -> Any:
        found = rewrite(analysis, growth, **options)
        weight = analysis.model.graph.initializers["w"]
        weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1.01), name="w")
        return found

    monkeypatch.setattr(widen_module, "rewrite", rewrite_wrongly)
    there = files(folder)
    result = call("widen", "net.onnx")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not compute what the teacher computes" in result.stderr
    assert "the first tensor that is wrong is h (from a Conv node)" in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(folder) == there
    assert call("widen", "net.onnx", "--no-verify").exit_code == 0  # as asked
    assert call("verify", "net.onnx", "net.widened.onnx").exit_code == 1
