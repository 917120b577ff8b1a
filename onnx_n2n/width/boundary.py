"""Nodes at the interface: what grows inside a model has the teacher's channels outside, in the teacher's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, Factor, resolve
from onnx_n2n.graph.constants import Constants
from onnx_n2n.graph.names import Names
from onnx_n2n.record.forms import Form, shaped
from onnx_n2n.rules.obligations import Port
from onnx_n2n.width.growth import Growth, Quieted
from onnx_n2n.width.quiet.channels import Quiet
from onnx_n2n.width.stated_sizes import replace_constant


def adapt(analysis: Analysis, growth: Growth, names: Names, forms: dict[str, Form]) -> dict[ir.Value, ir.Value]:
    """Put nodes behind the inputs and before the outputs whose axes grow.

    Args:
        analysis: The analysis of the model.
        growth: How axes grow.
        names: The names of the model.
        forms: Gets the forms of new tensors that are rounded, by name.

    Returns:
        For each graph input that has got one, the tensor that is read instead of it.
    """
    grown = [port for port in analysis.ports if growth.touches(port.axis)]
    adapters = _Adapters(analysis.model.graph, growth, names, forms)
    for port in grown:
        if port.picker is not None:
            adapters.change(port, port.picker, analysis.constants)
    found: dict[ir.Value, list[Port]] = {}
    for port in grown:
        if port.picker is None:
            found.setdefault(port.value, []).append(port)
    copied = {}
    for value, ports in found.items():
        if ports[0].inward:
            copied[value] = adapters.behind(value, ports)
        else:
            adapters.before(value, ports)
    return copied


def first_places(growth: Growth, axis: Axis) -> np.ndarray:
    """Return int64[n]: for every place of an axis in the teacher the first in the student that stands for it."""
    places = np.where(growth.fresh(axis), -1, growth.index(axis))
    old, first = np.unique(places, return_index=True)
    return first[old >= 0]


@dataclass(frozen=True)
class _Adapters:
    graph: ir.Graph
    growth: Growth
    names: Names
    forms: dict[str, Form]

    def before(self, value: ir.Value, ports: Sequence[Port]) -> None:
        """Pick the teacher's channels of an output; its name goes to the result, and what is read inside gets another.

        With indices int64[D] the output is ``Gather([2, 5, D'], indices) -> [2, 5, D]``.
        """
        outside = ir.Value(name=value.name, type=value.type, shape=_copied(value.shape), doc_string=value.doc_string)
        outside.metadata_props.update(value.metadata_props)
        value.name, value.doc_string = self.names.value(f"{value.name}_grown"), None
        value.metadata_props.clear()
        _forget_names(value, ports)
        nodes: list[ir.Node] = []
        for port in ports:
            operand = nodes[-1].outputs[0] if nodes else value
            result = outside if port is ports[-1] else None
            nodes.append(self._gather(operand, port, first_places(self.growth, port.axis), result))
        self.graph.extend(nodes)
        for place, output in enumerate(self.graph.outputs):
            if output is value:
                self.graph.outputs[place] = outside

    def behind(self, value: ir.Value, ports: Sequence[Port]) -> ir.Value:
        """Copy channels of an input, for all that read it, and return the result.

        With indices int64[D'] that is ``Gather([2, 5, D], indices) -> [2, 5, D']``. Where new channels must hold a
        combination of the old ones, [D, D' - D], it is ``Concat(x, MatMul(x, combination))``.
        """
        uses = list(value.uses())
        nodes: list[ir.Node] = []
        for port in ports:
            operand = nodes[-1].outputs[0] if nodes else value
            held = self._held(port)
            if held is None:
                nodes.append(self._gather(operand, port, self.growth.index(port.axis)))
            else:
                nodes += self._join(operand, port, held)
        grown = nodes[-1].outputs[0]
        grown.shape = _copied(value.shape)
        _forget_names(grown, ports)
        self.graph.insert_before(self.graph[0], nodes)
        for use in uses:
            use.node.replace_input_with(use.idx, grown)
        return grown

    def change(self, port: Port, picker: ir.Node, constants: Constants) -> None:
        """Let a Gather that stands there already copy to, or pick from, more channels."""
        value = picker.inputs[1]
        assert value is not None
        indices = constants[value].numpy()
        if port.inward:
            indices = indices[self.growth.index(port.axis)]
        else:
            indices = first_places(self.growth, port.axis)[indices].astype(indices.dtype)
        replace_constant(self.names, value, [(picker, 1)], indices)

    def _held(self, port: Port) -> Quiet | None:
        """Return what new channels of an input must hold, if it matters."""
        factor = resolve(port.axis)
        channels = self.growth.channels.get(factor) if isinstance(factor, Factor) else None
        return channels.quiet if isinstance(channels, Quieted) and port.value in channels.quiet.holds else None

    def _gather(self, operand: ir.Value, port: Port, indices: np.ndarray, result: ir.Value | None = None) -> ir.Node:
        places = self.names.initializer(f"{port.value.name}_channels", indices)
        return self._node("Gather", [operand, places], port.value, port.position, result)

    def _join(self, operand: ir.Value, port: Port, quiet: Quiet) -> list[ir.Node]:
        """Lay the combination of the channels, as often as there are new ones, behind the channels themselves."""
        held = quiet.holds[port.value]
        more = self.growth.length(port.axis) - len(held)
        dtype = (port.value.dtype or ir.DataType.FLOAT).numpy()
        weights = np.repeat(held[:, None], more, axis=1).astype(dtype)
        combination = self.names.initializer(f"{port.value.name}_combination", weights)
        if (form := quiet.forms[port.value]) is not None:
            self.forms[str(combination.name)] = shaped(form, -1, 1) if "times" in form else form
        combined = self._node("MatMul", [operand, combination], port.value)
        return [combined, self._node("Concat", [operand, combined.outputs[0]], port.value, port.position)]

    def _node(
        self,
        operator: str,
        operands: Sequence[ir.Value],
        end: ir.Value,
        axis: int | None = None,
        result: ir.Value | None = None,
    ) -> ir.Node:
        """Return a node named after the input or output that it is for; it makes ``result``, or what is like that."""
        if result is None:
            result = ir.Value(name=self.names.value(f"{end.name}_{operator.lower()}"), type=end.type)
        attributes = [] if axis is None else [ir.AttrInt64("axis", axis)]
        name = self.names.node(f"{end.name}_{operator.lower()}")
        return ir.Node("", operator, operands, attributes, outputs=[result], name=name)


def _copied(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else ir.Shape(list(shape))


def _forget_names(value: ir.Value, ports: Sequence[Port]) -> None:
    """Take symbolic names from the axes of a tensor that are longer than those of the same names outside."""
    if value.shape is not None:
        grown = {port.position for port in ports}
        value.shape = ir.Shape(
            [
                ir.SymbolicDim(None) if place in grown and not isinstance(dim, int) else dim
                for place, dim in enumerate(value.shape)
            ]
        )
