"""How far a student's values may be from the teacher's: a yardstick of what the teacher's own values tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from onnx_n2n.verification.compare import compare
from onnx_n2n.verification.yardstick import GRAINS, ungranted, yardstick


def test_the_tolerance_follows_the_noise_and_the_optimiser_is_believed_only_so_far() -> None:
    fine = GRAINS[ir.DataType.FLOAT]
    truth = [np.array([0, 1], np.float32), np.array([1, 0], np.float32)]

    def off(by: float) -> list[np.ndarray]:
        return [array + np.float32(by) for array in truth]

    assert yardstick(truth, fine).tolerance == fine.floor
    assert yardstick(truth, fine, optimised=off(1e-4)).tolerance == pytest.approx(16e-4, rel=1e-2)
    assert yardstick(truth, fine, nudged=off(1e-4)).tolerance == pytest.approx(16e-4, rel=1e-2)
    assert fine.floor < yardstick(truth, fine, optimised=off(0.5)).tolerance < 1e-2
    assert yardstick(truth, fine, nudged=off(0.5)).vacuous


def test_the_last_digits_of_a_large_value_are_nobodys_fault() -> None:
    truth = [np.array([1e6, 0], np.float32), np.array([1e6, 1], np.float32)]
    stick = yardstick(truth, GRAINS[ir.DataType.FLOAT])
    step = np.spacing(np.float32(1e6))
    for amount, place, ok in ((step, 0, True), (50 * step, 0, False), (step, 1, False)):
        student = [array.copy() for array in truth]
        student[1][place] += amount
        assert compare("y", stick, student).ok == ok


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize("rounding_error", [0.0, 1e-9, 1e-7, 1e-3])
def test_an_output_of_zeros_is_granted_what_was_measured_alone(rounding_error: float) -> None:
    fine, truth = GRAINS[ir.DataType.FLOAT], [floats(0, 0)] * 3
    stick = yardstick(truth, fine, nudged=[floats(0, rounding_error)])
    assert stick.tolerance == pytest.approx(16 * rounding_error)
    for bare in (stick, ungranted(stick, fine)):
        most = min(16 * rounding_error, fine.floor) if bare is not stick else 16 * rounding_error
        assert compare("y", bare, [floats(0, 0.99 * most)] * 3).ok
        assert not compare("y", bare, [floats(0, 1.01 * most + 1e-30)] * 3).ok
    assert yardstick(truth, fine).tolerance == fine.floor  # nothing was measured
    assert yardstick(truth[:1], fine, nudged=truth[:1]).tolerance == fine.floor  # it may be zero by chance


@pytest.mark.parametrize(
    ("truth", "others"),
    [
        ([floats(1, 2), floats(3)], [[floats(1), floats(2, 3)], floats(1, 2, 3), [floats(1, 2, 3)], []]),
        ([np.ones((2, 3), np.float32)], [[np.ones((3, 2), np.float32)], [np.ones((2, 3))]]),
        ({"a": 0.25, "b": 0.75}, [{"a": 0.25, "c": 0.75}, {"a": 0.75, "b": 0.25}, {"a": 0.25}, [0.25, 0.75]]),
        ([{10**8: 0.25}], [[{10**8 + 1: 0.25}], [{10**8: 0.5}], [{"100000000": 0.25}]]),
    ],
)
def test_sequences_and_maps_are_compared_part_by_part(truth: Any, others: list[Any]) -> None:
    """Lengths, shapes, types and keys are equal; only values may differ by rounding."""
    moved = {key: 2 * n for key, n in truth.items()} if isinstance(truth, dict) else truth
    stick = yardstick([truth, moved], GRAINS[ir.DataType.FLOAT])
    assert compare("y", stick, [truth, moved]).ok
    for other in others:
        assert not compare("y", stick, [other, moved]).ok


def test_values_under_keys_of_text_may_differ_by_rounding() -> None:
    truth = [[{"a": 0.25, "b": 0.75}], [{"a": 0.5, "b": 0.5}]]
    stick = yardstick(truth, GRAINS[ir.DataType.FLOAT])
    assert not stick.vacuous
    assert compare("y", stick, [[{"a": 0.25 + 1e-6, "b": 0.75}], truth[1]]).ok


@pytest.mark.parametrize("moves", [True, False])
def test_only_what_was_run_is_a_number(moves: bool) -> None:
    """A rounding error takes another run of the same shape, a movement a second input."""
    fine, one = GRAINS[ir.DataType.FLOAT], floats(1, 2)
    truth = [one, one + 1 if moves else one]
    bare = yardstick(truth, fine)
    assert (bare.rounding_error, yardstick([one], fine).movement) == (None, None)
    assert yardstick(truth, fine, nudged=[floats(1)]).rounding_error is None
    for runs in ({"optimised": truth}, {"nudged": truth[:1]}):
        found = yardstick(truth, fine, **runs)
        assert (found.rounding_error, found.movement, found.vacuous) == (0.0, float(moves), not moves)
        assert np.array_equal(found.limits, bare.limits)
    assert ungranted(yardstick([one], fine, nudged=[1.01 * one]), fine).rounding_error == pytest.approx(0.01, rel=1e-3)
