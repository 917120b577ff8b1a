"""Numbers in a model that say the length of a grown axis: changed for the use that needs it, and for no other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, size
from onnx_n2n.graph.names import Names
from onnx_n2n.graph.uses import Use, operand
from onnx_n2n.rules.obligations import Literal, Picks
from onnx_n2n.width.growth import Growth


def rewrite_literals(analysis: Analysis, growth: Growth, names: Names) -> None:
    """Write the student's lengths where nodes of the analysed model state the teacher's."""
    places: dict[tuple[ir.Node, int | str], list[Literal]] = {}
    for literal in analysis.ledger.literals:
        places.setdefault((literal.node, literal.place), []).append(literal)
    wished: dict[tuple[ir.Value, frozenset[tuple[int | None, int]]], list[Use]] = {}
    for (node, place), literals in places.items():
        if not any(map(growth.touches, _measured(analysis, literals))):
            continue
        lengths = {
            literal.position: (-1 if literal.negative else 1) * growth.length(literal.axis)
            for literal in literals
            if size(literal.axis) is not None
        }
        if isinstance(place, str):
            _rewrite_attribute(node, place, lengths)
        elif (value := _input(node, place)) is not None:
            wished.setdefault((value, frozenset(lengths.items())), []).append((node, place))
        else:
            _write_out(names, node, place, lengths)
    for (value, lengths_), uses in wished.items():
        _rewrite_input(analysis, growth, names, value, uses, dict(lengths_))
    for picks in analysis.ledger.picks:
        if growth.touches(picks.axis):
            _rewrite_picks(analysis, growth, names, picks)


def _measured(analysis: Analysis, literals: list[Literal]) -> Iterator[Axis]:
    """Yield the axes whose lengths stand in a place, as they should and as they are."""
    for literal in literals:
        yield literal.axis
        value = None if isinstance(literal.place, str) else _input(literal.node, literal.place)
        content = analysis.contents.get(value) if value is not None else None
        element = content.elements[literal.position or 0] if content is not None else None
        if element is not None and element.axis is not None:
            yield element.axis


def _input(node: ir.Node, slot: int) -> ir.Value | None:
    return node.inputs[slot] if slot < len(node.inputs) else None


def _rewrite_attribute(node: ir.Node, name: str, lengths: dict[int | None, int]) -> None:
    if None in lengths:
        node.attributes[name] = ir.AttrInt64(name, lengths[None])
        return
    found = node.attributes.get(name)
    numbers = list(found.value) if found is not None else [0] * len(lengths)
    for position, length in lengths.items():
        numbers[position or 0] = length
    if found is not None or len(set(numbers)) > 1:
        node.attributes[name] = ir.AttrInt64s(name, numbers)


def _rewrite_input(
    analysis: Analysis, growth: Growth, names: Names, value: ir.Value, uses: list[Use], lengths: dict[int | None, int]
) -> None:
    known = analysis.constants.small(value)
    if known is not None:
        changed = known.copy()
        for position, length in lengths.items():
            changed.reshape(-1)[position or 0] = length
        if not np.array_equal(changed, known):
            replace_constant(names, value, uses, changed)
        return
    # Written numbers and lengths taken at run time stand in one tensor.
    found = analysis.contents[value]
    delta = np.zeros(len(found.elements), np.int64)
    for position, length in lengths.items():
        element = found.elements[position or 0]
        now = int(element.value or 0) if element.axis is None else growth.length(element.axis)
        delta[position or 0] = length - now
    if delta.any() and not _rewrite_joined(analysis, names, value, uses, delta):
        _add(analysis, names, value, uses, delta.reshape(()) if found.scalar else delta)


def _rewrite_joined(analysis: Analysis, names: Names, value: ir.Value, uses: list[Use], delta: np.ndarray) -> bool:
    """Write numbers into the constants that a Concat joins, for these uses only; False when they are not there."""
    producer = value.producer()
    if producer is None or producer.op_type != "Concat":
        return False
    changed: dict[int, np.ndarray] = {}
    start = 0
    for slot, part in enumerate(producer.inputs):
        known = analysis.constants.small(part) if part is not None else None
        content = analysis.contents.get(part) if part is not None else None
        if known is None and content is None:
            return False
        count = known.size if known is not None else len(content.elements)  # type: ignore[union-attr]
        more = delta[start : start + count]
        if more.any():
            if known is None:
                return False
            changed[slot] = known + more.reshape(known.shape).astype(known.dtype)
        start += count
    if {(use.node, use.idx) for use in value.uses()} != set(uses) or value.is_graph_output():
        producer = _join_again(names, producer)
        for node, slot in uses:
            node.replace_input_with(slot, producer.outputs[0])
    for slot, array in changed.items():
        replace_constant(names, operand(producer, slot), [(producer, slot)], array)
    return True


def _join_again(names: Names, producer: ir.Node) -> ir.Node:
    """Return a copy of a Concat that others read as well."""
    value = producer.outputs[0]
    name = names.node(producer.name or "Concat")
    copied = ir.Node(producer.domain, "Concat", producer.inputs, list(producer.attributes.values()), name=name)
    copied.outputs[0].name = names.value(str(value.name))
    copied.outputs[0].type, copied.outputs[0].shape = value.type, value.shape
    graph = producer.graph
    assert isinstance(graph, ir.Graph)
    graph.insert_after(producer, copied)
    return copied


def _add(analysis: Analysis, names: Names, value: ir.Value, uses: list[Use], delta: np.ndarray) -> None:
    """Add to a computed tensor of lengths what its written numbers must grow by."""
    inferred = analysis.shapes.get(value)
    dtype = inferred.dtype if inferred is not None and inferred.dtype is not None else ir.DataType.INT64
    more = names.initializer(f"{value.name}_growth", delta.astype(dtype.numpy()))
    reader = uses[0][0]
    added = ir.Node("", "Add", [value, more], name=names.node(f"{reader.name or reader.op_type}_lengths"))
    added.outputs[0].name = names.value(f"{value.name}_grown")
    added.outputs[0].type = ir.TensorType(dtype)
    for node, slot in uses:
        node.replace_input_with(slot, added.outputs[0])
    producer = value.producer()
    graph = value.graph
    assert isinstance(graph, ir.Graph)
    if producer is None:  # a body is given it
        graph.insert_before(graph[0], added)
    else:
        graph.insert_after(producer, added)


def replace_constant(names: Names, value: ir.Value, uses: list[Use], array: np.ndarray) -> None:
    """Give uses other elements: in place when nothing else reads them, else a constant of their own."""
    alone = {(use.node, use.idx) for use in value.uses()} == set(uses) and not value.is_graph_output()
    if value.is_initializer() and alone:
        old = value.const_value
        assert old is not None
        value.const_value = ir.tensor(array, name=value.name, doc_string=old.doc_string)
        value.const_value.metadata_props.update(old.metadata_props)
        if value.shape is not None:
            value.shape = ir.Shape(array.shape)
        return
    made = names.initializer(str(value.name), array)
    for node, slot in uses:
        node.replace_input_with(slot, made)


def _write_out(names: Names, node: ir.Node, slot: int, lengths: dict[int | None, int]) -> None:
    """Write lengths that the teacher left to a rule of equal parts, when the parts are no longer equal."""
    numbers = [lengths[position] for position in range(len(lengths))]
    if len(set(numbers)) == 1:
        return
    node.resize_inputs(max(len(node.inputs), slot + 1))
    node.replace_input_with(slot, names.initializer(f"{node.outputs[0].name}_sizes", np.array(numbers, np.int64)))
    node.attributes.pop("num_outputs", None)


def _rewrite_picks(analysis: Analysis, growth: Growth, names: Names, picks: Picks) -> None:
    if picks.shuffled is not None:
        outer, inner = (growth.length(axis) for axis in picks.shuffled)
        array = np.arange(outer * inner).reshape(outer, inner).T.ravel()
    else:
        runs = [(growth.length(before), growth.length(run)) for before, run in picks.runs]
        array = np.concatenate([np.arange(start, start + length) for start, length in runs])
    value = operand(picks.node, picks.slot)
    found = analysis.constants.array(value)
    if found is not None and np.array_equal(array, found):
        return
    dtype = value.dtype if value.dtype in {ir.DataType.INT32, ir.DataType.INT64} else ir.DataType.INT64
    replace_constant(names, value, [(picks.node, picks.slot)], array.astype(dtype.numpy()))
