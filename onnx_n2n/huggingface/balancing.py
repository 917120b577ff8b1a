"""Which weights make up for it where a node multiplies by another number: the embeddings in front, a gain behind.

Each tensor is some factor larger than it was, and each node is an equation between the factors of what it reads and
makes. A number that has changed breaks one. The search mends a broken equation by one more factor, and goes on with
what that breaks, until all equations hold. What a model reads and gives keeps the factor 1, and so do numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import onnx_ir as ir

from onnx_n2n.graph.operators import operator_of

ONE = Fraction(1)
LIMIT = 2048  # factors that are tried
DEEPEST = 256  # tensors that get one
KEEPING = frozenset({
    "Cast", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
    "Unsqueeze",
})  # fmt: skip  # what they make is as much larger as their first operand
SUMS = frozenset({"Add", "Concat", "Sub", "Sum"})  # as much larger as each operand
PRODUCTS = {"Mul": 1, "MatMul": 1, "Gemm": 1, "Div": -1}  # the power of the second operand
NORMS = frozenset({"LayerNormalization", "RMSNormalization"})  # as much larger as gain and bias

Factors = Mapping[ir.Value, Fraction]


@dataclass(frozen=True, eq=False)
class Equation:
    """The factors of some tensors, each to a power of 1 or -1, multiply to a total."""

    powers: tuple[tuple[ir.Value, int], ...]
    total: Fraction = ONE

    def lacking(self, known: Factors) -> Fraction:
        """Return what has to be multiplied yet."""
        found = self.total
        for value, power in self.powers:
            found /= known.get(value, ONE) ** power
        return found


@dataclass
class Balance:
    """The equations of a graph.

    Attributes:
        weights: The constants that may have another factor.
        changed: By how much more a node multiplies than it did.
        tried: How many factors were tried.
    """

    weights: Collection[ir.Value]
    changed: Mapping[ir.Node, Fraction]
    tried: int = field(default=0, init=False)

    def found(self) -> Factors:
        """Return the factors that tensors must have, those of weights among them; none where there is no way."""
        return self._mended({}, tuple(self.changed)) or {}

    def _mended(self, known: Factors, near: tuple[ir.Node, ...]) -> Factors | None:
        """Return all factors, with those that are known; only equations of nodes nearby may be broken."""
        broken = next((each for node in near for each in self._equations(node) if each.lacking(known) != 1), None)
        if broken is None:
            return known
        free = [(value, power) for value, power in broken.powers if value not in known and self._may(value)]
        for value, power in sorted(free, key=lambda each: each[0] not in self.weights):
            self.tried += 1
            if self.tried > LIMIT or len(known) >= DEEPEST:
                return None
            factor = broken.lacking(known) ** power
            around = dict.fromkeys((*near, *_around(value)))
            if (found := self._mended({**known, value: factor}, tuple(around))) is not None:
                return found
        return None

    def _may(self, value: ir.Value) -> bool:
        """Say whether a tensor may have another factor than 1."""
        return (value.producer() is not None or value in self.weights) and not value.is_graph_output()

    def _equations(self, node: ir.Node) -> Iterator[Equation]:
        """Yield the equations of a node."""
        domain, name = operator_of(node)
        read = [value for value in node.inputs if value is not None]
        if domain == "" and name in KEEPING:
            yield from (Equation(((made, 1), (read[0], -1))) for made in node.outputs)
            yield from (Equation(((value, 1),)) for value in read[1:])
        elif domain == "" and name in PRODUCTS:
            powers = ((node.outputs[0], -1), (read[0], 1), (read[1], PRODUCTS[name]))
            yield Equation(powers, 1 / self.changed.get(node, ONE))
            yield from (Equation(((node.outputs[0], 1), (value, -1))) for value in read[2:])
        elif domain == "" and name in SUMS:
            terms = [value for value in read if not self._beside(node, value)]
            yield from (Equation(((node.outputs[0], 1), (value, -1))) for value in terms)
        elif domain == "" and name in NORMS:
            yield Equation(((read[0], 1),))
            yield from (Equation(((node.outputs[0], 1), (value, -1))) for value in read[1:])
            yield from (Equation(((value, 1),)) for value in node.outputs[1:])
        else:
            yield from (Equation(((value, 1),)) for value in (*read, *node.outputs))

    def _beside(self, node: ir.Node, value: ir.Value) -> bool:
        """Say whether a node adds a number to a weight that it alone reads: ``1 + gain``, which is one weight then."""
        alone = any(each in self.weights and len(each.uses()) == 1 for each in node.inputs if each is not None)
        return number(value) is not None and len(node.inputs) == 2 and alone


def number(value: ir.Value | None) -> float | None:
    """Return the floating-point number that a constant is, None for anything else."""
    tensor = value.const_value if value is not None else None
    if tensor is None or tensor.size != 1 or not tensor.dtype.is_floating_point():
        return None
    return float(tensor.numpy().reshape(()))


def _around(value: ir.Value) -> Iterator[ir.Node]:
    if (producer := value.producer()) is not None:
        yield producer
    yield from (use.node for use in value.uses())
