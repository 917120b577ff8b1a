"""Declared shapes: what a file says of the lengths of tensors is true of the student too, or is not said any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, size
from onnx_n2n.graph.subgraphs import nested, nodes_of, values_of
from onnx_n2n.graph.unfolding import Unfolding
from onnx_n2n.width.growth import Growth


def declare(analysis: Analysis, growth: Growth, made: Iterable[ir.Value], copied: Mapping[ir.Value, ir.Value]) -> None:
    """Write the student's lengths into the declared shapes of a model.

    Args:
        analysis: The analysis of the model, which is changed.
        growth: How its factors grow.
        made: The tensors of the teacher.
        copied: What now stands for some of them.
    """
    for value in made:
        known = analysis.sequences.get(value)
        ranks = [analysis.axes.get(value, ())] if known is None else known
        _declare(copied.get(value, value), ranks, growth)
    _forget(analysis, growth)


def _declare(value: ir.Value, tensors: Sequence[Sequence[Axis]], growth: Growth) -> None:
    """Write lengths into the declared shape of a tensor, or of the tensors of a sequence."""
    if value.shape is None:
        return
    lengths = list(value.shape)
    for position in range(len(lengths)):
        axes = [axes[position] for axes in tensors if len(axes) == len(lengths)]
        if _told(value, lengths[position]) and any(map(growth.touches, axes)):
            # A symbol may stand for other axes too, which do not grow alike.
            # What is declared may be more than what is known of an axis that grows only in part.
            after = {growth.length(axis) if size(axis) is not None else None for axis in axes}
            lengths[position] = next(iter(after)) or ir.SymbolicDim(None) if len(after) == 1 else ir.SymbolicDim(None)
    if lengths != list(value.shape):
        value.shape = ir.Shape(lengths)


def _told(value: ir.Value, length: int | ir.SymbolicDim) -> bool:
    """Say whether a declared length says something inside the model: a number, or a symbol."""
    return isinstance(length, int) or bool(length.value and not value.is_graph_input() and not value.is_graph_output())


def _forget(analysis: Analysis, growth: Growth) -> None:
    """Take lengths out of functions that are given something that grew: one body serves calls of several sizes."""
    functions = analysis.model.functions
    unfolding = Unfolding(functions)
    for node in nodes_of(analysis.model.graph):
        if node.op_identifier() not in functions:
            continue
        given = (analysis.axes_of_use(node, slot) or () for slot in range(len(node.inputs)))
        if any(growth.touches(axis) for axes in given for axis in axes):
            for each in (node.op_identifier(), *unfolding.reached(functions[node.op_identifier()].graph)):
                for graph in nested(functions[each].graph):
                    for value in values_of(graph):
                        if value.shape is not None and not value.is_initializer():
                            value.shape = ir.Shape([None if isinstance(n, int) else n for n in value.shape])
