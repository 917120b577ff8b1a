"""Apply a growth to a model: weights, shares, numbers that say lengths, declared shapes. The same for every operator.

This is the one place that changes a model, and it is given a private copy.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis import Analysis
from onnx_n2n.axes import Axis, Factor, leaves, resolve, size
from onnx_n2n.constants import FLOATS
from onnx_n2n.groups import layer_name, measures
from onnx_n2n.growth import Growth
from onnx_n2n.literals import rewrite_literals
from onnx_n2n.names import Names
from onnx_n2n.obligations import Contraction, Mean, Summand
from onnx_n2n.quiet import Use
from onnx_n2n.weights import Recipe, Row, Summed

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
        self.names = Names(analysis.model)
        self._ranks: dict[ir.Value, int] = {}  # of operands that carry shares already
        self._quiet = {factor: c.quiet for factor, c in growth.channels.items() if c.quiet is not None}
        self._readers = {(c.node, s.slot) for c in analysis.ledger.contractions for s in c.summands}

    def run(self) -> None:
        placed, left = self._place_shares()
        made = [value for graph in self.analysis.model.graphs() for value in _values(graph)]
        for value in list(self.analysis.constants):
            self._grow_constant(value, placed)
        for contraction in left:
            self._insert_share(contraction)
        self._keep_means()
        rewrite_literals(self.analysis, self.growth, self.names)
        for value in made:
            self._declare(value, self.analysis.axes.get(value, ()))

    # --- shares

    def _place_shares(self) -> tuple[dict[tuple[ir.Node, int], list[Summed]], list[Contraction]]:
        """Decide for each contraction whether a constant operand carries its shares; return the others as well."""
        demands: dict[ir.Value, list[Demand]] = {}
        left = []
        for contraction in self.analysis.ledger.contractions:
            parts = contraction.summands[0].parts
            silent = self._silent(contraction)
            if all(leaf not in self.growth.channels or leaf in silent for axis, summed in parts if summed
                   for leaf in leaves(axis)):
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

    def _silent(self, contraction: Contraction) -> frozenset[Factor]:
        """Return the factors whose new channels are zero in an operand, so that nothing is there to be shared."""
        values = [contraction.node.inputs[summand.slot] for summand in contraction.summands]
        return frozenset(
            factor
            for factor, quiet in self._quiet.items()
            if any(value is not None and quiet.silent(value) for value in values)
        )

    def _demand(self, contraction: Contraction) -> Demand | None:
        if contraction.power is not None:
            return None
        for summand in reversed(contraction.summands):
            source = self._source(contraction.node, summand)
            if source is not None:
                return Demand(source, self._summed(contraction, summand, source.axis), contraction)
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

    def _summed(self, contraction: Contraction, summand: Summand, axis: int) -> Summed:
        share, key = np.ones(1), np.zeros(1, np.int64)
        silent = self._silent(contraction)
        for part, summed in summand.parts:
            length = self.growth.length(part)
            share = np.multiply.outer(share, self.growth.share(part, silent) if summed else np.ones(length)).ravel()
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
        vector = self._summed(contraction, summand, summand.position).share ** (contraction.power or 1.0)
        self._scale_operand(node, summand.slot, summand.position, rank, vector)

    def _weigh(self, mean: Mean, axis: Axis) -> None:
        """Weigh the operand of a mean by its shares, so that it is the teacher's whatever was copied."""
        rank = len(self.analysis.axes_of_use(mean.node, 0) or ())
        vector = self.growth.share(axis) * (self.growth.length(axis) / (size(axis) or 1))
        self._scale_operand(mean.node, 0, mean.position, rank, vector)

    def _scale_operand(self, node: ir.Node, slot: int, position: int, rank: int, vector: np.ndarray) -> None:
        """Multiply an operand by a vector along one of its axes."""
        value = node.inputs[slot]
        assert value is not None
        scaled = self._product(node, value, vector.reshape(-1, *[1] * (rank - position - 1)), self._dtype(node))
        self._graph_of(node).insert_before(node, scaled)
        node.replace_input_with(slot, scaled.outputs[0])
        self._ranks[scaled.outputs[0]] = rank

    def _scale_result(self, node: ir.Node, factor: float) -> None:
        """Multiply what a node makes by a number."""
        value = node.outputs[0]
        uses = list(value.uses())
        scaled = self._product(node, value, np.array(factor), self._dtype(node))
        self._graph_of(node).insert_after(node, scaled)
        for use in uses:
            use.node.replace_input_with(use.idx, scaled.outputs[0])

    def _product(self, node: ir.Node, value: ir.Value, array: np.ndarray, dtype: ir.DataType) -> ir.Node:
        base = layer_name(node).split(" ")[0]
        share = self.names.initializer(f"{base}_share", array.astype(dtype.numpy()))
        scaled = ir.Node("", "Mul", [value, share], name=self.names.node(f"{base}_scale"))
        scaled.outputs[0].name = self.names.value(f"{value.name}_scaled")
        scaled.outputs[0].type = ir.TensorType(dtype)
        return scaled

    def _graph_of(self, node: ir.Node) -> ir.Graph:
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        return graph

    def _dtype(self, node: ir.Node) -> ir.DataType:
        """Return the floating-point type that a contraction computes in: that of its operands."""
        values = [value for value in node.inputs if value is not None]
        inferred = [self.analysis.shapes.get(value) for value in values]
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
        recipes = [self._recipe(value, (use.node, use.idx), placed.get((use.node, use.idx), [])) for use in uses]
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

    def _recipe(self, value: ir.Value, use: Use, summed: list[Summed]) -> Recipe:
        axes = self.analysis.axes_of_use(*use)
        if axes is None:
            return Recipe((None,) * len(self.analysis.constants[value].shape))
        rows = [self._row(value, use, axis) for axis in axes]
        carrying = {part.axis for part in summed}
        index, fresh = [], []
        for place, (axis, row) in enumerate(zip(axes, rows, strict=True)):
            found = self.growth.index(axis) if self.growth.touches(axis) else None
            new = self.growth.fresh(axis)
            if row is not None and found is not None:
                found = np.where(new, size(axis) or 0, found)
            drawn = row is None and place not in carrying and use in self._readers and bool(np.any(new))
            index.append(found)
            fresh.append(new if drawn else None)
        seed = (self.seed, zlib.crc32(str(value.name).encode()))
        return Recipe(tuple(index), tuple(summed), tuple(fresh), tuple(rows), self._scale(use), self.noise, seed)

    def _row(self, value: ir.Value, use: Use, axis: Axis) -> Row | None:
        """Return what a constant has in the new places of a quiet axis: a matrix the same for all its uses."""
        found = resolve(axis)
        quiet = self._quiet.get(found) if isinstance(found, Factor) else None
        if quiet is None:
            return None
        if use in quiet.ones:
            return Row(None)
        uses = [use] if self.analysis.constants.vector_like(value) else [(u.node, u.idx) for u in value.uses()]
        return next((Row(quiet.rows[other]) for other in uses if other in quiet.rows), None)

    def _scale(self, use: Use) -> float:
        """Return what a gain is multiplied by, so that its norm makes up for the channels that joined quietly."""
        scale = 1.0
        for factor, quiet in self._quiet.items():
            if any(use == (norm.node, norm.gain) for norm in quiet.norms):
                scale *= math.sqrt((factor.size or 0) / self.growth.length(factor))
        return scale

    def _keep_means(self) -> None:
        """Let norms and means make up for what joined the axis that they are taken over."""
        for factor, quiet in self._quiet.items():
            shrunk = (factor.size or 0) / self.growth.length(factor)
            for norm in quiet.norms:
                found = norm.node.attributes.get("epsilon")
                epsilon = norm.epsilon if found is None else found.value
                norm.node.attributes["epsilon"] = ir.AttrFloat32("epsilon", epsilon * shrunk)
            for mean in quiet.means:
                self._scale_result(mean.node, 1 / shrunk)
        for evenness in self.analysis.ledger.evenness:
            quiet = any(leaf in self._quiet for leaf in leaves(evenness.axis))
            if isinstance(evenness.by, Mean) and not quiet and self.growth.multiplicity(evenness.axis) is None:
                self._weigh(evenness.by, evenness.axis)

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


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield what a graph is given and what its nodes make."""
    yield from graph.inputs
    for node in graph:
        yield from node.outputs


_UNCHANGED: tuple[object, ...] = ("unchanged",)
