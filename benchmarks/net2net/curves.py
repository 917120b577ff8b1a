"""The curves of an experiment: its runs by arm, rate and seed, as its CSV files have them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from net2net import tables
from net2net.experiments import EXPERIMENTS

Line = tuple[str, str]  # an arm at a rate


@dataclass(frozen=True)
class Curve:
    """One run: its rows by epoch, and what is the better the higher it is: accuracy, or minus the loss."""

    rows: Sequence[tables.Row]

    @property
    def scores(self) -> list[float]:
        """On the test data, from before the first step on."""
        return [_score(row) for row in self.rows]

    @property
    def spent(self) -> list[float]:
        """Multiply-adds of its own training so far."""
        return [float(row["multiply_adds"]) for row in self.rows]

    def final(self) -> float:
        """Return the last score."""
        return self.scores[-1]

    def best(self) -> float:
        """Return the best score."""
        return max(self.scores)

    def reaches(self, target: float) -> int | None:
        """Return after how many epochs a score is first reached."""
        return next((epoch for epoch, score in enumerate(self.scores) if score >= target), None)


@dataclass(frozen=True)
class Results:
    """All runs of an experiment that have an end.

    Attributes:
        kind: ``images`` or ``language``.
        lines: For each arm at the rate that was chosen for it (or at each rate), its curves by seed.
        teachers: The teachers' curves by seed.
        unfinished: Runs that have not reached their budget.
        all_rates: Final validation scores by arm, rate and seed.
    """

    kind: str
    lines: Mapping[Line, Mapping[int, Curve]]
    teachers: Mapping[int, Curve]
    unfinished: Sequence[str]
    all_rates: Mapping[Line, Mapping[int, float]]


def read(folder: Path) -> Results:
    """Read the epochs of an experiment."""
    rows = tables.read(folder / "epochs.csv")
    if not rows:
        raise SystemExit(f"{folder} has no epochs.csv with rows in it")
    found: dict[tuple[str, str, int], list[tables.Row]] = defaultdict(list)
    for row in rows:
        found[row["arm"], row["rate"], int(row["seed"])].append(row)
    whole = max(len(each) for key, each in found.items() if key[0] != "teacher" or len(found) == 1)
    short = [key for key, each in found.items() if len(each) < whole and key[0] != "teacher"]
    teachers = {seed: Curve(each) for (arm, _, seed), each in found.items() if arm == "teacher"}
    kept = [row for row in rows if (row["arm"], row["rate"], int(row["seed"])) not in short]
    rates = tables.chosen(kept) if EXPERIMENTS[rows[0]["experiment"]].choose else {}
    lines: dict[Line, dict[int, Curve]] = defaultdict(dict)
    finals: dict[Line, dict[int, float]] = defaultdict(dict)
    for (arm, rate, seed), each in found.items():
        if arm == "teacher" or (arm, rate, seed) in short:
            continue
        finals[arm, rate][seed] = _score(each[-1], "validation")
        if rates.get(arm, rate) == rate:
            lines[arm, rate][seed] = Curve(each)
    kind = "language" if tables.language(rows[0]) else "images"
    return Results(kind, lines, teachers, [f"seed {seed} {arm} {rate}" for arm, rate, seed in short], finals)


def _score(row: tables.Row, part: str = "test") -> float:
    return -float(row[f"{part}_loss"]) if tables.language(row) else float(row[f"{part}_accuracy"])
