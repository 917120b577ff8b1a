"""What new places should hold and how fast they should learn, from the points of `exchange` experiments.

    python benchmarks/net2net/exchange.py results/exchange-shakespeare-cpu results/capacity-10-shakespeare-cpu

The second folder has scratch with the same seeds. A step of the teacher is worth as many steps of the large network as
growing saves of these until the same loss, over the steps that the teacher was trained for. Writes exchange.md beside
the tables of the first folder.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parent.parent))

from net2net import capacity, tables

Losses = Mapping[tuple[str, str], Mapping[int, Mapping[int, float]]]
"""Test losses by arm and rate, by budget in steps, and by seed."""


def read(folder: Path) -> Losses:
    """Return the test losses at the ends of all branches."""
    found: dict[tuple[str, str], dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in tables.read(folder / "epochs.csv"):
        if row["arm"] != "teacher" and int(row["step"]):
            found[row["arm"], row["rate"]][int(row["step"])][int(row["seed"])] = float(row["test_loss"])
    return found


def page(losses: Losses, scratch: Mapping[int, capacity.Seed]) -> str:
    """Return a page on an experiment, of the seeds that every arm has; of scratch, points are in steps."""
    seeds = sorted(set.intersection(*(set(found) for arm in losses.values() for found in arm.values())))
    usual = losses["grown", "on"]
    lines = [
        "# exchange", "",
        f"Test losses after so many steps since growth, and how far above or below `grown` they are. Seeds: "
        f"{', '.join(map(str, seeds))}.", "",
        f"| arm | rate | {' | '.join(f'{budget} steps' for budget in usual)} |", f"|---|---|{'---|' * len(usual)}",
    ]  # fmt: skip
    for (arm, rate), found in losses.items():
        cells = []
        for budget, known in found.items():
            apart = mean(known[seed] - usual[budget][seed] for seed in seeds)
            said = f" ({apart:+.4f})" if (arm, rate) != ("grown", "on") else ""
            cells.append(f"{', '.join(f'{known[seed]:.4f}' for seed in seeds)}{said}")
        lines.append(f"| {arm} | {rate} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *worth(usual, scratch, seeds), ""])


def worth(
    usual: Mapping[int, Mapping[int, float]], scratch: Mapping[int, capacity.Seed], seeds: Sequence[int]
) -> Iterator[str]:
    """Yield how many steps of the large network a step of the teacher is worth."""
    yield "| seed | steps since growth | test loss | steps from scratch | saved for each step of the teacher |"
    yield "|---|---|---|---|---|"
    for seed in (each for each in seeds if each in scratch):
        for budget, found in usual.items():
            cost = scratch[seed].cost("scratch", found[seed])
            if cost is not None and cost.low:
                saved = (cost.likely - budget) / scratch[seed].teacher
                yield f"| {seed} | {budget} | {found[seed]:.4f} | {cost.likely:.0f} | {saved:.3f} |"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("capacity", type=Path)
    options = parser.parse_args()
    scratch = capacity.read(options.capacity, "step")
    (options.folder / "exchange.md").write_text(page(read(options.folder), scratch), "utf-8")


if __name__ == "__main__":
    main()
