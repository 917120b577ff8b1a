"""What one run of a model costs: the multiply-adds of its convolutions, matrix products, recurrences and attention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import onnx_ir as ir

from onnx_n2n.analysis.walk import analyze
from onnx_n2n.axes.algebra import size
from onnx_n2n.costs.formulas import FORMULAS, FREE, HARD, MICROSOFT, Lengths, Unknown, Use
from onnx_n2n.errors import InputError, ModelError
from onnx_n2n.graph.shapes import Inferred, infer_shapes
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.unfolding import write_out
from onnx_n2n.verification.dims import Dim, bindings, dims, resolved, symbols

STANDARD = frozenset({"", "ai.onnx"})


@dataclass(frozen=True)
class Cost:
    """The multiply-adds of one run.

    Attributes:
        total: Multiplications of which the products are summed up.
        inputs: The shapes of the graph inputs at which was counted, as far as they are known.
        assumed: The free dimensions that were taken as 1, because nothing says how long they are.
        operators: What each operator contributes.
        uncounted: Nodes that could not be counted: their shapes, or how much they multiply, are not known.
        loops: Loops whose body was counted once, however often it runs.
        nodes: What each node of the graph contributes, by its first result; a call does what its function does.
    """

    total: int
    inputs: Mapping[str, Lengths] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    operators: Mapping[str, int] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()
    loops: int = 0
    nodes: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Cost: {self.total:,} multiply-adds, {len(self.uncounted)} nodes not counted>"


def multiply_adds(model: ir.Model, shapes: Mapping[str, Lengths] | None = None) -> Cost:
    """Count the multiply-adds of one run of a model, which is not changed.

    A product that is added to a sum counts as one, wherever ONNX's definition of an operator multiplies weights or
    computed tensors and sums up: the inner size of a matrix product for each element of what comes out. Everything
    else is free: biases, activations, norms, pooling and sums. That is the count of P. Molchanov et al., *Pruning
    Convolutional Neural Networks for Resource Efficient Inference*, ICLR 2017, appendix A.1, without the biases and
    with a multiplication and its addition as one. The formulas are in ``costs/formulas.py``.

    Bodies of loops are counted once. Of the branches of an If, the dearer one counts. Functions are counted per call.

    Args:
        model: The model.
        shapes: Shapes of graph inputs, by name. Free dimensions that they do not settle are taken as 1.

    Raises:
        InputError: There is no such input, or it cannot have that shape.
    """
    copy = _plain(model.clone())
    inputs, assumed = _bind(copy, shapes or {})
    tally = _Tally(copy)
    counts = [(node, tally.node(node)) for node in copy.graph]
    operators = sum((found for _, found in counts), Counter())
    nodes = _by_node(model.graph, ((node, found.total()) for node, found in counts))
    return Cost(operators.total(), inputs, assumed, dict(operators), tuple(tally.uncounted), tally.loops, nodes)


def _by_node(graph: ir.Graph, counts: Iterable[tuple[ir.Node, int]]) -> dict[str, int]:
    """Return the counts of a copy's nodes by the model's: a call is written out up to what makes its results."""
    names = {str(value.name): str(node.outputs[0].name) for node in graph for value in node.outputs if value.name}
    found: dict[str, int] = {}
    inside = 0
    for node, number in counts:
        inside += number
        made = next((names[value.name] for value in node.outputs if value.name in names), None)
        if made is not None:
            found[made] = found.get(made, 0) + inside
            inside = 0
    return {name: number for name, number in found.items() if number}


def _plain(model: ir.Model) -> ir.Model:
    """Write the functions of a private copy out, and its fused convolutions as plain ones, of which ONNX infers shapes.

    A call of a function that stays is counted as unknown.
    """
    with suppress(ModelError):
        write_out(model)
    for graph in model.graphs():
        for node in graph:
            if (node.domain, node.op_type) == (MICROSOFT, "FusedConv"):
                node.domain, node.op_type = "", "Conv"
    return model


def _bind(model: ir.Model, shapes: Mapping[str, Lengths]) -> tuple[dict[str, Lengths], tuple[str, ...]]:
    """Give the inputs of a private copy fixed shapes; return these, and the free dimensions that were taken as 1."""
    inputs = {str(value.name): value for value in model.graph.inputs if value.name not in model.graph.initializers}
    for name in shapes:
        if name not in inputs:
            raise InputError(f"the model has no input {name!r}", hint=f"Its inputs are {', '.join(inputs)}")
    known = {name: found for name, value in inputs.items() if (found := _dims(value, shapes.get(name))) is not None}
    settled = bindings(model, shapes)
    free = dict.fromkeys(name for found in known.values() for dim in found for name in sorted(symbols(dim)))
    assumed = tuple(name for name in free if name not in settled)
    sizes = dict.fromkeys(free, 1) | settled
    for graph in model.graphs():
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            if value.shape is not None:
                value.shape = ir.Shape([_settled(dim, sizes) for dim in value.shape])
    lengths = {name: tuple(resolved(dim, sizes) for dim in found) for name, found in known.items()}
    for name, shape in lengths.items():
        inputs[name].shape = ir.Shape(shape)
    return lengths, assumed


def _dims(value: ir.Value, chosen: Lengths | None) -> tuple[Dim, ...] | None:
    """Return the dimensions of an input, or None where nothing tells its rank."""
    if value.shape is None and chosen is None:
        try:
            return dims(value)
        except InputError:
            return None
    return dims(value, chosen)


def _settled(dim: int | ir.SymbolicDim, sizes: Mapping[str, int]) -> int | ir.SymbolicDim:
    """Return a declared dimension with the symbols of the inputs replaced by their sizes; others stay."""
    if isinstance(dim, int) or dim.value is None or not symbols(dim.value) <= sizes.keys():
        return dim
    return resolved(dim.value, sizes)


class _Tally:
    """The counts of the nodes of a private copy whose inputs have fixed shapes."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._inferred = infer_shapes(model)
        self.uncounted: list[str] = []
        self.loops = 0

    def graph(self, graph: ir.Graph) -> Counter[str]:
        """Count the nodes of a graph, by operator."""
        return sum(map(self.node, graph), Counter())

    def node(self, node: ir.Node) -> Counter[str]:
        """Count a node with its bodies, by operator."""
        found = self._node(node)
        bodies = [self.graph(body) for body in bodies_of(node)]
        if bodies and node.op_type == "If":
            return found + sorted(bodies, key=Counter.total)[-1]
        self.loops += any(bodies)
        return found + sum(bodies, Counter())

    def _node(self, node: ir.Node) -> Counter[str]:
        domain = "" if node.domain in STANDARD else node.domain
        formula = FORMULAS.get((domain, node.op_type))
        if formula is None:
            if node.op_type in HARD if not domain else node.op_type not in FREE:
                self._give_up(node)
            return Counter()
        try:
            return Counter({node.op_type: formula(Use(node, self._measure))})
        except (Unknown, ValueError, IndexError):  # shapes of a wrong rank: the node would not run
            self._give_up(node)
            return Counter()

    def _give_up(self, node: ir.Node) -> None:
        self.uncounted.append(f"{node.op_type} {node.name or node.outputs[0].name!r}")

    def _measure(self, value: ir.Value) -> Lengths:
        """Return the lengths of a tensor, as ONNX infers them, or else as the rules of growth know them."""
        if value.const_value is not None:
            return tuple(value.const_value.shape.numpy())
        for lengths in self._answers(value):
            if lengths is not None and None not in lengths:
                return tuple(length for length in lengths if length is not None)
        raise Unknown

    def _answers(self, value: ir.Value) -> Iterator[tuple[int | None, ...] | None]:
        yield self._inferred.get(value, Inferred(None, None)).lengths
        yield self._ruled.get(value)

    @cached_property
    def _ruled(self) -> Mapping[ir.Value, tuple[int | None, ...]]:
        """Lengths by the rules of growth, which know ONNX Runtime's own operators; inference stops at the first."""
        return {value: tuple(map(size, axes)) for value, axes in analyze(self._model).axes.items()}
