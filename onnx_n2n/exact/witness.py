"""An input on which two models differ by more than rounding explains.

Residues that differ prove nothing, because a random function knows no law of the real one. So both models are run in
doubles, by the same rules, on inputs that are drawn. What rounding does is measured: with an error in every operation,
and with errors in the constants of the student, which may have been rounded to the type that they are stored in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_n2n.exact.compared import Differs, pairs
from onnx_n2n.exact.files import File
from onnx_n2n.exact.reals import RealLine, Rounding, Together
from onnx_n2n.exact.tensor import Tensor, Value
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.unrounded import Exact
from onnx_n2n.exact.watched import Watched
from onnx_n2n.exact.world import World

SEEDS = 4  # inputs that are tried
OPERATIONS = 1000  # a difference is so many times what errors of operations do, or more
CONSTANTS = 8  # and so many times what errors of the student's constants do
RUNS = 3  # with errors in operations, of each model
PATTERNS: tuple[Together, ...] = ("none", "none", "all", "all", "first", "last")

Shapes = Mapping[str, tuple[int, ...]]
Outputs = list[tuple[str, np.ndarray, np.ndarray]]  # what both models give for each output


@dataclass(frozen=True)
class Witness:
    """What an input shows.

    Args:
        output: The output that differs.
        difference: By how much, at most.
        scale: The largest number of that output in the teacher.
        reason: How, as a sentence without its full stop.
    """

    output: str
    difference: float
    scale: float
    reason: str


@dataclass(frozen=True)
class Search:
    """Teacher and student at some shapes.

    Args:
        teacher: One model.
        student: The other one.
        shapes: The shapes of inputs.
        exact: What makes the student's numbers before rounding, for a world; None where no record says.
        gained: Outputs of the student that may be longer.
    """

    teacher: File
    student: File
    shapes: Shapes
    exact: Callable[[RealLine], Exact | None] | None = None
    gained: Collection[str] = ()

    def found(self) -> Witness | None:
        """Return a witness that the models differ, or None where there is none among the inputs that are tried."""
        with np.errstate(all="ignore"):
            for seed in range(SEEDS):
                try:
                    if found := self._on(seed):
                        return found
                except Undecided:
                    continue
                except Differs as how:
                    return Witness(how.output, float("inf"), 0.0, how.reason)
        return None

    def contradiction(self) -> Witness | None:
        """Return what speaks against models that residues show to be equal, on one input.

        Residues know no domain: 0 / 0 - 0 / 0 is 0 to them. So the student must be finite where the teacher is.
        """
        with np.errstate(all="ignore"):
            try:
                plain = self._outputs(RealLine(0), RealLine(0))
                for name, old, new in plain:
                    if (np.isfinite(old) & ~np.isfinite(new)).any():
                        return Witness(name, float("inf"), 0.0, "the student is not finite where the teacher is")
                return self._on(0, plain)
            except (Undecided, Differs):
                return None

    def _on(self, seed: int, plain: Outputs | None = None) -> Witness | None:
        """Return what an input shows, by what both models give for it; this is calculated if it is not given."""
        plain = plain or self._outputs(RealLine(seed), RealLine(seed))
        suspects = {place for place, (_, old, new) in enumerate(plain) if _far(old, new)}
        if not suspects:
            return None
        said = {place: np.isfinite(plain[place][1]) & np.isfinite(plain[place][2]) for place in suspects}
        own, stored = dict.fromkeys(suspects, 0.0), dict.fromkeys(suspects, 0.0)
        for noise, limits in ((own, self._shaken(seed)), (stored, self._moved(seed))):
            for run in limits:
                for place in sorted(suspects):
                    _, one, two = run[place]
                    said[place] &= np.isfinite(one) & np.isfinite(two)
                    before = plain[place][1:]
                    noise[place] = max(noise[place], _moved(said[place], before, (one, two)))
                    if not _explained(said[place], before, own[place], stored[place]):
                        continue
                    suspects.discard(place)  # what further runs do can only explain more
                if not suspects:
                    return None
        place = min(suspects)
        name, old, new = plain[place]
        apart, scale = _apart(said[place], old, new)
        reason = f"they differ by {apart:.1e} where the teacher gives numbers of up to {scale:.1e}"
        return Witness(name, apart, scale, reason)

    def _shaken(self, seed: int) -> Iterator[Outputs]:
        """Yield the outputs of both models with errors in every operation."""
        for run in range(RUNS):
            yield self._outputs(RealLine(seed, 2 * run), RealLine(seed, 2 * run + 1))

    def _moved(self, seed: int) -> Iterator[Outputs]:
        """Yield the outputs of both models with errors in the student's constants."""
        for number, together in enumerate(PATTERNS):
            yield self._outputs(RealLine(seed), RealLine(seed, rounding=Rounding(number, together)))

    def _outputs(self, *worlds: RealLine) -> Outputs:
        runs, results = [], []
        for world, file in zip(worlds, (self.teacher, self.student), strict=True):
            exact = self.exact(world) if self.exact is not None and file is self.student else None
            runs.append(Watched(world, file, exact))
            results.append(runs[-1].outputs(inputs(world, self.teacher, self.shapes)))
        found = pairs((runs[0], runs[1]), (results[0], results[1]), self.gained)
        return [(name, old.values, new.values) for name, old, new in found]


def inputs(world: World[Any], file: File, shapes: Shapes) -> dict[str, Value]:
    """Return a model's inputs, drawn in a world."""

    def drawn() -> Iterator[tuple[str, Value]]:
        for each in file.inputs:
            type_ = each.type.tensor_type.elem_type
            numbers = world.given(each.name, type_, shapes[each.name])
            yield each.name, Tensor(type_, None, numbers)

    return dict(drawn())


def _far(old: np.ndarray, new: np.ndarray) -> bool:
    said = np.isfinite(old) & np.isfinite(new)
    return bool((np.abs(old - new) > OPERATIONS * 2.0**-52 * np.abs(old))[said].any())


def _apart(said: np.ndarray, old: np.ndarray, new: np.ndarray) -> tuple[float, float]:
    """Return by how much outputs differ at most where they say something, and the largest of the teacher's there."""
    return float(np.abs(old - new)[said].max()), float(np.abs(old)[said].max())


def _explained(said: np.ndarray, outputs: tuple[np.ndarray, ...], own: float, stored: float) -> bool:
    """Return whether errors of operations, or of the student's constants, explain how much outputs differ."""
    if not said.any():
        return True
    apart, scale = _apart(said, *outputs)
    return apart <= OPERATIONS * max(own, scale * 2.0**-52) or apart <= CONSTANTS * stored


def _moved(said: np.ndarray, before: tuple[np.ndarray, ...], after: tuple[np.ndarray, ...]) -> float:
    """Return by how much outputs moved at most, where they say something."""
    return max(float(np.abs(one - two)[said].max(initial=0.0)) for one, two in zip(before, after, strict=True))
