"""Apply a growth to a model: weights, shares, numbers that say lengths, declared shapes. The same for every operator.

This is the one place that changes a model, and it is given a private copy.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis import Analysis
from onnx_n2n.axes import Axis
from onnx_n2n.constants import FLOATS
from onnx_n2n.groups import layer_name, measures
from onnx_n2n.growth import Growth
from onnx_n2n.literals import rewrite_literals
from onnx_n2n.names import Names
from onnx_n2n.obligations import Contraction, Summand
from onnx_n2n.weights import Recipe, Summed

CARRIERS = frozenset({"Identity", "Cast", "Transpose"})  # a weight may reach its node through these


@dataclass(frozen=True)
class Source:
    """The constant behind an operand: the use that reads it, and the axis of it that becomes the operand's axis."""

    value: ir.Value
    node: ir.Node
    slot: int
    axis: int


@dataclass(frozen=True)
class Demand:
    """Shares that one use of a constant must carry."""

    source: Source
    summed: Summed
    contraction: Contraction


def rewrite(analysis: Analysis, growth: Growth, *, noise: float = 0.0, seed: int = 0) -> None:
    """Grow the analysed model in place.

    Args:
        analysis: The analysis of the model, which is changed.
        growth: How its factors grow.
        noise: Standard deviation of the noise on copied outgoing weights, relative to that of the weight; it sums to
            zero over the copies of each channel.
        seed: Seed of that noise and of fresh weights.
    """
    _Rewriter(analysis, growth, noise, seed).run()


