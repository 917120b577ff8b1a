"""What a walk knows of tensors and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from onnx_n2n.axes.algebra import Axis
from onnx_n2n.graph.constants import Constants


@dataclass(frozen=True, eq=False)
class WeightUse:
    """A weight where a node reads it.

    Attributes:
        node: The node.
        slot: The input slot.
        axes: Its axes.
        made: Those of them along which it makes channels.
        title: How a person knows it.
    """

    node: ir.Node
    slot: int
    axes: tuple[Axis, ...]
    made: tuple[Axis, ...]
    title: str


class Weighed(Protocol):
    """What a walk, or an analysis, knows of weights."""

    @property
    def constants(self) -> Constants:
        """The constant tensors."""

    def axes_of_use(self, node: ir.Node, slot: int) -> tuple[Axis, ...] | None:
        """Return the axes of an input that a rule has looked at."""


class Walked(Weighed, Protocol):
    """What a finished walk knows."""

    known: dict[ir.Value, tuple[Axis, ...]]
