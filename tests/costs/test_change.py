"""What a report says of the multiply-adds of a run: those of both models, and how much growing can save at most."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.calling import call, net
from helpers.graphs import model, opened
from onnx_n2n.costs.change import CostChange, cost_change
from onnx_n2n.costs.cost import multiply_adds
from onnx_n2n.passes import Widen

CHAIN = {"w": np.ones((6, 8), np.float32), "v": np.ones((8, 5), np.float32)}


def chain(shape: str) -> onnx.ModelProto:
    return model("a = MatMul(x, w) b = Relu(a) y = MatMul(b, v)", f"float[{shape}] x", "y", **CHAIN)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("factor", [1.5, 2, 3])
def test_a_report_has_what_both_models_multiply(tmp_path: Path, factor: float, dry_run: bool) -> None:
    onnx.save(chain("N,6"), tmp_path / "net.onnx")
    options = {"shapes": {"x": (7, 6)}, "verify": not dry_run, "dry_run": dry_run}
    found = onnx_n2n.widen(tmp_path / "net.onnx", factor, **options).report.multiply_adds
    width = round(8 * factor)
    assert found == CostChange(7 * (6 * 8 + 8 * 5), 7 * (6 * width + width * 5))
    assert found.times == factor


def test_it_counts_what_the_files_have(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    result = onnx_n2n.widen(tmp_path / "net.onnx", 2)
    before, after = (multiply_adds(onnx_n2n.load(path)).total for path in (tmp_path / "net.onnx", result.model))
    found = result.report.multiply_adds
    assert found is not None
    assert (found.before, found.after) == (before, after)
    assert pickle.loads(pickle.dumps(result.report)).multiply_adds == found
    document = result.report.to_json()["multiply_adds"]
    assert [document[name] for name in ("before", "after", "times")] == [before, after, after / before]


def test_free_dimensions_that_nobody_gave_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(chain("N,6"), "net.onnx")
    said = "Multiply-adds of a run: 88 -> 176 (x2.00), with N taken as 1; with the teacher's training counted, "
    assert f"{said}growing can save at most 2.00 times.\n" in call("widen", "net.onnx").stderr
    assert "multiply-adds" not in call("widen", "net.onnx", "-o", "o.onnx", "--input", "x=9,6").stderr.split("(x2")[0]


def test_nothing_is_said_where_it_is_not_known() -> None:
    strange = opened(model("a = MatMul(x, w) b = my.own.Op(a) y = MatMul(b, v)", "float[2,6] x", "y", **CHAIN))
    found = cost_change(strange, strange, {})
    assert found is not None
    assert (found.times, found.sentence, len(found.uncounted)) == (None, "", 2)
    assert CostChange(0, 0).times is None
    assert cost_change(strange, strange, {"x": (2, 7, 6)}) is None


def test_no_more_than_was_is_no_saving() -> None:
    assert CostChange(8, 8).sentence == "Multiply-adds of a run: 8 -> 8 (x1.00)."


def test_nothing_changed_or_a_batch_that_is_free_now_has_none() -> None:
    assert Widen(1.01)(net()).report.multiply_adds is None
    assert onnx_n2n.cut(net(), free_batch=True).report.multiply_adds is None


def test_several_changes_are_one() -> None:
    first, second = CostChange(10, 20, ("N",), ("a",)), CostChange(20, 50, ("N",), ("b", "a"))
    assert first.joined(second) == CostChange(10, 50, ("N",), ("a", "b"))
    assert first.joined(None) is None
