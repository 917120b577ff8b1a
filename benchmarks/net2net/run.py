"""Run an experiment; what is done already is not done again, so that the same command goes on where it stopped.

    python benchmarks/net2net/run.py wider --data cifar10 --folder FOLDER --size cpu --seeds 3 --out results
    python benchmarks/net2net/run.py language-wider --folder FOLDER --size cpu --seeds 3 --out results

The teachers that arms need come first, then growth, then with the first seed every arm at every learning rate, then
with the other seeds every arm at the rate that validation chose for it. Tables are in OUT/EXPERIMENT-DATA-SIZE;
checkpoints are in OUT/work.
Exit codes: 0 everything is done, 3 the budget of minutes is spent.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch

import onnx_n2n
from net2net import tables
from net2net.data import SOURCES
from net2net.experiments import EXPERIMENTS, FULL, RATES, SCHEDULES, TEACHER, Arm, Experiment, Rate
from net2net.jobs import Job
from net2net.training import prepare, train

LANGUAGE = "language-"
STOPPED = 3


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The budget is spent."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line says; return the exit code."""
    options = _options(arguments)
    experiment = EXPERIMENTS[options.experiment]
    begun = time.time()
    deadline = begun + 60 * options.budget_minutes if options.budget_minutes else None
    base = Job(
        options.experiment, options.data, options.folder, options.size, TEACHER, FULL, 0, options.out,
        options.schedule or experiment.schedule, options.epochs, options.teacher_epochs, deadline, options.device,
        options.threads,
    )  # fmt: skip
    named = (options.experiment, options.data, options.size, options.schedule, *base.budgets)
    name = "-".join(filter(None, named))
    place = options.out / name
    place.mkdir(parents=True, exist_ok=True)
    (options.out / "work").mkdir(exist_ok=True)
    (options.out / "work" / ".gitignore").write_text("*\n", "utf-8")
    tables.append(place / "machines.csv", tables.MACHINES, _machine(base, options.jobs))
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    done: list[Job] = []

    def work(task: Callable[[Job], bool], jobs: Iterable[Job]) -> list[Job]:
        """Do a task for all jobs, side by side."""
        listed = list(jobs)
        finished = _each(task, listed, options.jobs)
        if task is train:
            done.extend(listed)
            _join(place, done)
        if not all(finished):
            raise Stopped
        return listed

    arms = [arm for arm in experiment.arms if not options.arms or arm.name in options.arms]
    rates = [RATES[name] for name in options.rates]
    first, others = seeds[0], seeds[1:]
    try:
        for these in ([first], others) if experiment.choose else (seeds,):
            grown = {(arm.teacher_epochs, arm.init.name, arm.net == "gained"): arm for arm in arms if arm.taught}
            lengths = dict.fromkeys(epochs for epochs, *_ in grown)
            teachers = [replace(TEACHER, teacher_epochs=epochs) for epochs in lengths]
            work(train, [replace(base, seed=seed, arm=arm) for seed in these for arm in teachers])
            work(prepare, [replace(base, seed=seed, arm=arm) for seed in these for arm in grown.values()])
            chosen = _chosen(place) if experiment.choose and first not in these else {}
            work(
                train,
                [
                    replace(base, seed=seed, arm=arm, rate=rate)
                    for seed in these
                    for arm in arms
                    for rate in ((chosen[arm.name],) if arm.name in chosen else rates or _rates(experiment, arm))
                ],
            )
    except Stopped:
        print("The budget is spent. The same command goes on from here.", flush=True)
        return STOPPED
    print(f"Done in {(time.time() - begun) / 60:.1f} minutes. Tables are in {place}.", flush=True)
    return 0


def _rates(experiment: Experiment, arm: Arm) -> tuple[Rate, ...]:
    """Return the rates of an arm: its own, or the experiment's."""
    return tuple(RATES[name] for name in arm.rates) or experiment.rates


def _each(task: Callable[[Job], bool], jobs: list[Job], processes: int) -> list[bool]:
    """Do a task for all jobs, in so many processes."""
    if processes == 1 or len(jobs) < 2:
        return [task(job) for job in jobs]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        return list(pool.map(task, jobs))


def _join(place: Path, jobs: list[Job]) -> None:
    """Write the tables of all runs so far as those of the experiment; a teacher may be from another one.

    What the tables have of other runs, of other seeds perhaps whose checkpoints are elsewhere, stays in them.
    """
    ours = {tuple(map(str, job.key.values())) for job in jobs}
    for name, columns in tables.TABLES.items():
        path = place / f"{name}.csv"
        kept = [row for row in tables.read(path) if tuple(row[each] for each in tables.RUN) not in ours]
        rows = [{**row, **job.key} for job in jobs for row in tables.read(job.folder / f"{name}.csv")]
        tables.write(path, columns, [*kept, *rows])


def _chosen(place: Path) -> dict[str, Rate]:
    """Return for each arm the learning rate that ends best on the validation split."""
    return {arm: RATES[name] for arm, name in tables.chosen(tables.read(place / "epochs.csv")).items()}


def _machine(job: Job, jobs: int) -> tables.Row:
    device = torch.cuda.get_device_name() if job.device.startswith("cuda") else f"CPU {platform.machine()}"
    return {
        **job.key, "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="minutes"), "jobs": jobs,
        "device": f"{device}, {os.cpu_count()} cores", "threads": job.threads, "python": platform.python_version(),
        "torch": torch.__version__, "onnx_n2n": onnx_n2n.__version__,
    }  # fmt: skip


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("experiment", help=f"{', '.join(EXPERIMENTS)}; with {LANGUAGE} before it on tiny Shakespeare")
    add("--data", choices=SOURCES, help="cifar10, or shakespeare for a language experiment, if not given")
    add("--folder", type=Path, help="where the data is")
    add("--size", choices=("smoke", "cpu", "gpu"), default="cpu")
    add("--seeds", type=int, default=3, help="how many")
    add("--first-seed", type=int, default=0)
    add("--arms", nargs="*", help="only these")
    add("--rates", nargs="*", choices=RATES, default=(), help="these instead of the experiment's")
    add("--out", type=Path, required=True, help="folder of all results")
    add("--schedule", choices=SCHEDULES, help="another one than the experiment's; late: it falls after growth")
    add("--epochs", type=int, default=0, help="the budget of every arm but the teacher, instead of the plan's")
    add("--teacher-epochs", type=int, default=0, help="the teacher's budget, instead of the plan's")
    add("--budget-minutes", type=float, help="stop after the epoch in which this is spent; the same command goes on")
    add("--jobs", type=int, default=1, help="runs side by side, each in a process of its own")
    add("--threads", type=int, default=1, help="threads of each; 0 for as many as PyTorch takes")
    add("--device", default="cpu", help="as PyTorch calls it: cpu, cuda")
    options = parser.parse_args(arguments)
    language = options.experiment.startswith(LANGUAGE)
    options.experiment = options.experiment.removeprefix(LANGUAGE)
    if options.experiment not in EXPERIMENTS:
        parser.error(f"there is no experiment {options.experiment!r}")
    if options.teacher_epochs and all(arm.teacher_epochs for arm in EXPERIMENTS[options.experiment].arms if arm.taught):
        parser.error(f"the arms of {options.experiment} say how long their teachers train")
    options.data = options.data or ("shakespeare" if language else "cifar10")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
