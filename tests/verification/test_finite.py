"""Laws of numbers that are not finite: no such difference passes, and no student is blamed for the teacher's own."""

from __future__ import annotations

import json
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper, parser

from onnx_n2n.errors import InputError
from onnx_n2n.export.check import agreement
from onnx_n2n.verification import Verdict, verify
from onnx_n2n.verification.compare import OutputVerdict, compare, decided
from onnx_n2n.verification.inputs import Given, nudged
from onnx_n2n.verification.yardstick import GRAINS, yardstick

KINDS = {
    np.dtype(np.float16): ir.DataType.FLOAT16,
    np.dtype(np.float32): ir.DataType.FLOAT,
    np.dtype(np.float64): ir.DataType.DOUBLE,
    np.dtype(ml_dtypes.bfloat16): ir.DataType.BFLOAT16,
}
ODD = (0.0, -0.0, 1.0, -1.0, 1.5, 5e-324, 1e-300, 3e4, 65504.0, -65504.0, 3.4e38, 1.7e308, -1.7e308)
NUMBERS = st.one_of(st.sampled_from([*ODD, np.inf, -np.inf, np.nan]), st.floats(-9, 9))


@st.composite
def runs(draw: st.DrawFn) -> tuple[Any, ...]:
    """What a teacher says, as it is, optimised and nudged, and what a student says; all of them much alike."""
    kind = draw(st.sampled_from(list(KINDS)))
    feeds, size = draw(st.integers(1, 3)), draw(st.integers(0, 4))

    def array(like: np.ndarray | None = None) -> np.ndarray:
        fresh = np.array([draw(NUMBERS) for _ in range(size)])
        kept = np.array([like is not None and draw(st.booleans()) for _ in range(size)], bool)
        with np.errstate(over="ignore"):
            return np.where(kept, fresh if like is None else like.astype(np.float64), fresh).astype(kind)

    truth = [array() for _ in range(feeds)]
    others = [[array(old) for old in truth] if draw(st.booleans()) else [] for _ in range(2)]
    student = [old if draw(st.booleans()) else array(old) for old in truth]
    return GRAINS[KINDS[kind]], truth, *others, student


def held(truth: Any, student: Any, **others: Any) -> OutputVerdict:
    return compare("y", yardstick(truth, GRAINS[KINDS[truth[0].dtype]], **others), student)


def floats(*values: float, dtype: Any = np.float32) -> np.ndarray:
    return np.array(values, dtype)


@given(runs())
def test_what_is_finite_on_one_side_only_never_passes_and_what_passes_is_near(case: tuple[Any, ...]) -> None:
    grain, truth, optimised, near, student = case
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stick = yardstick(truth, grain, optimised, near)
        verdict, same = compare("y", stick, student), compare("y", stick, truth)
    assert same.ok  # however large the rounding error is, and whatever is not finite
    assert same.error == 0
    assert all(np.isfinite(limit).all() for limit in stick.limits)
    assert (stick.rounding_error is None) == (not optimised and not near)
    assert np.isfinite([stick.rounding_error or 0.0, stick.tolerance, verdict.tolerance]).all()
    pairs = [(old.astype(np.float64), new.astype(np.float64)) for old, new in zip(truth, student, strict=True)]
    alike = all(np.array_equal(old[~np.isfinite(old)], new[~np.isfinite(old)], equal_nan=True) for old, new in pairs)
    if not alike or any(np.isfinite(old).tolist() != np.isfinite(new).tolist() for old, new in pairs):
        assert not verdict.ok
        assert verdict.error == np.inf
    if verdict.ok:
        for (old, new), limit in zip(pairs, stick.limits, strict=True):
            usual = np.isfinite(old)
            assert (np.abs(old[usual] - new[usual]) <= np.broadcast_to(limit, old.shape)[usual]).all()
    assert not (verdict.ok and verdict.undecided)
    json.dumps(_of(verdict).to_json(), allow_nan=False)


def _of(output: OutputVerdict) -> Verdict:
    return Verdict(output.ok, "CPU", output.error, output.rounding_error, (output,), (), "", None)


