"""Weights make up for numbers that a class works out of its config, as the root of its hidden size.

A pass leaves the numbers of a graph as they are, and the class with its new config has others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import onnx_ir as ir

from onnx_n2n.graph.grown import Grown
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.huggingface.balancing import Balance, number
from onnx_n2n.huggingface.linked import CAST
from onnx_n2n.huggingface.network import Network
from onnx_n2n.huggingface.student import Larger
from onnx_n2n.huggingface.teacher import Teacher, weights_of
from onnx_n2n.passes.report import Result
from onnx_n2n.record.recipe import PART, Recipe
from onnx_n2n.record.record import Record
from onnx_n2n.record.schema import SQUARE
from onnx_n2n.record.steps import Remade


@dataclass(frozen=True, eq=False)
class Other:
    """A number by which a node multiplies or divides, and by which else it does in the class.

    Attributes:
        node: Of what has grown.
        before: Its number.
        after: The number of the class.
        power: 1, or -1 of a divisor.
    """

    node: ir.Node
    before: float
    after: float
    power: int

    @property
    def factor(self) -> Fraction:
        """How much larger what the node makes is in the class."""
        return (Fraction(self.after) / Fraction(self.before)) ** self.power


def carried(teacher: Teacher, larger: Larger, numbers: Collection[Other]) -> Larger:
    """Return what has grown with weights that make up for the numbers of the class, or as it is where none do.

    Args:
        teacher: The old model.
        larger: The class as it becomes, with what has grown.
        numbers: Those that are others in the class.
    """
    if not numbers:
        return larger
    network, changed = larger.network, {each.node: each.factor for each in numbers}
    parameters = {network.one[name] for name, _ in network.module.named_parameters()}
    named = {value: str(name) for name, value in larger.result.model.graph.initializers.items() if name in parameters}
    if not (factors := Balance(named, changed).found()):
        return larger  # the class computes something else then, as verifying it shows
    found = {value: by for value, by in factors.items() if value in named}
    (step,) = larger.result.change.steps
    before, old = {each.student: each for each in step.remade}, weights_of(teacher.analysis.model)
    remade = {}
    for value, by in found.items():
        each = before.get(named[value]) or _kept(named[value], old[named[value]])
        remade[named[value]] = replace(each, recipe=_scaled(each.recipe, by, _offset(value)))
        if not _holds(value, by, remade[named[value]].recipe):
            return larger
    weights = {name: _made(each, old[each.teacher]) for name, each in remade.items()}
    steps = partial(_followed, larger.result, {**before, **remade}, {str(node.name) for node in changed})
    return replace(larger, weights={**larger.weights, **weights}, result=replace(larger.result, recorded=steps))


def paired(teacher: Teacher, larger: Larger, graph: ir.Model) -> list[tuple[ir.Node, ir.Node]]:
    """Return the old nodes of what has grown, each with that of the class; none if these are not the same operators.

    Args:
        teacher: The old model.
        larger: The class as it becomes, with what has grown.
        graph: What that class computes, traced, without weights.
    """
    names = {str(node.name) for node in teacher.analysis.model.graph}
    names = {name for name in names if not name.endswith(CAST)}  # what is left was traced, in the same order
    same = [node for node in larger.result.model.graph if node.name in names]
    if [operator_of(node) for node in same] != [operator_of(node) for node in graph.graph]:
        return []
    return list(zip(same, graph.graph, strict=True))


def others(pairs: Iterable[tuple[ir.Node, ir.Node]], network: Network) -> Iterator[Other]:
    """Yield the numbers that are others in a class than in what has grown, of pairs of nodes."""
    for node, other in pairs:
        powers = {"Mul": (1, 1), "Div": (1, -1)}.get(node.op_type, ())
        for power, before, after in zip(powers, node.inputs, other.inputs, strict=False):
            one, two = number(before), _worked_out(after, network)
            if one and two and one != two:
                yield Other(node, one, two, power)


def _worked_out(value: ir.Value | None, network: Network) -> float | None:
    """Return a number of a traced graph, or of a buffer that the class computes."""
    name = network.one.get(str(value.name), "") if value is not None else ""
    buffer = network.buffers.get(name)
    return number(value) if buffer is None or buffer.size != 1 else float(buffer.reshape(()))


def _offset(weight: ir.Value) -> float:
    """Return the number that is added to a weight before anything else: ``1 + gain``."""
    uses = list(weight.uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add":
        return 0.0
    return number(uses[0].node.inputs[1 - uses[0].idx]) or 0.0


def _holds(weight: ir.Value, by: Fraction, recipe: Recipe) -> bool:
    """Say whether a record can say a recipe, and a weight of 16 bits is not rounded by it."""
    exact = not recipe.offset and all(each & (each - 1) == 0 for each in by.as_integer_ratio())
    wide = weight.dtype is not None and weight.dtype.bitwidth >= 32
    sayable = max(recipe.squared or (1,)) < SQUARE and not (recipe.offset and recipe.summed)
    return sayable and (exact or wide)


def _kept(name: str, old: ir.TensorProtocol) -> Remade:
    rank = len(old.shape)
    return Remade(name, name, tuple(map(int, old.shape.numpy())), Recipe((None,) * rank), (None,) * rank)


def _scaled(recipe: Recipe, by: Fraction, offset: float) -> Recipe:
    """Return how a weight is made that is some factor larger beside its offset."""
    before = Fraction(*recipe.squared) if recipe.squared is not None else Fraction(1)
    squared = (before * by * by).as_integer_ratio()
    return replace(recipe, scale=recipe.scale * float(by), squared=squared, offset=offset)


def _followed(result: Result[Any], remade: Mapping[str, Remade], free: Set[str]) -> Record:
    """Return the record of what has grown, with other weights, and without numbers that the class may work out."""
    (step,) = result.growth.steps
    settings = {name: pair for name, pair in step.settings.items() if name.rpartition(".")[0] not in free}
    return replace(result.growth, steps=(replace(step, remade=tuple(remade.values()), settings=settings),))


def _made(remade: Remade, old: ir.TensorProtocol) -> Grown:
    """Return a weight, made of the old one whenever it is asked for."""
    recipe = remade.recipe

    def make() -> ir.TensorProtocol:
        return ir.Tensor(recipe.make(old.numpy()), dtype=old.dtype)

    return Grown(make, lambda: recipe.parts(old.numpy(), PART), old, ir.Shape(remade.after), remade.student)
