"""What is done grows in a straight line with the graph: lines that run are counted, and no time is measured."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import onnx
import onnx_ir
import pytest

import onnx_n2n

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from scaling import KINDS, SMALL, WORK

SIZES = {"chain": 16, "inception": 2, "transformer": 1, "normed": 3, "densenet": 2}
OWN = tuple(str(Path(str(package.__file__)).parent) for package in (onnx_n2n, onnx_n2n.passes, onnx_ir))


def lines(work: str, model: onnx.ModelProto) -> int:
    """Count the lines of this package, and of the graph that it works on, that some work runs."""
    count = 0

    def line(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, _event: str, _argument: object) -> Any:
        return line if frame.f_code.co_filename.startswith(OWN) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        WORK[work](model)
    finally:
        sys.settrace(before)
    return count


def differences(numbers: list[int], order: int) -> list[int]:
    """Return how much numbers differ from those before, and how much these differ, and so on."""
    for _ in range(order):
        numbers = [after - before for before, after in pairwise(numbers)]
    return numbers


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize(("kind", "power"), [(kind, 1 + (kind == "densenet")) for kind in SIZES])
def test_as_much_is_done_for_every_further_layer(kind: str, power: int, work: str) -> None:
    """Of a DenseNet, whose layers read all before them, that is more for each; and there nothing is cubic."""
    if (kind, work) == ("densenet", "deepen"):
        pytest.skip("it draws statistics from runs")
    make, step = KINDS[kind][0], SIZES[kind]
    WORK[work](make(SMALL[kind]))  # what is done once
    counts = [lines(work, make(step * size)) for size in range(2, power + 4)]
    (curved,) = differences(counts, power + 1)
    (straight,) = differences(counts[: power + 1], power)
    assert abs(curved) < 0.002 * straight
