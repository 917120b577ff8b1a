"""Outputs that depend on random numbers: no two runs of the same model give the same, so nothing can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.errors import InputError
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.unfolding import Unfolding
from onnx_n2n.graph.uses import reads

# Operators that draw random numbers, by domain.
DRAWING = {
    "": {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"},
    "com.microsoft": {"Sampling"},
}

# What these give depends on the shape of their input alone.
SHAPES = {"Shape", "Size", "EyeLike"}


@dataclass(frozen=True)
class Random:
    """An output that is not compared, because it depends on random numbers.

    Attributes:
        output: Its name.
        node: Name of the first node that draws; empty where it has none.
        operator: Operator type of that node.
    """

    output: str
    node: str
    operator: str

    @property
    def drawn_by(self) -> str:
        """The node that draws, for people."""
        return f"{self.operator} node {self.node!r}" if self.node else f"a {self.operator} node"


def drawn(model: ir.Model) -> Mapping[str, ir.Node]:
    """Tensors of the main graph that depend on random numbers, each with the first node that draws them.

    What a body draws may reach all outputs of its node, and what a function draws all outputs of its calls.
    """
    functions: dict[ir.OperatorIdentifier, ir.Node | None] = {}
    for each in Unfolding(model.functions).reached(model.graph):  # each once, what it calls before it
        functions[each] = _draws(model.functions[each].all_nodes(), functions)
    found: dict[ir.Value, ir.Node] = {}
    for node in model.graph:
        given = next((found[value] for value in reads(node) if value in found), None)
        origin = _draws(_inside(node), functions) or given
        if origin is not None and node.op_type not in SHAPES:
            found |= dict.fromkeys(node.outputs, origin)
    return {value.name: origin for value, origin in found.items() if value.name}


def refuse(found: tuple[Random, ...]) -> None:
    """Say that nothing is left to compare.

    Raises:
        InputError: Always.
    """
    names = ", ".join(repr(each.output) for each in found[:3]) + (", ..." if len(found) > 3 else "")
    raise InputError(
        f"no two runs of the teacher are alike: {names} depends on random numbers, and cannot be compared",
        node=found[0].node,
        operator=found[0].operator,
        hint="Export the model in evaluation mode, or with the random numbers as an input, or use `verify=False`",
    )


def _draws(nodes: Iterable[ir.Node], functions: Mapping[ir.OperatorIdentifier, ir.Node | None]) -> ir.Node | None:
    """The first of some nodes that draws, or that in the function that it calls."""
    for node in nodes:
        if node.op_type in DRAWING.get(plain(node.domain), ()):
            return node
        if (origin := functions.get(node.op_identifier())) is not None:
            return origin
    return None


def _inside(node: ir.Node) -> Iterator[ir.Node]:
    """A node, and those in its bodies."""
    yield node
    for body in bodies_of(node):
        yield from body.all_nodes()
