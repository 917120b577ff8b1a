"""One run: an arm at a learning rate with a seed, from its start to its budget, saved after every epoch."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, cos, pi
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from net2net import tables
from net2net.data import Batch
from net2net.experiments import TEACHER
from net2net.grow import Grown, cost, export, grow_checkpoint, grow_model, padded, places
from net2net.jobs import Job, alone, finished, restored
from net2net.nets import GPTSpec, Spec
from net2net.probes import probe
from net2net.variants import vary

FIRST = 100  # steps after a start or a growth that are written down one by one
LOOKS = frozenset({0, 1, 2, 5, 10, 20, 50, 99})  # of these, when the validation loss is looked at too
LOOK = 500  # validation examples for that
CHUNK = 250  # examples that are evaluated at a time
LAST = 0.2  # of a budget, over which the rate of a branch falls
LEFT = 0.1  # of a budget, at the least, is what the teacher has not spent; else an arm goes without this budget
TEMPERATURE, SOFT = 4.0, 0.5  # of distillation: of the logits, and the weight of what the teacher says


@dataclass
class State:
    """A run in the making; everything that is needed to go on is in its checkpoint.

    Attributes:
        net: The network.
        spec: Its sizes.
        optimizer: AdamW.
        macs: Multiply-adds of one example forwards.
        done: Epochs that are done; -1 before the first evaluation.
        step: Steps that are done.
        since: The step at which it last started or grew.
        spent: Multiply-adds of its training so far.
        rows: Rows of its tables, by the table's name.
    """

    net: nn.Module
    spec: Spec
    optimizer: torch.optim.Optimizer
    macs: int
    done: int = -1
    step: int = 0
    since: int = 0
    spent: int = 0
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in tables.TABLES})


class Run:
    """A job at work."""

    def __init__(self, job: Job) -> None:
        if job.threads:
            torch.set_num_threads(job.threads)
        self.job, self.plan, self.data = job, job.plan, job.dataset()
        self.steps = self.data.steps(self.plan.batch, self.plan.steps)
        wanted = job.what.steps if job.size != "smoke" else 0
        usual = ceil(wanted / self.steps) if wanted else self.plan.epochs
        of_teacher = job.arm.teacher_epochs or job.teacher_epochs or self.plan.teacher_epochs
        self.epochs = of_teacher if job.arm.name == TEACHER.name else job.epochs or usual
        self.teacher = self._teacher() if job.arm.distil else None

    # --- the loop

    def go(self) -> bool:
        """Run until the budget of the arm, or the deadline, but for an epoch; return whether it is done."""
        state = self._resumed() or self._started()
        took = 0.0
        while state.done < self.epochs:
            if took and self.job.deadline is not None and time.time() + took > self.job.deadline:
                return False
            begun = time.perf_counter()
            if self.job.arm.again and state.done == self.epochs // 2 and state.since == 0:
                self._grow_again(state)
            reached, loss = self._advance(state) if state.done >= 0 else (state, float("nan"))
            state.done = reached.done = state.done + 1
            self._evaluate(reached, loss, time.perf_counter() - begun)
            self._save(state)
            took = time.perf_counter() - begun
            print(self._said(state), flush=True)
        self._write(state)
        return True

    def _advance(self, state: State) -> tuple[State, float]:
        """Train for an epoch; return what is evaluated, and the mean of the losses."""
        state.net.train()
        total = 0.0
        for batch in self.data.epoch(self.plan.batch, self.steps, self.job.seed, state.done):
            self._probe(state)
            total += self._step(state, batch)
        self._probe(state, last=True)
        return state, total / self.steps

    def _step(self, state: State, batch: Batch) -> float:
        """Train on one batch; return its loss."""
        inputs, targets = (tensor.to(self.job.device) for tensor in batch)
        rate = self._rate(state)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad()
        loss = self._loss(state.net, (inputs, targets))
        since = state.step - state.since
        if since < FIRST:
            look = self._loss_of(state.net, LOOK) if since in LOOKS else ""
            self._row(state, "steps", since=since, learning_rate=rate, train_loss=loss.item(), validation_loss=look)
        loss.backward()
        if self.plan.clip:
            nn.utils.clip_grad_norm_(state.net.parameters(), self.plan.clip)
        with self._faster(state):
            state.optimizer.step()
        state.step += 1
        state.spent += len(inputs) * self._cost(state)
        return loss.item()

    def _cost(self, state: State) -> int:
        """Return the multiply-adds of training on one example."""
        return 3 * state.macs + (self.teacher_macs if self.teacher is not None else 0)

    @contextmanager
    def _faster(self, state: State) -> Iterator[None]:
        """Let places go as many times as far as the arm says, of what the optimizer does to them inside."""
        if self.job.arm.faster == 1 and not self.job.arm.by_width:
            yield
            return
        before = {name: each.detach().clone() for name, each in state.net.named_parameters()}
        yield
        with torch.no_grad():
            for name, each in state.net.named_parameters():
                each.add_((each - before[name]) * (self.speed[name] - 1))

    @cached_property
    def speed(self) -> Mapping[str, Tensor]:
        """How many times the rate is that of each place of the student's parameters."""
        known = restored(self.job.teacher / "last.pt")["model"]
        net = self._fresh(self.job.spec("student", self.data)).to(self.job.device)
        parameters, found = dict(net.named_parameters()), places(self.job.grown(self.data), known)
        speed = {name: 1 + (self.job.arm.faster - 1) * new.float() for name, new in found.new(parameters).items()}
        for name, each in parameters.items() if self.job.arm.by_width else ():
            if each.ndim == 2:
                speed[name] *= found.before[found.like.get(name, name)].shape[1] / each.shape[1]
        return speed

    def _rate(self, state: State) -> float:
        """Return the learning rate of a step: warmed up since the last start or growth, then by the schedule."""
        whole = self.plan.rate * self.job.rate.scale
        if self.job.rate.warmup or self.job.arm.name == TEACHER.name:
            whole *= min(1.0, (state.step - state.since + 1) / self.plan.warmup)
        if not self.job.falls:
            return whole
        return whole * (1 + cos(pi * state.step / (self.epochs * self.steps))) / 2

    def _loss(self, net: nn.Module, batch: Batch) -> Tensor:
        inputs, targets = batch
        logits = net(inputs).flatten(0, -2)
        loss = functional.cross_entropy(logits, targets.flatten())
        if self.teacher is None:
            return loss
        with torch.no_grad():
            said = self.teacher(inputs).flatten(0, -2)
        known = logits[:, : said.shape[1]]  # it may have fewer classes
        soft = functional.kl_div(
            functional.log_softmax(known / TEMPERATURE, -1), functional.softmax(said / TEMPERATURE, -1),
            reduction="batchmean",
        )  # fmt: skip
        return (1 - SOFT) * loss + SOFT * TEMPERATURE**2 * soft

    # --- starts

    def _started(self) -> State:
        """Return a run before its first step."""
        job, arm, data = self.job, self.job.arm, self.data
        if arm.start == "fresh":
            net = self._fresh(spec := job.spec(arm.net, data))
            job.folder.mkdir(parents=True, exist_ok=True)
            export(net, data, job.folder / "fresh.onnx")
            return self._state(net, spec, cost(job.folder / "fresh.onnx", data))
        source = job.teacher / "last.pt"
        known = restored(source)
        if arm.start == "teacher":
            net = self._fresh(spec := job.spec("teacher", data))
            net.load_state_dict(known["model"])
            state = self._state(net, spec, known["macs"])
            if arm.moments == "grown":
                state.optimizer.load_state_dict(known["optimizer"])
            return state
        grown = job.grown(data)
        spec = job.spec(job.goal, data)
        if arm.start == "pad":
            quiet = isinstance(spec, GPTSpec) and spec.start == "quiet"  # what is around must not be
            net = self._fresh(replace(spec, start="loud") if quiet else spec)
            net.load_state_dict(padded(grown, known["model"], net.state_dict()))
            return self._state(net, spec, grown.facts["multiply_adds"][1])
        state = self._grown(grown, job.spec("teacher", data), source)
        if arm.variant != "product":
            torch.manual_seed(job.seed)
            assert isinstance(spec, GPTSpec)
            found = places(grown, known["model"])
            vary(state.net, arm.variant, found.new(dict(state.net.named_parameters())), found.like, spec.head)
        self._growth_row(state, grown)
        return state

    def _grown(self, grown: Grown, before: Spec, source: Path) -> State:
        """Return a run that starts from the checkpoint in a file, grown; it loads strictly into the own class."""
        carried = self.job.arm.moments == "grown"
        found = grow_checkpoint(grown, source, self.job.arm.init, optimizer=carried, seed=self.job.seed)
        spec = before.like(found["model"], grown.epsilon)
        net = self._fresh(spec)
        net.load_state_dict(found["model"], strict=True)
        state = self._state(net, spec, grown.facts["multiply_adds"][1])
        if carried:
            theirs, ours = found["optimizer"]["param_groups"][0]["param_names"], dict(net.named_parameters())
            known = found["optimizer"]["state"]  # PyTorch goes by numbers: what has moments must have the same in both
            assert all(theirs[number] == list(ours)[number] for number in known)
            state.optimizer.load_state_dict(found["optimizer"])
        return state

    def _grow_again(self, state: State) -> None:
        """Let a run grow a second time."""
        folder, data = self.job.folder / f"again-{state.step}", self.data
        after = self.job.spec("again", data)
        grown = grow_model(folder, state.net.cpu(), state.spec, after, self.job.arm.init, data, self.job.seed + 1)
        found = self._grown(grown, state.spec, self.job.folder / "last.pt")
        state.net, state.spec, state.optimizer, state.macs = found.net, found.spec, found.optimizer, found.macs
        state.since = state.step
        self._growth_row(state, grown)

    def _fresh(self, spec: Spec) -> nn.Module:
        """Return a network with fresh parameters, the same for all arms of its size."""
        torch.manual_seed(self.job.seed)
        return spec.build()

    def _state(self, net: nn.Module, spec: Spec, macs: int) -> State:
        net = net.to(self.job.device)
        if self.data.kind == "images":
            net = net.to(memory_format=torch.channels_last)
        plan = self.plan
        optimizer = torch.optim.AdamW(net.named_parameters(), plan.rate, plan.betas, weight_decay=plan.decay)
        return State(net, spec, optimizer, macs)

    def _teacher(self) -> nn.Module:
        known = restored(self.job.teacher / "last.pt")
        net = self.job.spec("teacher", self.data).build()
        net.load_state_dict(known["model"])
        self.teacher_macs: int = known["macs"]
        return net.to(self.job.device).eval().requires_grad_(False)

    # --- what is written down

    def _evaluate(self, state: State, loss: float, seconds: float) -> None:
        found: dict[str, float] = {}
        for part in ("validation", "test"):
            found[f"{part}_loss"], found[f"{part}_accuracy"] = self._score(
                state.net, getattr(self.data, part), self.plan.evaluated
            )
        parameters = sum(parameter.numel() for parameter in state.net.parameters())
        self._row(state, "epochs", epoch=state.done, multiply_adds=state.spent, train_loss=loss, parameters=parameters,
                  seconds=round(seconds, 2), **found)  # fmt: skip

    def _score(self, net: nn.Module, examples: Any, most: int) -> tuple[float, float]:
        """Return the accuracy over examples, and the mean loss over those of classes that a network knows."""
        loss, right, count, known = 0.0, 0, 0, 0
        training = net.training
        net.eval()
        with torch.no_grad():
            for batch in self.data.evaluation(examples, CHUNK, most):
                inputs, targets = (tensor.to(self.job.device) for tensor in batch)
                logits, targets = net(inputs).flatten(0, -2), targets.flatten()
                right += int((logits.argmax(-1) == targets).sum())
                count += len(targets)
                seen = targets < logits.shape[1]
                loss += functional.cross_entropy(logits[seen], targets[seen], reduction="sum").item()
                known += int(seen.sum())
        net.train(training)
        return loss / known, right / count

    def _loss_of(self, net: nn.Module, most: int) -> float:
        return self._score(net, self.data.validation, most)[0]

    def _probe(self, state: State, *, last: bool = False) -> None:
        """Measure rank and clones where the experiment says so, before the step is taken, or at the very end."""
        wanted = self.job.what.probes
        if self.job.size == "smoke" and wanted:
            wanted = (0, self.steps, self.epochs * self.steps)
        at_end = state.step == self.epochs * self.steps
        if self.job.arm.name != TEACHER.name and state.step in wanted and at_end == last:
            loss = self._loss_of(state.net, LOOK)
            found = probe(deepcopy(state.net).cpu(), self.data, self.job.folder)
            self._row(state, "probes", validation_loss=loss, **found)

    def _growth_row(self, state: State, grown: Grown) -> None:
        facts = grown.facts
        sizes = {
            f"{role}_{what}": facts[what][number]
            for what in ("parameters", "multiply_adds")
            for number, role in enumerate(("teacher", "student"))
        }
        self._row(state, "growths", passes=facts["passes"], error=facts["error"], noise=facts["noise"], **sizes)

    def _row(self, state: State, table: str, **values: Any) -> None:
        state.rows[table].append({**self.job.key, "step": state.step, **values})

    def _said(self, state: State) -> str:
        row, job = state.rows["epochs"][-1], self.job
        return (
            f"{job.experiment} seed {job.seed} {job.arm.name:14} {job.rate.name:5} epoch {state.done:3}/{self.epochs}  "
            f"train {row['train_loss']:.4f}  validation {row['validation_loss']:.4f} {row['validation_accuracy']:.4f}  "
            f"{row['seconds']:.1f} s"
        )

    # --- checkpoints

    def _save(self, state: State) -> None:
        """Save a run, all or nothing, then its tables."""
        document: Mapping[str, Any] = {
            "model": {name: tensor.contiguous() for name, tensor in state.net.state_dict().items()},
            "optimizer": state.optimizer.state_dict(),
            **{name: getattr(state, name) for name in ("macs", "done", "step", "since", "spent", "rows")},
            "epochs": self.epochs,
            "epsilon": getattr(state.spec, "epsilon", None),
        }
        self.job.folder.mkdir(parents=True, exist_ok=True)
        draft = self.job.folder / f".last.{os.getpid()}"
        torch.save(document, draft)
        draft.replace(self.job.folder / "last.pt")
        self._write(state)

    def _write(self, state: State) -> None:
        for name, columns in tables.TABLES.items():
            tables.write(self.job.folder / f"{name}.csv", columns, state.rows[name])

    def _resumed(self) -> State | None:
        path = self.job.folder / "last.pt"
        if not path.is_file():
            return None
        known = restored(path)
        spec = self.job.spec(self.job.arm.net if not self.job.arm.again else "student", self.data)
        spec = spec.like(known["model"], known["epsilon"])
        net = self._fresh(spec)
        net.load_state_dict(known["model"], strict=True)
        state = self._state(net, spec, known["macs"])
        state.optimizer.load_state_dict(known["optimizer"])
        return replace(state, **{name: known[name] for name in ("done", "step", "since", "spent", "rows")})


