"""What a run without numbers shows of a model: how long everything is, and what of its constants has no part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from onnx_n2n.exact.chance import Comparisons
from onnx_n2n.exact.files import File
from onnx_n2n.exact.lengths import Shape, Trail, Visit
from onnx_n2n.exact.ranges import Asked, Open, Ranges
from onnx_n2n.exact.reads import Ids, Reads, Turned
from onnx_n2n.exact.tensor import Tensor, Value
from onnx_n2n.exact.watched import Watched


@dataclass(frozen=True)
class Survey:
    """A run without numbers, after it has ended.

    Args:
        file: The model.
        reads: Which elements of its constants have been read.
        shapes: For each visit of a node the shapes of its inputs.
        outputs: The shapes of the outputs that are tensors, by their names.
        made: How many numbers the run would have made.
        comparisons: About what a run with numbers will compare, of this model and of the other one.
        open: Which functions it takes of numbers that nothing shows these to be defined for.
        missing: The elements that have not been read, by their numbers.
        met: For each visit that has met some of them, which of its inputs have some. It is empty where it is not known
            of all of them where they have gone.
        by_lengths: Of these visits those with an input whose elements depend on lengths, or that is no tensor.
        emptied: Visits that have made nothing of something, as lengths say.
    """

    file: File
    reads: Reads
    shapes: Mapping[Visit, tuple[Shape, ...]]
    outputs: Mapping[str, Shape]
    made: int
    comparisons: Comparisons
    open: Mapping[Asked, Open]
    missing: np.ndarray
    met: Mapping[Visit, tuple[bool, ...]]
    by_lengths: frozenset[Visit]
    emptied: frozenset[Visit]

    @classmethod
    def of(cls, run: Watched, world: Ranges, results: Mapping[str, Value]) -> Survey:
        """Return what a run shows whose trail has kept what was carried, and what it has given."""
        trail, missing = run.trail, run.reads.missing()
        met = _met(trail, missing) if missing.size else {}
        return cls(
            run.file,
            run.reads,
            trail.shapes,
            {name: each.shape for name, each in results.items() if isinstance(each, Tensor)},
            run.made,
            world.comparisons,
            world.open,
            missing,
            met,
            frozenset(trail.by_lengths & met.keys()),
            frozenset(trail.emptied),
        )

    def like(self, other: Survey) -> bool:
        """Return whether what is unread here is so at any batch, as far as a run with another batch shows it.

        A rule sees the shapes of inputs and what is known of them. If all nodes that meet such an element see the same
        at both batches, but for the first axis of an input that has no such element, a batch decides nothing about it.
        What meets nothing could meet something at a larger batch.
        """
        if self.shapes.keys() != other.shapes.keys() or not np.array_equal(self.missing, other.missing):
            return False
        if self.empty or other.empty:
            return False
        known = bool(self.met) or not self.missing.size
        if not known or self.met != other.met or self.by_lengths or other.by_lengths:
            return False
        if self.reads.elsewhere or other.reads.elsewhere:
            return False
        return all(
            one == two or (not has and one[1:] == two[1:] and len(one) == len(two))
            for visit, inputs in self.met.items()
            for one, two, has in zip(self.shapes[visit], other.shapes[visit], inputs, strict=False)
        )

    @property
    def empty(self) -> bool:
        """Whether a node that meets an element that is not read has an input of no numbers beside it."""
        return any(
            not has and 0 in shape
            for visit, inputs in self.met.items()
            for shape, has in zip(self.shapes[visit], inputs, strict=False)
        )


def dead(surveys: Sequence[Survey]) -> bool:
    """Return whether what is unread in runs with different batches is so at any batch."""
    return all(one.like(two) for one, two in pairwise(surveys))


def seen(*surveys: Survey) -> set[tuple[object, ...]]:
    """Return what runs at several sets of shapes tell apart, by the nodes that read it.

    These are axes whose length differs between sets, that are not 1 in a set, and two axes with different lengths.
    """
    found: set[tuple[object, ...]] = set()
    for visit, shapes in surveys[0].shapes.items():
        others = [each.shapes.get(visit, ()) for each in surveys[1:]]
        for place, axes in enumerate(zip(shapes, *others, strict=False)):
            lengths = list(zip(*axes, strict=False))
            found |= {("free", visit, place, at) for at, each in enumerate(lengths) if len(set(each)) > 1}
            found |= {("long", visit, place, at, which) for at, each in enumerate(lengths)
                      for which, length in enumerate(each) if length > 1}  # fmt: skip
            found |= {("apart", visit, place, one, two) for one, two in combinations(range(len(lengths)), 2)
                      if lengths[one] != lengths[two]}  # fmt: skip
    return found


def long(survey: Survey) -> set[tuple[Visit, int, int]]:
    """Return the axes of what nodes read that are longer than 1: the visit, the input, the axis."""
    return {
        (visit, place, at)
        for visit, shapes in survey.shapes.items()
        for place, shape in enumerate(shapes)
        for at, length in enumerate(shape)
        if length > 1
    }


def _met(trail: Trail, missing: np.ndarray) -> dict[Visit, tuple[bool, ...]]:
    found, seen = {}, np.zeros(missing.size, bool)
    for visit, carried in (trail.carried or {}).items():
        among = [None if ids is None else _among(ids, missing) for ids in carried]
        has = tuple(each is not None and bool(each.any()) for each in among)
        if any(has):
            found[visit] = has
            for each in among:
                seen |= False if each is None else each
    return found if seen.all() else {}


def _among(ids: Ids, missing: np.ndarray) -> np.ndarray:
    """Return which of the elements that are missing are among some, bool[n]."""
    ids = ids.ids if isinstance(ids, Turned) else ids
    if isinstance(ids, range):
        return (missing >= ids.start) & (missing < ids.stop)
    return np.isin(missing, ids)
