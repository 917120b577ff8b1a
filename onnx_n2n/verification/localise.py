"""Where a student first goes wrong: every intermediate tensor is held against the teacher's, in order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.uses import reads
from onnx_n2n.verification.compare import compare
from onnx_n2n.verification.differences import is_real
from onnx_n2n.verification.inputs import nudged
from onnx_n2n.verification.randomness import drawn
from onnx_n2n.verification.runtime import TIME_LIMIT
from onnx_n2n.verification.sessions import Feed, SessionModel, Timed, run, session
from onnx_n2n.verification.yardstick import Grain, yardstick

# New index -> old index of each axis; None where the axis is as it was, -1 for an entry without a counterpart.
Index = tuple[np.ndarray | None, ...]

# By name of a tensor of the student; None where all axes are as they were, however many they are.
Trace = Mapping[str, Index | None]

# Intermediate tensors held in memory at a time.
AT_A_TIME = 16


@dataclass(frozen=True)
class Wrong:
    """A tensor of the student that is not what the teacher's is.

    Attributes:
        tensor: Its name.
        node: Name of the node that makes it; empty where the node has none.
        operator: Operator type of that node.
        how: How it is wrong, for people.
    """

    tensor: str
    node: str
    operator: str
    how: str

    def __str__(self) -> str:
        """The tensor, its node, and how it is wrong."""
        place = f"{self.operator} node {self.node!r}" if self.node else f"a {self.operator} node"
        return f"{self.tensor} (from {place}): {self.how}"


def first_wrong(
    teacher: SessionModel,
    student: SessionModel,
    trace: Trace,
    feeds: Sequence[Feed],
    *,
    theirs: Sequence[Feed] | None = None,
    provider: str,
    grain: Grain,
    seed: int,
    time_limit: float = TIME_LIMIT,
) -> Wrong | None:
    """Name the first tensor, in the order of the teacher's nodes, that is not what the trace says.

    Args:
        teacher: The teacher.
        student: The student.
        trace: Index of the student's tensors into the teacher's, by name.
        feeds: Inputs on which the student's outputs were wrong.
        theirs: The student's inputs, where they are others.
        provider: Execution provider to run both on.
        grain: How finely the teacher calculates.
        seed: Seed of what is drawn to find the rounding error.
        time_limit: How many seconds one run may take.

    Returns:
        The tensor, its node, and how it is wrong; None when every traced tensor is as it should be.

    Raises:
        ModelError: ONNX Runtime refuses one of the graphs with its intermediate tensors as outputs.
        RunError: ONNX Runtime fails on one of them.
        TimeLimitError: A run takes longer than it may.
    """
    skeleton = teacher.skeleton()
    nodes, others, random = computed(skeleton), computed(student.skeleton()), drawn(skeleton)
    names = [name for name in nodes if name in others and name in trace and name not in random]
    old, new = (Timed(session(source.exposing(names), provider), time_limit) for source in (teacher, student))
    for feed, other in zip(feeds, theirs or feeds, strict=True):
        near = nudged(feed, seed)
        for start in range(0, len(names), AT_A_TIME):
            some = names[start : start + AT_A_TIME]
            for name, truth, nudge, got in zip(
                some, run(old, feed, some), run(old, near, some), run(new, other, some), strict=True
            ):
                how = wrong(trace[name], truth, nudge, got, grain)
                if how:
                    return Wrong(name, nodes[name].name or "", nodes[name].op_type, how)
    return None


def computed(model: ir.Model, of: Collection[str] | None = None) -> dict[str, ir.Node]:
    """Tensors of the main graph that depend on its inputs, or on some of them, in order, with the node of each.

    What depends on weights alone is a weight: it holds shares, and need not be the teacher's.
    """
    given = (value for value in model.graph.inputs if value.name not in model.graph.initializers)
    alive = {value for value in given if of is None or value.name in of}
    found: dict[str, ir.Node] = {}
    for node in model.graph:
        if not alive.isdisjoint(reads(node)):
            alive.update(node.outputs)
            found |= {value.name: node for value in node.outputs if value.name}
    return found


def alike(teacher: ir.Model, student: ir.Model | None) -> Trace:
    """The trace of a student that has not grown: tensors of equal names are the same."""
    return {} if student is None else dict.fromkeys(computed(teacher).keys() & computed(student).keys())


def wrong(index: Index | None, truth: Any, nudge: Any, got: Any, grain: Grain) -> str | None:
    """How a tensor differs from what its index says; None when it does not, or nothing can be said.

    An integer may be the size of an axis that has grown, and a sequence has no axes. An index that is empty, or points
    outside of the tensor, was worked out for an axis whose size depends on the input.
    """
    if not (isinstance(truth, np.ndarray) and isinstance(got, np.ndarray) and is_real(truth)):
        return None
    index = (None,) * truth.ndim if index is None else index
    if len(index) != truth.ndim:
        return None
    full = [np.arange(size) if axis is None else axis for axis, size in zip(index, truth.shape, strict=True)]
    for axis, size in zip(full, truth.shape, strict=True):
        if axis.max(initial=-1) >= size or len(axis) == 0 < size:
            return None
    wanted = tuple(map(len, full))
    if got.shape != wanted:
        return f"its shape is {list(got.shape)}, and should be {list(wanted)}"
    new = np.ix_(*(np.flatnonzero(axis >= 0) for axis in full))
    old = np.ix_(*(axis[axis >= 0] for axis in full))
    verdict = compare("", yardstick([truth[old]], grain, nudged=[nudge[old]]), [got[new]])
    if verdict.undecided:
        return f"rounding decides in the teacher too what of it {got.dtype} can hold"
    return None if verdict.ok else f"off by {verdict.error:.1e} of its size (tolerance {verdict.tolerance:.1e})"
