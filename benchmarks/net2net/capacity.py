"""Multiply-adds until goals beyond what the teacher reaches at its own size, from the points of `capacity` experiments.

    python benchmarks/net2net/capacity.py results/capacity-10-shakespeare-cpu [MORE ...] [--no-plots]

A goal is some nats below the best test loss that the teacher reaches by going on, with any budget up to the largest of
the grown arm in multiply-adds; for images it is the test error. How much an arm takes to reach it lies between two of
its points: the logarithm of the multiply-adds is taken to go in a straight line from one loss to the other. Of its
learning rates, an arm has the best for each goal and seed. Writes capacity.md and capacity.png beside the CSV files of
each folder.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

from net2net import tables

Point = tuple[float, float]  # multiply-adds, or steps, since the start or the growth, and the test loss (or error)
Points = Sequence[Point]


@dataclass(frozen=True)
class Measure:
    """What counts, the lower the better.

    Attributes:
        name: What it is called.
        unit: In what it is measured.
        goals: How far beyond the teacher's reach goals lie.
        of: What a row of a table has.
    """

    name: str
    unit: str
    goals: Sequence[float]
    of: Callable[[tables.Row], float]


LOSS = Measure("test loss", "nats", (0.02, 0.05, 0.1), lambda row: float(row["test_loss"]))
ERROR = Measure("test error", "of accuracy", (0.01, 0.02, 0.04), lambda row: 1 - float(row["test_accuracy"]))


@dataclass(frozen=True)
class Cost:
    """What an arm takes to reach a goal, in multiply-adds or steps.

    Attributes:
        low: Of the last point before it; 0 if the first one is beyond it.
        likely: Between both, by its loss.
        high: Of the first point that reaches it.
    """

    low: float
    likely: float
    high: float


@dataclass(frozen=True)
class Seed:
    """What one seed has.

    Attributes:
        teacher: What the teacher's training took, in multiply-adds or steps.
        arms: The points of each arm, by its rate, the cheapest first.
    """

    teacher: float
    arms: Mapping[str, Mapping[str, Points]]

    @property
    def reach(self) -> float:
        """The best loss of the teacher's own size, where that has taken no more than the grown arm at most."""
        most = max(spent for points in self.arms["grown"].values() for spent, _ in points)
        return min(loss for points in self.arms["continued"].values() for spent, loss in points if spent <= most)

    def cost(self, arm: str, goal: float) -> Cost | None:
        """Return what an arm takes, at its best rate; None if it does not get there."""
        found = [cost for points in self.arms[arm].values() if (cost := until(points, goal)) is not None]
        return min(found, key=lambda cost: cost.likely, default=None)


def until(points: Points, goal: float) -> Cost | None:
    """Return what it takes to reach a loss: half-way in loss from 100 to 400 multiply-adds, 200. None: it does not."""
    before: Point | None = None
    for spent, loss in points:
        if loss <= goal:
            if before is None:
                return Cost(0.0, spent, spent)
            share = (before[1] - goal) / (before[1] - loss)
            return Cost(before[0], exp(log(before[0]) + share * log(spent / before[0])), spent)
        if before is None or loss < before[1]:
            before = spent, loss
    return None


