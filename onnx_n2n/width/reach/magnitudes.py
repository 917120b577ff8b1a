"""How large the numbers of every tensor can be, whatever finite numbers a model is given; in most tensors any number.

What holds of a tensor of the teacher holds of the student's: fresh rows are mixtures with weights that sum to less than
one, and everything here is worked out from the largest numbers of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import size
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.rules.obligations import Contraction
from onnx_n2n.rules.ranges import GELU, Bounded, Keeps, Kind, Moves, Overflows, activated
from onnx_n2n.rules.registry import range_of
from onnx_n2n.width.reach.reading import MANY, affine, clipped, exponent, normalised, smallest, steps, terms, unread

CHUNK = 1 << 22  # elements that are looked at together
LARGEST = {
    ir.DataType.FLOAT16: 65504.0, ir.DataType.BFLOAT16: 3.3895e38, ir.DataType.FLOAT: 3.4028e38,
    ir.DataType.DOUBLE: 1.797e308, ir.DataType.BOOL: 1.0, ir.DataType.INT8: 2.0**7, ir.DataType.UINT8: 2.0**8,
    ir.DataType.INT16: 2.0**15, ir.DataType.UINT16: 2.0**16, ir.DataType.INT32: 2.0**31, ir.DataType.UINT32: 2.0**32,
    ir.DataType.INT64: 2.0**63, ir.DataType.UINT64: 2.0**64,
}  # fmt: skip
WHOLE = frozenset(LARGEST) - {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE}
MADE = {"Conv": 0, "FusedConv": 0, "NhwcConv": 0, "ConvTranspose": 1}  # the axis of the weight that is not summed over
ROOM = 1 / 8  # of the largest number: what an absolute bound may be, so that sums of some stay finite too


class Magnitudes:
    """The largest absolute value of each tensor of a model, infinity where there is no bound.

    Args:
        analysis: The model's.
    """

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self._found: dict[ir.Value, float] = {}
        self.convex: set[ir.Value] = set()  # not negative, and summing to one along the last axis
        self.contractions: dict[ir.Node, list[Contraction]] = {}
        for contraction in analysis.ledger.contractions:
            self.contractions.setdefault(contraction.node, []).append(contraction)
        self._visit(analysis.model.graph)

    def __getitem__(self, value: ir.Value) -> float:
        """Return the bound of a tensor."""
        if value not in self._found:
            self._found[value] = self._constant(value) if value in self.analysis.constants else math.inf
        return self._found[value]

    def largest(self, value: ir.Value) -> float:
        """Return the largest number that a tensor can hold, the least of all where its type is not known.

        Whole numbers never leave their range.
        """
        dtype = self.dtype(value)
        return math.inf if dtype in WHOLE else LARGEST.get(dtype, LARGEST[ir.DataType.FLOAT16])  # type: ignore[arg-type]

    def dtype(self, value: ir.Value) -> ir.DataType | None:
        """Return the element type of a tensor, if it is known."""
        inferred = self.analysis.shapes.get(value)
        return value.dtype or (inferred.dtype if inferred is not None else None)

    def bounded(self, value: ir.Value) -> bool:
        """Say whether a tensor stays far below the largest number of its type, whatever the model is given."""
        return self[value] <= ROOM * self.largest(value)

    def summed(self, node: ir.Node) -> float:
        """Return how many products each number is the sum of that a node of a contraction makes."""
        if node.op_type in MADE:
            lengths = [size(axis) or math.inf for axis in self.analysis.axes_of_use(node, 1) or ()]
            made = MADE[node.op_type]
            return math.prod(lengths[:made] + lengths[made + 1 :]) if len(lengths) > made else math.inf
        lengths = [
            size(axis) or math.inf
            for contraction in self.contractions.get(node, ())
            for axis, on in contraction.summands[0].parts
            if on
        ]
        return math.prod(lengths) if node in self.contractions else math.inf

    def _constant(self, value: ir.Value) -> float:
        array = self.analysis.constants.array(value)
        if array is None or array.dtype.kind in "OSU":
            return math.inf
        if array.dtype.kind in "bui" or not array.size:
            return float(np.max(np.abs(array.astype(np.float64)), initial=0.0)) if array.size <= CHUNK else 2.0**64
        flat = array.reshape(-1)
        most = 0.0
        for start in range(0, flat.size, CHUNK):
            part = np.abs(flat[start : start + CHUNK]).max()
            if not np.isfinite(part):
                return math.inf
            most = max(most, float(part))
        return most

    # --- nodes

    def _visit(self, graph: ir.Graph) -> None:
        for node in graph:
            self._node(node)

    def _node(self, node: ir.Node) -> None:
        bodies = list(bodies_of(node))
        if bodies:
            for inner, outer in sliced(node, bodies[0]):
                self._found[inner] = self[outer]
            for body in bodies:
                self._visit(body)
            self._leave(node, bodies)
            return
        for slot, value in enumerate(node.outputs):
            if value in self.analysis.constants:
                continue
            found = self._result(node, slot)
            dtype = self.dtype(value)
            if dtype in WHOLE:
                found = LARGEST[dtype]
            self._found[value] = found if not math.isnan(found) else math.inf
        self._follow(node)

    def _leave(self, node: ir.Node, bodies: list[ir.Graph]) -> None:
        """Say what is known of what a node with bodies gives: of a branch the worse, of a loop what its body makes."""
        if node.op_type == "If":
            for slot, value in enumerate(node.outputs):
                self._found[value] = max(self[body.outputs[slot]] for body in bodies)
        if node.op_type not in {"Loop", "Scan"}:
            return
        (body,) = bodies
        states = list(carried(node, body))
        for outer, inner, made in states:
            self._found[inner] = max(self[outer], self[made])  # as the body makes it of any number, or before the first
        self._visit(body)
        for value, made in zip(node.outputs, body.outputs[node.op_type == "Loop" :], strict=False):
            self._found[value] = self[made]
        for value, (_, inner, _) in zip(node.outputs, states, strict=False):
            self._found[value] = self[inner]

    def given(self, node: ir.Node) -> list[float]:
        """Return the bounds of the operands that are no whole numbers."""
        return [self[value] for value in node.inputs if value is not None and self.dtype(value) not in WHOLE]

    def _result(self, node: ir.Node, slot: int) -> float:
        said = range_of(node)
        match said:
            case Bounded(by):
                return by
            case Keeps(times, plus):
                return times * max(self.given(node), default=math.inf) + plus
            case Moves(slots):
                moved = [self[value] for s in slots or () if (value := node.inputs[s]) is not None]
                return max(self.given(node) if slots is None else moved, default=math.inf)
            case Overflows(bound):
                return bound(max(self.given(node), default=math.inf))
            case Kind(name):
                return FORMULAS[name](self, node, slot) if name in FORMULAS else math.inf
        return math.inf

    def _follow(self, node: ir.Node) -> None:
        """Note what sums to one along the last axis."""
        value = node.outputs[0] if node.outputs else None
        if value is None:
            return
        if operator_of(node) == ("", "Softmax"):
            stated, rank = node.attributes.get("axis"), len(self.analysis.axes.get(value, ()))
            axis = stated.value if stated is not None else -1
            if rank and axis % rank == rank - 1:
                self.convex.add(value)
        elif node.op_type in {"Identity", "Cast", "Dropout"} and node.inputs[0] in self.convex:
            self.convex.add(value)


def carried(node: ir.Node, body: ir.Graph) -> Iterator[tuple[ir.Value, ir.Value, ir.Value]]:
    """Yield for each state of a loop its initial value, what the body is given, and what it makes of that."""
    if node.op_type == "Loop":
        given, inner, made = node.inputs[2:], body.inputs[2:], body.outputs[1:]
    else:
        count = len(node.inputs) - int(node.attributes["num_scan_inputs"].value)
        given, inner, made = node.inputs[:count], body.inputs[:count], body.outputs[:count]
    for one, other, last in zip(given, inner, made, strict=False):
        if one is not None:
            yield one, other, last


def sliced(node: ir.Node, body: ir.Graph) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Yield what the body of a Scan is given slices of, with the whole."""
    if node.op_type == "Scan":
        count = int(node.attributes["num_scan_inputs"].value)
        for inner, outer in zip(list(body.inputs)[-count:], list(node.inputs)[-count:], strict=True):
            if outer is not None:
                yield inner, outer