def test_the_error_that_is_told_is_infinite_where_one_is() -> None:
    """Also beside one that is finite, and as many tolerances off as no number says; in whichever run."""
    truth = floats(0, 0, dtype=np.float64)
    huge, infinite = (floats(*values, dtype=np.float64) for values in ((1.7e308, 0), (1.7e308, np.inf)))
    for student in ([infinite, huge], [huge, infinite], [huge[::-1], infinite[::-1]]):
        assert held([truth, truth], student).error == np.inf


@pytest.mark.parametrize("others", ["optimised", "nudged"])
def test_a_teacher_that_is_not_steady_excuses_no_other_entry(others: str) -> None:
    """An infinite rounding error would let everything pass."""
    truth, moved = [floats(1, 2), floats(3, 5)], [floats(np.inf, 2), floats(3, np.nan)]
    noisy = {others: moved}
    assert held(truth, truth, **noisy).ok
    wrong = held(truth, [floats(1, 2.5), floats(3, 5)], **noisy)
    assert (wrong.ok, wrong.undecided) == (False, False)
    edge = held(truth, moved, **noisy)
    assert (edge.ok, edge.undecided) == (False, True)
    both = held(truth, [floats(np.inf, 2.5), floats(3, 5)], **noisy)
    assert (both.ok, both.undecided) == (False, False)
    with pytest.raises(InputError, match="rounding decides in the teacher what of its output 'y' is finite"):
        decided([edge])
    decided([edge, wrong])
    decided([])


def test_a_length_that_rounding_decides_excuses_no_entry_of_the_right_length() -> None:
    truth, shorter = [np.array([1, 2, 3]), np.array([1, 5, 7])], [np.array([1, 2]), np.array([1, 5, 7])]
    assert held_whole(truth, truth, shorter).ok
    assert held_whole(truth, shorter, shorter).undecided
    wrong = held_whole(truth, [np.array([1, 2, 4]), truth[1]], shorter)
    assert (wrong.ok, wrong.undecided) == (False, False)
    assert not held_whole(truth, [np.array([1, 2], np.int32), truth[1]], shorter).undecided


def held_whole(truth: Any, student: Any, near: Any) -> OutputVerdict:
    return compare("y", yardstick(truth, GRAINS[ir.DataType.FLOAT], nudged=near), student)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_a_student_that_overflows_where_the_teacher_nearly_does_is_undecided(dtype: Any) -> None:
    largest = ml_dtypes.finfo(dtype).max
    truth, infinite = floats(largest, 0, dtype=dtype), floats(np.inf, 0, dtype=dtype)
    assert held([truth], [infinite]).undecided
    assert held([infinite], [truth]).undecided
    for wrong in ((-np.inf, 0), (np.nan, 0), (largest, np.inf)):
        verdict = held([truth], [floats(*wrong, dtype=dtype)])
        assert (verdict.ok, verdict.undecided) == (False, False)
    assert not held([infinite], [-infinite]).undecided


def test_minus_zero_is_zero_and_a_difference_that_overflows_is_one() -> None:
    assert held([floats(0, 1)], [floats(-0.0, 1)]).ok
    far = floats(1.7e308, 1, dtype=np.float64)
    assert held([far, -far], [far, -far]).ok
    assert not held([far, -far], [-far, far]).ok


@pytest.mark.parametrize(("values", "near"), [((1.7e308, 1.6e308), 0.0), ((0.0, 5e-324), 1.0)])
def test_limits_and_figures_are_finite_however_large_the_noise_is(values: tuple[float, ...], near: float) -> None:
    truth = [floats(value, dtype=np.float64) for value in values]
    stick = yardstick(truth, GRAINS[ir.DataType.DOUBLE], nudged=[floats(near, dtype=np.float64)] * 2)
    assert np.isfinite([stick.rounding_error, stick.tolerance, *np.ravel(stick.limits)]).all()
    assert not compare("y", stick, [floats(np.inf, dtype=np.float64)] * 2).ok


