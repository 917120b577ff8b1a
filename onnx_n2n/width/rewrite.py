"""Apply a growth to a model: weights, shares, numbers that say lengths, declared shapes. The same for every operator.

This is the one place that changes a model, and it is given a private copy.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.groups import layer_name
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, Factor, leaves, resolve, size
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.grown import Part
from onnx_n2n.graph.names import Names
from onnx_n2n.graph.operators import measures
from onnx_n2n.graph.quantised import zero_point
from onnx_n2n.graph.subgraphs import nodes_of, values_of
from onnx_n2n.graph.uses import Use, operand
from onnx_n2n.record.derived import derived
from onnx_n2n.record.forms import Form, Forms, exactly, number, setting, shaped, tensor, times, to_power
from onnx_n2n.record.mixture import Mixture
from onnx_n2n.record.recipe import PART, Recipe, Row, Summed
from onnx_n2n.record.settings import changed, setting_of, settings
from onnx_n2n.record.steps import Remade, Step
from onnx_n2n.rules.obligations import Default, Mean
from onnx_n2n.width.boundary import adapt
from onnx_n2n.width.declared import declare
from onnx_n2n.width.folding import folds
from onnx_n2n.width.growth import Averaged, Growth, Quieted
from onnx_n2n.width.mixing import Mixing, moved
from onnx_n2n.width.quiet.written import offset
from onnx_n2n.width.shares import Numbers, Scaled, exact, place
from onnx_n2n.width.stated_sizes import rewrite_literals


def rewrite(
    analysis: Analysis, growth: Growth, *, noise: float = 0.0, seed: int = 0, gained: tuple[str, ...] = ()
) -> Step:
    """Grow the analysed model in place, and say what became of its weights and numbers.

    Args:
        analysis: The analysis of the model, which is changed.
        growth: How its factors grow.
        noise: Standard deviation of the noise on copied outgoing weights, relative to that of the weight; it sums to
            zero over the copies of each channel.
        seed: Seed of that noise and of fresh weights.
        gained: The outputs that become longer by it.
    """
    nodes, before = list(nodes_of(analysis.model.graph)), settings(analysis.model)
    rewriter = _Rewriter(analysis, growth, noise, seed)
    rewriter.run()
    after, remade = settings(analysis.model, nodes), tuple(rewriter.remade)  # what is new has no code to follow it
    widths = [each.size for each in growth.channels if each.size]
    widths += [length for each in remade for length, now in zip(each.before, each.after, strict=True) if length != now]
    stay = {name: (number, number) for name, number in derived(before, after, widths).items()}
    return Step(
        remade=remade,
        settings=changed(before, after) | stay,
        apart=tuple(rewriter.apart),
        multiplied=tuple(dict.fromkeys(rewriter.multiplied)),
        gained=gained,
        forms=rewriter.forms,
    )


class _Rewriter:
    def __init__(self, analysis: Analysis, growth: Growth, noise: float, seed: int) -> None:
        self.analysis, self.growth, self.noise, self.seed = analysis, growth, noise, seed
        self.names = Names(analysis.model)
        self.remade: list[Remade] = []
        self.apart: list[Remade] = []
        self.multiplied: list[str] = []
        self._results: list[tuple[ir.Node, Fraction]] = []  # what they make is scaled at the end, when outputs are set
        self.forms = Forms({}, {})
        self._ranks: dict[ir.Value, int] = {}  # of operands that carry shares already
        self._quiet = growth.quiet
        self._gains: dict[Use, Fraction] = {}  # of squares, so that norms make up for what joined them quietly
        for factor, quiet in self._quiet.items():
            for use in quiet.gains:
                shrunk = Fraction(factor.size or 0, growth.length(factor))
                self._gains[use] = self._gains.get(use, Fraction(1)) * shrunk
        alone = [each for each in analysis.ledger.contractions if len(each.summands) == 1]
        self._recurrent = {(each.node, each.summands[0].slot) for each in alone}  # an operator's own state is read
        self._recurrent |= moved(self._recurrent)
        self._summing = {((c.node, s.slot), s.position) for c in analysis.ledger.contractions for s in c.summands}
        self._mixing, self._folds = Mixing(analysis), folds(analysis)

    def run(self) -> None:
        placement = place(self.analysis, self.growth)
        made = [value for graph in self.analysis.model.graphs() for value in values_of(graph)]
        for value in list(self.analysis.constants):
            self._grow_constant(value, placement.weights, placement.apart)
        for default in self.analysis.ledger.defaults:
            self._write_out(default)
        for numbers in placement.numbers:
            self._spread(numbers)
        for scaled in placement.products:
            self._scale(scaled, replaced=scaled in placement.replaced)
        self._keep_means()
        rewrite_literals(self.analysis, self.growth, self.names)
        copied = adapt(self.analysis, self.growth, self.names, self.forms.tensors)
        declare(self.analysis, self.growth, made, copied)
        for node, factor in self._results:
            self._scale_result(node, factor)

    # --- shares

    def _scale(self, scaled: Scaled, *, replaced: bool) -> None:
        """Multiply an operand by its shares, or an attribute when all of these are the same."""
        share = float(scaled.vector.flat[0])
        name, even = scaled.attribute, bool(np.all(scaled.vector == share))
        if name is not None and even:
            found = scaled.node.attributes[name].value
            if exact(np.asarray(found, np.float32), scaled.vector):
                scaled.node.attributes[name] = _number(name, found * share)
                if (form := self.forms.settings.get(setting_of(scaled.node, name))) is not None:
                    self.forms.settings[setting_of(scaled.node, name)] = times(form, number(*share.as_integer_ratio()))
                return
        value = operand(scaled.node, scaled.slot)
        rank = self._ranks.get(value) or len(self.analysis.axes_of_use(scaled.node, scaled.slot) or ())
        if not replaced:
            self.multiplied.append(layer_name(scaled.node))
        form = None if scaled.power == 1 else to_power(exactly(scaled.shares), scaled.power)
        self._scale_operand(scaled.node, scaled.slot, scaled.position, rank, scaled.vector, form)

    def _spread(self, numbers: Numbers) -> None:
        """Replace a number that scales a tensor by one number for each channel."""
        node, slot = numbers.use
        value = operand(node, slot)
        teacher = self.analysis.constants[value].numpy()
        array = teacher.reshape(()) * numbers.vector
        if np.any(array != array[0]):
            array = array.reshape(-1, *[1] * (numbers.rank - numbers.position - 1))
            self.multiplied.append(layer_name(node))
        else:
            array = array[0].reshape(teacher.shape)
        node.replace_input_with(slot, self.names.initializer(str(value.name), array.astype(teacher.dtype)))

    def _replace_number(self, node: ir.Node, slot: int, factor: Fraction) -> None:
        """Multiply a constant number, for one use of it."""
        value = operand(node, slot)
        teacher = self.analysis.constants[value].numpy()
        array = (teacher.astype(np.float64) * float(factor)).astype(teacher.dtype)
        made = self.names.initializer(str(value.name), array)
        self.forms.tensors[str(made.name)] = times(tensor(str(value.name)), number(*factor.as_integer_ratio()))
        node.replace_input_with(slot, made)

    def _write_out(self, default: Default) -> None:
        """Write out an attribute that would follow the new length."""
        if self.growth.touches(default.axis) and default.attribute not in default.node.attributes:
            default.node.attributes[default.attribute] = _number(default.attribute, default.value)
            found = setting_of(default.node, default.attribute)
            self.forms.settings[found] = setting(found)

    def _weigh(self, mean: Mean, axis: Axis) -> None:
        """Weigh the operand of a mean by its shares, so that it is the teacher's whatever was copied."""
        rank = self._ranks.get(operand(mean.node, 0)) or len(self.analysis.axes_of_use(mean.node, 0) or ())
        share, longer = self.growth.share(axis), Fraction(self.growth.length(axis), size(axis) or 1)
        most = 2 ** math.ceil(math.log2(max(1.0, float(share.max() * longer))))  # multiplied when it is a mean
        self.multiplied.append(layer_name(mean.node))
        form = times(exactly(share), number(*(longer / most).as_integer_ratio()))
        self._scale_operand(mean.node, 0, mean.position, rank, share * float(longer / most), form)
        if most > 1:
            self._results.append((mean.node, Fraction(most)))

    def _scale_operand(
        self, node: ir.Node, slot: int, position: int, rank: int, vector: np.ndarray, form: Form | None
    ) -> None:
        """Multiply an operand by a vector along one of its axes, which is what its form says before it is rounded."""
        value, shape = operand(node, slot), (-1, *[1] * (rank - position - 1))
        form = None if form is None else shaped(form, *shape)
        scaled = self._product(node, value, vector.reshape(shape), self._dtype(node, value), form)
        self._graph_of(node).insert_before(node, scaled)
        node.replace_input_with(slot, scaled.outputs[0])
        self._ranks[scaled.outputs[0]] = rank

    def _scale_result(self, node: ir.Node, factor: Fraction) -> None:
        """Multiply what a node makes by a number, for all that read it, also from outside of its graph."""
        value, graph = node.outputs[0], self._graph_of(node)
        uses = list(value.uses())
        form = number(*factor.as_integer_ratio())
        scaled = self._product(node, value, np.array(float(factor)), self._dtype(node, value), form)
        result = scaled.outputs[0]
        graph.insert_after(node, scaled)
        for use in uses:
            use.node.replace_input_with(use.idx, result)
        for position, output in enumerate(graph.outputs):
            if output is value:  # its name is that of the product now
                value.name, result.name = result.name, value.name
                result.type, result.shape, result.doc_string = value.type, value.shape, value.doc_string
                result.metadata_props.update(value.metadata_props)
                value.metadata_props.clear()
                graph.outputs[position] = result

    def _product(
        self, node: ir.Node, value: ir.Value, array: np.ndarray, dtype: ir.DataType, form: Form | None
    ) -> ir.Node:
        base = layer_name(node).split(" ")[0]
        share = self.names.initializer(f"{base}_share", array.astype(dtype.numpy()))
        if form is not None:
            self.forms.tensors[str(share.name)] = form
        scaled = ir.Node("", "Mul", [value, share], name=self.names.node(f"{base}_scale"))
        scaled.outputs[0].name = self.names.value(f"{value.name}_scaled")
        scaled.outputs[0].type = ir.TensorType(dtype)
        return scaled

    def _graph_of(self, node: ir.Node) -> ir.Graph:
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        return graph

    def _dtype(self, node: ir.Node, scaled: ir.Value) -> ir.DataType:
        """Return the floating-point type of a tensor; where that is not known, that of what its node computes with."""
        values = [scaled, *(value for value in node.inputs if value is not None)]
        inferred = [(value.dtype, self.analysis.shapes.get(value)) for value in values]
        known = [dtype or (found.dtype if found is not None else None) for dtype, found in inferred]
        return next(dtype for dtype in known if dtype in FLOATS)

    # --- weights

    def _grow_constant(
        self, value: ir.Value, placed: Mapping[Use, list[Summed]], apart: Mapping[Use, list[Summed]]
    ) -> None:
        """Give every use of a constant the values it needs: one tensor where they agree, copies where they do not."""
        uses = list(value.uses())
        if not self.analysis.constants.vector_like(value):
            uses = [use for use in uses if not measures(use.node)] or uses  # every copy of a matrix has the same shape
        recipes = [self._recipe(value, (use.node, use.idx), placed.get((use.node, use.idx), [])) for use in uses]
        if value.is_graph_output() or any(recipe.identity for recipe in recipes):
            made: dict[tuple[object, ...], ir.Value] = {_UNCHANGED: value}
        else:
            made = {}
        keys = [_UNCHANGED if recipe.identity else recipe.key() for recipe in recipes]
        for use, recipe, key in zip(uses, recipes, keys, strict=True):
            if key not in made:
                made[key] = self._make(value, recipe, replace=not made)
                alike = [each.node for each, other in zip(uses, keys, strict=True) if key == other]
                self.remade.append(self._remade(value, str(made[key].name), recipe, (use.node, use.idx), alike))
            if summed := apart.get((use.node, use.idx)):
                alone = self._recipe(value, (use.node, use.idx), [*placed.get((use.node, use.idx), []), *summed])
                self.apart.append(self._remade(value, str(made[key].name), alone, (use.node, use.idx), [use.node]))
            if made[key] is not value:
                use.node.replace_input_with(use.idx, made[key])

    def _remade(self, value: ir.Value, name: str, recipe: Recipe, use: Use, readers: Iterable[ir.Node]) -> Remade:
        """Say what a weight is made of, and how its gradients follow: the dual of how it carries shares."""
        axes = self.analysis.axes_of_use(*use) or ()
        carrying = {part.axis for part in recipe.summed}
        dual = [
            self._dual(axis, carries=position in carrying) if self.growth.touches(axis) else None
            for position, axis in enumerate(axes)
        ]
        shape = tuple(map(int, self.analysis.constants[value].shape.numpy()))
        nodes = tuple(dict.fromkeys(str(node.name) for node in readers))
        return Remade(str(value.name), name, shape, recipe, tuple(dual), nodes)

    def _dual(self, axis: Axis, *, carries: bool) -> np.ndarray | None:
        """Return what a gradient is multiplied by along an axis: what reads a channel that is new has had none."""
        if not carries:
            return self.growth.share(axis)
        fresh = self.growth.fresh(axis)
        return np.where(fresh, 0.0, 1.0) if fresh.any() else None

    def _recipe(self, value: ir.Value, use: Use, summed: list[Summed]) -> Recipe:
        axes = self.analysis.axes_of_use(*use)
        if axes is None:
            return Recipe((None,) * len(self.analysis.constants[value].shape))
        rows = [self._row(value, use, axis, position) for position, axis in enumerate(axes)]
        carrying, mixes = {part.axis for part in summed}, self._mixing.mixes(value, use)
        scalable = self.analysis.constants.scalable(value)
        zero = zero_point(self.analysis.constants, *use) if summed and not scalable else None
        fold = self._folds.get(use)
        recurrent = not self._recurrent.isdisjoint((each.node, each.idx) for each in value.uses())
        index: list[np.ndarray | None] = [None] * len(axes)
        fresh: list[np.ndarray | None] = [None] * len(axes)
        mixed: list[Mixture | None] = [None] * len(axes)
        for position, (axis, row) in enumerate(zip(axes, rows, strict=True)):
            if not self.growth.touches(axis):
                continue
            found, new = self.growth.index(axis), self.growth.fresh(axis)
            if row is not None:
                found = np.where(new, size(axis) or 0, found)
            free = row is None and bool(new.any())
            own = mixes and free and position not in carrying
            drawn = own and not recurrent and self.growth.drawn(axis) and self._mixing.draws(value)
            folds = fold is not None and free and fold.axis == position
            usual = folds and (drawn or not own) and self.growth.drawn(axis)  # rows that are drawn, or a norm behind
            mixture = self.growth.mixture(axis) if (own or folds) and not drawn and not usual else None
            if fold is not None and (usual or (folds and mixture is not None)):
                found = np.array(found)
                found[new] = fold.usual(int(new.sum())) if mixture is None else fold.base(mixture)
                mixture = None if mixture is None else fold.mixture(mixture)
            index[position], mixed[position] = found, mixture
            if mixture is not None or drawn:
                fresh[position] = new
        # With its lengths: a weight that grows once more is not given the same random numbers.
        lengths = map(int, self.analysis.constants[value].shape.numpy())
        seed = (self.seed, zlib.crc32(str(value.name).encode()), *lengths)
        noise = self.noise if scalable and not recurrent else 0.0  # there it would feed on itself, step by step
        gain = self._gains.get(use, Fraction(1))
        scale, squared = (math.sqrt(gain), gain.as_integer_ratio()) if gain != 1 else (1.0, None)
        beside = 0.0 if gain == 1 else offset(use, self.analysis.constants)
        made = tuple(index), tuple(summed), tuple(fresh), tuple(rows)
        law = 3 if any(one is not None and two is None for one, two in zip(fresh, mixed, strict=True)) else 2
        return Recipe(*made, scale, noise, seed, zero, tuple(mixed), law, squared, beside)

    def _row(self, value: ir.Value, use: Use, axis: Axis, position: int) -> Row | None:
        """Return what a constant writes to the new places of a quiet axis: a matrix the same for all its uses.

        Those of an axis whose new channels are a mean are the same for all constants.
        """
        found = resolve(axis)
        channels = self.growth.channels.get(found) if isinstance(found, Factor) else None
        if isinstance(channels, Averaged):
            return Row(np.full(size(axis) or 0, 1 / (size(axis) or 1)), number(1, size(axis) or 1))
        if not isinstance(channels, Quieted):
            return None
        quiet = channels.quiet
        if use in quiet.ones:
            return Row(None)
        alone = [(use, tuple(range(position + 1)))]
        uses = alone if self.analysis.constants.vector_like(value) else self.analysis.twins.uses(value)
        written = (other for other, at in uses if other in quiet.rows and (other, at[position]) not in self._summing)
        return next((Row(quiet.rows[other], quiet.forms_of_rows[other]) for other in written), None)

    def _keep_means(self) -> None:
        """Let norms and means make up for what joined the axis that they are taken over."""
        for factor, quiet in self._quiet.items():
            shrunk = Fraction(factor.size or 0, self.growth.length(factor))
            for norm in quiet.norms:
                found = norm.node.attributes.get("epsilon")
                epsilon = norm.epsilon if found is None else found.value
                norm.node.attributes["epsilon"] = _number("epsilon", epsilon * float(shrunk))
                name = setting_of(norm.node, "epsilon")
                known = self.forms.settings.get(name, setting(name))
                self.forms.settings[name] = times(known, number(*shrunk.as_integer_ratio()))
            for (node, slot), _ in quiet.written:
                self._replace_number(node, slot, shrunk)
            for mean in quiet.means:
                self._results.append((mean.node, 1 / shrunk))
        for evenness in self.analysis.ledger.evenness:
            covered = any(leaf in self._quiet for leaf in leaves(evenness.axis))
            if isinstance(evenness.by, Mean) and not covered and self.growth.multiplicity(evenness.axis) is None:
                self._weigh(evenness.by, evenness.axis)

    def _make(self, value: ir.Value, recipe: Recipe, *, replace: bool) -> ir.Value:
        teacher = self.analysis.constants[value]

        def make() -> ir.TensorProtocol:
            return ir.Tensor(recipe.make(teacher.numpy()), dtype=teacher.dtype)

        def parts() -> Iterator[Part]:
            return recipe.parts(teacher.numpy(), PART)

        shape = recipe.shape(tuple(teacher.shape.numpy()))
        return self.names.grown(value, teacher, shape, make, parts, replace=replace)


def _number(name: str, value: float) -> ir.Attr:
    """Return an attribute with a number that a file can hold, so that the model is the same when it is read again."""
    return ir.AttrFloat32(name, float(np.float32(value)))


_UNCHANGED: tuple[object, ...] = ("unchanged",)
