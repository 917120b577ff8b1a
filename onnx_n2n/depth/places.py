"""The places of a model where depth can be added, what each takes, and why the others take nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import onnx_ir as ir

from onnx_n2n.analysis.groups import layer_name, title_of
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import size
from onnx_n2n.depth.branches import QUANTISED, Branch, alike, branches
from onnx_n2n.depth.neighbours import SCALED, Neighbour, neighbour
from onnx_n2n.depth.recurrent import Recurrence, recurrence, recurrent
from onnx_n2n.depth.zeros import kept
from onnx_n2n.errors import NotApplicable
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.passthrough import COPIES, stored
from onnx_n2n.rules.traits import activation, idempotent

Kind = Literal["block", "identity", "residual"]
SEPARATOR = re.compile(r"[./]")
LONGEST = 4  # branches that make up a block
FAR = 6  # nodes that an activation which is written out may have around its nonlinear one
ELEMENTWISE = SCALED | COPIES | {"Pow", "Neg"}


@dataclass(frozen=True, eq=False)
class Place:
    """A tensor behind which depth can be added.

    Attributes:
        name: The layer that it stands behind, or the block before which a copy is put.
        kind: What it takes: a copy of a ``block`` that adds zero, a layer that is the ``identity`` behind an activation
            that may be repeated, or a ``residual`` pair of layers whose last is zero; behind a recurrent layer another
            one and a projection.
        stage: A number that goes up wherever the shape of the tensor changes from one place of the kind to the next.
        value: The tensor.
        dtype: Its type.
        near: The layer that new ones take after; None for a block, and behind recurrent layers.
        block: The branches to copy; none for the other kinds.
        cell: The recurrent layer that a new one takes after; None behind other layers.
    """

    name: str
    kind: Kind
    stage: int
    value: ir.Value
    dtype: ir.DataType
    near: Neighbour | None = None
    block: tuple[Branch, ...] = ()
    cell: Recurrence | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What a person may call it: the layer, the weight that makes it, the tensor."""
        nodes = [branch.nodes[0] for branch in self.block]
        weights: Sequence[ir.Value | None] = ()
        if self.near is not None:
            nodes += [self.near.maker, self.near.activation]
            weights = self.near.maker.inputs[self.near.weight : self.near.weight + 1]
        if self.cell is not None:
            nodes.append(self.cell.node)
            weights = self.cell.node.inputs[1:3]
        named = (str(weight.name) for weight, _ in map(stored, weights) if weight is not None)
        return (self.name, str(self.value.name), *(node.name for node in nodes if node.name), *named)


@dataclass(frozen=True)
class Barred:
    """A layer behind which no depth can be added, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Places:
    """All places of a model, in graph order, and the layers that are none."""

    found: tuple[Place, ...]
    barred: tuple[Barred, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the places for depth, and the layers that are none, as JSON-ready values."""
        return {
            "places": [
                {"name": place.name, "kind": place.kind, "stage": place.stage, "tensor": place.value.name}
                for place in self.found
            ],
            "barred": [{"name": barred.name, "reason": barred.reason} for barred in self.barred],
        }


def places(analysis: Analysis) -> Places:
    """Find the places where depth can be added."""
    graph = analysis.model.graph
    copied, refused = branches(analysis)
    barred = [Barred(layer_name(node), f"its residual branch is not copied: {reason}") for node, reason in refused]
    found: list[Place] = []
    for block in _blocks(analysis, copied):
        value = block[0].origin
        name = _block_name(analysis, block)
        found.append(Place(name, "block", 0, value, _dtype(analysis, value), block=tuple(block)))
    for node in graph.all_nodes():
        if not activation(node) and not recurrent(node):
            continue
        try:
            found.append(_stacked(analysis, node) if recurrent(node) else _behind(analysis, node))
        except NotApplicable as lonely:
            barred.append(Barred(layer_name(node), str(lonely)))
    order = {node: place for place, node in enumerate(graph.all_nodes())}
    found.sort(key=lambda place: order.get(place.value.producer(), -1))  # type: ignore[arg-type]
    return Places(tuple(_staged(analysis, found)), tuple(barred))


def _behind(analysis: Analysis, node: ir.Node) -> Place:
    """Return the place behind an activation.

    Raises:
        NotApplicable: If there is none.
    """
    value = node.outputs[0]
    if node.graph is not analysis.model.graph and not isinstance(node.graph, ir.Graph):
        raise NotApplicable("it stands in a function")
    near = neighbour(analysis, node)
    dtype = _dtype(analysis, value)
    if dtype not in FLOATS:
        raise NotApplicable("it does not give floating-point numbers")
    if near.norm is not None and node.graph is not analysis.model.graph:
        raise NotApplicable("its BatchNormalization would need statistics from inside a body")
    if idempotent(node):
        return Place(_title(near.maker, near.weight), "identity", 0, value, dtype, near)
    return Place(_title(near.maker, near.weight), "residual", 0, _written_out(analysis, node), dtype, near)


