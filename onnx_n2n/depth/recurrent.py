"""Recurrent layers to insert behind others: as many hidden channels, and a projection that is zero.

Behind a layer that gives ``y`` stands ``y + project(layer(y))``, where the projection is zero at first. The new layer
begins with a state of zeros, and reads sequences as far as the other one does, in the same directions. Its activations
are bounded, so that what comes before the weight of zero is finite, however long the sequences are.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import size
from onnx_n2n.depth.splice import Splice
from onnx_n2n.errors import NotApplicable
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.passthrough import REARRANGERS
from onnx_n2n.record.mixture import MOST

# What a recurrent layer's kind is, and how many gates it has.
CELLS = {
    ("", "RNN"): ("RNN", 1), ("", "GRU"): ("GRU", 3), ("", "LSTM"): ("LSTM", 4),
    ("com.microsoft", "DynamicQuantizeLSTM"): ("LSTM", 4),
}  # fmt: skip
BOUNDED = frozenset({"tanh", "sigmoid", "hardsigmoid", "softsign", "scaledtanh"})
KEPT = frozenset(
    {"activation_alpha", "activation_beta", "activations", "clip", "direction", "input_forget", "linear_before_reset"}
)
STATES = (5, 6)  # the slots of the first hidden state and of the first cell state
CUT = REARRANGERS | {"Slice", "Split", "Gather"}


@dataclass(frozen=True, eq=False)
class Recurrence:
    """A recurrent layer, behind which one like it can stand.

    Attributes:
        node: The layer.
        hidden: How many channels it has, in each direction.
        directions: In how many directions it reads.
        value: What it gives: ``[length, directions, batch, hidden]`` for all places, or ``[directions, batch, hidden]``
            for the last ones where only these are read.
        dtype: The type of the numbers.
    """

    node: ir.Node
    hidden: int
    directions: int
    value: ir.Value
    dtype: ir.DataType

    @property
    def kind(self) -> str:
        """The operator of a layer like it."""
        return CELLS[operator_of(self.node)][0]


def recurrent(node: ir.Node) -> bool:
    """Say whether a node is a recurrent layer."""
    return operator_of(node) in CELLS


def recurrence(analysis: Analysis, node: ir.Node) -> Recurrence:
    """Return a recurrent layer, if one like it can stand behind it.

    Raises:
        NotApplicable: If none can.
    """
    if not isinstance(node.graph, ir.Graph):
        raise NotApplicable("it stands in a function")
    if node.attributes.get_int("layout", 0):
        raise NotApplicable("its batch comes first")
    for slot in STATES:
        if slot < len(node.inputs) and _handed_in(node.inputs[slot]):
            raise NotApplicable("its state comes from outside, and a new layer's would have to come from there, too")
    value = next((each for each in node.outputs[:2] if each.name and (each.uses() or each.is_graph_output())), None)
    if value is None:
        raise NotApplicable("only its cell state is read")
    axes, found = analysis.axes.get(value), analysis.shapes.get(value)
    hidden, directions = (size(axes[-1]), size(axes[-3])) if axes else (None, None)
    dtype = value.dtype or (found.dtype if found is not None else None)
    if not hidden or not directions or dtype not in FLOATS:
        raise NotApplicable("it is not known how many channels it has, or of what type")
    return Recurrence(node, hidden, directions, value, dtype)


def _handed_in(value: ir.Value | None) -> bool:
    """Say whether a tensor, or what it was cut from, is an input of its graph."""
    while value is not None and (node := value.producer()) is not None and node.op_type in CUT:
        value = node.inputs[0]
    return value is not None and value.is_graph_input() and value.const_value is None


def stacked(splice: Splice, near: Recurrence, value: ir.Value, seed: int) -> ir.Value:
    """Add ``value + project(layer(y))``, where the projection is zero and ``y`` is what the layer before gives.

    Args:
        splice: Where the nodes go.
        near: The layer that the new one is like.
        value: What that gives, or layers that were added behind it.
        seed: Seed of the new layer's weights, which are drawn.
    """
    node, length = near.node, near.directions * near.hidden
    places = value if near.value is node.outputs[0] else _all_places(splice, near)
    turned = splice.node(node, "Transpose", [places], [ir.AttrInt64s("perm", [0, 2, 1, 3])], word="turned")
    shape = splice.names.initializer(f"{near.value.name}_deeper.shape", np.array([0, 0, length], np.int64))
    joined = splice.node(node, "Reshape", [turned, shape], word="joined")
    turned.shape, joined.shape = ir.Shape([None] * 4), ir.Shape([None, None, length])
    operands: list[ir.Value | None] = [joined, *_weights(splice, near, value, seed)]
    if len(node.inputs) > 4 and node.inputs[4] is not None:  # how long each sequence is
        operands += [*[None] * (4 - len(operands)), node.inputs[4]]
    kept = KEPT if _bounded(node) else KEPT - {"activations", "activation_alpha", "activation_beta"}
    attributes = [each for each in node.attributes.values() if each.name in kept]
    attributes.append(ir.AttrInt64("hidden_size", near.hidden))
    count = 1 if near.value is node.outputs[0] else 2
    new = splice.node(node, near.kind, operands, attributes, word="layer", outputs=count)
    shape_of = (near.directions, near.hidden, near.hidden) if near.directions > 1 else (near.hidden, near.hidden)
    zeros = splice.parameter(None, "projection", np.zeros(shape_of), near.dtype, node.inputs[2])
    last = splice.node(node, "MatMul", [new, zeros], word="last")
    return splice.node(node, "Add", [value, last], word="sum")


def _all_places(splice: Splice, near: Recurrence) -> ir.Value:
    """Return what a layer gives for all places, also if nothing has read that so far."""
    found = near.node.outputs[0]
    if not found.name:
        found.name = splice.names.value(f"{near.value.name}_places")
        found.type, found.shape = ir.TensorType(near.dtype), ir.Shape([None, near.directions, None, near.hidden])
    return found


def _weights(splice: Splice, near: Recurrence, value: ir.Value, seed: int) -> list[ir.Value]:
    """Add the weights of a new layer, ``[directions, gates hidden, ...]``, and biases of zeros if the other has some.

    They are drawn as frameworks draw them, or smaller where the layer reads what is not bounded: what comes before a
    weight of zero must be finite.
    """
    node, rows, most = near.node, CELLS[operator_of(near.node)][1] * near.hidden, 1 / np.sqrt(near.hidden)
    rng = np.random.default_rng([seed, zlib.crc32(str(value.name).encode())])
    widths = near.directions * near.hidden, near.hidden
    read, kept = (rng.uniform(-most, most, (near.directions, rows, width)) for width in widths)
    if not _bounded(node):
        read *= MOST / np.maximum(np.abs(read).sum(-1, keepdims=True), MOST)
    found = [
        splice.parameter(node.inputs[1], "input_weight", read, near.dtype),
        splice.parameter(node.inputs[2], "recurrent_weight", kept, near.dtype),
    ]
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        found.append(splice.parameter(node.inputs[3], "bias", np.zeros((near.directions, 2 * rows)), near.dtype))
    return found


def _bounded(node: ir.Node) -> bool:
    """Say whether what a layer gives is bounded, whatever its weights are."""
    functions = node.attributes.get("activations")
    return functions is None or BOUNDED.issuperset(str(name).lower() for name in functions.value)
