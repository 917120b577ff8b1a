"""Kernels grow, in place: the model must be a private copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.graph.names import Names
from onnx_n2n.graph.operators import measures, plain
from onnx_n2n.graph.uses import Use, operand
from onnx_n2n.kernels.padding import ConvGrowth, Margin
from onnx_n2n.record.recipe import Recipe, Row
from onnx_n2n.record.record import Remade


def grow(analysis: Analysis, wanted: Sequence[ConvGrowth]) -> tuple[dict[ConvGrowth, str], dict[ConvGrowth, str]]:
    """Let kernels grow, in place.

    Returns:
        The names of the weights that are larger now, and why some could not be.
    """
    refused = {growing: reason for growing in wanted if (reason := _shared(growing, wanted))}
    chosen = [(growing, *_use(growing)) for growing in wanted if growing not in refused]
    growing_uses = {(node, slot) for _, node, slot in chosen}
    names, larger = Names(analysis.model), dict[ConvGrowth, ir.Value]()
    made: dict[tuple[ir.Value, Margin], ir.Value] = {}
    for growing, node, slot in chosen:
        value = operand(node, slot)
        key = value, growing.margin
        if key not in made:
            # One weight may serve several convolutions, which want different things, or be read by something else.
            others = (use for use in value.uses() if (use.node, use.idx) not in growing_uses)
            kept = value.is_graph_output() or not all(_measures_channels(analysis, growing, use.node) for use in others)
            free = not kept and all(other is not value for other, _ in made)
            made[key] = _larger(analysis, growing, value, names, replace=free)
        larger[growing] = made[key]
    for growing, node, slot in chosen:
        node.replace_input_with(slot, larger[growing])
        _follow(growing)
    return {growing: str(value.name) for growing, value in larger.items()}, refused


def _measures_channels(analysis: Analysis, growing: ConvGrowth, node: ir.Node) -> bool:
    """Say whether a node reads no more of a weight than the lengths of its channels, as for a bias of zeros."""
    if node.op_type != "Shape" or not measures(node):
        return False
    rank = len(growing.layer.shape)
    places = range(rank)
    channels = {place for place in places if place not in places[growing.layer.form.kernel]}
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", rank)
    if channels.issuperset(places[start:end]):
        return True
    picks = [use.node for use in node.outputs[0].uses()]
    if node.outputs[0].is_graph_output() or any(pick.op_type != "Gather" or plain(pick.domain) for pick in picks):
        return False
    picked = [analysis.constants.small(operand(pick, 1)) for pick in picks]
    return all(found is not None and channels.issuperset(places[start:end][n] for n in found.flat) for found in picked)


def _use(growing: ConvGrowth) -> Use:
    assert growing.layer.source is not None
    return growing.layer.source


def _shared(growing: ConvGrowth, wanted: Sequence[ConvGrowth]) -> str:
    """Say why a weight that is dequantised cannot grow: all that read it must want the same. Others get their own."""
    node, _ = _use(growing)
    if node is growing.layer.node:
        return ""
    agreed = {
        (each.layer.node, each.layer.form.weight)
        for each in wanted
        if _use(each)[0] is node and each.margin == growing.margin
    }
    result = node.outputs[0]
    alone = not result.is_graph_output() and all((use.node, use.idx) in agreed for use in result.uses())
    return "" if alone else "its quantised weight is read by others too"


def _larger(analysis: Analysis, growing: ConvGrowth, value: ir.Value, names: Names, *, replace: bool) -> ir.Value:
    """Return a weight with zeros around its kernel: the value itself if it is replaced, or a new one."""
    teacher, zero, shape = analysis.constants[value], growing.zero, growing.shape
    inner = tuple(slice(more, more + own) for own, more in zip(growing.layer.shape, growing.margins, strict=True))

    def make() -> ir.TensorProtocol:
        array = teacher.numpy()
        larger = np.empty(shape, array.dtype)
        larger[...] = zero.astype(array.dtype)
        larger[inner] = array
        return ir.Tensor(larger, dtype=teacher.dtype)

    return names.grown(value, teacher, shape, make, replace=replace)


def _follow(growing: ConvGrowth) -> None:
    """Write what goes with a larger kernel into the attributes of its node, and into the shape before it."""
    layer, attributes = growing.layer, growing.layer.node.attributes
    if "kernel_shape" in attributes:
        attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", growing.kernel)
    if growing.pads is not None:
        attributes.pop("auto_pad", None)
        attributes["pads"] = ir.AttrInt64s("pads", growing.pads)
    maker, _ = _use(growing)
    if maker is not layer.node and maker.outputs[0].shape is not None:
        maker.outputs[0].shape = ir.Shape(growing.shape)


def trace(analysis: Analysis, grown: Mapping[ConvGrowth, str]) -> dict[str, tuple[np.ndarray | None, ...]]:
    """Return where the places of the student's tensors come from: all are as they were, but for larger weights."""
    found: dict[str, tuple[np.ndarray | None, ...]] = {
        str(value.name): (None,) * len(axes) for value, axes in analysis.axes.items()
    }
    for growing, name in grown.items():
        index = tuple(
            np.concatenate([np.full(more, -1), np.arange(own), np.full(more, -1)]) if more else None
            for own, more in zip(growing.layer.shape, growing.margins, strict=True)
        )
        read = operand(growing.layer.node, growing.layer.form.weight)
        found |= {larger: index for larger in (name, str(read.name)) if larger in found}
    return found


def remade(grown: Mapping[ConvGrowth, str]) -> tuple[Remade, ...]:
    """Return how larger weights are made of the teacher's, for the growth record.

    Left out are those in which something else than 0 stands for zero: they are no weights that training changes.
    """
    found: dict[tuple[str, str], Remade] = {}
    for growing, name in grown.items():
        layer = growing.layer
        if np.any(growing.zero):
            continue
        # Place n of an axis is the row that is appended to it, of zeros.
        pairs = list(zip(layer.shape, growing.margins, strict=True))
        index = tuple(np.pad(np.arange(own), more, constant_values=own) if more else None for own, more in pairs)
        rows = tuple(Row(np.zeros(own)) if more else None for own, more in pairs)
        found[layer.weight, name] = Remade(
            layer.weight, name, layer.shape, Recipe(index, rows=rows), (None,) * len(layer.shape)
        )
    return tuple(found.values())