def _stacked(analysis: Analysis, node: ir.Node) -> Place:
    """Return the place behind a recurrent layer.

    Raises:
        NotApplicable: If there is none.
    """
    cell = recurrence(analysis, node)
    return Place(_title(node, 1), "residual", 0, cell.value, cell.dtype, cell=cell)


def _title(maker: ir.Node, slot: int) -> str:
    """Return what a person calls a layer whose weight is at an input."""
    weight, _ = stored(maker.inputs[slot])
    return title_of(str(weight.name) if weight is not None else "", layer_name(maker))


def _written_out(analysis: Analysis, node: ir.Node) -> ir.Value:
    """Return where an activation ends that is written out in several nodes, as ``x * sigmoid(x)``."""
    near = set(_around(analysis, node))
    value = node.outputs[0]
    for _ in range(FAR):
        uses = list(value.uses())
        if len(uses) != 1 or uses[0].node.op_type not in ELEMENTWISE or uses[0].node.graph is not node.graph:
            break
        others = [each for each in _computed(analysis, uses[0].node) if each is not value]
        if not all(each in near or _made_of(each, near) for each in others):
            break
        value = uses[0].node.outputs[0]
        near.add(value)
    end = analysis.axes.get(value)
    return value if end is not None and len(end) == len(analysis.axes.get(node.outputs[0], ())) else node.outputs[0]


def _around(analysis: Analysis, node: ir.Node) -> Iterator[ir.Value]:
    """Yield what an activation is computed from, back through elementwise nodes; of a tensor cut in parts all parts."""
    pending = [(value, FAR) for value in _computed(analysis, node)]
    while pending:
        value, left = pending.pop()
        yield value
        producer = value.producer()
        if producer is not None and producer.op_type == "Split":
            yield from producer.outputs
        if producer is not None and producer.op_type in ELEMENTWISE and left:
            pending += [(each, left - 1) for each in _computed(analysis, producer)]


def _computed(analysis: Analysis, node: ir.Node) -> list[ir.Value]:
    """Return what a node reads that is no constant."""
    return [value for value in node.inputs if value is not None and kept(analysis.constants, value) is None]


def _made_of(value: ir.Value | None, near: set[ir.Value]) -> bool:
    """Say whether a tensor is made of one of some others and constants, in one step."""
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type not in ELEMENTWISE:
        return False
    return any(operand in near for operand in producer.inputs)


def _dtype(analysis: Analysis, value: ir.Value) -> ir.DataType:
    found = analysis.shapes.get(value)
    return value.dtype or (found.dtype if found is not None else None) or ir.DataType.UNDEFINED


def _blocks(analysis: Analysis, found: Sequence[Branch]) -> Iterator[list[Branch]]:
    """Cut a row of branches where it repeats: attention and feed-forward layers come in twos, decoders' in threes.

    All branches of a block are added to one tensor, so that they must begin at tensors of one shape.
    """
    shapes = [branch.shape for branch in found]
    start = 0
    while start < len(found):
        period = next(
            (
                length
                for length in range(1, LONGEST + 1)
                if shapes[start : start + length] == shapes[start + length : start + 2 * length]
                and all(_joined(analysis, found[start], each) for each in found[start : start + length])
            ),
            1,
        )
        end = start + period
        yield list(found[start:end])
        while shapes[end : end + period] == shapes[start : start + period]:
            yield list(found[end : end + period])
            end += period
        start = end


def _joined(analysis: Analysis, first: Branch, other: Branch) -> bool:
    """Say whether a branch may be added to the tensor of another one."""
    quantised = {each.sums[-1].op_type == QUANTISED for each in (first, other)}
    if not alike(analysis, first.entry, other.entry) or len(quantised) > 1:
        return False
    grids = first.grid, other.grid
    return quantised == {False} or (grids[0] is not None and grids[1] is not None and grids[0].same(analysis, grids[1]))


def _block_name(analysis: Analysis, block: Sequence[Branch]) -> str:
    """Return what the names of all layers of a block begin with, or the name of the first."""
    titles = [
        title_of(str(value.name), layer_name(node))
        for branch in block
        for node in branch.nodes
        for value in (kept(analysis.constants, each) for each in node.inputs)
        if value is not None and not analysis.constants.vector_like(value)
    ]
    parts = [SEPARATOR.split(title) for title in titles]
    common = [words[0] for words in zip(*parts, strict=False) if len(set(words)) == 1]
    first = titles[0] if titles else layer_name(block[0].nodes[0])
    length = len("".join(common)) + len(common) - 1
    return first[:length] if common and parts[0][: len(common)] == common else first


def _staged(analysis: Analysis, found: Sequence[Place]) -> Iterator[Place]:
    """Number the stages, those of each kind by itself."""
    stages: dict[Kind, tuple[int, object]] = {}
    for place in found:
        lengths = tuple(map(size, analysis.axes.get(place.value, ())))
        stage, before = stages.get(place.kind, (-1, None))
        stages[place.kind] = (stage + (lengths != before), lengths)
        yield replace(place, stage=stages[place.kind][0])
