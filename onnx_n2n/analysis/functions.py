"""Calls of functions: those of the model, and operators that ONNX itself defines by other operators.

A function serves all its calls, so it is never rewritten. A call is analysed through a private copy of the function,
which is walked like any body. What the walk asks of the copy is asked of the call where it can do it, through what it
passes in; everything else that would need another function is pinned.

Calls of one kind are walked once (``kinds.py``), and the walks of one model are limited: functions that call functions
can be far more nodes than the file has.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx
import onnx_ir as ir

from onnx_n2n.analysis.groups import layer_name
from onnx_n2n.analysis.kinds import CallForm, Summary
from onnx_n2n.axes.algebra import Axis
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.unfolding import DEPTH, LIMIT, Identifier, Unfolding
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.facts import Known
from onnx_n2n.rules.obligations import Evenness, Ledger, Literal

OVERHEAD = 10  # nodes that could be walked in the time that it takes to copy a function
KEPT = "it belongs to a function, which stays as it is"
SUMMED = "a function sums over it, and no weight passed to it can carry the shares"
STATED = "a function states its length"
PICKED = "a function picks from it"


class Calls:
    """The calls of a model's functions, while it is analysed.

    Args:
        functions: The functions.
    """

    def __init__(self, functions: Mapping[Identifier, ir.Function]) -> None:
        self._functions = functions
        self._unfolding = Unfolding(functions)
        self._written: dict[Identifier, onnx.FunctionProto] = {}
        self._summaries: dict[Hashable, Summary] = {}
        self._open: list[Identifier] = []  # what is being walked, one inside the other
        self._left = LIMIT  # nodes

    def call(self, context: Context) -> None:
        """Analyse a call.

        Raises:
            Refusal: The function calls itself, or there is too much to walk.
        """
        function = self._functions[context.node.op_identifier()]
        given = context.given(len(function.inputs))
        form, inner = CallForm(given), _inner(context.node)
        key = _kind(context, form)
        summary = self._summaries.get(key)
        if summary is not None:
            outputs, owed = summary.apply(context.node, inner, form)
        else:
            outputs, owed = self._walk(function, context, given)
            if key is not None:
                self._summaries[key] = Summary.of(context.node, inner, form, outputs, owed)
        _give(context, outputs, owed)

    def written(self, graph: ir.Graph) -> list[onnx.FunctionProto]:
        """Return the functions that shape inference of a graph needs; none if that would take it too long."""
        if self._unfolding.nodes(graph) > LIMIT:
            return []
        reached = self._unfolding.reached(graph)
        for each in reached:
            if each not in self._written:
                self._written[each] = ir.serde.serialize_function(self._functions[each])
        return [self._written[each] for each in reached]

    def _walk(self, function: ir.Function, context: Context, given: Sequence[Known]) -> tuple[Sequence[Known], Ledger]:
        identifier = context.node.op_identifier()
        if identifier in self._open:
            raise Refusal("the function calls itself")
        if len(self._open) == DEPTH:
            raise Refusal(f"functions call each other more than {DEPTH} deep")
        self._left -= OVERHEAD + sum(1 for _ in function.graph.all_nodes())
        if self._left < 0:
            raise Refusal(f"functions call each other in too many ways: {LIMIT:,} nodes have been analysed in them")
        self._open.append(identifier)
        try:
            return _walked(function, context, given)
        finally:
            self._open.pop()


def call(function: ir.Function, context: Context) -> None:
    """Analyse a call of ``function``, which no other node calls."""
    _give(context, *_walked(function, context, context.given(len(function.inputs))))


def _walked(function: ir.Function, context: Context, given: Sequence[Known]) -> tuple[Sequence[Known], Ledger]:
    """Walk a copy of a function; return what the call gives and what it owes."""
    body = _copy(function, context.node)
    outputs, ledger = context.call(body, given)
    return outputs, _owed(context, body, ledger)


def _give(context: Context, outputs: Sequence[Known], owed: Ledger) -> None:
    context.ledger.extend(owed)
    for slot, known in enumerate(outputs):
        context.give(slot, known)


def _kind(context: Context, form: CallForm) -> Hashable:
    """Return what a call shares with those of its kind: all that the walk of the function can see."""
    attributes = [attribute for attribute in context.node.attributes.values() if not attribute.is_ref()]
    if any(True for _ in bodies_of(context.node)) or len(attributes) < len(context.node.attributes):
        return None  # what the bodies capture is not part of the form
    told = tuple(
        (each.name, ir.serde.serialize_attribute(each).SerializeToString(deterministic=True)) for each in attributes
    )
    passed = tuple(context.passed(slot) if context.has(slot) else None for slot in range(len(context.node.inputs)))
    return context.node.op_identifier(), tuple(sorted(told)), passed, form.key


def _inner(node: ir.Node) -> str:
    """Return what the names of the nodes inside a call begin with."""
    return f"{layer_name(node)}/"


def defined_by_onnx(node: ir.Node, version: int, types: Sequence[onnx.TypeProto]) -> ir.Function | None:
    """Return the function that ONNX defines an operator by, if there is one.

    Some depend on the types of the inputs. ``types`` should say nothing of their lengths, which may grow.
    """
    if any(True for _ in bodies_of(node)):
        return None  # what the bodies capture would be known by name only
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, version, plain(node.domain))
        if schema.has_function:
            data = schema.get_function_with_opset_version(_best(schema.function_opset_versions, version))
        elif schema.has_context_dependent_function:
            data = schema.get_context_dependent_function_with_opset_version(
                _best(schema.context_dependent_function_opset_versions, version),
                ir.serde.serialize_node(node).SerializeToString(),
                [each.SerializeToString() for each in types],
            )
        else:
            return None
        proto = onnx.FunctionProto.FromString(data)
        for name in list(proto.attribute):
            default = schema.attributes[name].default_value
            if default.name:
                proto.attribute.remove(name)
                proto.attribute_proto.append(default)
        return ir.serde.deserialize_function(proto)
    except Exception:  # no such operator, or a node that its function cannot be built for
        return None


def _best(versions: Sequence[int], version: int) -> int:
    """Return the newest definition for an opset; the operators inside may be newer than the model's."""
    return max((each for each in versions if each <= version), default=min(versions))