Formula = Callable[[Magnitudes, ir.Node, int], float]


def _add(found: Magnitudes, node: ir.Node, _: int) -> float:
    return sum(found.given(node))


def _multiply(found: Magnitudes, node: ir.Node, _: int) -> float:
    if (length := normalised(found.analysis, node)) is not None:
        return math.sqrt(length)
    given = found.given(node)
    if node.op_type == "PRelu":
        return given[0] * max(1.0, *given[1:])
    return math.prod(given) if 0 not in given else 0.0


def _contract(found: Magnitudes, node: ir.Node, _: int) -> float:
    operands = [value for value in node.inputs[:2] if value is not None]
    if any(math.isinf(found[value]) for value in operands if value not in found.analysis.constants):
        return math.inf  # no weight needs to be read
    if len(node.inputs) > 2 and node.op_type == "Einsum":
        return math.inf
    first = node.inputs[0]
    terms = 1.0 if first in found.convex and node.op_type == "MatMul" else found.summed(node)
    scale = _number(node, "alpha")
    added = [found[value] for value in node.inputs[2:3] if value is not None]
    return scale * terms * math.prod(found[value] for value in operands) + _number(node, "beta") * sum(added)


def _fused(found: Magnitudes, node: ir.Node, slot: int) -> float:
    before = _contract(found, node, slot) + sum(found[value] for value in node.inputs[3:4] if value is not None)
    match activated(node):
        case Bounded(by):
            return by
        case Keeps(times, plus):
            return times * before + plus
        case Moves():
            return before
    return math.inf


