"""How far variants of growth are from the product's, from the points of an `exchange` experiment.

    python benchmarks/net2net/exchange.py results/exchange-shakespeare-cpu

Writes exchange.md beside the tables.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parent.parent))

from net2net import tables

USUAL = ("grown", "on")
Losses = Mapping[tuple[str, str], Mapping[int, Mapping[int, float]]]
"""Test losses by arm and rate, by budget in steps, and by seed."""


def read(folder: Path) -> Losses:
    """Return the test losses at the ends of all branches."""
    found: dict[tuple[str, str], dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in tables.read(folder / "epochs.csv"):
        if row["arm"] != "teacher" and int(row["step"]):
            found[row["arm"], row["rate"]][int(row["step"])][int(row["seed"])] = float(row["test_loss"])
    return found


def page(losses: Losses) -> str:
    """Return a page on an experiment, of the seeds that every arm has."""
    seeds = sorted(set.intersection(*(set(found) for arm in losses.values() for found in arm.values())))
    usual = losses[USUAL]
    lines = [
        "# exchange", "",
        "Test losses so many steps after growth, by seed, and in brackets how far their mean is above that of `grown`. "
        f"Seeds: {', '.join(map(str, seeds))}.", "",
        f"| arm | rate | {' | '.join(f'{budget} steps' for budget in usual)} |", f"|---|---|{'---|' * len(usual)}",
    ]  # fmt: skip
    for (arm, rate), found in losses.items():
        cells = []
        for budget, known in found.items():
            apart = mean(known[seed] - usual[budget][seed] for seed in seeds)
            said = f" ({apart:+.4f})" * ((arm, rate) != USUAL)
            cells.append(f"{', '.join(f'{known[seed]:.4f}' for seed in seeds)}{said}")
        lines.append(f"| {arm} | {rate} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    (folder / "exchange.md").write_text(page(read(folder)), "utf-8")


if __name__ == "__main__":
    main()
