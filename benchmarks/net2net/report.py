"""Make a summary, tables for people and plots of an experiment from its CSV files alone.

    python benchmarks/net2net/report.py results/wider-cifar10-cpu [MORE ...] [--scratch FOLDER] [--no-plots]

Writes summary.json, summary.md and PNG files beside the CSV files of each folder. Goals are set by scratch in the same
folder, or in another one, where it had a larger budget.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from net2net import tables
from net2net.curves import Curve, read

NEAR = {"images": 0.005, "language": 0.01}  # half a point of accuracy; a hundredth of a nat
POINT = {"images": 0.01, "language": 0.02}  # what the teacher's score may be lost by on the way
TERA = 1e12  # multiply-adds are reported in millions of millions
COSTS = ("epochs", "epochs_with_teacher", "multiply_adds", "multiply_adds_with_teacher")


# --- the summary


def summary(folder: Path, other: Path | None = None) -> dict[str, Any]:
    """Return what is reported of an experiment, with the goals that scratch sets there or in another one."""
    results = read(folder)
    lines = read(other).lines if other else results.lines
    scratch = next((curves for (arm, _), curves in lines.items() if arm == "scratch"), {})
    near, point = NEAR[results.kind], POINT[results.kind]
    targets: Mapping[str, Callable[[int], float | None]] = {
        "teacher": lambda seed: _of(results.teachers, seed, Curve.final),
        "scratch_best": lambda seed: _of(scratch, seed, Curve.best),
        "near_scratch_best": lambda seed: _of(scratch, seed, lambda curve: curve.best() - near),
    }
    arms = []
    for (arm, rate), curves in results.lines.items():
        entry: dict[str, Any] = {"arm": arm, "rate": rate, "seeds": len(curves)}
        entry["parameters"] = int(next(iter(curves.values())).rows[-1]["parameters"])
        entry["start"] = spread(curve.scores[0] for curve in curves.values())
        entry["final"] = spread(curve.final() for curve in curves.values())
        entry["best"] = spread(curve.best() for curve in curves.values())
        entry["train_loss"] = spread(float(curve.rows[-1]["train_loss"]) for curve in curves.values())
        entry["multiply_adds"] = spread(curve.spent[-1] for curve in curves.values())
        for name, target in targets.items():
            entry[name] = _reached(curves, target, {} if arm == "scratch" else results.teachers)
            same = {seed: curve for seed, curve in scratch.items() if seed in curves}
            entry[name]["of_scratch"] = _ratio(entry[name], _reached(same, target, {}))
        pairs = [(results.teachers[seed], curve) for seed, curve in curves.items() if seed in results.teachers]
        lost = [teacher.final() - min(curve.scores) for teacher, curve in pairs]
        entry["lost_on_the_way"] = spread(lost)
        entry["keeps_the_teacher"] = bool(lost) and max(lost) <= point
        entry["ahead_in_the_first_third"] = {
            other: _ahead(curves, theirs)
            for (other, _), theirs in results.lines.items()
            if arm.startswith("grown") and other in {"random-pad", "distilled", "scratch"}
        }
        arms.append(entry)
    return {
        "experiment": folder.name,
        "scratch": (other or folder).name,
        "kind": results.kind,
        "score": "minus the test loss in nats" if results.kind == "language" else "test accuracy",
        "near": near,
        "point": point,
        "teacher": {
            "final": spread(curve.final() for curve in results.teachers.values()),
            "multiply_adds": spread(curve.spent[-1] for curve in results.teachers.values()),
        },
        "arms": arms,
        "rates": [
            {"arm": arm, "rate": rate, "final_validation": spread(found.values())}
            for (arm, rate), found in results.all_rates.items()
        ],
        "first_steps": first_steps(folder),
        "probes": probes(folder),
        "growths": _growths(folder),
        "unfinished": results.unfinished,
        "machines": tables.read(folder / "machines.csv"),
    }


def spread(values: Iterable[float | None]) -> dict[str, float | int | None]:
    """Return mean, standard deviation and number of what there is."""
    known = [value for value in values if value is not None]
    deviation = stdev(known) if len(known) > 1 else None
    return {"mean": mean(known) if known else None, "deviation": deviation, "count": len(known)}


def _of(curves: Mapping[int, Curve], seed: int, what: Callable[[Curve], float]) -> float | None:
    return what(curves[seed]) if seed in curves else None


def _reached(
    curves: Mapping[int, Curve], target: Callable[[int], float | None], teachers: Mapping[int, Curve]
) -> dict[str, Any]:
    """Return epochs and multiply-adds until a target of each seed, over the seeds that reach it.

    With the teacher's are these and all that the teacher has trained, unless there is none.
    """
    found: dict[str, list[float]] = {name: [] for name in COSTS}
    for seed, curve in curves.items():
        wanted = target(seed)
        epoch = curve.reaches(wanted) if wanted is not None else None
        if epoch is None:
            continue
        before = teachers.get(seed)
        known = (len(before.rows) - 1, before.spent[-1]) if before is not None else (0, 0.0)
        values = (epoch, epoch + known[0], curve.spent[epoch], curve.spent[epoch] + known[1])
        for name, value in zip(COSTS, values, strict=True):
            found[name].append(value)
    return {"reached": len(found["epochs"]), "of": len(curves)} | {name: spread(each) for name, each in found.items()}


def _ratio(ours: Mapping[str, Any], scratch: Mapping[str, Any]) -> dict[str, float | None]:
    """Return how many times less an arm needs than scratch; the latter never pays for a teacher."""
    found: dict[str, float | None] = {}
    for name in COSTS:
        a, b = scratch[name]["mean"], ours[name]["mean"]
        found[name] = a / b if a is not None and b and ours["reached"] == ours["of"] else None
    return found


def _ahead(ours: Mapping[int, Curve], theirs: Mapping[int, Curve]) -> dict[str, int]:
    """Return at how many checkpoints of the first third the mean over seeds is higher."""
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return {"ahead": 0, "of": 0}
    third = max(1, (len(ours[seeds[0]].rows) - 1) // 3)
    wins = [
        mean(ours[seed].scores[epoch] for seed in seeds) > mean(theirs[seed].scores[epoch] for seed in seeds)
        for epoch in range(1, third + 1)
    ]
    return {"ahead": sum(wins), "of": len(wins)}


def first_steps(folder: Path) -> list[dict[str, Any]]:
    """Return the validation loss right after a start or growth, the highest in the hundred steps then, and the last."""
    found: dict[tuple[str, str, int, str], list[float]] = defaultdict(list)
    for row in tables.read(folder / "steps.csv"):
        if row["validation_loss"] and row["arm"] != "teacher":
            begun = int(row["step"]) - int(row["since"])
            found[row["arm"], row["rate"], begun, row["seed"]].append(float(row["validation_loss"]))
    lines: dict[tuple[str, str, int], list[list[float]]] = defaultdict(list)
    for (arm, rate, begun, _), losses in found.items():
        lines[arm, rate, begun].append(losses)
    return [
        {
            "arm": arm, "rate": rate, "step": begun, "first": spread(each[0] for each in runs),
            "highest": spread(max(each) for each in runs), "last": spread(each[-1] for each in runs),
        }
        for (arm, rate, begun), runs in lines.items()
    ]  # fmt: skip


def probes(folder: Path) -> list[dict[str, Any]]:
    """Return rank and clones by arm and step."""
    found: dict[tuple[str, str, int], list[tables.Row]] = defaultdict(list)
    for row in tables.read(folder / "probes.csv"):
        found[row["arm"], row["rate"], int(row["step"])].append(row)
    columns = tables.PROBES[len(tables.RUN) + 1 :]
    return [
        {"arm": arm, "rate": rate, "step": step}
        | {column: spread(float(row[column]) for row in rows) for column in columns}
        for (arm, rate, step), rows in found.items()
    ]


def _growths(folder: Path) -> list[dict[str, Any]]:
    rows = tables.read(folder / "growths.csv")
    unique = {(row["seed"], row["arm"], row["step"], row["passes"]): row for row in rows}
    return [
        {name: row[name] for name in tables.GROWTHS if name not in {"data", "size", "experiment"}}
        for row in unique.values()
    ]


# --- tables for people


def markdown(found: Mapping[str, Any]) -> str:
    """Return a summary as tables."""
    signed = -1 if found["kind"] == "language" else 1  # losses are shown as such
    arms, name = found["arms"], "loss" if signed < 0 else "accuracy"
    machines = found["machines"]
    dates = f", {machines[0]['date'][:10]} to {machines[-1]['date'][:10]}, {machines[0]['device']}" if machines else ""
    teacher = f"test {name} {_said(found['teacher']['final'], signed)}"
    teacher += f", {_tera(found['teacher']['multiply_adds'])} T multiply-adds"
    text = [f"# {found['experiment']}", "", f"Mean ± standard deviation over seeds{dates}. Teacher: {teacher}.", ""]
    text += _table(
        ["arm", "rate", "seeds", "parameters", f"{name} before the first step", f"final {name}", f"best {name}",
         "training loss, last epoch", "lost against the teacher on the way", "T multiply-adds"],
        [[e["arm"], e["rate"], e["seeds"], f"{e['parameters']:,}", _said(e["start"], signed), _said(e["final"], signed),
          _said(e["best"], signed), _said(e["train_loss"]), _said(e["lost_on_the_way"]),
          _tera(e["multiply_adds"])] for e in arms],
    )  # fmt: skip
    titles = {
        "teacher": f"Until the teacher's {name}",
        "near_scratch_best": f"Until {found['near']} within the best of scratch",
        "scratch_best": "Until the best of scratch",
    }
    for target, title in titles.items():
        if found["probes"]:  # a thousand steps are no way to a goal
            continue
        rows = []
        for entry in arms:
            e = entry[target]
            costs = [_said(e[name], digits=1) if "epochs" in name else _tera(e[name]) for name in COSTS]
            times = [f"{value:.2f}" if value is not None else "" for value in e["of_scratch"].values()]
            cells = [f"{cost} ({ratio}x)" if ratio else cost for cost, ratio in zip(costs, times, strict=True)]
            rows.append([entry["arm"], entry["rate"], f"{e['reached']} of {e['of']}", *cells])
        head = ["arm", "rate", "reached", "epochs", "with the teacher's", "T multiply-adds", "with the teacher's"]
        whose = "" if found["scratch"] == found["experiment"] else f" in `{found['scratch']}`, which sets the goal"
        times = f"In brackets: how many times less than from scratch{whose}."
        text += ["", f"## {title}", "", times, "", *_table(head, rows)]
    for entry in arms:
        ahead = [f"{other} at {e['ahead']} of {e['of']}" for other, e in entry["ahead_in_the_first_third"].items()]
        if ahead:
            kept = "never" if entry["keeps_the_teacher"] else "at some point"
            said = (
                f"{entry['arm']} ({entry['rate']}) is ahead, in the first third of the epochs, of {', '.join(ahead)}; "
            )
            text += ["", f"{said}more than {found['point']} of the teacher's {name} was {kept} lost."]
    text += ["", "## All learning rates", "", *_table(
        ["arm", "rate", f"final validation {name}"],
        [[e["arm"], e["rate"], _said(e["final_validation"], signed)] for e in found["rates"]],
    )]  # fmt: skip
    if found["first_steps"]:
        text += ["", "## Validation loss in the hundred steps after a start or a growth", "", *_table(
            ["arm", "rate", "from step", "before it", "highest", "last"],
            [[e["arm"], e["rate"], e["step"], _said(e["first"]), _said(e["highest"]), _said(e["last"])]
             for e in found["first_steps"]],
        )]  # fmt: skip
    if found["probes"]:
        keys = {key: 4 if key.endswith(("loss", "rank")) else 0 for key in tables.PROBES[len(tables.RUN) + 1 :]}
        text += ["", "## Rank and clones", "", *_table(
            ["arm", "rate", "step", *(key.replace("_", " ") for key in keys)],
            [[e["arm"], e["rate"], e["step"], *(_said(e[key], digits=digits) for key, digits in keys.items())]
             for e in found["probes"]],
        )]  # fmt: skip
    if found["unfinished"]:
        text += ["", f"Not finished, and left out: {', '.join(found['unfinished'])}."]
    return "\n".join(text) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]


def _said(found: Mapping[str, Any], sign: int = 1, digits: int = 4) -> str:
    if found["mean"] is None:
        return ""
    deviation = "" if found["deviation"] is None else f" ± {found['deviation']:.{digits}f}"
    return f"{sign * found['mean'] + 0.0:.{digits}f}{deviation}"


def _tera(found: Mapping[str, Any]) -> str:
    return "" if found["mean"] is None else f"{found['mean'] / TERA:.3g}"


def main(arguments: list[str] | None = None) -> int:
    """Write the reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where the run from scratch is that sets goals")
    parser.add_argument("--no-plots", action="store_true")
    options = parser.parse_args(arguments)
    for folder in options.folders:
        found = summary(folder, options.scratch)
        (folder / "summary.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        (folder / "summary.md").write_text(markdown(found), "utf-8")
        if not options.no_plots:
            from net2net import plots

            plots.draw(folder, read(folder))
        print(f"Written to {folder / 'summary.md'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
