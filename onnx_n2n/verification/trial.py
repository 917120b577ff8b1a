"""Feeds that run through the teacher, and what it answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import RunError
from onnx_n2n.verification.differences import finite, is_real
from onnx_n2n.verification.dims import bindings, sizings
from onnx_n2n.verification.draw import Drawn, Style, drawable, wanted
from onnx_n2n.verification.inputs import Given, data_sets, fitting, nudged
from onnx_n2n.verification.sessions import Feed, Timed, described, run
from onnx_n2n.verification.yardstick import Grain, yardstick

# Integers are drawn again from smaller ranges when the graph does not run on the range that was read off it,
# and everything is drawn again while outputs stand still or are not finite.
INTEGER_STYLES = (Style(), Style(whole=(0, 2)), Style(whole=(0, 1)), Style(whole=(1, 2)))
LIVELY_STYLES = (Style(scale=0.1), Style(positive=True), Style(scale=10.0), Style(whole=(0, 100)))

# How many feeds are drawn: two, or as many as this where that takes the teacher less, of all processors together. A
# class index shows one bit where a real output shows all of them. As long may the feeds take that are one rounding step
# off, or it is one.
FEEDS, FEEDS_FOR_INDICES = 3, 24
DRAWN = "drawn"
CHEAP_SECONDS = 0.5


class FeedPlan(Protocol):
    """Where feeds come from."""

    @property
    def own(self) -> int:
        """How many feeds there are before variations of them begin; all of them have to run."""

    def feed(self, turn: int) -> dict[str, np.ndarray]:
        """The feed of one turn."""

    def steady(self) -> FeedPlan:
        """The same plan with less variation, for when later turns do not run."""


@dataclass(frozen=True)
class Trial:
    """Feeds and the teacher's answers to them.

    Attributes:
        names: Names of the outputs.
        feeds: Two or more; one where no other could be found.
        truth: Values of the outputs, per feed.
        origin: Where the feeds come from, for people.
        nudged: Values of the outputs for the first feeds one rounding step off; empty where those do not run.
    """

    names: tuple[str, ...]
    feeds: tuple[Feed, ...]
    truth: tuple[list[Any], ...]
    origin: str
    nudged: tuple[list[Any], ...] = ()

    @property
    def is_drawn(self) -> bool:
        """Whether the feeds are random: given ones, and those of a data set, may be all the same."""
        return self.origin.startswith(f"{DRAWN} (")

    def without(self, names: Collection[str]) -> Trial:
        """The trial of all outputs but some."""
        kept = [k for k, name in enumerate(self.names) if name not in names]
        truth, near = (tuple([values[k] for k in kept] for values in run) for run in (self.truth, self.nudged))
        return replace(self, names=tuple(self.names[k] for k in kept), truth=truth, nudged=near)


def find_trial(
    teacher: Timed,
    model: ir.Model,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | None,
    shapes: Mapping[str, tuple[int, ...]],
    folder: Path | None,
    seed: int,
    grain: Grain,
) -> Trial:
    """Find feeds that the teacher runs on: given ones, else a test data set, else drawn ones.

    Args:
        teacher: The teacher, open.
        model: The teacher, to be read.
        inputs: One feed or several.
        shapes: Shapes by input, for free dimensions.
        folder: Where ``test_data_set_*`` may be found.
        seed: Seed of everything drawn.
        grain: How finely the teacher calculates.

    Raises:
        InputError: The given feed does not fit, or the inputs are too large to be drawn.
        RunError: The given feed fails, or nothing that was drawn runs.
        TimeLimitError: A run takes longer than it may.
    """
    wants = wanted(model, shapes)
    given = [inputs] if isinstance(inputs, Mapping) else inputs or []
    if given:
        return _attempt(teacher, Given(tuple(fitting(feed, wants) for feed in given), seed), "given")
    sets = dict(data_sets(folder, wants)) if folder is not None and not shapes else {}
    with contextlib.suppress(RunError):  # the sets may belong to another version of the model
        if sets:
            return _attempt(teacher, Given(tuple(sets.values()), seed), ", ".join(sets))
    integers = any(want.kind.is_integer() for want in wants)
    plans = [
        Drawn(wants, sizes, seed, style)
        for sizes in sizings([want.dims for want in wants], bindings(model, shapes))
        for style in (INTEGER_STYLES if integers else INTEGER_STYLES[:1])
    ]
    plan, trial = _first_that_runs(teacher, drawable(plans))
    return _liveliest(teacher, trial, [replace(plan, style=style) for style in LIVELY_STYLES], grain)


def with_noise(teacher: Timed, trial: Trial, seed: int, *, every: bool = False) -> Trial:
    """The trial with the teacher's answers to feeds that are one rounding step off.

    Args:
        teacher: The teacher, open.
        trial: The feeds, and what is known of these answers.
        seed: Seed of everything drawn.
        every: Whether all are asked for; else it is one, or as many as time allows.
    """
    start, found = time.process_time(), list(trial.nudged)
    with contextlib.suppress(RunError):
        for feed in trial.feeds[len(found) :]:
            if found and not every and time.process_time() - start > CHEAP_SECONDS:
                break
            found.append(run(teacher, nudged(feed, seed), trial.names))
    return replace(trial, nudged=tuple(found))


def _first_that_runs(teacher: Timed, plans: Sequence[Drawn]) -> tuple[Drawn, Trial]:
    failures = []
    for plan in plans:
        try:
            return plan, _attempt(teacher, plan, DRAWN)
        except RunError as failure:
            failures.append(failure.reason)
    tried = list(dict.fromkeys(plan.described() for plan in plans))
    more = f" and {len(tried) - 3} more" if len(tried) > 3 else ""
    raise RunError(
        f"the teacher runs on no inputs that could be drawn. {failures[0]}",
        shapes=f"tried {'; '.join(tried[:3])}{more}",
        hint="Pass inputs with `inputs='data.npz'`, or shapes with `shapes={'name': (1, 3, 224, 224)}`",
    )


def _attempt(teacher: Timed, plan: FeedPlan, origin: str) -> Trial:
    """Run a plan: its own feeds, and variations of them.

    Raises:
        RunError: One of the plan's own feeds does not run.
    """
    names = [value.name for value in teacher.session.get_outputs()]
    start = time.process_time()
    feeds = [plan.feed(turn) for turn in range(plan.own)]
    truth = [run(teacher, feed, names) for feed in feeds]
    enough = FEEDS if all(map(is_real, truth[0])) else FEEDS_FOR_INDICES
    for turn in range(plan.own, enough):
        if len(feeds) > 1 and time.process_time() - start > CHEAP_SECONDS:
            break
        for variant in (plan, plan.steady()):
            with contextlib.suppress(RunError):
                feed = variant.feed(turn)
                values = run(teacher, feed, names)
                if finite(values) >= finite(truth[0]):
                    feeds.append(feed)
                    truth.append(values)
                    break
    count = f"{len(feeds)} feeds" if len(feeds) > 1 else "1 feed"
    return Trial(tuple(names), tuple(feeds), tuple(truth), f"{origin} ({count}): {described(feeds[0])}")


def _liveliest(teacher: Timed, trial: Trial, plans: Iterable[FeedPlan], grain: Grain) -> Trial:
    """The trial with the most outputs that move and are finite; others are only looked at while some do not."""
    best = (_life(trial, grain), trial)
    for plan in plans:
        if best[0] == (len(trial.names), 1.0):
            break
        with contextlib.suppress(RunError):
            other = _attempt(teacher, plan, DRAWN)
            best = max(best, (_life(other, grain), other), key=lambda pair: pair[0])
    return best[1]


def _life(trial: Trial, grain: Grain) -> tuple[int, float]:
    """How many outputs move, and how much of them is finite."""
    moving = sum(not yardstick(values, grain).vacuous for values in zip(*trial.truth, strict=True))
    return moving, min(finite(values) for values in trial.truth)
