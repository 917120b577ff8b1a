"""A new BatchNormalization gives back what it is given, in exact arithmetic, or the record says by which form."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.deepening import BN, CONV, IMAGE, NORM, C, V, W
from helpers.forms import constants, errors, setting
from helpers.graphs import STABLE, model
from onnx_n2n.depth.layers import exact_root
from onnx_n2n.passes import Deepen
from onnx_n2n.record.division import Type

TYPES = [np.dtype(each) for each in (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)]
TEACHER = model(f"{CONV} {NORM} r = Relu(n) y = Conv(r, V)", IMAGE, "y", W=W, c=C, V=V, **BN)


def fractions(array: np.ndarray) -> list[Fraction]:
    return [Fraction(float(each)) for each in array]


@STABLE
@given(
    st.lists(st.floats(0, 1e4) | st.floats(0, 1e-3), min_size=1, max_size=6),
    st.sampled_from([1e-3, 1e-5, 1e-6, 1e-12]),
    st.sampled_from(TYPES),
    st.sampled_from(TYPES),
)
def test_the_root_is_exact(numbers: list[float], epsilon: float, scales: np.dtype, variances: np.dtype) -> None:
    power, variance, root = exact_root(np.array(numbers), epsilon, Type.of(scales), Type.of(variances))
    assert float(np.float32(power)) == power
    stored = fractions(variance.astype(variances)), fractions(root.astype(scales))
    for kept, square in zip(*stored, strict=True):
        assert kept >= 0
        assert kept + Fraction(power) == square**2
    if variances.itemsize >= 4 and scales.itemsize >= 4:
        assert np.allclose(root, np.sqrt(np.array(numbers) + power), rtol=1e-3, atol=0)
        assert power <= max(1.5 * epsilon, 1e-6 * max(numbers))


def parts(student: onnx.ModelProto) -> tuple[onnx.NodeProto, list[np.ndarray]]:
    """Return the new norm with its scale, bias, mean and variance."""
    (node,) = (each for each in student.graph.node if each.op_type == "BatchNormalization" and each.input[1] != "s")
    return node, [constants(student)[name] for name in node.input[1:]]


@pytest.mark.parametrize("epsilon", [None, 0.001])
def test_without_real_inputs_a_norm_is_exact_and_its_epsilon_is_told(epsilon: float | None) -> None:
    teacher = onnx.ModelProto.FromString(TEACHER.SerializeToString())
    if epsilon is not None:
        teacher.graph.node[1].attribute.append(onnx.helper.make_attribute("epsilon", epsilon))
    result = Deepen()(teacher)
    node, (scale, bias, mean, variance) = parts(result.model)
    written = setting(result.model, f"{node.name}.epsilon")
    for kept, square in zip(fractions(variance), fractions(scale), strict=True):
        assert kept + Fraction(written) == square**2
    np.testing.assert_array_equal(bias, mean)
    (told,) = result.growth.settings
    assert (told.node, told.name, told.after) == (node.name, "epsilon", written)
    assert told.before == pytest.approx(epsilon or 1e-5)
    assert errors(result.growth, teacher, result.model) == ({}, {})


def test_with_real_inputs_the_record_has_the_form_of_the_scale(tmp_path: Path) -> None:
    np.savez(tmp_path / "real.npz", x=np.random.default_rng(0).standard_normal((2, 3, 8, 9), np.float32))
    result = Deepen(calibrate=str(tmp_path / "real.npz"))(TEACHER)
    node, (_, bias, mean, _) = parts(result.model)
    rounded, exact = errors(result.growth, TEACHER, result.model)
    assert rounded.keys() == {node.input[1]}
    assert max(rounded.values()) <= 1
    assert not exact
    assert not result.growth.settings
    np.testing.assert_array_equal(bias, mean)
