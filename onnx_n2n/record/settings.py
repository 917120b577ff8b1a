"""What a network's own code has to follow: numbers that nodes have of their own, as the epsilon of a norm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.constants import FLOATS, constants_of
from onnx_n2n.graph.subgraphs import nodes_of

Numbers = Mapping[str, float]
Changes = Mapping[str, tuple[float | None, float]]
SINGLE = frozenset({ir.AttributeType.FLOAT, ir.AttributeType.INT})


@dataclass(frozen=True)
class Setting:
    """A number that changed, and that the code of a network has to change too.

    Attributes:
        node: The node.
        name: The attribute, ``epsilon`` or ``pads[0]``; or the number of the input slot where the number is an operand.
        before: What it was; None where it was not written out. The same as after where the number stays, and code may
            work it out from a width that grew.
        after: What it is.
    """

    node: str
    name: str
    before: float | None
    after: float

    def to_json(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return asdict(self)

    def __str__(self) -> str:
        """Say what changed, without the node: ``epsilon 1e-05 -> 5e-06``."""
        name = "" if self.name.isdecimal() else f"{self.name} "
        if self.before == self.after:
            return f"{name}{self.after:g} stays, also where the code works it out from a width"
        return f"{name}{'' if self.before is None else f'{self.before:g} -> '}{self.after:g}"


def settings(model: ir.Model, nodes: Iterable[ir.Node] | None = None) -> Numbers:
    """Return all numbers that nodes have of their own, by node and attribute, or slot.

    The epsilon of a norm is an attribute where the norm is one node, and an operand where it is written out.

    Args:
        model: The model.
        nodes: Those of its nodes that count; all of them if they are not given.
    """
    found: dict[str, float] = {}
    constants = {value: tensor for graph in model.graphs() for value, tensor in constants_of(graph)}
    for node in nodes_of(model.graph) if nodes is None else nodes:
        for attribute in node.attributes.values():
            found.update((setting_of(node, each), number) for each, number in _numbers(attribute))
        for slot, value in enumerate(node.inputs):
            tensor = constants.get(value) if value is not None else None
            if tensor is not None and tensor.size == 1 and tensor.dtype in FLOATS:
                found[setting_of(node, str(slot))] = float(tensor.numpy().reshape(-1)[0])
    return found


def setting_of(node: ir.Node, attribute: str) -> str:
    """Return the name of an attribute of a node among the settings."""
    return f"{node.name or node.outputs[0].name}.{attribute}"


def _numbers(attribute: ir.Attr) -> Iterator[tuple[str, float]]:
    """Yield an attribute that is one number; paddings are one for each side."""
    if attribute.is_ref():
        return
    if attribute.type in SINGLE:
        real = attribute.type == ir.AttributeType.FLOAT
        yield attribute.name, float(np.float32(attribute.value)) if real else attribute.value  # as in a file
    elif attribute.name == "pads" and attribute.type == ir.AttributeType.INTS:
        yield from ((f"pads[{side}]", number) for side, number in enumerate(attribute.value))


def changed(before: Numbers, after: Numbers) -> dict[str, tuple[float | None, float]]:
    """Return which settings differ, with both values; one that was not written out before is None.

    What is not finite, as the number that hides a key from attention, no share changes.
    """
    finite = {name: value for name, value in after.items() if math.isfinite(value)}
    return {name: (before.get(name), value) for name, value in finite.items() if before.get(name) != value}


def followed(steps: Iterable[Changes]) -> tuple[Setting, ...]:
    """Return what several passes in a row have changed: each number as it was before the first and after the last."""
    found: dict[str, tuple[float | None, float]] = {}
    moved: set[str] = set()
    for changes in steps:
        for name, (before, after) in changes.items():
            found[name] = (found[name][0] if name in found else before, after)
            moved |= {name} if before != after else set()
    return tuple(
        Setting(*name.rpartition(".")[::2], before, after)
        for name, (before, after) in found.items()
        if before != after or name not in moved
    )
