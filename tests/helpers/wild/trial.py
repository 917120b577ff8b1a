"""One random teacher, grown in some ways with verification off, and judged in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

import onnx_n2n
from helpers.patience import patience
from helpers.wild.agreement import Agreement, agreements
from helpers.wild.judge import Feed, Judge
from helpers.wild.sheet import Skip
from helpers.wild.teacher import teacher
from onnx_n2n.axes.algebra import Limit

LENGTHS = ((3, 4), (3, 4), (5, 2), (1, 3))  # of the free axes, on each of the inputs
PATIENCE = 60.0  # seconds of processor time for one seed


@dataclass
class Outcome:
    """What became of one seed.

    Attributes:
        uncounted: Why the graph does not count, or nothing.
        failures: What failed, one line for each way of growing.
        grown: How many groups grew, in all ways together.
        ways: How many students were judged.
        agreements: What the exact check says of them, where it is asked, and of those with a weight changed.
    """

    seed: int
    uncounted: str = ""
    failures: list[str] = field(default_factory=list)
    grown: int = 0
    ways: int = 0
    agreements: list[Agreement] = field(default_factory=list)


def _feeds(model: onnx.ModelProto, rng: np.random.Generator) -> Iterator[Feed]:
    """Draw inputs with several lengths of the free axes."""
    for lengths in LENGTHS:
        yield _feed(model, dict(zip("NM", lengths, strict=True)), rng)


def _feed(model: onnx.ModelProto, lengths: dict[str, int], rng: np.random.Generator) -> Feed:
    given = {tensor.name for tensor in model.graph.initializer}
    found = {}
    for value in model.graph.input:
        if value.name in given:
            continue
        shape = [lengths.get(dim.dim_param, dim.dim_value) for dim in value.type.tensor_type.shape.dim]
        whole = value.type.tensor_type.elem_type == onnx.TensorProto.INT64
        found[value.name] = rng.integers(0, 6, shape) if whole else rng.standard_normal(shape).astype(np.float32)
    return found


def ways(model: onnx.ModelProto, seed: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield some ways of growing a teacher, each with its name."""
    rng = np.random.default_rng([seed, 2])
    factors = rng.permutation([1.5, 2.0, 3.0]).tolist()
    for init, factor in zip(("net2net", "zero"), factors, strict=False):
        options = {"init": init, "mapping": str(rng.choice(["random", "cyclic"])), "seed": seed % 97}
        options["noise"] = float(rng.choice([0.0, 0.3]))
        yield f"widen {factor:g} {init}", lambda f=factor, o=options: onnx_n2n.widen(model, f, verify=False, **o)
    if rng.random() < 0.35:
        free = [group for group in onnx_n2n.analyze(model).groups if group.limit is not Limit.UNIFORM]
        sizes = {group.name: group.size + int(rng.integers(1, group.size + 1)) for group in free}
        init = str(rng.choice(["net2net", "zero"]))
        yield f"groups {sizes} {init}", lambda: onnx_n2n.widen(model, groups=sizes, init=init, verify=False)
    if rng.random() < 0.25:
        yield "deepen", lambda: onnx_n2n.deepen(model, verify=False)


def trial(seed: int, *, exact: bool = False, pieces: bool = False) -> Outcome:
    """Draw a teacher and grow it; with ``exact``, in one way only, and ask the exact check as well.

    With ``pieces``, it has pieces of known networks.
    """
    outcome = Outcome(seed)
    with patience(PATIENCE * (1 + 4 * exact)):
        try:
            model = teacher(seed, pieces=pieces)
            rng = np.random.default_rng([seed, 1])
            judge = Judge(model, _feeds(model, rng), rng)
        except Skip:
            outcome.uncounted = "nothing was drawn"
        except Exception as error:
            outcome.uncounted = f"not a teacher: {' '.join(str(error).split())[:200]}"
        else:
            if not judge.meaningful:
                outcome.uncounted = "its outputs hardly move, or rounding moves them"
        if outcome.uncounted:
            return outcome
        _grow(model, judge, outcome, exact=exact)
    return outcome


def _grow(model: onnx.ModelProto, judge: Judge, outcome: Outcome, *, exact: bool) -> None:
    way = "analyze"
    try:
        chosen = list(ways(model, outcome.seed))
        for way, grow in [chosen[outcome.seed % len(chosen)]] if exact else chosen:
            result = grow()
            outcome.ways += 1
            outcome.grown += len(getattr(result.change, "grown", ()))
            if not result.modified:
                continue
            if exact:
                found = agreements(way, model, result, judge, outcome.seed)
                outcome.agreements += found
                outcome.failures += [each.contradiction for each in found if each.contradiction]
            elif failure := judge.failure(result.model):
                outcome.failures.append(f"{way}: {failure}")
    except Exception as error:  # that is what is looked for
        outcome.failures.append(f"{way}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
