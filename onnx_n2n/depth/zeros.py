"""Which weights of a branch have to be zero so that it gives zero, also where numbers are quantised.

A quantised number is zero where it is its zero point. A layer whose weights are all at their zero points gives exactly
0, whatever it reads, and 0 is rounded to the zero point of the result, and taken back to 0.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.graph.constants import FLOATS, Constants
from onnx_n2n.graph.passthrough import REARRANGERS, stored
from onnx_n2n.graph.quantised import BIASES, is_quantised, zero_point
from onnx_n2n.graph.uses import Use, operand

CHOICES = frozenset({"Gather", "GatherND", "GatherElements"})  # of a table
# Nodes that make zeros of zeros, and learn: the slope of what they do to them is not zero.
PASSING = REARRANGERS | CHOICES | {
    "Dropout", "Flatten", "Slice", "Expand", "Neg", "AveragePool", "ReduceMean", "ReduceSum", "Tanh", "Gelu",
    "Swish", "Mish",
}  # fmt: skip
# The slot of a layer's weight, and those of what is added to its result.
LAYERS: dict[str, tuple[int, tuple[int, ...]]] = {
    "Conv": (1, (2,)), "ConvTranspose": (1, (2,)), "Gemm": (1, (2,)), "MatMul": (1, ()), "FusedMatMul": (1, ()),
    "ConvInteger": (1, ()), "MatMulInteger": (1, ()), "MatMulIntegerToFloat": (1, (6,)),
    "DynamicQuantizeMatMul": (1, (4,)), "QLinearConv": (3, (8,)), "QLinearMatMul": (3, ()), "QGemm": (3, (6,)),
}  # fmt: skip
RESULTS = {"QuantizeLinear": 2, "QLinearConv": 7, "QLinearMatMul": 7, "QGemm": 8}  # the slot of a result's zero point
GAINS = {"BatchNormalization": (1, 2), "LayerNormalization": (1, 2), "RMSNormalization": (1,)}


class Refused(Exception):  # noqa: N818 - not an error: what looks like a branch cannot be copied, for this reason
    """No copy of a branch can stand in the model."""


@dataclass(frozen=True, eq=False)
class Zeros:
    """The search for what has to be zero in a branch.

    Attributes:
        analysis: The model, analysed.
        nodes: The nodes of the branch.
    """

    analysis: Analysis
    nodes: frozenset[ir.Node]

    def of(self, value: ir.Value, reader: ir.Node) -> list[Use]:
        """Return the uses of constants that must be zero so that a tensor is, which ``reader`` adds.

        A constant behind nodes that only move it is zero for one of its uses, whatever it is for others.

        Raises:
            Refused: If zeros would not come through, or could never become anything else.
        """
        if kept(self.analysis.constants, value) is not None:
            return [self._constant(reader, reader.inputs.index(value))]
        node = value.producer()
        if node is not None and node.op_type == "DequantizeLinear":
            return self.steps(operand(node, 0), node, _input(node, 2))
        if node is None or node not in self.nodes:
            raise Refused(f"{str(value.name)!r} is added too, and is made outside of it")
        if weight(self.analysis.constants, node) is not None:
            return self._layer(node)
        if node.op_type in GAINS:
            slots = [slot for slot in GAINS[node.op_type] if slot < len(node.inputs) and node.inputs[slot] is not None]
            if all(kept(self.analysis.constants, node.inputs[slot]) is not None for slot in slots):
                return [(node, slot) for slot in slots]
            raise Refused(f"{node.op_type} {node.name!r} has a gain that is computed")
        if node.op_type in {"Add", "Sub", "Sum", "Where"}:
            operands = [v for slot, v in enumerate(node.inputs) if v is not None and (slot or node.op_type != "Where")]
            return [use for operand in operands for use in self.of(operand, node)]
        if node.op_type in {"Mul", "Div"}:
            return self._factors(node)
        if node.op_type == "MatMul":
            return self._chosen(node)
        if node.op_type in PASSING and node.inputs[0] is not None:
            return self.of(node.inputs[0], node)
        raise _between(node)

    def steps(self, value: ir.Value, reader: ir.Node, zero: ir.Value | None) -> list[Use]:
        """Return the uses of constants that must be zero so that whole numbers are all a zero point.

        Raises:
            Refused: If zeros would not come through, or could never become anything else.
        """
        if value in self.analysis.constants:
            return [(reader, reader.inputs.index(value))]
        node = value.producer()
        if node is None or node not in self.nodes:
            raise Refused(f"{str(value.name)!r} is added too, and is made outside of it")
        if node.op_type in RESULTS:
            slot = RESULTS[node.op_type]
            wanted, made = (number(self.analysis.constants, each) for each in (zero, _input(node, slot)))
            if wanted is None or wanted != made:
                raise Refused(f"what {node.op_type} {node.name!r} makes of 0 is not taken back to 0")
            return self.of(operand(node, 0), node) if node.op_type == "QuantizeLinear" else self._layer(node)
        if node.op_type in REARRANGERS | {"Flatten"}:
            return self.steps(operand(node, 0), node, zero)
        raise _between(node)

    def _constant(self, node: ir.Node, slot: int) -> Use:
        """Make a constant zero, also one that is moved or taken back from quantised numbers."""
        if (moved := stored(node.inputs[slot])[1]) and not _zeroable(self.analysis.constants, node, slot):
            raise Refused(f"it is not known what stands for 0 in {moved[-1].op_type} {moved[-1].name!r}")
        return node, slot

    def _layer(self, node: ir.Node) -> list[Use]:
        """Make a layer zero, with its bias."""
        slot = weight(self.analysis.constants, node)
        if slot is None:
            raise Refused(f"the weight of {node.op_type} {node.name!r} is no constant that can be zero")
        found: list[Use] = [(node, slot)]
        for bias in LAYERS[node.op_type][1]:
            if _input(node, bias) is not None:
                found += self.of(operand(node, bias), node)
        return found

    def _chosen(self, node: ir.Node) -> list[Use]:
        """Make the weight of a product zero that is chosen from a table, as for each token those of its experts are.

        What is chosen has no other reader: another that is zero as well might keep it from learning.
        """
        for slot in (1, 0):
            value: ir.Value | None = operand(node, slot)
            while value is not None and (maker := value.producer()) in self.nodes and len(value.uses()) == 1:
                assert maker is not None
                if maker.op_type in CHOICES and _learns(self.analysis.constants, maker, 0):
                    return self.of(operand(node, slot), node)
                value = maker.inputs[0] if maker.op_type in REARRANGERS else None
        raise _between(node)

    def _factors(self, node: ir.Node) -> list[Use]:
        """Make one factor of a product zero, but not what makes another one zero too: no factor would have a slope."""
        reasons, found = [], dict[int, list[Use]]()
        never = f"all that {node.op_type} {node.name!r} multiplies would be zero, and never learn"
        for slot, factor in enumerate(node.inputs[: 2 if node.op_type == "Mul" else 1]):
            if factor is not None and kept(self.analysis.constants, factor) is None:
                try:
                    found[slot] = self.of(factor, node)
                except Refused as refusal:
                    reasons.append(str(refusal))
        for slot, uses in found.items():
            if not any(self._vanishes((node, other), set(uses)) for other in range(len(node.inputs)) if other != slot):
                return uses
        if found:
            raise Refused(never)
        raise Refused(reasons[0] if reasons else f"{node.op_type} {node.name!r} multiplies constants")

    def _vanishes(self, use: Use, zero: Set[Use]) -> bool:
        """Say whether what a node reads is zero, if uses of constants are."""
        if use in zero:
            return True
        node = operand(*use).producer()
        if node is None or node not in self.nodes:
            return False
        known = [(node, slot) for slot, value in enumerate(node.inputs) if value is not None]
        if node.op_type in {"Add", "Sub", "Sum", "Where"}:
            return all(self._vanishes(each, zero) for each in known[node.op_type == "Where" :])
        if node.op_type in LAYERS:
            slot, biases = LAYERS[node.op_type]
            one = any(self._vanishes((node, each), zero) for each in (0, slot))
            return one and all(self._vanishes(each, zero) for each in known if each[1] in biases)
        if node.op_type in GAINS:
            return all(each in zero for each in known if each[1] in GAINS[node.op_type])
        if node.op_type == "Mul":
            return any(self._vanishes(each, zero) for each in known)
        return node.op_type in PASSING | {"Div", "DequantizeLinear"} and self._vanishes((node, 0), zero)


def weight(constants: Constants, node: ir.Node) -> int | None:
    """Return the input slot of a layer's constant weight that can be zero, or None where there is none."""
    if node.op_type not in LAYERS:
        return None
    slot, _ = LAYERS[node.op_type]
    return slot if _learns(constants, node, slot) else None


