"""What a teacher computes on some inputs, and how far a student is from that.

What an output may differ by is measured: how far it moves between inputs, and how far the teacher itself is off when
all of its weights and inputs are off by some rounding steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from helpers.wild.sheet import operators, session
from onnx_n2n.graph.inference import FRAGILE

WRONG = 1e-4  # of how far an output moves
ROUNDING = 1e-6  # by which weights and inputs are off, relative
MARGIN = 30  # times what that changes
STILL = 1e-2  # of its size: an output that moves less between inputs hardly depends on them
CHAOS = 3e-3  # of how far it moves: an output that is off by more cannot be judged
UNRUN = "does not run"  # begins what is said of such a model
Feed = dict[str, np.ndarray]


class Judge:
    """What a teacher computes on those of some inputs that it is made for: the first, and others.

    ``afresh`` opens a model for each input: ONNX Runtime lets a BatchNormalization that trains write into constants.
    """

    def __init__(
        self, model: onnx.ModelProto, feeds: Iterable[Feed], rng: np.random.Generator, *, afresh: bool = False
    ) -> None:
        self.afresh = afresh
        runs = self._runner(model)
        self.feeds: list[Feed] = []
        self.expected: list[list[np.ndarray]] = []
        for feed in feeds:
            try:
                self.expected.append(runs(feed))
            except Exception:  # a length that this graph is not made for
                if not self.feeds:
                    raise
                continue
            self.feeds.append(feed)
        self.valid = valid(model)
        ranges = [_ranges(outputs) for outputs in zip(*self.expected, strict=True)]
        noise = self._noise(model, rng)
        self.moved = [moved > STILL * size for moved, size in ranges]
        scales = [moved if moved > STILL * size else max(size, 1e-6) for moved, size in ranges]
        self.counts = [np.isfinite(scale) and off < CHAOS * scale for scale, off in zip(scales, noise, strict=True)]
        self.tolerance = [max(WRONG * scale, MARGIN * off) for scale, off in zip(scales, noise, strict=True)]

    def _runner(self, model: onnx.ModelProto, *, optimised: bool = False) -> Callable[[Feed], list[np.ndarray]]:
        """Return what runs a model."""
        if self.afresh:
            return lambda feed: session(model, optimised=optimised).run(None, feed)
        opened = session(model, optimised=optimised)
        return lambda feed: opened.run(None, feed)

    def _noise(self, model: onnx.ModelProto, rng: np.random.Generator) -> list[float]:
        """Return how far each output is off when everything that goes in is, or ONNX Runtime optimises."""
        worst = [0.0] * len(self.expected[0])
        for optimised in (False, False, True):
            other = onnx.ModelProto.FromString(model.SerializeToString())
            if not optimised:
                for tensor in tensors_of(other):
                    array = numpy_helper.to_array(tensor)
                    if array.dtype == np.float32 and array.size:
                        tensor.CopyFrom(numpy_helper.from_array(_off(array, rng), tensor.name))
            runs = self._runner(other, optimised=optimised)
            for feed, expected in zip(self.feeds, self.expected, strict=True):
                moved = {name: _off(array, rng) if array.dtype == np.float32 and not optimised else array
                         for name, array in feed.items()}  # fmt: skip
                for k, (ours, theirs) in enumerate(zip(runs(moved), expected, strict=True)):
                    worst[k] = max(worst[k], distance(ours, theirs))
        return worst

    @property
    def meaningful(self) -> bool:
        """Whether some output depends on the inputs, and on rounding much less."""
        return any(a and b for a, b in zip(self.counts, self.moved, strict=True))

    def failure(self, student: onnx.ModelProto) -> str:
        """Return what is wrong with a student, or nothing."""
        try:
            if self.valid:
                onnx.checker.check_model(student, full_check=True)
            runs = self._runner(student)
            found = [runs(feed) for feed in self.feeds]
        except Exception as error:
            return f"{UNRUN}: {' '.join(str(error).split())[:300]}"
        worst, where = 0.0, ""
        for ours, theirs in zip(found, self.expected, strict=True):
            for k, (one, other) in enumerate(zip(ours, theirs, strict=True)):
                if self.counts[k] and (off := distance(one, other) / self.tolerance[k]) > worst:
                    worst, where = off, student.graph.output[k].name
        return f"wrong at {where}: {worst:.3g} times what is allowed" if worst > 1 else ""


def _ranges(outputs: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return how far an output moves between inputs of the same lengths, and how large it is."""
    first, *others = (np.asarray(output, np.float64) for output in outputs)
    moved = max((distance(first, other) for other in others if first.shape == other.shape), default=0.0)
    return moved, max(float(np.abs(output).max(initial=0)) for output in (first, *others))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of two tensors, infinite where one is not finite or of another shape.

    Of what has no elements the shape says nothing: ONNX Runtime leaves an axis as it is where it reduces nothing.
    """
    if one.size == other.size == 0:
        return 0.0
    if one.shape != other.shape:
        return np.inf
    found = float(np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64)).max(initial=0))
    return found if np.isfinite(found) else np.inf


def valid(model: onnx.ModelProto) -> bool:
    """Say whether ONNX's checker accepts a model; it knows no operators of ONNX Runtime, and no shapes behind loops."""
    if FRAGILE & operators([*model.graph.node, *(node for function in model.functions for node in function.node)]):
        return False  # the checker could end the process
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
