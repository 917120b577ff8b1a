"""Weights make up for numbers that a class works out of its config, as the root of its hidden size.

A pass leaves the numbers of a graph as they are, and the class with its new config has others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

import onnx_ir as ir

from onnx_n2n.graph.grown import Grown
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.huggingface.balancing import Balance, number
from onnx_n2n.huggingface.linked import CAST
from onnx_n2n.huggingface.network import Network
from onnx_n2n.huggingface.student import Larger
from onnx_n2n.huggingface.teacher import Teacher, weights_of
from onnx_n2n.passes.report import Known
from onnx_n2n.record.recipe import PART, Recipe
from onnx_n2n.record.steps import Remade, Step


def carried(teacher: Teacher, larger: Larger, network: Network, graph: ir.Model) -> Larger:
    """Return what has grown with weights that make up for the numbers of the class, or as it is where none do.

    Args:
        teacher: The old model.
        larger: What has grown.
        network: The class as it becomes.
        graph: What that computes, traced.
    """
    changed = dict(_changed(teacher, larger, network, graph))
    parameters = {network.one[name] for name, _ in network.module.named_parameters()}
    initializers = larger.result.model.graph.initializers
    weights = {value: name for name, value in initializers.items() if name in parameters}
    found = Balance(weights, changed).found() if changed else {}
    factors = {str(weights[value]): (by, _offset(value)) for value, by in found.items() if value in weights}
    (step,) = larger.result.growth.steps
    remade = {each.student: each for each in step.remade}
    if not factors or any(_rounds(initializers[name], *each) for name, each in factors.items()):
        return larger  # the class computes something else then, as verifying it shows
    old = weights_of(teacher.analysis.model)
    for name, (by, offset) in factors.items():
        each = remade.get(name) or _kept(name, old[name])
        remade[name] = replace(each, recipe=_scaled(each.recipe, by, offset))
    step = replace(step, remade=tuple(remade.values()), settings=_without(step, changed))
    result = replace(larger.result, recorded=Known(replace(larger.result.growth, steps=(step,))))
    made = {name: _made(remade[name], old[remade[name].teacher]) for name in factors}
    return replace(larger, weights={**larger.weights, **made}, result=result)


def _changed(
    teacher: Teacher, larger: Larger, network: Network, graph: ir.Model
) -> Iterator[tuple[ir.Node, Fraction]]:
    """Yield the nodes that multiply by another number in the class, and by how much more."""
    names = {str(node.name) for node in teacher.analysis.model.graph}
    names = {name for name in names if not name.endswith(CAST)}  # what is left was traced, in the same order
    same = [node for node in larger.result.model.graph if node.name in names]
    if [operator_of(node) for node in same] != [operator_of(node) for node in graph.graph]:
        return
    for node, other in zip(same, graph.graph, strict=True):
        exponents = {"Mul": (1, 1), "Div": (1, -1)}.get(node.op_type, ())
        for exponent, before, after in zip(exponents, node.inputs, other.inputs, strict=False):
            one, two = number(before), _worked_out(after, network)
            if one and two and one != two:
                yield node, (Fraction(two) / Fraction(one)) ** exponent


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


def _rounds(weight: ir.Value, by: Fraction, offset: float) -> bool:
    """Say whether a weight of 16 bits would be rounded: by that its numbers are further off than by what they are."""
    exact = not offset and all(each & (each - 1) == 0 for each in by.as_integer_ratio())
    return weight.dtype is not None and weight.dtype.bitwidth < 32 and not exact


def _kept(name: str, old: ir.TensorProtocol) -> Remade:
    rank = len(old.shape)
    return Remade(name, name, tuple(map(int, old.shape.numpy())), Recipe((None,) * rank), (None,) * rank)


def _scaled(recipe: Recipe, by: Fraction, offset: float) -> Recipe:
    """Return how a weight is made that is some factor larger beside its offset."""
    before = Fraction(*recipe.squared) if recipe.squared is not None else Fraction(1)
    squared = (before * by * by).as_integer_ratio()
    return replace(recipe, scale=recipe.scale * float(by), squared=squared, offset=offset)


def _without(step: Step, changed: Mapping[ir.Node, Fraction]) -> Mapping[str, tuple[float | None, float]]:
    """Return the settings of a step without the numbers that the class is free to work out."""
    names = {str(node.name) for node in changed}
    return {name: pair for name, pair in step.settings.items() if name.rpartition(".")[0] not in names}


def _made(remade: Remade, old: ir.TensorProtocol) -> Grown:
    """Return a weight, made of the old one whenever it is asked for."""
    recipe = remade.recipe

    def make() -> ir.TensorProtocol:
        return ir.Tensor(recipe.make(old.numpy()), dtype=old.dtype)

    return Grown(make, lambda: recipe.parts(old.numpy(), PART), old, ir.Shape(remade.after), remade.student)
