"""One semantic error in a student is never called equal, unless a larger one of its kind changes nothing either."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest

from helpers.enlarging import UNPROVEN
from helpers.graphs import model
from helpers.growths import GROWTHS
from onnx_n2n import exact
from onnx_n2n.exact import record as records
from onnx_n2n.passes import Widen

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from exact_errors import MODELS, TOLERANCE, unexplained
from exact_mistakes import KINDS, changed
from exact_reference import moved

SMALL = ("fresh", "copies", "quiet", "quiet copies", "tied", "a mean", "enlarged", "passes")
LARGE = ("resnet",)  # of ``models/``


@functools.cache
def student(name: str) -> tuple[onnx.ModelProto, onnx.ModelProto, Mapping[str, Any]]:
    """Return a teacher, its student and the record of what was rounded."""
    if name in LARGE:
        growing, teacher = Widen(factor=1.5, init="net2net"), onnx.load(MODELS / f"{name}.onnx")
    else:
        growing, teacher = GROWTHS[name]
    result = growing(teacher, proof=UNPROVEN)
    with TemporaryDirectory() as folder:
        result.growth.save(Path(folder, "growth.safetensors"))
        read = records.read(Path(folder, "growth.safetensors"))
    return teacher, result.model, {"steps": list(read.steps), "arrays": dict(read.arrays)}


def judge(name: str, kind: str, seed: int) -> exact.Verdict | None:
    """Return what the check says of an error; None where the student has no place for it."""
    teacher, sound, record = student(name)
    made = changed(sound, kind, seed, large=False)
    if made is None:
        return None
    with unexplained():
        verdict = exact.check(teacher, made[0], record=record)
    if verdict:
        larger = changed(sound, kind, seed, large=True)
        assert larger is not None
        by = moved(sound, larger[0], verdict.shapes)
        assert by <= TOLERANCE, f"{kind} at {made[1]} of {name!r} moves an output by {by}, and is called equal"
    return verdict


@pytest.mark.parametrize("seed", range(38))
def test_an_error_is_not_equal(seed: int) -> None:
    draw = np.random.default_rng(seed)
    order = draw.permutation(list(KINDS))
    assert any(judge(SMALL[seed % len(SMALL)], kind, seed) is not None for kind in order)


@pytest.mark.parametrize("kind", ["a weight one unit in the last place up", "a residual left out"])
@pytest.mark.parametrize("name", LARGE)
def test_an_error_in_a_trained_model_is_not_equal(name: str, kind: str) -> None:
    assert judge(name, kind, seed=0) is not None


def test_students_without_an_error_are_equal() -> None:
    for name in SMALL:
        teacher, sound, record = student(name)
        assert exact.check(teacher, sound, record=record), name


def test_an_error_is_the_same_each_time_and_larger_if_asked_for() -> None:
    sound = student("fresh")[1]
    for kind in ("a weight one unit in the last place up", "two rows exchanged", "an activation skipped"):
        one, two = (changed(sound, kind, 3, large=False) for _ in range(2))
        assert one is not None
        assert two is not None
        assert one[0].SerializeToString(deterministic=True) == two[0].SerializeToString(deterministic=True)
        larger = changed(sound, kind, 3, large=True)
        assert larger is not None
        assert larger[1] == one[1]


def test_the_reference_sees_a_change_and_none_where_there_is_none() -> None:
    made = model("h = MatMul(x, W) r = Relu(h) y = MatMul(r, V)", "float[N,4] x", "y", W=(4, 6), V=(6, 3))
    shapes = [{"x": (3, 4)}]
    assert moved(made, made, shapes) == 0
    larger = changed(made, "a weight 1e-3 off", 1, large=True)
    assert larger is not None
    assert moved(made, larger[0], shapes) > TOLERANCE


def test_there_are_thirty_kinds() -> None:
    assert len(KINDS) >= 30
