"""What stands around an activation: the layer before it, whose kind, kernel and norm a new layer takes after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, same, size
from onnx_n2n.depth.moves import MOVES, Labels, relabelled
from onnx_n2n.depth.zeros import kept
from onnx_n2n.errors import NotApplicable
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.passthrough import COPIES, stored

FAR = 10  # nodes to go back from an activation at most
MAKERS = {"Conv": "conv", "ConvTranspose": "conv", "Gemm": "dense", "MatMul": "dense", "Einsum": "dense"}
SCALED = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})
NORMS = frozenset({"InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization", "LRN"})
POOLS = frozenset({"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"})
SELECTORS = frozenset({"Split", "Slice", "Concat"})  # other channels, along the same axis
PASSED = SCALED | NORMS | POOLS | SELECTORS | MOVES | COPIES | {"BatchNormalization", "Dropout", "Reshape"}


@dataclass(frozen=True, eq=False)
class Neighbour:
    """The layer before an activation.

    Attributes:
        maker: The convolution, Gemm, MatMul or Einsum.
        weight: The input slot of its weight.
        norm: The BatchNormalization between it and the activation, or None.
        activation: The activation.
        biased: Whether numbers are added to the channels.
        channels: How many channels the activation gives.
        groups: Into how many groups they are divided for a convolution like it.
        axis: Which axis of the activation they are.
        lengths: The lengths of its kernel; none where it has none.
        labels: For each axis of the activation which one of the layer's result it is.
        moves: The nodes between the two that move axes, and have to be undone for a new layer, as those behind Keras'
            Conv1D do.
        settled: How many of these stand before the norm.
    """

    maker: ir.Node
    weight: int
    norm: ir.Node | None
    activation: ir.Node
    biased: bool
    channels: int
    groups: int
    axis: int
    lengths: tuple[int, ...]
    labels: Labels
    moves: tuple[ir.Node, ...] = ()
    settled: int = 0

    @property
    def convolves(self) -> bool:
        """Whether the layer is a convolution, whose channels are the second axis; else they are the last."""
        return MAKERS[self.maker.op_type] == "conv"

    @property
    def product(self) -> str:
        """The operator of a matrix product like it."""
        return "Gemm" if self.maker.op_type == "Gemm" and len(self.labels) == 2 else "MatMul"

    @property
    def kernel(self) -> tuple[int, ...]:
        """The lengths of the layer's kernel along those axes that the activation has, too."""
        return tuple(length for axis, length in enumerate(self.lengths, 2) if axis in self.labels)

    @property
    def along(self) -> tuple[int, ...]:
        """The axes of the activation along which these run."""
        return tuple(self.labels.index(axis) for axis in range(2, 2 + len(self.lengths)) if axis in self.labels)

    def whole(self, kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Return the lengths of a new kernel along all axes, also those that are dropped behind it."""
        left = iter(kernel)
        return tuple(next(left) if axis in self.labels else 1 for axis in range(2, 2 + len(self.lengths)))


def neighbour(analysis: Analysis, activation: ir.Node) -> Neighbour:
    """Find the layer before an activation, by going back through what leaves channels along their axis.

    Raises:
        NotApplicable: If there is none, or its channels are not those of the activation.
    """
    value = activation.inputs[0] if activation.inputs else None
    if value is None:
        raise NotApplicable("it has no operand")
    return _back(analysis, activation, (value,), {value})


def _back(analysis: Analysis, activation: ir.Node, way: tuple[ir.Value, ...], seen: set[ir.Value]) -> Neighbour:
    """Go back from the first tensor on the way to the layer that makes it; of a sum, first to its first operand."""
    node = way[0].producer()
    if node is None or plain(node.domain) or len(way) > FAR:
        raise NotApplicable(
            f"there is no convolution or matrix product shortly before {str(activation.outputs[0].name)!r}"
        )
    if node.op_type in MAKERS:
        return _Walk(analysis, node, activation).along((*way, activation.outputs[0]))
    if node.op_type not in PASSED:
        raise NotApplicable(f"{node.op_type} {node.name!r} stands between it and the layer before it")
    reasons = []
    for operand in _computed(analysis, node):
        if operand in seen:  # no layer was found from there
            continue
        seen.add(operand)
        try:
            return _back(analysis, activation, (operand, *way), seen)
        except NotApplicable as lonely:
            reasons.append(lonely)
    raise (
        reasons[0] if reasons else NotApplicable(f"{node.op_type} {node.name!r} before it computes with constants only")
    )


def _computed(analysis: Analysis, node: ir.Node) -> list[ir.Value]:
    """Return what a node on the way is computed from, less constants."""
    operands = node.inputs if node.op_type in SCALED | {"Concat"} else node.inputs[:1]
    return [operand for operand in operands if operand is not None and kept(analysis.constants, operand) is None]


@dataclass(eq=False)
class _Walk:
    """The way from a layer to an activation, and what becomes of the layer's axes on it."""

    analysis: Analysis
    maker: ir.Node
    activation: ir.Node
    labels: Labels = ()
    first: int = 0  # the axis of the channels in the layer's result
    rank: int = 0
    channel: Axis | None = None
    moves: list[ir.Node] = field(default_factory=list)
    traced: bool = True  # whether the moves are all that becomes of the axes
    norm: ir.Node | None = None
    settled: int = 0
    biased: bool = False

    @property
    def convolves(self) -> bool:
        return MAKERS[self.maker.op_type] == "conv"

    @property
    def axis(self) -> int:
        """Where the channels are."""
        found = self.labels.index(self.first) if self.first in self.labels else None
        if found is None:
            raise NotApplicable("the axis of its channels is dropped before it")
        return found

    def along(self, way: Sequence[ir.Value]) -> Neighbour:
        """Return what a new layer takes after, if one can stand behind the activation.

        Raises:
            NotApplicable: If none can.
        """
        slot = _weight_slot(self.analysis, self.maker)
        before, end = self._axes(way[0]), self._axes(way[-1])
        self.labels = tuple(range(len(before)))
        self.first, self.rank = 1 if self.convolves else len(before) - 1, len(before)
        self.channel = before[self.axis]
        self.biased = len(self.maker.inputs) > 2 and self.maker.inputs[2] is not None
        for operand, value in pairwise(way[:-1]):
            self._step(value.producer(), operand, value)
        axis, rank = self.axis, len(end)
        if not self.convolves and axis == len(self.labels) - 1 and (self.norm is None or axis == 1):
            self.moves, self.settled, self.traced = [], 0, True  # a matrix product has its channels last wherever it is
        if not self.traced or len(self.labels) != rank or self._stretched(end):
            raise self._lost(way[-1], way[0])
        channels, made = size(end[axis]), size(before[1 if self.convolves else -1])
        if not channels or self.channel is None or not same(end[axis], self.channel):
            raise NotApplicable(
                "its channels are not those that the layer before it makes, or it is not known how many there are"
            )
        return Neighbour(
            self.maker, slot, self.norm, self.activation, self.biased, channels, _groups(self.maker, made, channels),
            axis, self._lengths(slot), self.labels, tuple(self.moves), self.settled,
        )  # fmt: skip

    def _step(self, node: ir.Node | None, operand: ir.Value, value: ir.Value) -> None:
        assert node is not None
        before, behind = self._axes(operand), self._axes(value)
        if node.op_type in MOVES:
            self.labels = relabelled(self.analysis.constants, node, self.labels)
            self.moves.append(node)
        elif len(before) != len(behind) or not self.traced:
            self._reshaped(behind)
        elif node.op_type in SELECTORS:
            if self.channel is None or not same(before[self.axis], self.channel):
                raise NotApplicable(f"the channels that {node.op_type} {node.name!r} takes are not those of a layer")
            self.channel = behind[self.axis]
        elif node.op_type == "BatchNormalization":
            self.norm, self.settled = node, len(self.moves)
            if self.axis != 1:
                raise NotApplicable(f"BatchNormalization {node.name!r} does not run along the channels of the layer")
        self.biased = self.biased or (node.op_type == "Add" and len(_computed(self.analysis, node)) == 1)

    def _reshaped(self, behind: tuple[Axis, ...]) -> None:
        """Go on where axes are not the layer's: once these are back, as behind a norm of groups, all is known again."""
        rank, channel = len(behind), self.channel
        at = 1 if self.convolves else rank - 1
        found = channel is not None and at < rank and same(behind[at], channel)
        if self.convolves:
            self.traced = found and rank == self.rank and not self.moves
        else:  # a matrix product goes over whatever has its channels last
            self.traced, self.moves, self.norm, self.settled = found, [], None, 0
            self.first = at
        self.labels = tuple(range(rank)) if self.traced else tuple(at if axis == at else None for axis in range(rank))

    def _axes(self, value: ir.Value) -> tuple[Axis, ...]:
        axes = self.analysis.axes.get(value)
        if not axes:
            raise self._lost(value)
        return axes

    def _stretched(self, end: tuple[Axis, ...]) -> bool:
        """Say whether an axis was put in, and is longer than 1 now, so that it cannot be taken out again."""
        return bool(self.moves) and any(
            label is None and size(axis) != 1 for label, axis in zip(self.labels, end, strict=True)
        )

    def _lost(self, *values: ir.Value) -> NotApplicable:
        reasons = [self.analysis.lost[value] for value in values if value in self.analysis.lost]
        return NotApplicable(
            str(reasons[0]) if reasons else "the shape behind it is not that of the layer before it, or is not known"
        )

    def _lengths(self, slot: int) -> tuple[int, ...]:
        """Return the lengths of the layer's kernel.

        Raises:
            NotApplicable: If they are not known.
        """
        if not self.convolves:
            return ()
        weight, _ = stored(self.maker.inputs[slot])
        if weight is not None and weight in self.analysis.constants:
            return tuple(map(int, self.analysis.constants[weight].shape.numpy()[2:]))
        lengths = tuple(map(size, self.analysis.axes.get(self.maker.inputs[slot], ())[2:]))  # type: ignore[arg-type]
        if len(lengths) != self.rank - 2 or None in lengths:
            raise NotApplicable(f"it is not known how large the kernel of {self.maker.op_type} {self.maker.name!r} is")
        return tuple(length for length in lengths if length is not None)


def _groups(maker: ir.Node, made: int | None, channels: int) -> int:
    """Return into how many groups the channels of a layer like another are divided."""
    found = maker.attributes.get("group")
    groups = int(found.value) if found is not None else 1
    if maker.op_type != "Conv":
        return 1
    if groups == made:
        return channels  # one for each
    return groups if channels % groups == 0 else 1


def _weight_slot(analysis: Analysis, maker: ir.Node) -> int:
    """Return which input of a layer is its weight.

    Raises:
        NotApplicable: If none is.
    """
    slots = [slot for slot in (1, 0) if slot < len(maker.inputs) and _holds(analysis, maker, slot)]
    if not slots:
        numbers = any(stored(value)[0] in analysis.constants for value in maker.inputs[:2])
        reason = "has its weight in quantised numbers" if numbers else "has no constant weight"
        raise NotApplicable(f"{maker.op_type} {maker.name!r} before it {reason}")
    if maker.op_type == "Einsum" and not _product(maker, slots[0]):
        raise NotApplicable(f"Einsum {maker.name!r} before it is no matrix product that has its channels last")
    return slots[0]


def _product(maker: ir.Node, slot: int) -> bool:
    """Say whether the last axis of an Einsum of two is one that its weight has, and the other operand has not."""
    found = maker.attributes.get("equation")
    left, arrow, right = str(found.value if found is not None else "").replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or not right or len(terms) != 2 or not right[-1].isalpha():
        return False
    return right[-1] in terms[slot] and right[-1] not in terms[1 - slot] and right.count(right[-1]) == 1


def _holds(analysis: Analysis, maker: ir.Node, slot: int) -> bool:
    """Say whether a slot of a layer has a weight; a MatMul may have it transposed."""
    weight, moved = stored(maker.inputs[slot])
    turned = COPIES | {"Transpose"} if maker.op_type == "MatMul" else COPIES
    if weight in analysis.constants:
        found = kept(analysis.constants, maker.inputs[slot])
        return found is not None and all(each.op_type in turned for each in moved)
    return analysis.constants.computed(maker.inputs[slot])
