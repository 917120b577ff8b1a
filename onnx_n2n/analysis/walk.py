"""One walk over a model: every tensor gets its axes, every node leaves its obligations, and groups come out.

The graphs inside nodes are walked when their node is. Values that they capture are the same objects inside and outside,
so nothing needs to be said about them; what goes in and comes out is up to the rule of the node.

Data flows one way: :func:`analyze` reads a model and changes nothing in it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n import rules
from onnx_n2n.analysis import causes
from onnx_n2n.analysis.boundary import Pickers, settle
from onnx_n2n.analysis.failures import Failures
from onnx_n2n.analysis.functions import Calls, call, defined_by_onnx
from onnx_n2n.analysis.groups import groups_of, limit_groups, pins_of, read_by
from onnx_n2n.analysis.result import Analysis, lookup
from onnx_n2n.axes.algebra import Axis, Reason, axis_of, is_unit, pin, size
from onnx_n2n.axes.symbolic import LARGEST, ShapeDim, ShapeValue
from onnx_n2n.graph.constants import FLOATS, Constants
from onnx_n2n.graph.names import reported
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.quantised import zero_point
from onnx_n2n.graph.shapes import Inferred, derived_types, infer_shapes, known_length
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.twins import Twins
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.facts import Known
from onnx_n2n.rules.floors import Floor, Floors
from onnx_n2n.rules.obligations import Ledger, Port

__all__ = ["Analysis", "analyze"]


def _cut(value: ir.Value) -> bool:
    """Say whether all that reads a tensor is pieces of it, as the gates of a recurrent bias: these stay one tensor."""
    uses = value.uses()
    return len(uses) > 1 and all(use.node.op_type == "Slice" and use.idx == 0 for use in uses)


def analyze(model: ir.Model, opened: Collection[str] = ()) -> Analysis:
    """Work out what in a model may grow.

    Args:
        model: The model; its graph must be sorted topologically, as ONNX asks.
        opened: Names of graph outputs that may become longer; all others keep their shapes.

    Returns:
        Groups of tied axes with their sizes, and for every weight axis that may not grow the reason.
    """
    walk = _Walk(model)
    ledger, ports = walk.run(opened)
    read = read_by(model.graph, walk)
    limit_groups(read, walk, ledger)
    groups = groups_of(model.graph, read, walk, ledger)
    return Analysis(
        model=model,
        axes=walk.known,
        uses=walk.uses,
        constants=walk.constants,
        twins=walk.twins,
        contents=walk.contents,
        sequences=walk.sequences,
        shapes=walk.shapes,
        floors=walk.floors,
        ledger=ledger,
        groups=groups,
        pins=pins_of(read),
        ports=ports,
        lost=walk.unranked,
    )


class _Walk:
    """The state of a walk: what has been found out about the tensors so far."""

    def __init__(self, model: ir.Model) -> None:
        self.graph = model.graph
        self.opsets = {plain(domain): version for domain, version in model.opset_imports.items()}
        self.constants = Constants(model)
        self.twins = Twins.of(self.constants)
        self.shapes = infer_shapes(model)
        self.floors = Floors(self.constants, self._dtype)
        self.known: dict[ir.Value, tuple[Axis, ...]] = {}
        self.uses: dict[tuple[ir.Node, int], tuple[Axis, ...]] = {}
        self.contents: dict[ir.Value, ShapeValue] = {}
        self.sequences: dict[ir.Value, Sequence[tuple[Axis, ...]]] = {}
        self.unranked: dict[ir.Value, Reason] = {}  # tensors of unknown rank, and what lost it
        self.functions = model.functions
        self._pickers = Pickers(model.graph, self.constants)
        self._ports: list[Port] = []  # axes at the interface that might grow
        self._ir_version = model.ir_version
        self._calls = Calls(model.functions)
        self._failures = Failures()

    # --- facts, as rules ask for them

    def axes(self, node: ir.Node, slot: int) -> tuple[Axis, ...] | None:
        value = node.inputs[slot]
        if value is None:
            return None
        if (node, slot) in self.uses:
            return self.uses[node, slot]
        found = self.known.get(value)
        if found is None and value in self.constants:
            found = self._constant_axes(value, node)
            if self.constants.vector_like(value) and not all(map(is_unit, found)) and not _cut(value):
                # One zero bias may serve eleven layers: every use gets axes, and if need be a copy, of its own.
                self.uses[node, slot] = found
            else:
                self.known[value] = found
        return found

    def lost(self, value: ir.Value) -> Reason | None:
        if value in self.graph.inputs and value.shape is None:
            return Reason(f"graph input {value.name!r} has no declared shape")
        return self.unranked.get(value)

    def maker(self, node: ir.Node, axis: Axis) -> ir.Node | None:
        return causes.maker(self.known, node, axis)

    def obscured(self, value: ir.Value) -> Reason | None:
        inputs = self.graph.inputs
        return causes.obscured(self, value) or (Reason(f"graph input {value.name!r}") if value in inputs else None)

    def content(self, value: ir.Value) -> ShapeValue | None:
        if value not in self.contents and (array := self.constants.small(value)) is not None and array.ndim < 2:
            self.contents[value] = ShapeValue(
                tuple(ShapeDim(n) for n in array.ravel().tolist()), scalar=array.ndim == 0
            )
        return self.contents.get(value)

    def sequence(self, value: ir.Value) -> Sequence[tuple[Axis, ...]] | None:
        return self.sequences.get(value)

    def constant(self, value: ir.Value) -> np.ndarray | None:
        return self.constants.array(value)

    def floor(self, node: ir.Node, slot: int) -> Floor:
        return self.floors.of(node, slot)

    def floating(self, value: ir.Value) -> bool:
        return self._dtype(value) in FLOATS

    def divisible(self, node: ir.Node, slot: int) -> bool:
        return zero_point(self.constants, node, slot) is not None

    def inferred(self, value: ir.Value) -> tuple[int | None, ...] | None:
        found = self.shapes.get(value)
        return found.lengths if found is not None else None

    def axes_of_use(self, node: ir.Node, slot: int) -> tuple[Axis, ...] | None:
        return lookup(self.uses, self.known, node, slot)

    def passed(self, value: ir.Value) -> Hashable:
        return value.type, self._dtype(value), value in self.constants, self.constants.identity(value)

    def walk(self, body: ir.Graph, given: Sequence[Known]) -> tuple[list[Known], Ledger]:
        for value, known in zip(body.inputs, given, strict=True):
            self._learn(value, known)
        ledger = self._walk_nodes(body)
        return [self._result(value) for value in body.outputs], ledger

    def adopt(self, body: ir.Graph, node: ir.Node) -> None:
        for slot, (inner, outer) in enumerate(zip(body.inputs, node.inputs, strict=False)):
            if outer is not None:
                dtype, axes = self._dtype(outer), self.axes(node, slot)
                inner.type = outer.type or (ir.TensorType(dtype) if dtype is not None else None)
                inner.shape = ir.Shape(map(size, axes)) if axes is not None and inner.type is not None else None
        self.constants.borrow(body, node)
        self.shapes.update(infer_shapes(ir.Model(body, ir_version=self._ir_version), self._calls.written(body)))

    # --- the walk

    def run(self, opened: Collection[str]) -> tuple[Ledger, tuple[Port, ...]]:
        symbols: dict[str, Axis] = {}
        for value in self.graph.inputs:
            if value not in self.constants and value.shape is not None:
                self.known[value] = tuple(self._input_axis(dim, value, symbols) for dim in value.shape)
                self._offer(value, inward=True)
        ledger = self._walk_nodes(self.graph)
        for value in self.graph.outputs:
            if value in self.constants and value not in self.known:
                self.known[value] = self._constant_axes(value)
            if value in self.constants or value in self.sequences or not self.floating(value):
                self._pin_whole(value, Reason(f"graph output {value.name!r}"))
            else:
                self._pin_measured(value, Reason(f"graph output {value.name!r}"))
                if value.name not in opened:
                    self._offer(value, inward=False)
        return ledger, settle(self.graph, self, ledger, self._ports)

    def _offer(self, value: ir.Value, *, inward: bool) -> None:
        """Let the axes of an input or output grow, unless something speaks against it in the end."""
        for position, axis in enumerate(self.known.get(value, ())):
            self._ports.append(Port(value, position, axis, inward))

    def _cross(self, node: ir.Node) -> bool:
        """Walk over a Gather at the interface, whose result is as independent of its operand as inside of outside."""
        origin, destination = self._pickers.origin(node), self._pickers.destination(node)
        end = origin or destination
        if end is None or not self.floating(end) or (axes := self.axes(node, 0)) is None:
            return False
        if node.inputs[0] in self.contents:  # lengths, in a floating-point type: its elements are no channels
            return False
        stated = node.attributes.get("axis")
        position = (0 if stated is None else stated.value) % max(len(axes), 1)
        indices = self.constants.array(node.inputs[1])  # type: ignore[arg-type]
        length = size(axes[position]) if position < len(axes) else None
        if indices is None or not length or not np.all((-length <= indices) & (indices < length)):
            return False
        result = axis_of(len(indices))
        inside, outside = (result, axes[position]) if origin is not None else (axes[position], result)
        pin(outside, Reason(f"graph {'input' if origin is not None else 'output'} {end.name!r}"))
        self._ports.append(Port(end, position, inside, origin is not None, node))
        self.known[node.outputs[0]] = (*axes[:position], result, *axes[position + 1 :])
        return True

    def _walk_nodes(self, graph: ir.Graph) -> Ledger:
        ledger = Ledger.empty()
        for node in graph:
            if not all(output in self.constants for output in node.outputs):
                ledger.extend(self._visit(node))
        return ledger

    def _visit(self, node: ir.Node) -> Ledger:
        """Let the rule of a node look at it; return its obligations, none if it has to be pinned."""
        for output in node.outputs:
            self._learn(output, Known())  # a body may be walked again, with less known about what it is given
        if self._cross(node):
            return Ledger.empty()
        version = node.version or self.opsets.get(plain(node.domain), 1)
        self._derive_types(node, version)
        context = Context(node, version, self)
        rule = self._rule(node, version)
        if rule is None:
            name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
            return self._refuse(node, context.reason(f"no rule for {name} at version {version}"))
        try:
            rule(context)
        except Exception as error:  # a refusal, or a bug
            why = self._failures.reason(context, error)
            cause = error.cause if isinstance(error, Refusal) else None
            return self._refuse(node, context.reason(why), cause)
        covered = {*context.results, *context.sequences, *context.unknown}
        for slot, output in enumerate(node.outputs):
            if slot not in covered and (output.uses() or output.is_graph_output()):
                return self._refuse(node, context.reason(f"output {slot} is not covered by its rule"))
        for slot, output in enumerate(node.outputs):
            axes, content = context.results.get(slot), context.contents.get(slot)
            self._learn(output, Known(axes, content, context.sequences.get(slot), lost=context.unknown.get(slot)))
        for slot, dtype in context.dtypes.items():
            self._learn_type(node.outputs[slot], dtype)
        self._follow_contents(node, context)
        return context.ledger

    def _rule(self, node: ir.Node, version: int) -> Callable[[Context], None] | None:
        """Return what looks at a node: the model's own function goes before a rule, and a rule before ONNX's."""
        if node.op_identifier() in self.functions:
            return self._calls.call
        found = rules.rule_for(node.domain, node.op_type, version)
        if found is not None:
            return found
        function = defined_by_onnx(node, version, [self._type(value) for value in node.inputs])
        return functools.partial(call, function) if function is not None else None

    def _type(self, value: ir.Value | None) -> onnx.TypeProto:
        """Return the type of a tensor without its lengths."""
        dtype = self._dtype(value) if value is not None else None
        axes = self.known.get(value) if value is not None else None
        shape = None if axes is None else [None] * len(axes)
        return onnx.TypeProto() if dtype is None else onnx.helper.make_tensor_type_proto(dtype.value, shape)

    def _derive_types(self, node: ir.Node, version: int) -> None:
        """Fill in element types that inference did not find, because it stops at operators that it does not know."""
        if all(self._dtype(output) is not None for output in node.outputs):
            return
        given = [self._dtype(value) if value is not None else None for value in node.inputs]
        for output, dtype in zip(node.outputs, derived_types(node, version, given), strict=True):
            self._learn_type(output, dtype)

    def _learn_type(self, value: ir.Value, dtype: ir.DataType | None) -> None:
        if dtype is not None and self._dtype(value) is None:
            found = self.shapes.get(value)
            self.shapes[value] = Inferred(found.lengths if found is not None else None, dtype)

    def _dtype(self, value: ir.Value) -> ir.DataType | None:
        inferred = self.shapes.get(value)
        return value.dtype or (inferred.dtype if inferred is not None else None)

    def _learn(self, value: ir.Value, known: Known) -> None:
        for facts in (self.known, self.contents, self.sequences, self.unranked):
            facts.pop(value, None)
        if known.lost is not None:
            self.unranked[value] = known.lost
        if known.axes is not None:
            self.known[value] = known.axes
        if known.content is not None:
            self.contents[value] = known.content
        if known.sequence is not None:
            self.sequences[value] = known.sequence

    def _result(self, value: ir.Value) -> Known:
        """Return what is known of an output of a body; a constant that is one stays as it is, for this use."""
        if value not in self.constants:
            axes, sequence, lost = self.known.get(value), self.sequences.get(value), self.unranked.get(value)
            return Known(axes, self.content(value), sequence, self._dtype(value), lost)
        axes = self._constant_axes(value)
        for axis in axes:
            pin(axis, Reason(f"constant {value.name!r} is given out as it is"))
        return Known(axes, self.content(value), dtype=self._dtype(value))

    def _follow_contents(self, node: ir.Node, context: Context) -> None:
        if context.contents or self.constants.small(node.outputs[0]) is not None:
            return
        follow = rules.shape_rule_for(node.domain, node.op_type)
        found, answered = None, set(context.consumed)  # what the node's rule answers for
        if follow is not None:
            try:
                found = follow(context)
            except Exception as error:  # a refusal, or a bug
                self._failures.reason(context, error)
        if found is not None and len(found.elements) <= LARGEST:
            self.contents[node.outputs[0]] = found
            return
        measured = [
            value for slot, value in enumerate(node.inputs) if value is not None and slot not in answered
        ]
        if any(value in self.contents for value in measured):
            cause = self.obscured(node.outputs[0]) or context.reason(causes.UNFOLLOWED)
            for value in measured:
                self._pin_measured(value, cause)

    def _refuse(self, node: ir.Node, reason: Reason, cause: Reason | None = None) -> Ledger:
        """Pin all that a node takes and gives, and all that the graphs inside it contain and capture.

        Args:
            node: The node.
            reason: Why.
            cause: What is to blame for that, if the node is not: the first node that lost what this one needs.
        """
        reason = cause or reason
        for each in (node, *_nodes_inside(node)):
            for slot, value in enumerate(each.inputs):
                if value is not None:
                    for axis in self.axes(each, slot) or ():
                        pin(axis, reason)
                    self._pin_whole(value, reason)
            for value in (*each.outputs, *(end for body in bodies_of(each) for end in (*body.inputs, *body.outputs))):
                self._pin_whole(value, reason)
        for output in node.outputs:
            shape = self.inferred(output)
            if shape is not None:
                self.known[output] = tuple(axis_of(length, reason) for length in shape)
                for axis in self.known[output]:
                    pin(axis, reason)
            else:
                shapeless = Reason(f"{reason.text}, so the shape of {output.name!r} is not known", reason.node)
                self.unranked[output] = cause or shapeless
        return Ledger.empty()

    def _pin_whole(self, value: ir.Value, reason: Reason) -> None:
        """Pin all that a tensor or sequence is made of, and what its elements measure."""
        for axes in (self.known.get(value, ()), *self.sequences.get(value, ())):
            for axis in axes:
                pin(axis, reason)
        self._pin_measured(value, reason)

    def _pin_measured(self, value: ir.Value, reason: Reason) -> None:
        found = self.contents.get(value)
        for element in found.elements if found is not None else ():
            if element.axis is not None:
                pin(element.axis, reason)

    def _constant_axes(self, value: ir.Value, reader: ir.Node | None = None) -> tuple[Axis, ...]:
        if value in self.twins.tables:  # channels are the same, and rows of the table are picked
            table, order = self.twins.tables[value]
            rows, channels = self.known.setdefault(table, self._constant_axes(table, reader))
            return tuple(channels if axis else axis_of(size(rows)) for axis in order)
        name = reported(reader) if reader is not None else ""
        tensor = self.constants[value]
        axes = tuple(axis_of(length) for length in tensor.shape.numpy())
        if self.constants.borrowed(value):
            for axis in axes:
                pin(axis, Reason(f"constant {value.name!r} belongs to a function, which stays as it is", name))
        if not self.constants.growable(value):
            for axis in axes:
                pin(axis, Reason(f"constant {value.name!r} holds neither floating-point nor quantised numbers", name))
        return axes

    def _input_axis(self, dim: int | ir.SymbolicDim, value: ir.Value, symbols: dict[str, Axis]) -> Axis:
        symbol = dim.value if isinstance(dim, ir.SymbolicDim) else None
        reason = Reason(f"graph input {value.name!r}")
        axis = symbols.setdefault(symbol, axis_of(None, reason)) if symbol else axis_of(known_length(dim), reason)
        if symbol or not self.floating(value):
            pin(axis, reason)
        return axis


def _nodes_inside(node: ir.Node) -> Iterator[ir.Node]:
    for body in bodies_of(node):
        yield from body.all_nodes()