@given(st.sampled_from([np.nan, np.inf, -np.inf]), st.floats(10, 1e6), st.floats(1e3, 1e9))
def test_an_entry_that_is_finite_in_one_run_only_widens_no_limit_of_the_others(
    odd: float, off: float, fixed: float
) -> None:
    """What does not move, however large it is, says nothing of how far the rest may be off."""
    truth = [floats(fixed, 0.1, 1), floats(fixed, 0.9, odd)]
    assert held(truth, truth).ok
    wrong = held(truth, [floats(fixed, 0.1 + off, 1), floats(fixed, 0.9, odd)])
    assert (wrong.ok, wrong.vacuous) == (False, False)


@pytest.mark.parametrize("values", [(np.nan, np.nan), (np.inf, np.nan), (-np.inf, np.inf)])
def test_an_output_that_is_never_finite_proves_nothing(values: tuple[float, float]) -> None:
    stick = yardstick([floats(*values), floats(*values[::-1])], GRAINS[ir.DataType.FLOAT])
    assert stick.vacuous
    assert not yardstick([floats(*values, 1), floats(*values[::-1], 2)], GRAINS[ir.DataType.FLOAT]).vacuous


# In ONNX Runtime


def model(kind: str, body: str, **weights: Any) -> onnx.ModelProto:
    graph = parser.parse_graph(f"g ({kind}[2] x) => ({kind}[2] y) {{ {body} }}")
    dtype = {"float16": np.float16, "float": np.float32}[kind]
    graph.initializer.extend(numpy_helper.from_array(np.array(value, dtype), name) for name, value in weights.items())
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_what_overflows_in_one_model_only_is_wrong(recwarn: pytest.WarningsRecorder) -> None:
    feeds = [{"x": floats(300, 1, dtype=np.float16)}, {"x": floats(2, 200, dtype=np.float16)}]
    square, twice = model("float16", "y = Mul(x, x)"), model("float16", "h = Mul(x, x)\n y = Mul(h, k)", k=2)
    assert verify(square, square, inputs=feeds).ok
    for teacher, student in ((square, twice), (twice, square)):
        verdict = verify(teacher, student, inputs=feeds)
        assert (verdict.ok, verdict.error) == (False, np.inf)
    assert not [str(warning.message) for warning in recwarn]


def test_a_teacher_at_the_edge_of_its_type_is_named_and_no_student_is_blamed() -> None:
    """65504 is the largest number of float16; here the product is rounded to it, or beyond."""
    feeds = [{"x": floats(255.9, 1, dtype=np.float16)}, {"x": floats(2, 3, dtype=np.float16)}]
    teacher, over = model("float16", "y = Mul(x, x)"), model("float16", "h = Mul(x, x)\n y = Mul(h, k)", k=1.002)
    assert verify(teacher, teacher, inputs=feeds).ok
    for run in (
        lambda: verify(teacher, over, inputs=feeds),
        lambda: agreement(teacher, lambda feed: [feed["x"] * feed["x"] * np.float16(1.002)], inputs=feeds),
    ):
        with np.errstate(over="ignore"), pytest.raises(InputError, match="output 'y'"):
            run()


def test_an_export_that_is_not_finite_is_wrong_and_its_figures_are_json() -> None:
    teacher = model("float", "y = Exp(x)")
    for wrong in (np.inf, np.nan, -np.inf):
        found = agreement(teacher, lambda feed, wrong=wrong: [np.full_like(feed["x"], wrong)])
        assert not found.ok
        json.dumps(found.to_json(), allow_nan=False)


def test_given_values_stay_finite_when_they_are_varied(recwarn: pytest.WarningsRecorder) -> None:
    most = np.finfo(np.float16).max
    feed = {"x": floats(most, -most, np.inf, 1, dtype=np.float16)}
    for other in (nudged(feed, 0), *(Given((feed,), seed).feed(1) for seed in range(9))):
        assert np.isfinite(other["x"].astype(np.float64)).sum() == 3
    assert not list(recwarn)
