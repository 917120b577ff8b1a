"""Students with numbers that no type can hold are equal by their record."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record.test_forms import CASES, RMS

from helpers.deepening import BN, CONV, IMAGE, NORM, C, V, W
from helpers.enlarging import UNPROVEN
from helpers.graphs import model
from helpers.growths import CLASSIFIER, GROWTHS, QUIET, changed, constant, document
from onnx_n2n.exact import check, entered, field, growth, taken
from onnx_n2n.exact.field import Field
from onnx_n2n.exact.files import File
from onnx_n2n.exact.reals import RealLine
from onnx_n2n.exact.roots import Scaled, root, taken_apart
from onnx_n2n.exact.rounding import LIMIT, units
from onnx_n2n.passes import Deepen, Outputs, Widen, parse

FEW = settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.too_slow])
RUNS = [
    "widen{factor=1.5},widen{factor=1.25}",
    "widen{factor=1.5,init=net2net,noise=0.1},widen{factor=1.7,init=net2net,noise=0.1}",
    "deepen{count=1},widen{factor=1.5}",
    "widen{factor=1.25},deepen{count=1},widen{factor=1.5}",
]


@pytest.mark.parametrize("name", [name for name in CASES if name != "outputs"])
def test_a_student_is_equal_by_its_record_and_not_without(name: str) -> None:
    growing, teacher, names = CASES[name]
    result = growing(teacher, proof=UNPROVEN)
    found = check(teacher, result.model, record=document(result))
    assert found.state == "equal", found
    assert found.constants == len(names)
    assert found.largest_rounding < 1e-7
    exact = name == "weighed mean"  # 4 channels: the shares are exact
    assert check(teacher, result.model).state == ("equal" if exact else "undecided")


@pytest.mark.parametrize("name", [name for name in CASES if name != "outputs"])
def test_large_constants_are_followed_in_parts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all constants were too large to be entered at once: right students are equal, and no wrong one is."""
    monkeypatch.setattr(field, "LARGE", 4)
    monkeypatch.setattr(entered, "BLOCK", 5)
    monkeypatch.setattr(taken, "BLOCK", 5)
    growing, teacher, names = CASES[name]
    result = growing(teacher, proof=UNPROVEN)
    found = check(teacher, result.model, record=document(result))
    assert (found.state, found.constants) == ("equal", len(names)), found
    for each in set(names) & {tensor.name for tensor in result.model.graph.initializer}:
        array = constant(result.model, each)
        array.reshape(-1)[-1] *= 1.001
        wrong = check(teacher, changed(result.model, **{each: array}), record=document(result))
        assert wrong.state != "equal" or not array.reshape(-1)[-1], each


@pytest.mark.parametrize("teacher", [QUIET, RMS], ids=["layer norm", "root mean square"])
@pytest.mark.parametrize("text", RUNS)
def test_forms_are_followed_through_several_steps(text: str, teacher: onnx.ModelProto) -> None:
    result = parse(text)(teacher, proof=UNPROVEN)
    found = check(teacher, result.model, record=document(result))
    assert found.state == "equal", found
    assert found.constants


@pytest.mark.parametrize("name", ["fresh", "copies", "tied", "deeper", "enlarged", "passes"])
def test_other_growths_round_nothing(name: str) -> None:
    growing, teacher = GROWTHS[name]
    result = growing(teacher, proof=UNPROVEN)
    found = check(teacher, result.model, record=document(result))
    assert (found.state, found.constants) == ("equal", 0), found


def test_the_root_of_real_statistics_is_followed(tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", x=np.random.default_rng(0).standard_normal((2, 3, 8, 9), np.float32))
    teacher = model(f"{CONV} {NORM} r = Relu(n) y = Conv(r, V)", IMAGE, "y", W=W, c=C, V=V, **BN)
    result = Deepen(calibrate=str(tmp_path / "real.npz"))(teacher, proof=UNPROVEN)
    assert check(teacher, result.model).state == "undecided"
    found = check(teacher, result.model, record=document(result))
    assert (found.state, found.constants) == ("equal", 1), found


def test_outputs_that_become_longer_are_the_teachers_first() -> None:
    result = Outputs(8)(CLASSIFIER, proof=UNPROVEN)
    read = growth.read(document(result))
    assert read.rounded(File(CLASSIFIER), File(result.model))[0] == 2


def test_the_record_in_the_folder_of_a_student_is_found(tmp_path: Path) -> None:
    result = Widen(factor=1.5)(QUIET, proof=UNPROVEN)
    other = Widen(factor=1.25)(QUIET, proof=UNPROVEN)
    onnx.save(result.model, tmp_path / "student.onnx")
    assert growth.beside(tmp_path / "student.onnx") is None
    other.growth.save(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    assert growth.beside(tmp_path / "student.onnx") is None
    result.growth.save(tmp_path / "c.safetensors")
    assert check(QUIET, tmp_path / "student.onnx").state == "equal"


# Numbers


@FEW
@given(st.integers(0, 20))
def test_what_is_taken_is_less_than_a_unit_from_what_is_stored(seed: int) -> None:
    result = Widen(factor=1.7, init="net2net", noise=0.2, seed=seed)(QUIET, proof=UNPROVEN)
    for name, array in growth_of(result).items():
        stored = constant(result.model, name)
        off = np.abs(array - stored)
        assert 0 < off.max() < np.spacing(np.abs(stored).max()), name
        assert np.count_nonzero(off) < stored.size or name == "g"


def growth_of(result: Any) -> dict[str, np.ndarray]:
    """Return what constants of a student were, as doubles."""
    read = growth.read(document(result))
    found = read.exact(RealLine(0), File(QUIET), File(result.model)).constants
    return {name: each.values for name, each in found.items()}


FRACTIONS = st.fractions(Fraction(1, 60), 60, max_denominator=60)


@FEW
@given(FRACTIONS, FRACTIONS)
def test_roots_of_products_are_products_of_roots(one: Fraction, two: Fraction) -> None:
    field = Field(3, sorted({prime for each in (one, two) for prime in taken_apart(each)[1]}))
    roots = [root(field, each) for each in (one, two, one * two)]
    np.testing.assert_array_equal((roots[0] * roots[1]).values, roots[2].values)
    np.testing.assert_array_equal((roots[0] * roots[0]).values, field.fraction(*one.as_integer_ratio()).values)
    x = field.variable("x", (5,))
    again = Scaled(field, one).rsqrt(x * field.fraction(*one.as_integer_ratio()))
    np.testing.assert_array_equal((again * roots[0]).values, field.rsqrt(x).values)


def test_either_root_is_drawn() -> None:
    """Which of both roots stands for a number is drawn for each prime: a sum with it may be 0 with one of them."""
    squares = set()
    for world in (Field(9, (5,)) for _ in range(5)):
        found = root(world, Fraction(5)).values
        squares |= {pow(int(each), (p - 1) // 2, p) == 1 for each, p in zip(found, world.primes, strict=True)}
    assert squares == {True, False}


@FEW
@given(st.floats(-(2.0**90), 2.0**90, width=32), st.sampled_from(["float16", "bfloat16", "float32"]))
def test_neighbours_are_at_least_a_unit_apart(number: float, kind: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, kind, kind))
    with np.errstate(over="ignore"):
        stored = np.array([number]).astype(dtype)
    if not np.isfinite(stored.astype(np.float64)).all():
        return
    for towards in (-np.inf, np.inf):
        other = np.nextafter(stored, np.array([towards], dtype))
        if np.isfinite(other.astype(np.float64)).all():
            assert units(stored.astype(np.float64), other.astype(np.float64), dtype) >= 1 > LIMIT
