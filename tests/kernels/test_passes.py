"""Enlarging goes together with other passes, has a record and a history, and is a command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.calling import call
from helpers.enlarging import (
    IMAGE,
    UNPROVEN,
    W,
    enlarge,
    reasons,
    shapes,
    three,
    weights,
)
from helpers.graphs import TOLERANCE, Judge, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.passes import Enlarge, Sequential, parse


def test_the_trace_is_that_of_the_student() -> None:
    """Every tensor is where it was; a weight has the teacher's places in its middle."""
    working = opened(three())
    trace = Enlarge().change(working, UNPROVEN, None).trace
    assert trace["h"] == (None,) * 4
    assert [None if index is None else index.tolist() for index in trace["first"]] == [
        None, None, [-1, 0, 1, 2, -1], [-1, 0, 1, 2, -1]
    ]  # fmt: skip


def test_the_record_says_how_weights_are_made() -> None:
    teacher = three()
    result = enlarge(teacher)
    (step,) = result.change.steps
    old, new = weights(teacher), weights(result.model)
    assert [each.teacher for each in step.remade] == ["first", "third"]
    for each in step.remade:
        assert np.array_equal(each.recipe.make(old[each.teacher]), new[each.student])
        gradient = each.gradient(np.ones_like(old[each.teacher]))
        assert gradient.shape == new[each.student].shape
        assert gradient.sum() == old[each.teacher].size
    assert enlarge(teacher, kernel="1").change.steps == ()


@pytest.mark.parametrize("passes", [
    "enlarge,widen{factor=1.5}", "widen{factor=1.5},enlarge", "enlarge,enlarge{kernel=9},deepen", "deepen,enlarge",
])  # fmt: skip
def test_passes_compose(passes: str) -> None:
    teacher = model("h = Conv<pads=[1,1,1,1]>(x, W) r = Relu(h) d = Conv<group=4, auto_pad=\"SAME_UPPER\">(r, D) "
                    "u = ConvTranspose<strides=[2,2]>(d, U) s = Relu(u) y = Conv(s, V)", IMAGE, "y",
                    W=W, D=(4, 1, 3, 3), U=(4, 6, 2, 2), V=(3, 6, 3, 3))  # fmt: skip
    result = parse(passes)(teacher)
    assert result.report.verdict.ok
    assert Judge(teacher).error(result.model) < TOLERANCE
    grown = shapes(result.model)
    wide, side = ("widen" in passes), (9 if "kernel=9" in passes else 5)
    assert grown["W"] == (6 if wide else 4, 3, side, side)
    if "kernel=9" in passes:
        assert reasons(result) == {"U": "its kernel is 4x4, which only grows evenly, by as much on both sides"}


@pytest.mark.parametrize("text", [
    "enlarge", "enlarge{kernel=5x5}", "enlarge{kernel=7,include=a* 3x3,exclude=b}", "widen,enlarge{kernel=1x9}",
])  # fmt: skip
def test_passes_are_read_as_they_are_written(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)
    assert isinstance(parse(text), Sequential)


def test_the_same_model_gives_the_same_bytes_and_a_history() -> None:
    one, other = (enlarge(three()).model.SerializeToString() for _ in range(2))
    assert one == other
    assert "enlarge" in {e.text for e in onnx_n2n.io.history.history(opened(enlarge(three()).model))}


def test_groups_are_what_they_were() -> None:
    """Larger kernels leave what may grow wider alone."""
    teacher = three()
    before, after = (analyze(opened(proto)) for proto in (teacher, enlarge(teacher).model))
    assert [(g.name, g.size) for g in before.groups] == [(g.name, g.size) for g in after.groups]


# --- the command line


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(three(), "net.onnx")
    result = call("enlarge", "net.onnx", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert (document["pass"], document["student"]) == ("enlarge", "net.enlarged.onnx")
    assert document["added"][0]["what"] == "kernel 3x3 -> 5x5"
    assert document["verification"]["ok"]
    assert shapes(onnx.load("net.enlarged.onnx"))["first"] == (4, 3, 5, 5)
    result = call("enlarge", "net.onnx", "-o", "out.onnx", "--kernel", "7x7", "--include", "3x3")
    assert result.exit_code == 0
    assert "kernel 3x3 -> 7x7" in result.stderr
    for line, code, says in [
        ("enlarge net.onnx --kernel 6", 3, "no kernel can grow as asked: 'first': its kernel is 3x3, which only grows"),
        ("enlarge net.onnx --include 9x9", 3, "there is no convolution that matches '9x9'"),
        ("enlarge net.onnx --kernel 3y3", 2, "of the form 5x5"),
        ("enlarge flat.onnx", 3, "no kernel can grow: there is no convolution in the model"),
    ]:
        onnx.save(model("y = MatMul(x, W)", "float[4,3] x", "y", W=(3, 8)), "flat.onnx")
        result = call(*line.split(), "-o", "new.onnx")
        assert (result.exit_code, result.stdout) == (code, "")
        assert says in result.stderr
        assert not Path("new.onnx").exists()
