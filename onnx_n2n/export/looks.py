"""What a tensor looks like, by what it is used for and what is in it: a weight, or what a formula needs.

A formula needs single numbers, masks, tables of sines, states of zeros. What is decided by looks
may be wrong, and is reported as a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.depth.splice import LAST_PART
from onnx_n2n.export.choice import STATISTICS, Decision
from onnx_n2n.export.flow import Meeting
from onnx_n2n.export.formulas import formula_of, is_written
from onnx_n2n.graph.constants import uniform
from onnx_n2n.graph.operators import qualified
from onnx_n2n.record.provenance import ANONYMOUS

# Slots that hold weights, whatever they look like.
SLOTS: Mapping[str, frozenset[int]] = {
    "BatchNormalization": frozenset({1, 2, 3, 4}),
    "Conv": frozenset({1, 2}),
    "ConvTranspose": frozenset({1, 2}),
    "DeformConv": frozenset({1, 3}),
    "Einsum": frozenset({0, 1, 2}),
    "GRU": frozenset({1, 2, 3}),
    "Gemm": frozenset({0, 1, 2}),
    "GroupNormalization": frozenset({1, 2}),
    "InstanceNormalization": frozenset({1, 2}),
    "LSTM": frozenset({1, 2, 3, 7}),
    "LayerNormalization": frozenset({1, 2}),
    "MatMul": frozenset({0, 1}),
    "PRelu": frozenset({1}),
    "RMSNormalization": frozenset({1}),
    "RNN": frozenset({1, 2, 3}),
    "com.microsoft.Attention": frozenset({1, 2}),
    "com.microsoft.BiasGelu": frozenset({1}),
    "com.microsoft.EmbedLayerNormalization": frozenset({2, 3, 4, 5, 6}),
    "com.microsoft.FastGelu": frozenset({1}),
    "com.microsoft.FusedConv": frozenset({1, 2}),
    "com.microsoft.FusedGemm": frozenset({0, 1, 2}),
    "com.microsoft.FusedMatMul": frozenset({0, 1}),
    "com.microsoft.MultiHeadAttention": frozenset({3}),
    "com.microsoft.SkipLayerNormalization": frozenset({2, 3, 4}),
    "com.microsoft.SkipSimplifiedLayerNormalization": frozenset({2, 3}),
}
PRODUCTS = frozenset({"MatMul", "Einsum", "com.microsoft.FusedMatMul"})  # also of tables: angles, Fourier transforms
LAYERS = PRODUCTS | frozenset({"Conv", "ConvTranspose", "Gemm"})
MEASURED = frozenset({3, 4})  # slots of BatchNormalization

# Operators that take tensors of one number that nobody learns: paddings, states and sums that begin at zero.
FILLED = frozenset(
    {"Concat", "Expand", "GRU", "InstanceNormalization", "LSTM", "Loop", "Pad", "RNN", "Scan", "ScatterElements",
     "ScatterND", "Slice", "Where"}
)  # fmt: skip
CURVED = frozenset(
    {"Abs", "Clip", "Cos", "Elu", "Erf", "Exp", "Log", "Mish", "Reciprocal", "Relu", "Sigmoid", "Sin", "Softmax",
     "Softplus", "Sqrt", "Tanh"}
)  # fmt: skip
"""A number that goes through one of these before it meets data is learned: a formula would hold the result instead."""

MASK = 1e4  # what a mask adds is larger than any weight
VARIABLE = "ReadVariableOp"  # in what tf2onnx calls a variable of TensorFlow
_FORMULAS = {"progression": "numbers at even steps, or powers", "sines": "a table of sines"}


@dataclass(frozen=True)
class Looks:
    """Decides over tensors by their looks.

    Attributes:
        told: Whether the exporter says what was a parameter.
        scripted: Whether TorchScript has named the initializers, so that a parameter has a name of its own.
    """

    told: bool
    scripted: bool

    def of(self, value: ir.Value, tensor: ir.TensorProtocol, meetings: list[Meeting]) -> Decision:
        """Decide by what a tensor is used for, and what is in it."""
        if not meetings:
            return Decision("constant", "nothing reads it")
        if _statistics(meetings) and not any(weighs(m) and not _statistics([m]) for m in meetings):
            return STATISTICS
        reached = [meeting for meeting in meetings if not meeting.steers]
        if not reached:
            frozen = any(meeting.quantised for meeting in meetings)
            operator = _reader(meetings[0])
            because = f"a frozen number of the quantised {operator}" if frozen else f"no gradient passes {operator}"
            return Decision("constant", because)
        slotted = [meeting for meeting in reached if weighs(meeting)]
        made = value.producer() is not None or self.told
        if made and {*map(_reader, slotted)} == {"InstanceNormalization"} and uniform(tensor.numpy()):
            return Decision("constant", "one number throughout, as norms without weights have")
        if tensor.size <= 1:
            return self._single(value, tensor, reached, slotted)
        if slotted:
            return self._weight(tensor, slotted)
        array = tensor.numpy().astype(np.float64)
        even, formula = uniform(array), formula_of(array)
        if not np.isfinite(array).all() or np.abs(array).max(initial=0.0) >= MASK:
            return Decision("constant", "a mask: it holds numbers larger than weights are", guess=True)
        if formula:
            return Decision("constant", _FORMULAS[formula], guess=True)
        if even and all(_reader(meeting) in FILLED for meeting in reached):
            if self._named(value):
                return Decision("trained", "one number throughout, under a name that only variables have", guess=True)
            return Decision("constant", "one number throughout, as paddings and states are", guess=True)
        vector = max(array.shape) == array.size
        if not vector and not even and set(np.unique(array)) <= {0.0, 1.0}:
            return Decision("constant", "a mask of zeros and ones", guess=True)
        operator = _reader(reached[0])
        if reached[0].node is None:
            return Decision("trained", "an initializer that is an output", guess=True)
        embedding = operator == "Gather" and reached[0].slot == 0 and array.ndim == 2
        guess = not (vector or embedding or self._named(value))
        return Decision("trained", f"an initializer that {operator} reads", guess)

    def _weight(self, tensor: ir.TensorProtocol, slotted: list[Meeting]) -> Decision:
        """Decide over a tensor that stands where weights do."""
        operators = {_reader(meeting) for meeting in slotted}
        if operators <= PRODUCTS:
            formula = formula_of(tensor.numpy())
            if formula == "sines" or (formula and max(tensor.shape.numpy()) == tensor.size):
                return Decision("constant", _FORMULAS[formula], guess=True)
        return Decision("trained", f"a weight of {_reader(slotted[0])}")

    def _single(
        self, value: ir.Value, tensor: ir.TensorProtocol, reached: list[Meeting], slotted: list[Meeting]
    ) -> Decision:
        """Decide over a single number: most are part of a formula."""
        if slotted and not all(_reader(meeting) in PRODUCTS and not tensor.shape for meeting in slotted):
            return Decision("trained", f"a weight of {_reader(slotted[0])}")
        if self._named(value):
            return Decision("trained", "one number, under a name that only variables have")
        curve = next((node for meeting in reached for node in meeting.passed if node.op_type in CURVED), None)
        if curve is not None:
            return Decision("trained", f"one number, but put through {curve.op_type}", guess=True)
        if len(tensor.shape) == 1 and any(map(_behind_layer, reached)):
            return Decision("trained", "one number, but added to what a layer makes", guess=True)
        if not ANONYMOUS.match(str(value.name)) and LAST_PART.search(str(value.name)) and tensor.shape:
            return Decision("trained", "one number, but named as weights are", guess=True)
        stated = value.producer() is not None or is_written(tensor.numpy().reshape(-1)[0] if tensor.size else 0.5)
        return Decision("constant", "one number, as formulas have", guess=not stated)

    def _named(self, value: ir.Value) -> bool:
        """Say whether a tensor has a name that its exporter gives to variables only."""
        name = str(value.name)
        if VARIABLE in name:
            return True
        copied = value.producer() is not None
        return self.scripted and not copied and not ANONYMOUS.match(name) and not name.startswith("/")


def weighs(meeting: Meeting) -> bool:
    """Say whether a tensor meets data where weights do."""
    return meeting.node is not None and meeting.slot in SLOTS.get(qualified(meeting.node), frozenset())


def _statistics(meetings: Iterable[Meeting]) -> bool:
    return any(_reader(m) == "BatchNormalization" and m.slot in MEASURED for m in meetings)


def _reader(meeting: Meeting) -> str:
    """Return the operator that reads a tensor."""
    return "an output" if meeting.node is None else qualified(meeting.node)


def _behind_layer(meeting: Meeting) -> bool:
    """Say whether a tensor is added to what a layer makes."""
    if meeting.node is None or meeting.node.op_type != "Add":
        return False
    makers = [value.producer() for value in meeting.node.inputs if value is not None]
    return any(maker is not None and qualified(maker) in LAYERS for maker in makers)
