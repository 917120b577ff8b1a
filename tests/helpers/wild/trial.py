"""One random teacher, grown in some ways with verification off, and judged in ONNX Runtime.

What an output may differ by is measured: how far it moves between inputs, and how far the teacher itself is off when
all of its weights and inputs are off by some rounding steps.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import onnx
from onnx import numpy_helper

import onnx_n2n
from helpers.wild.sheet import Skip, session
from helpers.wild.teacher import teacher
from onnx_n2n.axes.algebra import Limit

WRONG = 1e-4  # of how far an output moves
ROUNDING = 1e-6  # by which weights and inputs are off, relative
MARGIN = 30  # times what that changes
LENGTHS = ((3, 4), (3, 4), (5, 2), (1, 3))  # of the free axes, on each of the inputs
PATIENCE = 60.0  # seconds of processor time for one seed
Feed = dict[str, np.ndarray]


@dataclass
class Outcome:
    """What became of one seed.

    Attributes:
        uncounted: Why the graph does not count, or nothing.
        failures: What failed, one line for each way of growing.
        grown: How many groups grew, in all ways together.
        ways: How many students were judged.
    """

    seed: int
    uncounted: str = ""
    failures: list[str] = field(default_factory=list)
    grown: int = 0
    ways: int = 0


class Judge:
    """What a teacher computes on some inputs, and how far a student is from that."""

    def __init__(self, model: onnx.ModelProto, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        runs = session(model)
        self.feeds: list[Feed] = []
        self.expected: list[list[np.ndarray]] = []
        for lengths in LENGTHS:
            feed = _feed(model, dict(zip("NM", lengths, strict=True)), rng)
            try:
                self.expected.append(runs.run(None, feed))
            except Exception:  # a length that this graph is not made for
                if not self.feeds:
                    raise
                continue
            self.feeds.append(feed)
        self.valid = valid(model)
        self.tolerance = [self._tolerance(model, k, rng) for k in range(len(self.expected[0]))]
        noise = self._noise(model, rng)
        self.counts = [
            np.isfinite(tolerance) and off < 3e-3 * tolerance / WRONG
            for tolerance, off in zip(self.tolerance, noise, strict=True)
        ]
        self.tolerance = [max(a, MARGIN * b) for a, b in zip(self.tolerance, noise, strict=True)]

    def _tolerance(self, model: onnx.ModelProto, k: int, rng: np.random.Generator) -> float:
        outputs = [np.asarray(outputs[k], np.float64) for outputs in self.expected]
        size = max((float(np.abs(output).max(initial=0)) for output in outputs), default=0.0)
        same = [output for output in outputs if output.shape == outputs[0].shape]
        moved = max((float(np.abs(output - same[0]).max(initial=0)) for output in same[1:]), default=0.0)
        self.moved = [*getattr(self, "moved", []), moved > 1e-2 * size]
        return WRONG * (moved if moved > 1e-2 * size else max(size, 1e-6))

    def _noise(self, model: onnx.ModelProto, rng: np.random.Generator) -> list[float]:
        worst = [0.0] * len(self.tolerance)
        for optimised in (False, False, True):
            other = onnx.ModelProto.FromString(model.SerializeToString())
            if not optimised:
                for tensor in tensors_of(other):
                    array = numpy_helper.to_array(tensor)
                    if array.dtype == np.float32 and array.size:
                        tensor.CopyFrom(numpy_helper.from_array(_off(array, rng), tensor.name))
            runs = session(other, optimised=optimised)
            for feed, expected in zip(self.feeds, self.expected, strict=True):
                moved = {name: _off(array, rng) if array.dtype == np.float32 and not optimised else array
                         for name, array in feed.items()}  # fmt: skip
                for k, (ours, theirs) in enumerate(zip(runs.run(None, moved), expected, strict=True)):
                    worst[k] = max(worst[k], distance(ours, theirs))
        return worst

    @property
    def meaningful(self) -> bool:
        return any(a and b for a, b in zip(self.counts, self.moved, strict=True))

    def failure(self, student: onnx.ModelProto) -> str:
        """Return what is wrong with a student, or nothing."""
        try:
            if self.valid:
                onnx.checker.check_model(student, full_check=True)
            runs = session(student)
            found = [runs.run(None, feed) for feed in self.feeds]
        except Exception as error:
            return f"does not run: {' '.join(str(error).split())[:300]}"
        worst, where = 0.0, ""
        for ours, theirs in zip(found, self.expected, strict=True):
            for k, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                if self.counts[k] and (off := distance(one, other) / self.tolerance[k]) > worst:
                    worst, where = off, student.graph.output[k].name
        return f"wrong at {where}: {worst:.3g} times what is allowed" if worst > 1 else ""


def distance(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return np.inf
    found = float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).max(initial=0))
    return found if np.isfinite(found) else np.inf


def valid(model: onnx.ModelProto) -> bool:
    """Say whether ONNX's checker accepts a model; it knows no operators of ONNX Runtime, and no shapes behind loops."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


def _off(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (array * (1 + ROUNDING * rng.uniform(-1, 1, array.shape))).astype(np.float32)


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every constant of a model, those of its bodies and functions included."""

    def inside(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
        for node in nodes:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.HasField("t"):
                    yield attribute.t
                if attribute.HasField("g"):
                    yield from attribute.g.initializer
                    yield from inside(attribute.g.node)

    yield from model.graph.initializer
    yield from inside(model.graph.node)
    for function in model.functions:
        yield from inside(function.node)


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


def trial(seed: int) -> Outcome:
    """Draw a teacher and grow it."""
    outcome = Outcome(seed)
    with patience(PATIENCE):
        try:
            model = teacher(seed)
            judge = Judge(model, seed)
        except Skip:
            outcome.uncounted = "nothing was drawn"
        except Exception as error:
            outcome.uncounted = f"not a teacher: {' '.join(str(error).split())[:200]}"
        else:
            if not judge.meaningful:
                outcome.uncounted = "its outputs hardly move, or rounding moves them"
        if outcome.uncounted:
            return outcome
        _grow(model, judge, outcome)
    return outcome


def _grow(model: onnx.ModelProto, judge: Judge, outcome: Outcome) -> None:
    way = "analyze"
    try:
        for way, grow in ways(model, outcome.seed):
            result = grow()
            outcome.ways += 1
            outcome.grown += len(getattr(result.change, "grown", ()))
            if result.modified and (failure := judge.failure(result.model)):
                outcome.failures.append(f"{way}: {failure}")
    except Exception as error:  # that is what is looked for
        outcome.failures.append(f"{way}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")


class TooLong(Exception):  # noqa: N818
    """A seed took more processor time than any should."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Raise what says so when the work inside takes too long."""

    def stop(*_: Any) -> NoReturn:
        raise TooLong(f"more than {seconds:g} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
