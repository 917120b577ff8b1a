"""Whether training small first and growing once beats one size from scratch, from the points of `progressive`.

    python benchmarks/net2net/progressive.py results/progressive-shakespeare-cpu [--no-plots]

All arms are compared at the same multiply-adds in all: those of a grown arm include its teacher's. At each budget and
for each seed, an arm has the rate with the lowest validation loss of those that have been run. The best fixed size is
chosen in the same way, once all sizes have been run. What has not been run is empty. Writes progressive.md and
progressive.png beside the tables.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).parent.parent))

from net2net import tables
from net2net.experiments import EXPERIMENTS, PLANS, PROGRESSIVE

FIXED = tuple(arm.name for arm in PROGRESSIVE if not arm.taught)
SAME = next(arm.name for arm in PROGRESSIVE if arm.start == "fresh" and arm.net == "student")  # size as after growth
BEST = "best fixed size"
SPEND: Mapping[str, Sequence[float]] = {
    size: plan.spend for (kind, size), plan in PLANS.items() if kind == EXPERIMENTS["progressive"].plan
}


@dataclass(frozen=True)
class Point:
    """What an arm has at a budget.

    Attributes:
        label: Its learning rate; of the best fixed size, which one that is.
        spent: Multiply-adds in all.
        validation: Loss.
        test: Loss.
    """

    label: str
    spent: float
    validation: float
    test: float


Points = Mapping[str, Mapping[int, Point]]
"""Points at one budget by arm and by seed."""


def read(folder: Path) -> dict[float, Points]:
    """Return the points of all arms at their best rates, and those of the best fixed size, by budget."""
    rows = tables.read(folder / "epochs.csv")
    arms_by_name = {arm.name: arm for arm in PROGRESSIVE}
    paid = {(row["arm"], row["seed"], row["epoch"]): float(row["multiply_adds"]) for row in rows}
    found: dict[float, dict[str, dict[int, Point]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        arm, seed = arms_by_name.get(row["arm"]), int(row["seed"])
        if arm is None or row["epoch"] == "0":  # a teacher, or before the first step
            continue
        epochs = str(arm.teacher_epochs)
        spent = float(row["multiply_adds"])
        if arm.taught:
            spent += paid[f"teacher-{epochs}", row["seed"], epochs]
        point = Point(row["rate"], spent, float(row["validation_loss"]), float(row["test_loss"]))
        seeds = found[min(SPEND[row["size"]], key=lambda budget: abs(budget - spent))][arm.name]
        seeds[seed] = min(seeds.get(seed, point), point, key=lambda point: point.validation)
    for arms in found.values():
        for seed in sorted(set.intersection(*(set(arms[name]) for name in FIXED))):
            name = min(FIXED, key=lambda name: arms[name][seed].validation)
            arms[BEST][seed] = replace(arms[name][seed], label=name)
    return {budget: found[budget] for budget in sorted(found)}


# --- for people


def page(budgets: Mapping[float, Points]) -> str:
    """Return a page on an experiment."""
    lines = [
        "# progressive", "",
        f"Test losses at equal multiply-adds, the teacher's included, and how far they are above those of `{SAME}` and "
        "of the best fixed size, in nats, with the same seeds: the mean, and the lowest and the highest.", "",
    ]  # fmt: skip
    for budget, arms in budgets.items():
        lines += [f"## {budget:.3g} multiply-adds", "", *table(arms), ""]
    return "\n".join(lines)


def table(arms: Points) -> Iterator[str]:
    """Yield the lines of a table on one budget."""
    yield f"| arm | seeds | best rate, or size, of each | test loss | above `{SAME}` | above the {BEST} |"
    yield "|---|---|---|---|---|---|"
    for name in (*(arm.name for arm in PROGRESSIVE), BEST):
        own = dict(sorted(arms.get(name, {}).items()))
        labels = ", ".join(point.label for point in own.values())
        cells = [spread([point.test for point in own.values()], ".4f")]
        for other in (SAME, BEST):
            known = arms.get(other, {})
            cells.append(spread([own[seed].test - known[seed].test for seed in own if seed in known], "+.4f"))
        yield f"| {name} | {', '.join(map(str, own))} | {labels} | {' | '.join(cells)} |"


def spread(values: Sequence[float], form: str) -> str:
    """Return the mean, and the lowest and the highest of several values; nothing of none."""
    if not values:
        return ""
    ends = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
    return f"{mean(values):{form}}{ends}"


def draw(folder: Path, budgets: Mapping[float, Points]) -> None:
    """Draw the losses of all arms over multiply-adds in all: dots of all seeds, and lines through their means."""
    from net2net.plots import COLOURS, finish, plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for arm, colour in zip(PROGRESSIVE, COLOURS, strict=False):
        each = [points for arms in budgets.values() if (points := list(arms.get(arm.name, {}).values()))]
        spent = [[point.spent for point in points] for points in each]
        losses = [[point.test for point in points] for points in each]
        axes.plot(list(map(mean, spent)), list(map(mean, losses)), color=colour, label=arm.name)
        axes.plot(list(chain(*spent)), list(chain(*losses)), ".", color=colour)
    axes.set(xscale="log", xlabel="multiply-adds, the teacher's included", ylabel="test loss")
    axes.legend(fontsize=8)
    finish(figure, folder, "progressive")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-plots", action="store_true")
    options = parser.parse_args()
    budgets = read(options.folder)
    (options.folder / "progressive.md").write_text(page(budgets), "utf-8")
    if not options.no_plots:
        draw(options.folder, budgets)


if __name__ == "__main__":
    main()
