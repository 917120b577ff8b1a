"""What to run, small enough to be sent to another process, and where everything of it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from net2net import tables
from net2net.data import Dataset, load
from net2net.experiments import EXPERIMENTS, PLANS, SCHEDULES, TEACHER, Arm, Experiment, Plan, Rate, Size
from net2net.grow import Grown, fitted, grow_model
from net2net.nets import InceptionSpec, Spec


@dataclass(frozen=True)
class Job:
    """What to run, small enough to be sent to another process.

    Attributes:
        experiment: Name of the experiment.
        data: Name of the data set.
        source: Its folder; None for the usual one.
        size: How large everything is.
        arm: What is run.
        rate: At which learning rate.
        seed: Seed of fresh parameters, of the order of the data and of growth.
        out: The folder of all results.
        schedule: Name of how learning rates go on.
        epochs: The budget of every arm; 0 for the plan's.
        teacher_epochs: That of the teacher; 0 for the plan's.
        deadline: When to stop, in seconds as ``time.time`` counts; None for never.
        device: Where to train.
        threads: Threads of this process; 0 leaves them as they are.
    """

    experiment: str
    data: str
    source: Path | None
    size: Size
    arm: Arm
    rate: Rate
    seed: int
    out: Path
    schedule: str
    epochs: int = 0
    teacher_epochs: int = 0
    deadline: float | None = None
    device: str = "cpu"
    threads: int = 1

    @property
    def what(self) -> Experiment:
        """The experiment's declaration."""
        return EXPERIMENTS[self.experiment]

    @property
    def plan(self) -> Plan:
        """How large everything is."""
        kind = "language" if self.data in {"shakespeare", "synthetic-text"} else "images"
        return PLANS[self.what.plan or kind, self.size]

    @property
    def key(self) -> dict[str, Any]:
        """What tells the run from others, in tables."""
        own = f"-{self.arm.teacher_epochs}" if self.arm.name == TEACHER.name and self.arm.teacher_epochs else ""
        values = (self.data, self.size, self.experiment, self.seed, self.arm.name + own, self.rate.name)
        return dict(zip(tables.RUN, values, strict=True))

    @property
    def place(self) -> Path:
        """Folder of what all experiments on this data share."""
        return self.out / "work" / f"{self.data}-{self.size}"

    @property
    def teacher(self) -> Path:
        """Folder of the teacher, which experiments share that start from the same one."""
        name = self.plan.growths[self.what.growth][0]
        half = f"-{self.what.classes}-classes" if self.what.classes else ""
        epochs = self.arm.teacher_epochs or self.teacher_epochs
        long = f"-{epochs}-epochs" if epochs else ""
        return self.place / "teachers" / f"{name}-{SCHEDULES[self.schedule].teacher}{half}{long}-{self.seed}"

    @property
    def falls(self) -> bool:
        """Whether its learning rate goes down over its budget."""
        schedule = SCHEDULES[self.schedule]
        return (schedule.teacher if self.arm.name == TEACHER.name else schedule.arms) == "cosine"

    @property
    def budgets(self) -> tuple[str, ...]:
        """What names of folders say of epochs that are not the plan's."""
        said = {"epochs": self.epochs, "teacher-epochs": self.teacher_epochs}
        return tuple(f"{number}-{name}" for name, number in said.items() if number)

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        if self.arm.name == TEACHER.name:
            return self.teacher
        name = "-".join((self.experiment, self.schedule, *self.budgets))
        return self.place / "runs" / name / f"{self.seed}-{self.arm.name}-{self.rate.name}"

    def dataset(self) -> Dataset:
        """Return the data that it trains on; the teacher's may have fewer classes."""
        context = next((spec.context for spec in self.plan.nets.values() if hasattr(spec, "context")), 0)
        data = load(self.data, self.source, context)
        half = self.what.classes if self.arm.name == TEACHER.name else 0
        return data.only(half) if half else data

    def spec(self, role: str, data: Dataset) -> Spec:
        """Return the sizes of the teacher, the student, what that grows to, or the teacher that gained classes."""
        teacher, student, again = self.plan.growths[self.what.growth]
        nets = {"teacher": teacher, "student": student, "again": again, "gained": teacher}
        spec = fitted(self.plan.nets[nets[role]], data)
        if role == "teacher" and self.what.classes and isinstance(spec, InceptionSpec):
            return replace(spec, classes=self.what.classes)
        return spec

    @property
    def goal(self) -> str:
        """What its teacher is grown to."""
        return "gained" if self.arm.net == "gained" else "student"

    def grown(self, data: Dataset) -> Grown:
        """Grow the teacher, once for all arms that start alike."""
        names = (self.what.growth, self.arm.init.name, "" if self.goal == "student" else self.goal)
        folder = self.teacher / "-".join(filter(None, names))
        teacher, student = self.spec("teacher", data), self.spec(self.goal, data)
        net = teacher.build()
        net.load_state_dict(restored(self.teacher / "last.pt")["model"])
        return grow_model(folder, net, teacher, student, self.arm.init, data, self.seed)


def restored(path: Path) -> dict[str, Any]:
    """Return the checkpoint in a file."""
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found


def finished(job: Job) -> bool:
    """Whether a run has reached its budget."""
    path = job.folder / "last.pt"
    if not path.is_file():
        return False
    known = restored(path)
    return bool(known["done"] >= known["epochs"])


@contextmanager
def alone(job: Job) -> Iterator[None]:
    """Let no other process train or grow the same teacher, where the system has locks that end with a process."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    job.teacher.mkdir(parents=True, exist_ok=True)
    with (job.teacher / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
