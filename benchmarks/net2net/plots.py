"""Plots of an experiment: scores over epochs and over multiply-adds, the first hundred steps, rank and clones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import matplotlib as mpl

from net2net import tables
from net2net.curves import Results

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = plt.get_cmap("tab10").colors
T = 1e12


def draw(folder: Path, results: Results) -> None:
    """Draw all plots that there are rows for, as PNG files in the folder."""
    _scores(folder, results)
    _first_steps(folder, results)
    if tables.read(folder / "probes.csv"):
        _probes(folder)


def _scores(folder: Path, results: Results) -> None:
    """Draw the mean over seeds, and a band from the lowest to the highest."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    sign, name = (-1, "test loss") if results.kind == "language" else (1, "test accuracy")
    paid = mean(curve.spent[-1] for curve in results.teachers.values()) if results.teachers else 0.0
    for number, ((arm, rate), curves) in enumerate(results.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        scores = [[sign * score for score in curve.scores] for curve in curves.values()]
        epochs, spent = range(len(scores[0])), _means([curve.spent for curve in curves.values()])
        own = 0.0 if arm == "scratch" else paid
        across = [(left, list(epochs)), (right, [(each + own) / T for each in spent])]
        for axes, where in across:
            axes.plot(where, _means(scores), label=f"{arm} ({rate})", color=colour, marker=".", markersize=4)
            low, high = ([pick(each) for each in zip(*scores, strict=True)] for pick in (min, max))
            axes.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
    if results.teachers:
        level = sign * mean(curve.scores[-1] for curve in results.teachers.values())
        for axes in (left, right):
            axes.axhline(level, color="black", linewidth=0.8, linestyle=":", label="teacher")
    left.set(xlabel="epochs", ylabel=name)
    right.set(xlabel="10¹² multiply-adds, the teacher's training included for all but scratch")
    if results.kind == "language":
        ends = [-curve.scores[-1] for curves in results.lines.values() for curve in curves.values()]
        left.set_ylim(min(ends) - 0.05, max(ends) + 0.6)
    left.legend(fontsize=8)
    finish(figure, folder, "scores")


def _first_steps(folder: Path, results: Results) -> None:
    """Draw the loss of the first hundred steps after the start: on each batch, and on validation data."""
    rows: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in tables.read(folder / "steps.csv"):
        if (row["arm"], row["rate"]) in results.lines and row["step"] == row["since"]:
            rows[row["arm"], row["rate"]].append(row)
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for number, ((arm, rate), each) in enumerate(rows.items()):
        colour = COLOURS[number % len(COLOURS)]
        steps, losses = _by_step(each, "train_loss")
        axes.plot(steps, losses, color=colour, linewidth=0.6, alpha=0.5)
        steps, losses = _by_step([row for row in each if row["validation_loss"]], "validation_loss")
        axes.plot(steps, losses, color=colour, marker="o", markersize=3, label=f"{arm} ({rate})")
    axes.set(xlabel="steps", ylabel="loss: dots on validation data, thin lines on batches")
    axes.legend(fontsize=8)
    finish(figure, folder, "first-steps")


def _probes(folder: Path) -> None:
    """Draw rank and near clones over steps."""
    rows = tables.read(folder / "probes.csv")
    shown = {
        "activation_rank": "effective rank of activations",
        "weight_rank": "effective rank of weights",
        "near_clones": "channels that are nearly another's copy",
        "validation_loss": "validation loss",
    }
    figure, grid = plt.subplots(1, len(shown), figsize=(4.5 * len(shown), 4.2))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    for axes, (column, title) in zip(grid, shown.items(), strict=True):
        for number, arm in enumerate(arms):
            steps, values = _by_step([row for row in rows if row["arm"] == arm], column)
            places = range(len(steps))
            axes.plot(places, values, marker="o", markersize=4, label=arm, color=COLOURS[number % len(COLOURS)])
            axes.set_xticks(list(places), [str(step) for step in steps])
        axes.set(title=title, xlabel="steps")
    losses = [float(row["validation_loss"]) for row in rows]
    grid[-1].set_ylim(min(losses) - 0.02, 1.3 * median(losses))  # from scratch it is far above
    grid[-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    finish(figure, folder, "probes")


def _by_step(rows: Sequence[Mapping[str, str]], column: str) -> tuple[list[int], list[float]]:
    """Return the mean over seeds at every step."""
    found: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        found[int(row["step"])].append(float(row[column]))
    return sorted(found), [mean(found[step]) for step in sorted(found)]


def _means(lists: Sequence[Sequence[float]]) -> list[float]:
    return [mean(each) for each in zip(*lists, strict=True)]


def finish(figure: Any, folder: Path, name: str) -> None:
    """Write a figure as a PNG file in a folder, and close it."""
    figure.suptitle(folder.name)
    figure.tight_layout()
    figure.savefig(folder / f"{name}.png", dpi=110)
    plt.close(figure)
