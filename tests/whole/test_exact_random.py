"""Students of random graphs of the wider kind: the exact check never says the opposite of what a run says.

``N2N_EXACT`` says how many are drawn; ``benchmarks/random_graphs.py --exact`` draws thousands.
"""

from __future__ import annotations

import os

import pytest

from helpers.wild.trial import trial

NUMBER = int(os.environ.get("N2N_EXACT", "40"))
BATCH = 20
SEEN = (23, 205, 1024)
"""Seeds of right students that were undecided once."""


@pytest.mark.parametrize("first", range(0, NUMBER, BATCH))
def test_the_exact_check_and_a_run_agree(first: int) -> None:
    outcomes = [trial(seed, exact=True) for seed in range(first, min(first + BATCH, NUMBER))]
    assert not [(outcome.seed, outcome.failures) for outcome in outcomes if outcome.failures]
    found = [each for outcome in outcomes for each in outcome.agreements]
    assert sum(not each.changed and each.state == "equal" for each in found) > BATCH / 2
    assert sum(bool(each.changed and each.failure) for each in found) > BATCH / 4


@pytest.mark.parametrize("seed", SEEN)
def test_what_was_undecided_once(seed: int) -> None:
    outcome = trial(seed, exact=True)
    assert not outcome.failures
    assert next(each.state for each in outcome.agreements if not each.changed) == "equal"