def _learns(constants: Constants, node: ir.Node, slot: int) -> bool:
    """Say whether a node reads a constant that can be zero and then learn, perhaps behind nodes that move it."""
    return kept(constants, _input(node, slot)) is not None and _zeroable(constants, node, slot)


def _zeroable(constants: Constants, node: ir.Node, slot: int) -> bool:
    """Say whether it is known what stands for 0 in the constant at an input, perhaps behind nodes that move it."""
    value, moved = stored(node.inputs[slot])
    last, place = (moved[-1], 0) if moved else (node, slot)
    if is_quantised(last, place):
        return zero_point(constants, last, place) is not None
    return value is not None and constants.scalable(value)


def kept(constants: Constants, value: ir.Value | None) -> ir.Value | None:
    """Return the constant that a tensor is, behind nodes that only move it or make another floating-point type of it.

    None where it is no constant, or another one, as of whole numbers that become floating-point ones.
    """
    found, moved = stored(value)
    if found is None or found not in constants:
        return None
    floating = constants[found].dtype in FLOATS
    for node in reversed(moved):
        if node.op_type == "Cast" and not (floating and node.attributes.get_int("to", 0) in FLOATS):
            return None
        floating = floating or node.op_type == "DequantizeLinear"
    return found


def zeros(constants: Constants, node: ir.Node, slot: int) -> np.ndarray:
    """Return what a constant is where it is zero: its zero point if it is quantised there."""
    tensor = constants[operand(node, slot)]
    point = zero_point(constants, node, slot)
    array = np.zeros(tensor.shape.numpy(), tensor.dtype.numpy())
    return array if point is None else np.broadcast_to(point, array.shape).astype(array.dtype)


def is_weight(constants: Constants, node: ir.Node, slot: int) -> bool:
    """Say whether a constant is one that a copy of a node has of its own: others steer it, or are scales of all."""
    tensor = constants[operand(node, slot)]
    if is_quantised(node, slot) or slot == BIASES.get(node.op_type):
        return True
    return constants.scalable(operand(node, slot)) and tensor.size > 1


def number(constants: Constants, value: ir.Value | None) -> float | None:
    """Return what a constant of one number is, also one that is repeated; 0 for one that is left out."""
    if value is None:
        return 0.0
    array = constants.small(value)
    if array is None or not array.size or not np.all(array == array.flat[0]):
        return None
    return float(array.flat[0])


def _input(node: ir.Node, slot: int) -> ir.Value | None:
    return node.inputs[slot] if slot < len(node.inputs) else None


def _between(node: ir.Node) -> Refused:
    return Refused(f"{node.op_type} {node.name!r} stands between its last layer and the sum")
