"""Feeds that run through the teacher, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import InputError
from onnx_n2n.verify.compare import finite, moves
from onnx_n2n.verify.dims import dims, sizings
from onnx_n2n.verify.draw import Drawn, Style, wanted
from onnx_n2n.verify.inputs import Given, data_sets, described, fitting
from onnx_n2n.verify.sessions import Feed, run

# Integers of a range that turned out wrong, and reals that leave the outputs standing still, are drawn again.
INTEGER_STYLES = (Style(), Style(whole=(0, 2)), Style(whole=(0, 1)), Style(whole=(1, 2)))
REAL_STYLES = (Style(scale=0.1), Style(positive=True), Style(scale=10.0))

# A third feed is worth a second of the teacher's time.
CHEAP_SECONDS = 1.0


class Plan(Protocol):
    """Where feeds come from."""

    def feed(self, turn: int) -> dict[str, np.ndarray]:
        """The feed of one turn."""

    def steady(self) -> Plan:
        """The same plan with less variation between turns, for when later turns do not run."""


@dataclass(frozen=True)
class Trial:
    """Feeds and the teacher's answers to them.

    Attributes:
        feeds: Two or three; one where no other could be found.
        truth: Values of the outputs, per feed.
        origin: Where the feeds come from, for people.
    """

    feeds: tuple[Feed, ...]
    truth: tuple[list[Any], ...]
    origin: str


def find_trial(
    session: Any,
    model: ir.Model,
    *,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    folder: Path | None = None,
    seed: int = 0,
) -> Trial:
    """Find feeds that the teacher runs on: given ones, else a test data set, else drawn ones.

    Args:
        session: The teacher, open.
        model: The teacher, to be read.
        inputs: One feed or several.
        shapes: Shapes by input, for free dimensions.
        folder: Where ``test_data_set_*`` may be found.
        seed: Seed of everything drawn.

    Raises:
        InputError: The given feed does not fit or fails, or nothing that was drawn runs.
    """
    shapes = shapes or {}
    wants = wanted(model, shapes)
    if inputs is not None:
        feeds = tuple(fitting(feed, wants) for feed in ([inputs] if isinstance(inputs, Mapping) else inputs))
        return _attempt(session, Given(feeds, seed), "given", len(feeds))
    if folder is not None and not shapes:
        for name, feed in data_sets(folder, wants):
            try:
                return _attempt(session, Given((feed,), seed), name)
            except InputError:
                continue  # a set for another version of the model
    bound = {
        dim: size
        for value in model.graph.inputs
        for dim, size in zip(dims(value), shapes.get(value.name or "", ()), strict=False)
        if isinstance(dim, str)
    }
    integers = any(want.kind.is_integer() for want in wants)
    plans = [
        Drawn(wants, sizes, seed, style)
        for sizes in sizings({want.name: want.dims for want in wants}, bound)
        for style in (INTEGER_STYLES if integers else INTEGER_STYLES[:1])
    ]
    plan, trial = _first_that_runs(session, plans)
    if any(want.kind.is_floating_point() for want in wants):
        trial = _liveliest(session, trial, [replace(plan, style=replace(plan.style, **_real(s))) for s in REAL_STYLES])
    return trial


def _real(style: Style) -> dict[str, Any]:
    return {"scale": style.scale, "positive": style.positive}


def _first_that_runs(session: Any, plans: Sequence[Drawn]) -> tuple[Drawn, Trial]:
    failures = []
    for plan in plans:
        try:
            return plan, _attempt(session, plan, "drawn")
        except InputError as failure:
            failures.append(failure)
    shapes = dict.fromkeys(described(plan.feed(0)) for plan in plans)
    listed = "; ".join(list(shapes)[:3]) + (f" and {len(shapes) - 3} more" if len(shapes) > 3 else "")
    raise InputError(
        f"The teacher runs on no inputs that could be drawn. {failures[0].reason}",
        shapes=f"tried {listed}",
        hint="Pass inputs with --inputs data.npz, or shapes with --input name:1,3,224,224",
    )


def _attempt(session: Any, plan: Plan, origin: str, turns: int = 1) -> Trial:
    """Run a plan's feeds; from one feed further ones are made, as many as are cheap."""
    names = [value.name for value in session.get_outputs()]
    start = time.perf_counter()
    feeds: list[Feed] = [plan.feed(0)]
    truth = [run(session, feeds[0], names)]
    if turns == 1:
        turns = 3 if time.perf_counter() - start < CHEAP_SECONDS else 2
    for turn in range(1, turns):
        for variant in (plan, plan.steady()):
            feed = variant.feed(turn)
            try:
                values = run(session, feed, names)
            except InputError:
                continue
            if finite(values) >= finite(truth[0]):
                feeds.append(feed)
                truth.append(values)
                break
    return Trial(tuple(feeds), tuple(truth), f"{origin} ({len(feeds)} feeds): {described(feeds[0])}")


def _liveliest(session: Any, trial: Trial, plans: Iterable[Plan]) -> Trial:
    """The trial with the most outputs that move; another is only looked for while some stand still."""
    best, most = trial, _moving(trial)
    for plan in plans:
        if most == len(trial.truth[0]):
            break
        try:
            other = _attempt(session, plan, "drawn")
        except InputError:
            continue
        if _moving(other) > most:
            best, most = other, _moving(other)
    return best


def _moving(trial: Trial) -> int:
    return sum(moves(values) for values in zip(*trial.truth, strict=True))
