"""Which parameters the weights of a model are, by their values, where exporters left no names.

A weight may be a parameter with its axes in another order, or joined; or several parameters of a recurrent cell. A norm
that was folded into a layer, or into a product and a sum, is known by what it would leave there, whatever its vectors
are called. What fits several parameters is none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from onnx_n2n.checkpoint.parameters import Arrays, Parameters, module_of
from onnx_n2n.graph.constants import FLOATS, uniform
from onnx_n2n.graph.passthrough import REARRANGERS
from onnx_n2n.record.layouts import (
    SAME,
    ChannelLayout,
    arrangements,
)
from onnx_n2n.record.provenance import LAYERS, Origin, outputs

Origins = dict[str, tuple[Origin, ...]]


def by_value(origins: Origins, arrays: Arrays, teacher: ir.Model, grown: Mapping[str, Collection[int]]) -> Origins:
    """Find the parameters of weights whose names say nothing, by their values.

    Args:
        origins: What is known of the weights.
        arrays: The parameters, by name.
        teacher: The model that was exported from these.
        grown: For weights that grow, along which axes: where several layouts fit, they have to agree on these.

    Returns:
        What is known now. What may be several parameters is not.
    """
    found = dict(origins)
    parameters = Parameters(arrays, grown)
    for value in teacher.graph.initializers.values():
        entries = found.get(str(value.name), ())
        if value.const_value is None or value.const_value.dtype not in FLOATS or _known(entries, arrays):
            continue
        array = value.const_value.numpy()
        match = parameters.of(array, str(value.name)) or parameters.part(array)
        if match is not None:
            names, layout = match
            # A parameter of a known name that the checkpoint has under another one only was tied to that.
            others = (origin for weight, each in found.items() if weight != value.name for origin in each)
            claimed = len(names) == 1 and any(names[0] in origin.names for origin in others)
            tied = entries[0].names[0] if entries and entries[0].source != "name" and claimed else ""
            readers = dict.fromkeys(str(use.node.name) for use in value.uses()) or [""]
            found[str(value.name)] = tuple(Origin(names, layout, node, "content", tied) for node in readers)
    for rule in (_folded, _scaled, _even_beside):
        for each in teacher.graph:
            for weight, more in rule(found, parameters, each):
                found[weight] = (*found.get(weight, ()), *more)
    return found


Found = Iterator[tuple[str, Sequence[Origin]]]


def _known(entries: Sequence[Origin], arrays: Arrays) -> bool:
    return any(origin.names and set(origin.names) <= arrays.keys() for origin in entries)


def _folded(origins: Origins, parameters: Parameters, node: ir.Node) -> Found:
    """Yield what weight and bias of a layer hold, if a norm was folded into it."""
    if node.op_type not in LAYERS or len(node.inputs) < 3:
        return
    weight, bias = node.inputs[1:3]
    if weight is None or bias is None or weight.const_value is None or bias.const_value is None:
        return
    own = [origin for origin in origins.get(str(bias.name), ()) if _known([origin], parameters.arrays)]
    if any(origin.source != "node" or _is(parameters.arrays[origin.names[0]], bias) for origin in own):
        return  # a name that was read off the node is that of the layer's own bias, folded or not
    axis = outputs(node)
    named = [origin for origin in origins.get(str(weight.name), ()) if _known([origin], parameters.arrays)]
    found = parameters.folded(weight, bias, axis, named)
    if found is None:
        return
    layer, layout, norm, before = found
    if not named:
        yield str(weight.name), [Origin((layer,), layout, str(node.name), "content")]
    for value, along in ((weight, axis), (bias, 0)):
        channels = ChannelLayout(along)
        yield str(value.name), [Origin((name,), channels, str(node.name), "content") for name in norm]
    if before:
        yield str(bias.name), [Origin((before,), SAME, str(node.name), "content")]


def _is(array: np.ndarray, value: ir.Value) -> bool:
    assert value.const_value is not None
    return np.array_equal(array, value.const_value.numpy())


def _scaled(origins: Origins, parameters: Parameters, node: ir.Node) -> Found:
    """Yield what the operands of a product and of a sum behind it hold, if a norm was written out so."""
    factor = _vector(node, {"Mul"})
    if factor is None or _known(origins.get(str(factor[0].name), ()), parameters.arrays):
        return
    value, axis, ratio = factor
    norms = parameters.scales(ratio)
    if len(norms) != 1:
        return
    (names,) = norms
    yield str(value.name), [Origin((name,), ChannelLayout(axis), str(node.name), "content") for name in names]
    uses = [use.node for use in node.outputs[0].uses()]
    shift = _vector(uses[0], {"Add"}) if len(uses) == 1 else None
    if shift is None or _known(origins.get(str(shift[0].name), ()), parameters.arrays):
        return
    value, axis, offset = shift
    rest = parameters.shifts(names, ratio, offset)
    if len(rest) == 1:
        layout = ChannelLayout(axis)
        yield str(value.name), [Origin((name,), layout, str(uses[0].name), "content") for name in rest.pop()]


def _vector(node: ir.Node, operators: Collection[str]) -> tuple[ir.Value, int, np.ndarray] | None:
    """Return the weight of a node that has one axis longer than 1, with that axis and its numbers."""
    values = [value for value in node.inputs if value is not None and value.const_value is not None]
    if node.op_type not in operators or len(values) != 1 or values[0].const_value.dtype not in FLOATS:  # type: ignore[union-attr]
        return None
    array = values[0].const_value.numpy()  # type: ignore[union-attr]
    axes = [axis for axis, length in enumerate(array.shape) if length > 1]
    return (values[0], axes[0], array.reshape(-1)) if len(axes) == 1 else None


def _even_beside(origins: Origins, parameters: Parameters, node: ir.Node) -> Found:
    """Yield the parameter of a weight that is one number throughout, as a new bias, by what stands beside it.

    It is the one parameter with that number, and of its length, in the module of which the node, or the one before it,
    reads another.
    """
    claimed = {name for entries in origins.values() for origin in entries for name in origin.names}
    modules = {module_of(name) for name in _names_around(origins, node) if name in parameters.arrays}
    for value in node.inputs:
        tensor = value.const_value if value is not None else None
        if value is None or tensor is None or tensor.dtype not in FLOATS or not uniform(tensor.numpy()):
            continue
        own = [origin for origin in origins.get(str(value.name), ()) if origin.node in {"", node.name}]
        if tensor.size < 2 or _known(own, parameters.arrays):
            continue
        array = tensor.numpy()
        found = [
            name
            for name, spec in parameters.specs.items()
            if name not in claimed and module_of(name) in modules and prod(spec.shape) == array.size
            and np.all(parameters.arrays[name] == array.flat[0])
        ]  # fmt: skip
        layouts = list(arrangements(parameters.specs[found[0]].shape, array.shape)) if len(found) == 1 else []
        if layouts:
            yield str(value.name), [Origin((found[0],), layouts[0], str(node.name), "content")]


def _names_around(origins: Origins, node: ir.Node) -> set[str]:
    """Return the parameters that a node reads, or the one before it that does not only move things about."""
    found = {name for value in node.inputs if value is not None for origin in origins.get(str(value.name), ())
             for name in origin.names if not origin.node or origin.node == node.name}  # fmt: skip
    for value in node.inputs if not found else ():
        before = value.producer() if value is not None else None
        while before is not None and before.op_type in REARRANGERS and before.inputs[0] is not None:
            before = before.inputs[0].producer()
        if before is not None:
            found |= {name for each in before.inputs if each is not None for origin in origins.get(str(each.name), ())
                      for name in origin.names}  # fmt: skip
    return found