def _biased(found: Magnitudes, node: ir.Node, _: int) -> float:
    return sum(found.given(node)) + GELU.plus


def _dequantise(found: Magnitudes, node: ir.Node, _: int) -> float:
    number, scale = node.inputs[:2]
    dtype = found.dtype(number) if number is not None else None
    return 2 * LARGEST.get(dtype, math.inf) * found[scale] if scale is not None and dtype is not None else math.inf


def packed(found: Magnitudes, node: ir.Node) -> float:
    """Return the bound of queries, keys and values that an attention makes of its operand by a weight of its own."""
    given, weight, bias = (*node.inputs[:3], None)[:3]
    if given is None or weight is None or math.isinf(found[given]) or len(node.inputs) > 4:
        return math.inf
    axes = found.analysis.axes_of_use(node, 1)
    rows = size(axes[0]) if axes else None
    return (rows or math.inf) * found[given] * found[weight] + (found[bias] if bias is not None else 0.0)


def _packed(found: Magnitudes, node: ir.Node, slot: int) -> float:
    return math.inf if slot else packed(found, node)


def _fill(_: Magnitudes, node: ir.Node, __: int) -> float:
    value = node.attributes.get("value")
    return 0.0 if value is None else abs(float(value.value.numpy().reshape(-1)[0]))


def _number(node: ir.Node, name: str) -> float:
    stated = node.attributes.get(name)
    return 1.0 if stated is None else abs(float(stated.value)) if not stated.is_ref() else math.inf


def _sum(found: Magnitudes, node: ir.Node, _: int) -> float:
    given = found.given(node)
    return terms(found.analysis, node) * given[0] if node.op_type != "Mean" else sum(given)


def _clip(found: Magnitudes, node: ir.Node, _: int) -> float:
    ends = clipped(found.analysis, node)
    bounds = [abs(bound) for bound in ends if bound is not None]
    if len(bounds) == 2:
        return max(bounds)
    given = [found[value] for value in (node.inputs[0], *unread(node, ends)) if value is not None]
    return max([*bounds, *given])


def _pad(found: Magnitudes, node: ir.Node, _: int) -> float:
    return max([*found.given(node)[:1], padding(found, node)])


