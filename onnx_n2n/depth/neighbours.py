"""What stands around an activation: the layer before it, whose kind, kernel and norm a new layer takes after."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, same, size
from onnx_n2n.errors import NotApplicable
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.passthrough import COPIES, stored

FAR = 10  # nodes to go back from an activation at most
MAKERS = {"Conv": "conv", "ConvTranspose": "conv", "Gemm": "dense", "MatMul": "dense"}
SCALED = frozenset({"Add", "Sub", "Mul", "Div"})
NORMS = frozenset({"InstanceNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization"})
PASSED = SCALED | NORMS | COPIES | {"BatchNormalization", "Dropout", "Reshape", "Squeeze"}


@dataclass(frozen=True, eq=False)
class Neighbour:
    """The layer before an activation.

    Attributes:
        maker: The convolution, Gemm or MatMul.
        weight: The input slot of its weight.
        norm: The BatchNormalization between it and the activation, or None.
        activation: The activation.
        biased: Whether numbers are added to the channels.
        channels: How many channels the activation gives.
        squeeze: The Squeeze between a convolution and the activation, as Keras' Conv1D is exported, or None.
        dropped: The axes of the kernel that it drops.
    """

    maker: ir.Node
    weight: int
    norm: ir.Node | None
    activation: ir.Node
    biased: bool
    channels: int
    squeeze: ir.Node | None = None
    dropped: tuple[int, ...] = ()

    @property
    def convolves(self) -> bool:
        """Whether the layer is a convolution, whose channels are the second axis; else they are the last."""
        return MAKERS[self.maker.op_type] == "conv"

    @property
    def groups(self) -> int:
        """Into how many groups of channels the layer is divided."""
        found = self.maker.attributes.get("group")
        return int(found.value) if found is not None else 1

    def kernel(self, analysis: Analysis) -> tuple[int, ...]:
        """Return the lengths of the layer's kernel along the axes of the activation; none where it has no kernel."""
        weight, _ = stored(self.maker.inputs[self.weight])
        assert weight is not None
        lengths = tuple(analysis.constants[weight].shape.numpy())
        kernel = tuple(map(int, lengths[2:])) if self.convolves else ()
        return tuple(length for place, length in enumerate(kernel) if place not in self.dropped)

    def whole(self, kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Return the lengths of a new kernel along all axes, also those that are dropped behind it."""
        left = iter(kernel)
        return tuple(1 if place in self.dropped else next(left) for place in range(len(kernel) + len(self.dropped)))


def neighbour(analysis: Analysis, activation: ir.Node) -> Neighbour:
    """Find the layer before an activation, by going back through what leaves channels where they are.

    Raises:
        NotApplicable: If there is none, or its channels are not those of the activation.
    """
    value = activation.inputs[0] if activation.inputs else None
    if value is None:
        raise NotApplicable("it has no operand")
    return _back(analysis, activation, value, None, None, biased=False, left=FAR)


def _back(
    analysis: Analysis,
    activation: ir.Node,
    value: ir.Value,
    norm: ir.Node | None,
    squeeze: ir.Node | None,
    *,
    biased: bool,
    left: int,
) -> Neighbour:
    """Go back from a tensor to the layer that makes it; of a sum, first to its first operand."""
    node = value.producer()
    if node is None or plain(node.domain) or not left:
        raise NotApplicable(
            f"there is no convolution or matrix product shortly before {str(activation.outputs[0].name)!r}"
        )
    if node.op_type in MAKERS:
        return _checked(analysis, node, norm, squeeze, activation, biased=biased)
    squeeze = squeeze or (node if node.op_type == "Squeeze" else None)
    norm = norm or (node if node.op_type == "BatchNormalization" else None)
    if node.op_type not in PASSED:
        raise NotApplicable(f"{node.op_type} {node.name!r} stands between it and the layer before it")
    operands = node.inputs if node.op_type in SCALED else node.inputs[:1]
    computed = [operand for operand in operands if operand is not None and operand not in analysis.constants]
    biased = biased or (node.op_type == "Add" and len(computed) == 1)
    reasons = []
    for operand in computed:
        try:
            return _back(analysis, activation, operand, norm, squeeze, biased=biased, left=left - 1)
        except NotApplicable as lonely:
            reasons.append(lonely)
    raise (
        reasons[0] if reasons else NotApplicable(f"{node.op_type} {node.name!r} before it computes with constants only")
    )


def _checked(
    analysis: Analysis,
    maker: ir.Node,
    norm: ir.Node | None,
    squeeze: ir.Node | None,
    activation: ir.Node,
    *,
    biased: bool,
) -> Neighbour:
    slots = [slot for slot in (1, 0) if _holds(analysis, maker, slot)]
    if not slots:
        raise NotApplicable(f"{maker.op_type} {maker.name!r} before it has no constant weight")
    axes = analysis.axes.get(activation.outputs[0])
    before = analysis.axes.get(maker.outputs[0])
    convolves = MAKERS[maker.op_type] == "conv"
    dropped = _dropped(analysis, squeeze, before) if squeeze is not None and convolves and before is not None else ()
    if axes is None or before is None or len(axes) + len(dropped) != len(before):
        lost = analysis.lost.get(activation.outputs[0]) or analysis.lost.get(maker.outputs[0])
        raise NotApplicable(str(lost or "the shape behind it is not that of the layer before it, or is not known"))
    place = 1 if convolves else -1
    channels = size(axes[place])
    if not channels or not same(axes[place], before[place]):
        raise NotApplicable(
            "its channels are not those that the layer before it makes, or it is not known how many there are"
        )
    bias = len(maker.inputs) > 2 and maker.inputs[2] is not None
    squeeze = squeeze if dropped else None
    return Neighbour(maker, slots[0], norm, activation, biased or bias, channels, squeeze, dropped)


def _dropped(analysis: Analysis, squeeze: ir.Node, before: tuple[Axis, ...]) -> tuple[int, ...]:
    """Return the axes of a kernel behind which a Squeeze drops those of the result; none if it drops others.

    What it drops must be stated, so that an Unsqueeze can put it back.
    """
    attribute, given = squeeze.attributes.get("axes"), squeeze.inputs[1] if len(squeeze.inputs) > 1 else None
    array = analysis.constants.small(given) if given is not None else None
    stated = array.tolist() if array is not None else attribute.value if attribute is not None else ()
    axes = analysis.axes.get(squeeze.inputs[0]) if squeeze.inputs[0] is not None else None  # of the same places
    found = sorted(axis % len(before) - 2 for axis in stated)
    if axes is None or len(axes) != len(before) or not found or found[0] < 0:
        return ()
    return tuple(found)


def _holds(analysis: Analysis, maker: ir.Node, slot: int) -> bool:
    """Say whether a slot of a layer has a weight; a MatMul may have it transposed."""
    weight, moved = stored(maker.inputs[slot])
    turned = {"Identity", "Transpose"} if maker.op_type == "MatMul" else {"Identity"}
    return weight in analysis.constants and all(node.op_type in turned for node in moved)
