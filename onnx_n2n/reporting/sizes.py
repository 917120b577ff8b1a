"""How many channels the groups of a teacher have in its student, which the shapes of the student's weights tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.axes.algebra import Axis, Factor, Limit, Product, leaves, resolve, size
from onnx_n2n.graph.constants import constants_of
from onnx_n2n.reporting.pairing import Pairing

Equation = tuple[Axis, int]
"""An axis of a weight of one model, and how long it is in the other."""


@dataclass(frozen=True)
class GroupSize:
    """A group of the teacher, or one of an output that has become longer.

    Attributes:
        name: The group, as ``inspect`` names it.
        before: How many channels it has in the teacher.
        after: How many in the student; None if the student's weights do not tell.
    """

    name: str
    before: int
    after: int | None


def group_sizes(analysis: Analysis, student: ir.Model, pairing: Pairing) -> tuple[GroupSize, ...]:
    """Return the groups of a teacher's weights with their sizes in a student that has grown from it.

    The axis of a weight is made of factors: one, a product or a sum of some. Factors that cannot grow keep their size.
    The length of an axis tells the size of a factor if it is the only one in it that is not known. Where two are left,
    as the heads and the size of a head, the group of the same name in the student tells, if it fits.
    """
    known: dict[Factor, int] = {}
    partners = {old: new for new, old in pairing.nodes.items()}
    values = {old: new for new, old in pairing.values.items()}
    equations = list(_equations(analysis, student, partners, values))
    _solve(equations, known)
    groups = analysis.weighty
    if any(group.factor not in known for group in groups):
        names = {group.name: group.size for group in analyze(student).weighty}
        for group in groups:
            if group.factor not in known and group.name in names:
                guess = {**known, group.factor: names[group.name]}
                _solve(equations, guess)
                if all(length in (None, given) for length, given in _lengths(equations, guess)):
                    known = guess
    found = [GroupSize(group.name, group.size, known.get(group.factor)) for group in groups]
    if any(length not in (None, given) for length, given in _lengths(equations, known)):
        found += _gained(analysis.model, student, pairing)
    return tuple(found)


def _gained(teacher: ir.Model, student: ir.Model, pairing: Pairing) -> Iterator[GroupSize]:
    """Yield groups of outputs that became longer; elsewhere they are none, because outputs keep their shapes."""
    others = {group.name for group in analyze(student).weighty}
    analysis = analyze(student, opened={str(value.name) for value in student.graph.outputs})
    known: dict[Factor, int] = {}
    _solve(_equations(analysis, teacher, pairing.nodes, pairing.values), known)
    for group in analysis.weighty:
        before = known.get(group.factor, group.size)
        if group.name not in others and before != group.size:
            yield GroupSize(group.name, before, group.size)


def _equations(
    analysis: Analysis, other: ir.Model, nodes: Mapping[ir.Node, ir.Node], values: Mapping[ir.Value, ir.Value]
) -> Iterator[Equation]:
    """Yield the axes of a model's weights with the lengths that they have in another one.

    Args:
        analysis: What is known of the model.
        other: The other model.
        nodes: Its nodes, by those of the model that they stand for.
        values: Its tensors, likewise.
    """
    tensors = dict(constants_of(other.graph))
    grown = {mine: tuple(tensors[new].shape.numpy()) for mine, new in values.items() if new in tensors}
    for node in analysis.model.graph.all_nodes():
        partner = nodes.get(node)
        for slot, value in enumerate(node.inputs):
            if value is None or value not in analysis.constants or not analysis.constants.growable(value):
                continue
            axes, shape = analysis.axes_of_use(node, slot), grown.get(value)
            read = partner.inputs[slot] if partner is not None and slot < len(partner.inputs) else None
            if read is not None and read in tensors:  # each use may have a copy of its own
                shape = tuple(tensors[read].shape.numpy())
            if axes is not None and shape is not None and len(axes) == len(shape):
                yield from zip(axes, shape, strict=True)


def _solve(equations: Iterable[Equation], known: dict[Factor, int]) -> None:
    """Work out factors from axes in which one is not known, for as long as there are such axes."""
    pending = list(equations)
    while True:
        left = []
        for axis, length in pending:
            missing = {factor for factor in leaves(axis) if not _fixed(factor) and factor not in known}
            if len(missing) == 1:
                factor = missing.pop()
                found = _solved(axis, length, factor, known)
                if found is not None:
                    known[factor] = found
            elif missing:
                left.append((axis, length))
        if len(left) == len(pending):
            return
        pending = left


def _solved(axis: Axis, length: int, factor: Factor, known: Mapping[Factor, int]) -> int | None:
    """Return how long a factor must be: the length of an axis is a straight line in one that a sum has once a part."""
    ends = [_length(axis, {**known, factor: size}) for size in (0, 1)]
    if None in ends or ends[0] == ends[1]:
        return None
    found = (length - ends[0]) // (ends[1] - ends[0])  # type: ignore[operator]
    return found if found > 0 and _length(axis, {**known, factor: found}) == length else None


def _lengths(equations: Iterable[Equation], known: Mapping[Factor, int]) -> Iterator[tuple[int | None, int]]:
    return ((_length(axis, known), length) for axis, length in equations)


def _length(axis: Axis, known: Mapping[Factor, int]) -> int | None:
    """Return how long an axis is with factors of other sizes."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        return known.get(axis, axis.size if _fixed(axis) else None)
    parts = [_length(part, known) for part in axis.parts]
    if None in parts:
        return None
    return (math.prod if isinstance(axis, Product) else sum)(parts)  # type: ignore[arg-type]


def _fixed(factor: Factor) -> bool:
    return Limit.PINNED in factor.limits or size(factor) is None
