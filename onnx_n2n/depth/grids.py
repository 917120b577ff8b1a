"""Multiples of a scale, to which quantised networks round: what is on such a grid stays as it is when it is rounded.

``Q(DQ(q)) = q`` for every whole number ``q`` of the type: with ``n = q - zero``, what is rounded is ``n s / s``, which
is off from ``n`` by at most ``|n| eps``, where both roundings of the scale's type together are ``eps``. That is less
than a half for all numbers of 8 bits in half precision, and of 16 bits in single precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.depth.splice import Splice
from onnx_n2n.depth.zeros import Refused, number
from onnx_n2n.graph.quantised import WHOLE
from onnx_n2n.graph.uses import operand
from onnx_n2n.record.division import Type

LARGEST = 1024.0  # of one step over another in a sum; beyond 2^13 a kernel that adds in single precision may round


@dataclass(frozen=True, eq=False)
class Grid:
    """What whole numbers stand for.

    Attributes:
        numbers: The whole numbers.
        scale: The length of a step.
        zero: The number that stands for 0, or None for 0 itself.
        taken_back: The DequantizeLinear that makes floating-point numbers of them, which are added; None where it is
            the whole numbers that are.
    """

    numbers: ir.Value
    scale: ir.Value
    zero: ir.Value | None
    taken_back: ir.Node | None

    @classmethod
    def of(cls, analysis: Analysis, node: ir.Node, slot: int) -> Grid:
        """Return the grid of the whole numbers at an input of a node, with scale and zero point in the next two.

        Args:
            analysis: The model, analysed.
            node: A DequantizeLinear, or one that calculates with whole numbers.
            slot: The input.

        Raises:
            Refused: If it is not known that what is on it stays as it is when it is rounded.
        """
        numbers, scale = operand(node, slot), operand(node, slot + 1)
        zero = node.inputs[slot + 2] if slot + 2 < len(node.inputs) else None
        found = analysis.shapes.get(numbers)
        dtype = numbers.dtype or (found.dtype if found is not None else None)
        dtype = analysis.constants[zero].dtype if zero is not None and zero in analysis.constants else dtype
        lengths = analysis.constants.array(scale)
        point = np.zeros(1) if zero is None else analysis.constants.array(zero)
        if lengths is None or point is None or not lengths.size:
            raise Refused(f"the scale or zero point of {str(numbers.name)!r} is computed")
        if dtype is None or dtype not in WHOLE or (zero is None and dtype != ir.DataType.UINT8):
            raise Refused(f"it is not known how {str(numbers.name)!r} would be rounded")
        if not _stays(dtype, lengths, point):
            raise Refused(f"what {str(numbers.name)!r} stands for may be another number when it is rounded once more")
        return cls(numbers, scale, zero, node if node.op_type == "DequantizeLinear" else None)

    def same(self, analysis: Analysis, other: Grid) -> bool:
        """Say whether another grid is equal, and each is of one step and one zero point."""
        constants = analysis.constants
        return all(
            number(constants, one) is not None and number(constants, one) == number(constants, two)
            for one, two in ((self.scale, other.scale), (self.zero, other.zero))
        )

    def added(self, analysis: Analysis, scale: ir.Value) -> None:
        """Check that numbers of another scale can be added to those of the grid: of these only 0 is.

        Raises:
            Refused: If what a kernel calculates for 0 may be rounded to another number than 0.
        """
        own, other = (analysis.constants.array(each) for each in (self.scale, scale))
        if own is None or other is None or float(other.max()) > LARGEST * float(own.min()):
            reason = f"the scale {str(scale.name)!r} is computed, or more than {LARGEST:,.0f} times that of its sum"
            raise Refused(reason)

    def enter(self, splice: Splice, value: ir.Value, like: ir.Value) -> ir.Value:
        """Add a DequantizeLinear that gives what whole numbers on the grid stand for, in the type of ``like``."""
        node = self.taken_back
        assert node is not None
        return _added(splice, node, "DequantizeLinear", [value, *node.inputs[1:]], list(node.attributes.values()), like)

    def leave(self, splice: Splice, value: ir.Value) -> ir.Value:
        """Add a QuantizeLinear that rounds to the grid."""
        node = self.taken_back
        assert node is not None
        kept = [each for each in node.attributes.values() if each.name in {"axis", "block_size"}]
        return _added(splice, node, "QuantizeLinear", [value, *node.inputs[1:]], kept, self.numbers)


def _added(
    splice: Splice, node: ir.Node, operator: str, inputs: list[ir.Value | None], attributes: list[ir.Attr],
    like: ir.Value,
) -> ir.Value:  # fmt: skip
    name = splice.names.node(f"{node.name}_deeper") if node.name else None
    made = ir.Node(node.domain, operator, inputs, attributes, version=node.version, name=name)
    out = made.outputs[0]
    out.name, out.type, out.shape = splice.names.value(f"{like.name}_deeper"), like.type, like.shape
    splice.nodes.append(made)
    return out


def _stays(dtype: ir.DataType, scale: np.ndarray, zero: np.ndarray) -> bool:
    """Say whether each whole number of a type comes back when what it stands for is rounded."""
    bits, kind, lengths = int(dtype.bitwidth), Type.of(scale.dtype), scale.astype(np.float64)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.name.startswith("INT") else (0, 2**bits - 1)
    most = float(max(high - int(zero.min()), int(zero.max()) - low))
    exact = most * 2.0 ** (1 - kind.bits) < 1 / 2
    return exact and bool((lengths >= kind.tiny).all() and (most * lengths < kind.largest).all())
