"""Numbers that somebody wrote or computed are told from those that were learned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.graphs import STABLE
from onnx_n2n.export.formulas import formula_of, is_written


@pytest.mark.parametrize("number", [1e-12, 0.5, -3.0, 20.0, 2**0.5, 64**-0.5, 96**-0.5, 1 / 3, 1 / 255, -1e9, np.inf])
def test_written_numbers_are_told_from_learned_ones(number: float) -> None:
    assert is_written(np.float32(number))


@given(st.integers(0, 2**31))
def test_learned_numbers_are_seldom_taken_for_written_ones(seed: int) -> None:
    drawn_numbers = np.random.default_rng(seed).standard_normal(200).astype(np.float32)
    assert sum(map(is_written, drawn_numbers)) <= 10


@STABLE
@given(st.integers(6, 40), st.floats(0.05, 3), st.floats(-2, 2), st.floats(0.1, 5), st.booleans())
def test_formulas_are_seen_and_learned_numbers_are_none(
    n: int, w: float, shift: float, size: float, across: bool
) -> None:
    k = np.arange(n)
    tables = [size * np.sin(w * k + shift), size * k + shift, size * (1 + w / 4) ** -k, 0.5 - 0.5 * np.cos(w * k)]
    noise = np.random.default_rng(n).standard_normal((n, 3))
    for column in tables:
        table = np.stack([column, column[::-1], np.ones(n)], 1).astype(np.float32)
        assert formula_of(table.T if across else table)
        assert not formula_of((table + noise * 1e-2 * np.abs(table).max()).astype(np.float32))
    assert not formula_of(noise.astype(np.float32))
    assert not formula_of(np.ones((n, 3), np.float32))
