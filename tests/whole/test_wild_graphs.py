"""Random graphs of the wider kind grow with verification off, and ONNX Runtime says whether they compute the same.

``N2N_WILD`` says how many are drawn; ``benchmarks/random_graphs.py`` draws thousands.
"""

from __future__ import annotations

import os

import pytest

from helpers.wild.trial import trial

NUMBER = int(os.environ.get("N2N_WILD", "200"))
BATCH = 40
SEEN = (
    15, 21, 70, 75, 112, 115, 123, 182, 205, 208, 276, 284, 303, 737, 2176, 2581, 3057, 3235, 40187, 100806,
    205402,
)  # fmt: skip
"""Seeds that failed once."""


@pytest.mark.parametrize("first", range(0, NUMBER, BATCH))
def test_students_of_wild_teachers(first: int) -> None:
    outcomes = [trial(seed) for seed in range(first, min(first + BATCH, NUMBER))]
    assert not [(outcome.seed, outcome.failures) for outcome in outcomes if outcome.failures]
    counted = [outcome for outcome in outcomes if not outcome.uncounted]
    assert len(counted) > len(outcomes) / 2
    assert sum(outcome.grown for outcome in counted) > len(counted)


@pytest.mark.parametrize("first", range(0, NUMBER // 4, BATCH // 2))
def test_students_of_pieces_of_known_networks(first: int) -> None:
    outcomes = [trial(seed, pieces=True) for seed in range(first, min(first + BATCH // 2, NUMBER // 4))]
    assert not [(outcome.seed, outcome.failures) for outcome in outcomes if outcome.failures]
    counted = [outcome for outcome in outcomes if not outcome.uncounted]
    assert len(counted) > len(outcomes) / 2
    assert sum(outcome.grown for outcome in counted) > len(counted)


@pytest.mark.parametrize("seed", SEEN)
def test_what_failed_once(seed: int) -> None:
    assert not trial(seed).failures
