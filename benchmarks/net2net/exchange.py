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
    """Return a page on an experiment; where an arm has not run with all seeds of `grown`, a cell has those it has."""
    usual = losses.get(USUAL, {})
    seeds = sorted({seed for found in usual.values() for seed in found})
    lines = [
        "# exchange", "",
        "Test losses so many steps after growth, by seed, and in brackets how far their mean is above that of `grown`. "
        f"Seeds: {', '.join(map(str, seeds))}.", "",
        f"| arm | rate | {' | '.join(f'{budget} steps' for budget in usual)} |", f"|---|---|{'---|' * len(usual)}",
    ]  # fmt: skip
    for (arm, rate), found in losses.items():
        cells = []
        for budget, alike in usual.items():
            known = {seed: found[budget][seed] for seed in alike if seed in found.get(budget, {})}
            said = ", ".join(f"{loss:.4f}" for loss in known.values())
            if known and (arm, rate) != USUAL:
                said += f" ({mean(loss - alike[seed] for seed, loss in known.items()):+.4f})"
            cells.append(said)
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
