"""How large the numbers of every tensor can be, whatever finite numbers a model is given; in most tensors any number.

What holds of a tensor of the teacher holds of the student's: fresh rows are mixtures with weights that sum to less than
one, and everything here is worked out from the largest numbers of weights. Rows that are drawn may be somewhat larger,
and are there only where that leaves room (:class:`~onnx_n2n.width.reach.search.Fits`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import same, size
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.rules.ranges import Bounded, Keeps, Kind, Moves, Overflows
from onnx_n2n.rules.registry import range_of
from onnx_n2n.width.reach.reading import affine

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

LEFT = {
    ir.DataType.FLOAT16: 2.0**-13, ir.DataType.BFLOAT16: 2.0**-10, ir.DataType.FLOAT: 2.0**-26,
    ir.DataType.DOUBLE: 2.0**-55,
}  # fmt: skip
"""Less than half the step between the largest two numbers, as a part of these: rounding takes it away beside them."""


class Magnitudes:
    """The largest absolute value of each tensor of a model, infinity where there is no bound.

    Args:
        analysis: The model's.
        formulas: The bounds of results, by the name of a kind of range.
    """

    def __init__(self, analysis: Analysis, formulas: Mapping[str, Bound]) -> None:
        self.analysis = analysis
        self.formulas = formulas
        self._found: dict[ir.Value, float] = {}
        self._affine: dict[ir.Node, tuple[np.ndarray, np.ndarray] | None] = {}
        self.convex: set[ir.Value] = set()  # not negative, and summing to one at most along the last axis
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

    def rounded(self, value: ir.Value) -> float:
        """Return how much may be added to any number of a tensor so that rounding makes a finite one of the sum."""
        return LEFT.get(self.dtype(value), 0.0) * self.largest(value)  # type: ignore[arg-type]

    def dtype(self, value: ir.Value) -> ir.DataType | None:
        """Return the element type of a tensor, if it is known."""
        inferred = self.analysis.shapes.get(value)
        return value.dtype or (inferred.dtype if inferred is not None else None)

    def bounded(self, value: ir.Value) -> bool:
        """Say whether a tensor stays far below the largest number of its type, whatever the model is given."""
        return self[value] <= ROOM * self.largest(value)

    def affine(self, node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
        """Return what a BatchNormalization multiplies channels by, and what it adds."""
        if node not in self._affine:
            self._affine[node] = affine(self.analysis, node)
        return self._affine[node]

    def summed(self, node: ir.Node) -> float:
        """Return how many products each number is the sum of that a node of a contraction makes."""
        if node.op_type in MADE:
            lengths = [size(axis) or math.inf for axis in self.analysis.axes_of_use(node, 1) or ()]
            made = MADE[node.op_type]
            return math.prod(lengths[:made] + lengths[made + 1 :]) if len(lengths) > made else math.inf
        lengths = [
            size(axis) or math.inf
            for contraction in self.analysis.contractions.get(node, ())
            for axis, on in contraction.summands[0].parts
            if on
        ]
        return math.prod(lengths) if node in self.analysis.contractions else math.inf

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
        """Return the bounds of the operands that are no whole numbers; infinity alone if there are none."""
        floats = [value for value in node.inputs if value is not None and self.dtype(value) not in WHOLE]
        return [self[value] for value in floats] or [math.inf]

    def _result(self, node: ir.Node, slot: int) -> float:
        said = range_of(node)
        match said:
            case Bounded(by):
                return by
            case Keeps(times, plus):
                return times * max(self.given(node)) + plus
            case Moves(slots):
                moved = [self[value] for s in slots or () if (value := node.inputs[s]) is not None]
                return max(self.given(node) if slots is None else moved, default=math.inf)
            case Overflows(bound):
                return bound(max(self.given(node)))
            case Kind(name) if name in self.formulas:
                return self.formulas[name](self, node, slot)
        return math.inf

    def _follow(self, node: ir.Node) -> None:
        """Note what sums to one at most along the last axis."""
        value = node.outputs[0] if node.outputs else None
        if value is None:
            return
        if operator_of(node) == ("", "Softmax"):
            stated, rank = node.attributes.get("axis"), len(self.analysis.axes.get(value, ()))
            axis = stated.value if stated is not None else -1
            if rank and axis % rank == rank - 1:
                self.convex.add(value)
        elif operator_of(node) == ("", "Where"):
            if self._zeroed(node, 1, 2) or self._zeroed(node, 2, 1):
                self.convex.add(value)
        elif node.op_type in {"Identity", "Cast", "Dropout"} and node.inputs[0] in self.convex:
            self.convex.add(value)

    def _zeroed(self, node: ir.Node, slot: int, other: int) -> bool:
        """Say whether a Where has zeros instead of some numbers that sum to one, as for rows that are masked."""
        value, zeros = node.inputs[slot], node.inputs[other]
        if value not in self.convex or zeros is None or self[zeros] != 0:
            return False
        before, after = (self.analysis.axes.get(each, ())[-1:] for each in (value, node.outputs[0]))
        return bool(before and after) and same(before[0], after[0])


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


Bound = Callable[[Magnitudes, ir.Node, int], float]