def read(folder: Path, unit: str = "multiply_adds") -> dict[int, Seed]:
    """Return what all seeds of an experiment have that have a grown arm and go on at the teacher's size.

    Args:
        folder: Where its tables are.
        unit: The column that says what a point has taken: ``multiply_adds``, or each network's own ``step``.
    """
    points: dict[int, dict[str, dict[str, list[Point]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    teachers: dict[int, float] = {}
    for row in tables.read(folder / "epochs.csv"):
        seed, spent = int(row["seed"]), float(row[unit])
        if row["arm"] == "teacher":
            teachers[seed] = max(spent, teachers.get(seed, 0.0))
        elif spent:  # behind the start
            points[seed][row["arm"]][row["rate"]].append((spent, measure(row).of(row)))
    whole = (seed for seed in sorted(points) if {"grown", "continued", "scratch"} <= points[seed].keys())
    return {seed: Seed(teachers[seed], points[seed]) for seed in whole}


def measure(row: tables.Row) -> Measure:
    """Return what counts on the data of a row."""
    return LOSS if tables.language(row) else ERROR


# --- for people


def page(folder: Path, seeds: Mapping[int, Seed]) -> str:
    """Return a page on an experiment."""
    arms = list(dict.fromkeys(arm for seed in seeds.values() for arm in seed.arms))
    growth = tables.read(folder / "growths.csv")[0]
    counts = measure(growth)
    ratio = float(growth["student_multiply_adds"]) / float(growth["teacher_multiply_adds"])
    lines = [
        f"# {folder.name}", "",
        f"A step of the large network costs {ratio:.1f} times the teacher's. Seeds: {', '.join(map(str, seeds))}.", "",
        f"Growth: `{growth['passes']}`.", "",
    ]  # fmt: skip
    for goal in counts.goals:
        lines += [f"## {goal} {counts.unit} beyond the teacher's reach", "", *compared(seeds, arms, goal), ""]
    lines += ["## What a step of the teacher is worth", "", *worth(read(folder, "step"), counts.name), ""]
    lines += ["## Points", "", f"| seed | arm | rate | 10⁹ multiply-adds: {counts.name} |", "|---|---|---|---|"]
    for number, seed in seeds.items():
        for arm, rates in seed.arms.items():
            for rate, points in rates.items():
                said = ", ".join(f"{spent / 1e9:.0f}: {loss:.4f}" for spent, loss in points)
                lines.append(f"| {number} | {arm} | {rate} | {said} |")
    return "\n".join(lines) + "\n"


def compared(seeds: Mapping[int, Seed], arms: Iterable[str], goal: float) -> Iterator[str]:
    """Yield the lines of a table: how arms compare with scratch at a goal, over the seeds where both reach it."""
    titles = "reached by | multiply-adds, times fewer than scratch | by neighbouring points | with the teacher's"
    yield from (f"| arm | {titles} |", "|---|---|---|---|---|")
    for arm in arms:
        costs = [(seed, seed.cost(arm, seed.reach - goal), seed.cost("scratch", seed.reach - goal))
                 for seed in seeds.values()]  # fmt: skip
        both = [(seed, own, scratch) for seed, own, scratch in costs if own is not None and scratch is not None]
        said = " | | "
        if both:
            low = min(scratch.low / own.high for _, own, scratch in both)
            high = max(scratch.high / own.low if own.low else inf for _, own, scratch in both)
            fewer = [scratch.likely / own.likely for _, own, scratch in both]
            paid = [0.0 if arm == "scratch" else seed.teacher for seed, _, _ in both]
            counted = [scratch.likely / (own.likely + more) for (_, own, scratch), more in zip(both, paid, strict=True)]
            said = f"{_spread(fewer)} | {low:.1f} to {high:.1f} | {_spread(counted)}"
        yield f"| {arm} | {sum(own is not None for _, own, _ in costs)} of {len(seeds)} | {said} |"


def worth(seeds: Mapping[int, Seed], name: str) -> Iterator[str]:
    """Yield the lines of a table: how many steps from scratch one of the teacher's saves; points are in steps."""
    yield f"| seed | steps since growth | {name}, best rate | steps from scratch | saved by a step of the teacher |"
    yield "|---|---|---|---|---|"
    for number, seed in seeds.items():
        for points in zip(*seed.arms["grown"].values(), strict=False):  # one may not have come as far
            steps, loss = min(points, key=lambda point: point[1])
            cost = seed.cost("scratch", loss)
            if cost is not None and cost.low:
                saved = (cost.likely - steps) / seed.teacher
                yield f"| {number} | {steps:.0f} | {loss:.4f} | {cost.likely:.0f} | {saved:.3f} |"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def draw(folder: Path, seeds: Mapping[int, Seed]) -> None:
    """Draw the losses of all arms over multiply-adds."""
    from net2net.plots import COLOURS, finish, plt

    name = measure(tables.read(folder / "growths.csv")[0]).name
    figure, axes = plt.subplots(figsize=(8, 5))
    arms = list(dict.fromkeys(arm for seed in seeds.values() for arm in seed.arms))
    for seed in seeds.values():
        for arm, rates in seed.arms.items():
            for points in rates.values():
                colour = COLOURS[arms.index(arm) % len(COLOURS)]
                axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, linewidth=0.8, alpha=0.7)
    for number, arm in enumerate(arms):
        axes.plot([], [], color=COLOURS[number % len(COLOURS)], marker="o", label=arm)
    axes.set(xscale="log", xlabel="multiply-adds since the start or the growth", ylabel=name)
    axes.set_ylim(top=max(seed.reach for seed in seeds.values()) + 0.3)
    axes.legend(fontsize=8)
    finish(figure, folder, "capacity")


def main() -> None:
    """Write a page for each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--no-plots", action="store_true")
    options = parser.parse_args()
    for folder in options.folders:
        seeds = read(folder)
        if not seeds:
            raise SystemExit(f"{folder} has no seed with the arms grown, continued and scratch")
        (folder / "capacity.md").write_text(page(folder, seeds), "utf-8")
        if not options.no_plots:
            draw(folder, seeds)


if __name__ == "__main__":
    main()