class _Rewriter:
    def __init__(self, analysis: Analysis, growth: Growth, noise: float, seed: int) -> None:
        self.analysis, self.growth, self.noise, self.seed = analysis, growth, noise, seed
        self.graph = analysis.model.graph
        self.names = Names(analysis.model)
        self._ranks: dict[ir.Value, int] = {}  # of operands that carry shares already

    def run(self) -> None:
        placed, left = self._place_shares()
        nodes = list(self.graph)
        for value in list(self.analysis.constants):
            self._grow_constant(value, placed)
        for contraction in left:
            self._insert_share(contraction)
        rewrite_literals(self.analysis, self.growth, self.names)
        for node in nodes:
            for output in node.outputs:
                self._declare(output, self.analysis.axes.get(output, ()))

    # --- shares

    def _place_shares(self) -> tuple[dict[tuple[ir.Node, int], list[Summed]], list[Contraction]]:
        """Decide for each contraction whether a constant operand carries its shares; return the others as well."""
        demands: dict[ir.Value, list[Demand]] = {}
        left = []
        for contraction in self.analysis.ledger.contractions:
            parts = contraction.summands[0].parts
            if not any(summed and self.growth.touches(axis) for axis, summed in parts):
                continue
            demand = self._demand(contraction)
            if demand is None:
                left.append(contraction)
            else:
                demands.setdefault(demand.source.value, []).append(demand)
        placed: dict[tuple[ir.Node, int], list[Summed]] = {}
        for value, wanted in demands.items():
            if self._agree(value, wanted):
                for demand in wanted:
                    placed.setdefault((demand.source.node, demand.source.slot), []).append(demand.summed)
            else:
                # A weight with another use must not be scaled there, and a copy would untie what is tied.
                left += [demand.contraction for demand in wanted]
        return placed, left

    def _demand(self, contraction: Contraction) -> Demand | None:
        if contraction.power is not None:
            return None
        for summand in reversed(contraction.summands):
            source = self._source(contraction.node, summand)
            if source is not None:
                return Demand(source, self._summed(summand, source.axis), contraction)
        return None

    def _source(self, node: ir.Node, summand: Summand) -> Source | None:
        """Follow an operand back to the constant it comes from, if nothing else reads it on the way."""
        slot, axis = summand.slot, summand.position
        while True:
            value = node.inputs[slot]
            assert value is not None
            if value in self.analysis.constants:
                # Integer and quantised weights cannot be scaled; they are pinned, but may stand here all the same.
                return Source(value, node, slot, axis) if self.analysis.constants.growable(value) else None
            producer = value.producer()
            if producer is None or producer.op_type not in CARRIERS or len(value.uses()) > 1 or value.is_graph_output():
                return None
            if producer.op_type == "Cast" and producer.attributes["to"].value not in FLOATS:
                return None  # it rounds, and half of a weight rounds to something else
            if producer.op_type == "Transpose":
                rank = len(self.analysis.axes[value])
                found = producer.attributes.get("perm")
                perm = found.value if found is not None else range(rank - 1, -1, -1)
                axis = perm[axis]
            node, slot = producer, 0

    def _summed(self, summand: Summand, axis: int) -> Summed:
        share, key = np.ones(1), np.zeros(1, np.int64)
        for part, summed in summand.parts:
            length = self.growth.length(part)
            share = np.multiply.outer(share, self.growth.share(part) if summed else np.ones(length)).ravel()
            places = self.growth.index(part) if summed else np.arange(length)
            key = np.add.outer(key * max(length, 1), places).ravel()
        return Summed(axis, share, key)

    def _agree(self, value: ir.Value, wanted: list[Demand]) -> bool:
        if self.analysis.constants.vector_like(value):
            return True
        asked = {(demand.source.node, demand.source.slot) for demand in wanted}
        if value.is_graph_output() or {(use.node, use.idx) for use in value.uses() if not measures(use.node)} != asked:
            return False
        kinds = {(d.summed.axis, d.summed.share.tobytes(), d.summed.key.tobytes()) for d in wanted}
        return len(kinds) * len(asked) == len(wanted)

    def _insert_share(self, contraction: Contraction) -> None:
        """Multiply an operand by its shares, when no constant can carry them."""
        node = contraction.node
        summand = next(
            (s for s in contraction.summands if self._is_activation(node.inputs[s.slot])),
            contraction.summands[0],
        )
        value = node.inputs[summand.slot]
        assert value is not None
        rank = self._ranks.get(value) or len(self.analysis.axes_of_use(node, summand.slot) or ())
        vector = self._summed(summand, summand.position).share ** (contraction.power or 1.0)
        dtype = self._dtype(node)
        array = vector.reshape(-1, *[1] * (rank - summand.position - 1)).astype(dtype.numpy())
        base = layer_name(node).split(" ")[0]
        share = self.names.initializer(f"{base}_share", array)
        scaled = ir.Node("", "Mul", [value, share], name=self.names.node(f"{base}_scale"))
        scaled.outputs[0].name = self.names.value(f"{value.name}_scaled")
        scaled.outputs[0].type = ir.TensorType(dtype)
        self.graph.insert_before(node, scaled)
        node.replace_input_with(summand.slot, scaled.outputs[0])
        self._ranks[scaled.outputs[0]] = rank

    def _dtype(self, node: ir.Node) -> ir.DataType:
        """Return the floating-point type that a contraction computes in: that of its operands."""
        values = [value for value in node.inputs if value is not None]
        inferred = [self.analysis.shapes.get(str(value.name)) for value in values]
        known = [value.dtype for value in values] + [found.dtype for found in inferred if found is not None]
        return next(dtype for dtype in known if dtype in FLOATS)

    def _is_activation(self, value: ir.Value | None) -> bool:
        return value is not None and value not in self.analysis.constants

    # --- weights

    def _grow_constant(self, value: ir.Value, placed: dict[tuple[ir.Node, int], list[Summed]]) -> None:
        """Give every use of a constant the values it needs: one tensor where they agree, copies where they do not."""
        uses = list(value.uses())
        if not self.analysis.constants.vector_like(value):
            uses = [use for use in uses if not measures(use.node)] or uses  # every copy of a matrix has the same shape
        recipes = [
            self._recipe(value, self.analysis.axes_of_use(use.node, use.idx), placed.get((use.node, use.idx), []))
            for use in uses
        ]
        if value.is_graph_output() or any(recipe.identity for recipe in recipes):
            made: dict[tuple[object, ...], ir.Value] = {_UNCHANGED: value}
        else:
            made = {}
        for use, recipe in zip(uses, recipes, strict=True):
            key = _UNCHANGED if recipe.identity else recipe.key()
            if key not in made:
                made[key] = self._make(value, recipe, replace=not made)
            if made[key] is not value:
                use.node.replace_input_with(use.idx, made[key])

    def _recipe(self, value: ir.Value, axes: tuple[Axis, ...] | None, summed: list[Summed]) -> Recipe:
        rank = len(self.analysis.constants[value].shape)
        if axes is None:
            return Recipe((None,) * rank)
        index = tuple(self.growth.index(axis) if self.growth.touches(axis) else None for axis in axes)
        carrying = {part.axis for part in summed}
        fresh = tuple(
            self.growth.fresh(axis) if summed and place not in carrying and self.growth.touches(axis) else None
            for place, axis in enumerate(axes)
        )
        seed = (self.seed, zlib.crc32(str(value.name).encode()))
        return Recipe(index, tuple(summed), fresh, self.noise, seed)

    def _make(self, value: ir.Value, recipe: Recipe, *, replace: bool) -> ir.Value:
        teacher = self.analysis.constants[value]
        shape = ir.Shape(recipe.shape(tuple(teacher.shape.numpy())))
        name = str(value.name) if replace else self.names.value(str(value.name))
        tensor = ir.LazyTensor(
            lambda: ir.Tensor(recipe.make(teacher.numpy()), dtype=teacher.dtype),
            dtype=teacher.dtype,
            shape=shape,
            name=name,
            doc_string=teacher.doc_string,
        )
        tensor.metadata_props.update(teacher.metadata_props)
        if not replace:
            return self.names.register(tensor)
        producer = value.producer()
        if producer is None:
            value.const_value = tensor
        else:
            producer.attributes.clear()
            producer.attributes["value"] = ir.AttrTensor("value", tensor)
        self._declare(value, shape)
        return value

    def _declare(self, value: ir.Value, axes: Iterable[Axis] | ir.Shape) -> None:
        """Write the student's lengths into a declared shape."""
        if value.shape is None:
            return
        lengths = list(value.shape)
        if isinstance(axes, ir.Shape):
            lengths = list(axes)
        else:
            for place, axis in enumerate(axes if len(tuple(axes)) == len(lengths) else ()):
                if isinstance(lengths[place], int) and self.growth.touches(axis):
                    lengths[place] = self.growth.length(axis)
        if lengths != list(value.shape):
            value.shape = ir.Shape(lengths)


_UNCHANGED: tuple[object, ...] = ("unchanged",)
