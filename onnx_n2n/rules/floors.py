"""How small the numbers of a tensor can be: what lets a root, a logarithm or a quotient be defined for every input.

A fresh channel holds other numbers than any channel of the teacher. But ``1 + exp(x)`` is at least 1 whatever ``x`` is,
and ``sqrt(x * x + 0.1)`` has a least value too. So an operator that is partial takes fresh channels where its operand
has a floor. The operators that have one are a table; a tensor behind any other has none.

All floors hold for rounded arithmetic. A positive one is a little lower than in exact arithmetic, and 0 where the type
might round it to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.constants import FLOATS, Constants
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.uses import Use

LONGEST = 1 << 22  # elements of a constant that is looked at
SLACK = 2.0**-7  # what rounding may take off, relative; the coarsest type keeps 8 bits
SMALLEST = {
    ir.DataType.FLOAT16: 2.0**-14, ir.DataType.BFLOAT16: 2.0**-126, ir.DataType.FLOAT: 2.0**-126,
    ir.DataType.DOUBLE: 2.0**-1022,
}  # fmt: skip
WHOLE = frozenset({ir.DataType.BOOL, ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64})


@dataclass(frozen=True)
class Floor:
    """The least number that a tensor can hold, whatever finite numbers a model is given.

    Attributes:
        least: The number; minus infinity if it may hold any.
        kept: Where constants are read that this hangs on: it holds if their new places are copies.
    """

    least: float = -math.inf
    kept: tuple[Use, ...] = ()

    @property
    def positive(self) -> bool:
        """Whether all numbers are above zero."""
        return self.least > 0

    @property
    def never_negative(self) -> bool:
        """Whether no number is below zero."""
        return self.least >= 0


NONE = Floor()
ZERO = Floor(0.0)


class Floors:
    """The floors of the tensors of a model, found when they are asked for.

    Args:
        constants: Its constants.
        dtype: Returns the element type of a tensor, if it is known.
    """

    def __init__(self, constants: Constants, dtype: Callable[[ir.Value], ir.DataType | None]) -> None:
        self._constants, self.dtype = constants, dtype
        self._found: dict[ir.Value, Floor] = {}

    def of(self, node: ir.Node, slot: int) -> Floor:
        """Return the floor of an operand."""
        value = node.inputs[slot] if slot < len(node.inputs) else None
        if value is None:
            return NONE
        if value in self._constants or self._constants.small(value) is not None:
            return self._constant(value, (node, slot))
        path = {} if value in self._found else {value: None}
        while path:  # not by recursion: a chain of nodes may be thousands long
            current = next(reversed(path))
            below = (each for each in self._operands(current) if each not in self._found and each not in path)
            if (operand := next(below, None)) is not None:
                path[operand] = None
                continue
            del path[current]
            producer = current.producer()
            rule = FLOORS.get(operator_of(producer)) if producer is not None else None
            found = rule(self, producer) if rule is not None and producer is not None else NONE
            self._found[current] = self._stored(current, found)
        return self._found[value]

    def number(self, node: ir.Node, slot: int, name: str = "") -> np.ndarray | None:
        """Return a constant operand, or an attribute that states it in older versions."""
        value = node.inputs[slot] if slot < len(node.inputs) else None
        stated = node.attributes.get(name)
        if value is None:
            return None if stated is None or stated.is_ref() else np.asarray(stated.value)
        return self._constants.small(value)

    def computed(self, node: ir.Node, slot: int) -> bool:
        """Say whether an operand is no constant."""
        return node.inputs[slot] not in self._constants

    def _operands(self, value: ir.Value) -> list[ir.Value]:
        """Return what the floor of a tensor hangs on, constants left out."""
        node = value.producer()
        if node is None or operator_of(node) not in FLOORS:
            return []
        return [
            each for each in node.inputs
            if each is not None and each not in self._constants and self._constants.small(each) is None
        ]  # fmt: skip

    def _constant(self, value: ir.Value, use: Use) -> Floor:
        size = self._constants[value].size if value in self._constants else 0
        array = self._constants.array(value) if size <= LONGEST else None
        if array is None or array.dtype.kind in "OSUVc" or not array.size:
            return NONE
        least = float(np.min(array))
        return Floor(least, (use,) if array.size > 1 else ()) if math.isfinite(least) else NONE

    def _stored(self, value: ir.Value, found: Floor) -> Floor:
        """Return what is left of a floor once numbers are rounded to the type of a tensor."""
        dtype = self.dtype(value)
        if math.isnan(found.least) or found.least == math.inf or dtype not in FLOATS:
            return NONE
        least = found.least
        if math.isfinite(least) and not (math.frexp(least)[0] * 256).is_integer():
            least *= 1 - math.copysign(SLACK, least)
        if 0 < least < SMALLEST[dtype]:
            least = 0.0
        return replace(found, least=least)


Rule = Callable[[Floors, ir.Node], Floor]


def _lowest(found: list[Floor]) -> Floor:
    """Return the floor of numbers that are any of these."""
    return Floor(min(each.least for each in found), tuple(use for each in found for use in each.kept))


def _moved(floors: Floors, node: ir.Node) -> Floor:
    return floors.of(node, 0)


def _any(floors: Floors, node: ir.Node) -> Floor:
    return _lowest([floors.of(node, slot) for slot in range(len(node.inputs))])


def _chosen(floors: Floors, node: ir.Node) -> Floor:
    return _lowest([floors.of(node, slot) for slot in (1, 2)])


def _or_zero(floors: Floors, node: ir.Node) -> Floor:
    """Numbers that are moved, with zeros between them."""
    return _lowest([floors.of(node, 0), ZERO])


def _largest(floors: Floors, node: ir.Node) -> Floor:
    return max((floors.of(node, slot) for slot in range(len(node.inputs))), key=lambda each: each.least)


def _above(least: float) -> Rule:
    return lambda _floors, _node: Floor(least)


def _rectified(floors: Floors, node: ir.Node) -> Floor:
    found = floors.of(node, 0)
    return found if found.never_negative else ZERO


def _sum(floors: Floors, node: ir.Node) -> Floor:
    found = [floors.of(node, slot) for slot in range(len(node.inputs))]
    return Floor(sum(each.least for each in found), tuple(use for each in found for use in each.kept))


def _product(floors: Floors, node: ir.Node) -> Floor:
    if node.inputs[0] is node.inputs[1]:
        return ZERO
    one, other = floors.of(node, 0), floors.of(node, 1)
    both = one.never_negative and other.never_negative
    return Floor(one.least * other.least, (*one.kept, *other.kept)) if both else NONE


def _quotient(floors: Floors, node: ir.Node) -> Floor:
    over, under = floors.of(node, 0), floors.of(node, 1)
    return Floor(0.0, (*over.kept, *under.kept)) if over.never_negative and under.positive else NONE


def _root(floors: Floors, node: ir.Node) -> Floor:
    found = floors.of(node, 0)
    return replace(found, least=(1 - SLACK) * math.sqrt(found.least)) if found.never_negative else NONE


def _logarithm(floors: Floors, node: ir.Node) -> Floor:
    found = floors.of(node, 0)
    if not found.positive:
        return NONE
    return replace(found, least=0.0 if found.least >= 1 else (1 + SLACK) * math.log(found.least) - SLACK)


def _reciprocal(floors: Floors, node: ir.Node) -> Floor:
    found = floors.of(node, 0)
    return replace(found, least=0.0) if found.positive else NONE


def _power(floors: Floors, node: ir.Node) -> Floor:
    exponent, base = floors.number(node, 1), floors.of(node, 0)
    if exponent is None or exponent.dtype.kind not in "fiu" or not np.isfinite(exponent).all():
        return NONE
    kept = ((node, 1),) if exponent.size > 1 else ()
    if bool(np.all(exponent % 2 == 0)) and bool(np.all(exponent >= 0)):
        return Floor(0.0, kept)
    defined = base.positive or (base.never_negative and bool(np.all(exponent >= 0)))
    return Floor(0.0, (*base.kept, *kept)) if defined else NONE


def _clip(floors: Floors, node: ir.Node) -> Floor:
    found, low, high = floors.of(node, 0), floors.number(node, 1, "min"), floors.number(node, 2, "max")
    if low is not None and low.size == 1 and math.isfinite(number := float(low.reshape(-1)[0])):
        found = max(found, Floor(number), key=lambda each: each.least)
    bounded = len(node.inputs) > 2 and node.inputs[2] is not None and high is None
    if bounded:
        return NONE  # by what is not known
    return found if high is None or not high.size else _lowest([found, Floor(float(high.reshape(-1)[0]))])


def _padded(floors: Floors, node: ir.Node) -> Floor:
    stated = node.attributes.get("mode")
    if stated is not None and (stated.is_ref() or stated.value != "constant"):
        return floors.of(node, 0)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None and "value" in node.attributes:
        return NONE
    return _lowest([floors.of(node, 0), ZERO if value is None else floors.of(node, 2)])


def _mean(floors: Floors, node: ir.Node) -> Floor:
    """A mean of many, whose rounding is not that of one operation, and perhaps of zeros around them."""
    found = floors.of(node, 0)
    return replace(found, least=0.0 if found.never_negative else 2 * found.least)


def _total(floors: Floors, node: ir.Node) -> Floor:
    found = floors.of(node, 0)
    return replace(found, least=0.0) if found.never_negative else NONE


def _contraction(floors: Floors, node: ir.Node) -> Floor:
    """Sums of products of computed tensors, which no weights with mixtures change."""
    one, other = floors.of(node, 0), floors.of(node, 1)
    computed = floors.computed(node, 0) and floors.computed(node, 1)
    return Floor(0.0, (*one.kept, *other.kept)) if computed and one.never_negative and other.never_negative else NONE


def _cast(floors: Floors, node: ir.Node) -> Floor:
    """A type of fewer numbers rounds to the next one; whole numbers may overflow, and then are any."""
    found, value = floors.of(node, 0), node.inputs[0]
    if value is not None and floors.dtype(value) in WHOLE:
        return ZERO
    to = node.attributes.get("to")
    return found if to is not None and not to.is_ref() and ir.DataType(to.value) in FLOATS else NONE


def _unit(default: float) -> Rule:
    """Units that end in a negative number that ``alpha`` states."""

    def rule(_: Floors, node: ir.Node) -> Floor:
        stated = node.attributes.get("alpha")
        alpha = default if stated is None else math.nan if stated.is_ref() else float(stated.value)
        return Floor(-alpha) if alpha > 0 else NONE

    return rule


FLOORS: dict[tuple[str, str], Rule] = {}
"""The floors of results by the domain and type of an operator."""


def _say(operators: str, rule: Rule) -> None:
    FLOORS.update((("", operator), rule) for operator in operators.split())


_say(
    "Identity Transpose Reshape Flatten Squeeze Unsqueeze Slice Gather GatherElements GatherND Expand Tile Split "
    "DepthToSpace SpaceToDepth ReverseSequence Compress ReduceMax ReduceMin MaxPool GlobalMaxPool",
    _moved,
)
_say("Concat Min", _any)
_say("Max", _largest)
_say("Where", _chosen)
_say("Trilu CenterCropPad Dropout", _or_zero)
_say("Pad", _padded)
_say("Cast", _cast)
_say("Abs Exp Sigmoid HardSigmoid Softplus Softmax Hardmax", _above(0.0))
_say("ReduceSumSquare ReduceL1 ReduceL2 LpPool GlobalLpPool", _above(0.0))
_say("Relu", _rectified)
_say("Tanh Erf Sin Cos Softsign Sign", _above(-1.0 - SLACK))
_say("Gelu", _above(-0.25))
_say("HardSwish Mish", _above(-0.5))
_say("Cosh", _above(1.0 - SLACK))
_say("Elu Celu", _unit(1.0))
_say("Add Sum", _sum)
_say("Mul", _product)
_say("Div", _quotient)
_say("Sqrt", _root)
_say("Log", _logarithm)
_say("Reciprocal", _reciprocal)
_say("Pow", _power)
_say("Clip", _clip)
_say("ReduceMean AveragePool GlobalAveragePool", _mean)
_say("ReduceSum CumSum", _total)
_say("MatMul", _contraction)
