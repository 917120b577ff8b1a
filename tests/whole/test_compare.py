"""``benchmarks/compare.py``: two results side by side."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

COMPARE = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "compare.py"))
BEFORE = {
    "date": "2026-11-22", "machine": "one", "versions": {"onnx": 1},
    "models": [{"model": "vgg19", "seconds": 2.0, "ratios": [1.0, 3.0]}, {"model": "chain", "seconds": 4.0}],
    "ok": True,
}  # fmt: skip


def changed(**values: object) -> dict[str, object]:
    return json.loads(json.dumps(BEFORE)) | values


def shown(after: dict[str, object], more: float = 1.1) -> list[str]:
    return list(COMPARE["lines"](BEFORE, after, more))


def test_a_result_beside_itself_has_no_differences() -> None:
    about, last = shown(BEFORE)[:-1], shown(BEFORE)[-1]
    assert about == ["date: 2026-11-22", "machine: one", "versions: {'onnx': 1}"]
    assert last == "4 numbers are in both; 0 are in one only"


def test_entries_are_matched_by_name_and_not_by_place() -> None:
    assert len(shown(changed(models=BEFORE["models"][::-1]))) == 4


@pytest.mark.parametrize(("seconds", "ratio"), [(6.0, "x1.50"), (2.0, "x0.50"), (0.0, "x0.00")])
def test_what_changed_is_shown_with_its_ratio(seconds: float, ratio: str) -> None:
    after = changed(models=[BEFORE["models"][0], {"model": "chain", "seconds": seconds}])
    (line,) = shown(after)[3:-1]
    assert line.split() == ["models/chain/seconds", "4", f"{seconds:g}", ratio]


def test_little_changes_are_left_out_and_what_is_gone_is_counted() -> None:
    after = changed(machine="another", models=[{"model": "chain", "seconds": 4.3}])
    assert shown(after)[1:] == ["machine: one -> another", "versions: {'onnx': 1}",
                                "1 numbers are in both; 3 are in one only"]  # fmt: skip
    assert "models/chain/seconds" in "".join(shown(after, 1.05))


def test_numbers_that_were_nothing_are_shown_without_a_ratio() -> None:
    (line,) = list(COMPARE["lines"]({"errors": 0}, {"errors": 2}))[3:-1]
    assert line.split() == ["errors", "0", "2"]