def padding(found: Magnitudes, node: ir.Node) -> float:
    """Return the number that a Pad puts in, infinity where it is not known."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return found[value] if value is not None else abs(_number(node, "value")) if "value" in node.attributes else 0.0


def _power(found: Magnitudes, node: ir.Node, _: int) -> float:
    power, base = exponent(found.analysis, node), node.inputs[0]
    if power is None or power < 0 or base is None:
        return math.inf
    try:
        return float(max(1.0, found[base]) ** power)
    except OverflowError:
        return math.inf


def _cast(found: Magnitudes, node: ir.Node, _: int) -> float:
    value = node.inputs[0]
    within = found[value] if value is not None else math.inf
    if value is not None and (dtype := found.dtype(value)) in LARGEST:
        within = min(within, LARGEST[dtype])
    return within


def _divide(found: Magnitudes, node: ir.Node, _: int) -> float:
    over, under = node.inputs[:2]
    if over is None or under is None:
        return math.inf
    if (length := normalised(found.analysis, node)) is not None:
        return math.sqrt(length)
    least = smallest(found.analysis, under)
    return found[over] / least if least else math.inf


def _normalise(found: Magnitudes, node: ir.Node, slot: int) -> float:
    """Return the root of the length that is normalised over times the gain, plus the bias; of no other output."""
    if slot:
        return math.inf
    skip = node.op_type.startswith("Skip")
    gain, bias = (node.inputs[place] if place < len(node.inputs) else None for place in ((2, 3) if skip else (1, 2)))
    if node.op_type == "SkipSimplifiedLayerNormalization":
        bias = None
    axes = [size(axis) for axis in found.analysis.axes_of_use(node, 0) or ()]
    stated = node.attributes.get("axis")
    if node.op_type in {"InstanceNormalization", "GroupNormalization", "GroupNorm"}:
        over = axes[1:] if node.op_type != "GroupNorm" else axes
    else:
        over = axes[(stated.value if stated is not None else -1) :]
    length = math.prod(n for n in over if n) if over and None not in over else MANY
    scale = found[gain] if gain is not None else math.inf
    return math.sqrt(length) * scale + (found[bias] if bias is not None else 0.0)


GATED = frozenset({"sigmoid", "hardsigmoid"})  # between 0 and 1
SATURATING = GATED | {"tanh", "softsign"}
STEPS = {ir.DataType.FLOAT16: 2.0**12, ir.DataType.BFLOAT16: 2.0**9, ir.DataType.DOUBLE: 2.0**54}


def _recur(found: Magnitudes, node: ir.Node, slot: int) -> float:
    """Return the bound of a state that is a saturating function, a mean of such with the state, or a sum of such.

    The cell of an LSTM grows by at most 1 in a step, until 1 is less than half of its last bit. So does the state of a
    GRU, by 2, whose gates may be negative.
    """
    names = steps(node)
    if names is None or not SATURATING.issuperset(names):
        return math.inf
    cell = node.op_type == "LSTM" and slot == 2
    place = 6 if cell else 5
    start = node.inputs[place] if len(node.inputs) > place else None
    begun = found[start] if start is not None else 0.0
    dtype = found.dtype(node.inputs[0]) if node.inputs[0] is not None else None
    if cell:
        return begun + STEPS.get(dtype, 2.0**25)  # type: ignore[arg-type]
    if node.op_type == "GRU" and names[0] not in GATED:  # (1 - z) * n + z * h, with z below zero
        return begun + 2 * STEPS.get(dtype, 2.0**25)  # type: ignore[arg-type]
    return max(1.0, begun) if node.op_type == "GRU" else 1.0


def _batch_norm(found: Magnitudes, node: ir.Node, _: int) -> float:
    parts = affine(found.analysis, node)
    first = node.inputs[0]
    if parts is None or first is None:
        return math.inf
    return float(np.abs(parts[0]).max(initial=0)) * found[first] + float(np.abs(parts[1]).max(initial=0))


def _worst(found: Magnitudes, node: ir.Node, _: int) -> float:
    return max(found.given(node), default=math.inf)


FORMULAS: dict[str, Formula] = {
    "add": _add,
    "multiply": _multiply,
    "divide": _divide,
    "contract": _contract,
    "sum": _sum,
    "worst": _worst,
    "clip": _clip,
    "pad": _pad,
    "power": _power,
    "cast": _cast,
    "normalise": _normalise,
    "batch norm": _batch_norm,
    "recur": _recur,
    "biased": _biased,
    "dequantise": _dequantise,
    "packed attention": _packed,
    "fill": _fill,
    "fused": _fused,
}
