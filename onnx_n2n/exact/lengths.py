"""Which lengths in a model are free: those that differ between two runs with other lengths of its free axes.

What is decided by a length that is free could be decided otherwise for lengths that no run has: a part of the first 100
places is all of three places. So each such decision of the student has to be one that the teacher takes too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from onnx_n2n.exact.reads import Ids
from onnx_n2n.exact.tensor import Tensor, Value

Named = tuple[str, str]  # a node's first output and operator
Visit = tuple[str, str, int]  # and how often it has run before
Shape = tuple[int, ...]


@dataclass
class Trail:
    """The shapes of what nodes read and make, as a run visits them.

    Attributes:
        shapes: For each visit of a node the shapes of its inputs; those of sequences are left out.
        carried: For each visit which elements of constants each input has, where that is kept, and behind those of the
            inputs the parts of a window that have met nothing. This takes memory.
        by_lengths: Visits of nodes with an input whose elements depend on lengths, or that is no tensor.
        emptied: Visits of nodes that make nothing of something, as lengths say.
    """

    shapes: dict[Visit, tuple[Shape, ...]] = field(default_factory=dict)
    carried: dict[Visit, list[Ids | None]] | None = None
    by_lengths: set[Visit] = field(default_factory=set)
    emptied: set[Visit] = field(default_factory=set)
    _visits: Counter[tuple[str, str]] = field(default_factory=Counter)
    _last: Visit = ("", "", 0)

    def visit(self, node: onnx.NodeProto, inputs: Sequence[Value]) -> Visit:
        """Note a visit of a node, and return what stands for it."""
        name = next(iter(node.output), ""), node.op_type
        visit = self._last = *name, self._visits[name]
        self._visits[name] += 1
        self.shapes[visit] = tuple(each.shape if isinstance(each, Tensor) else () for each in inputs)
        if self.carried is not None:
            self.carried[visit] = [each.ids if isinstance(each, Tensor) else None for each in inputs]
            if any(each.sized if isinstance(each, Tensor) else each is not None for each in inputs):
                self.by_lengths.add(visit)
        return visit

    def missed(self, ids: Ids) -> None:
        """Note parts of a window that meet nothing in the node that is visited."""
        if self.carried is not None:
            self.carried[self._last].append(ids)


@dataclass(frozen=True)
class Lengths:
    """Which axes are free, from the shapes at another set of lengths.

    Args:
        other: The shapes there; None if nothing is known, and each axis may be free.
        emptied: Visits of nodes that make nothing of something there, as lengths say.
    """

    other: Mapping[Visit, tuple[Shape, ...]] | None = None
    emptied: frozenset[Visit] = frozenset()

    def free(self, visit: Visit, place: int, shape: Shape) -> np.ndarray:
        """Return which axes of the input at a place are free, bool[n]."""
        shapes = () if self.other is None else self.other.get(visit, ())
        if place >= len(shapes) or len(shapes[place]) != len(shape):
            return np.ones(len(shape), bool)
        return np.array([one != two for one, two in zip(shapes[place], shape, strict=True)], bool)