class Points(Run):
    """A job that trains at a constant rate, and from which a branch with a rate that falls ends at each budget."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.budgets: tuple[float, ...] = job.arm.points if job.size != "smoke" else (5, 10)  # in steps,
        if job.arm.counted:  # or in multiply-adds of its own
            paid = restored(job.teacher / "last.pt")["spent"] if job.arm.taught else 0
            self.budgets = tuple(each - paid for each in self.plan.spend if each - paid >= LEFT * each)
        self.epochs = len(self.budgets)
        self.falls: tuple[int, int] | None = None  # from which step to which

    def _advance(self, state: State) -> tuple[State, float]:
        """Train up to where the next branch leaves; return that at its end, and the mean of its losses."""
        unit = self.plan.batch * self._cost(state) if self.job.arm.counted else 1
        budget = int(self.budgets[state.done] // unit)
        turn = round((1 - LAST) * budget)
        self.falls = None
        self._until(state, turn)
        branch = self._branch(state)
        self.falls = (turn, budget)
        return branch, self._until(branch, budget)

    def _until(self, state: State, step: int) -> float:
        """Train up to a step; return the mean of the losses."""
        state.net.train()
        losses = []
        while state.step < step:
            (batch,) = self.data.epoch(self.plan.batch, 1, self.job.seed, state.step)
            losses.append(self._step(state, batch))
        return sum(losses) / max(1, len(losses))

    def _branch(self, state: State) -> State:
        """Return a run that goes on from another one, which stays as it is; both write to the same tables."""
        branch = self._state(deepcopy(state.net), state.spec, state.macs)
        branch.optimizer.load_state_dict(deepcopy(state.optimizer.state_dict()))
        return replace(branch, **{name: getattr(state, name) for name in ("done", "step", "since", "spent", "rows")})

    def _rate(self, state: State) -> float:
        whole = super()._rate(state)
        if self.falls is None:
            return whole
        turn, end = self.falls
        return whole * (end - state.step) / (end - turn)


def train(job: Job) -> bool:
    """Run a job, from where it stopped if it did; return whether it is done."""
    if finished(job):
        return True
    if job.deadline is not None and time.time() > job.deadline:
        return False
    with alone(job) if job.arm.name == TEACHER.name else nullcontext():
        return finished(job) or (Points(job) if job.arm.points or job.arm.counted else Run(job)).go()


def prepare(job: Job) -> bool:
    """Grow the teacher as an arm needs it; return whether that is done."""
    if job.threads:
        torch.set_num_threads(job.threads)
    with alone(job):
        job.grown(job.dataset())
    return True