def _copy(function: ir.Function, node: ir.Node) -> ir.Graph:
    """Return the body of a function for one call: with the call's attributes, and without inputs that it leaves out."""
    copy = function.clone()
    body = copy.graph
    for inner in body.all_nodes():
        for name, attribute in list(inner.attributes.items()):
            if attribute.is_ref():
                found = node.attributes.get(attribute.ref_attr_name or "") or function.attributes.get(
                    attribute.ref_attr_name or ""
                )
                if found is None or found.value is None:
                    del inner.attributes[name]
                else:
                    inner.attributes[name] = ir.Attr(name, found.type, found.value)
        inner.version = function.opset_imports.get(inner.domain, inner.version)
        inner.name = _inner(node) + (inner.name or inner.op_type)
        for value in inner.outputs:
            value.shape = value.type = None  # they hold for one call, if they are there
    for slot, value in enumerate(body.inputs):
        if slot >= len(node.inputs) or node.inputs[slot] is None:
            for use in list(value.uses()):
                use.node.replace_input_with(use.idx, None)
    return body


def _owed(context: Context, body: ir.Graph, ledger: Ledger) -> Ledger:
    """Return what a call owes for its function; pin what it cannot do from outside."""
    owed = Ledger.empty()
    for contraction in ledger.contractions:
        passed = [
            replace(summand, slot=slot)
            for summand in contraction.summands
            if not summand.along and (slot := _slot(body, contraction.node, summand.slot)) is not None
        ]
        if passed and not contraction.whole:
            owed.contractions.append(replace(contraction, node=context.node, summands=tuple(passed), scale=None))
        else:
            _pin(context, (a for s in contraction.summands for a, summed in s.parts if summed), SUMMED)
    equal: dict[tuple[ir.Node, int], Axis] = {}
    for literal in ledger.literals:
        place = _slot(body, literal.node, literal.place) if isinstance(literal.place, int) else None
        if place is not None:
            owed.literals.append(replace(literal, node=context.node, place=place))
        elif isinstance(literal.place, int) and _missing(literal.node, literal.place):
            # The function leaves the lengths to a rule of equal parts, so equal they stay.
            context.tie(equal.setdefault((literal.node, literal.place), literal.axis), literal.axis, STATED)
        elif (measured := _measured(context, literal)) is not None and not literal.negative:
            context.tie(measured, literal.axis, STATED)
        else:
            _pin(context, [literal.axis] if measured is None else [literal.axis, measured], STATED)
    for picks in ledger.picks:
        slot = _slot(body, picks.node, picks.slot)
        if slot is not None:
            owed.picks.append(replace(picks, node=context.node, slot=slot))
        else:
            _pin(context, [picks.axis], PICKED)
    owed.evenness.extend(Evenness(each.axis, each.reason) for each in ledger.evenness)
    _pin(context, (default.axis for default in ledger.defaults), STATED)
    return owed


def _slot(body: ir.Graph, node: ir.Node, slot: int) -> int | None:
    """Return the input of the function that reaches an input of a node, if nothing else in the function reads it."""
    value = node.inputs[slot] if slot < len(node.inputs) else None
    while value is not None and len(value.uses()) == 1 and not value.is_graph_output():
        for place, given in enumerate(body.inputs):
            if given is value:
                return place
        producer = value.producer()
        if producer is None or producer.op_type != "Identity":
            return None
        value = producer.inputs[0]
    return None


def _measured(context: Context, literal: Literal) -> Axis | None:
    """Return the axis whose length stands where that of another is stated: a function cannot add the difference."""
    value = literal.node.inputs[literal.place] if isinstance(literal.place, int) else None
    content = context.content_of(value) if value is not None else None
    return None if content is None else content.elements[literal.position or 0].axis


def _missing(node: ir.Node, slot: int) -> bool:
    return slot >= len(node.inputs) or node.inputs[slot] is None


def _pin(context: Context, axes: Iterator[Axis] | Sequence[Axis], text: str) -> None:
    for axis in axes:
        context.pin(axis, text)
