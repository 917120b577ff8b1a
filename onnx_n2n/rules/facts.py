"""What is known of the tensors of a graph while it is walked, as rules ask for it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx_ir as ir

from onnx_n2n.axes.algebra import Axis, Reason
from onnx_n2n.axes.symbolic import ShapeValue
from onnx_n2n.rules.floors import Floor
from onnx_n2n.rules.obligations import Ledger


@dataclass(frozen=True)
class Known:
    """What is known of a tensor or a sequence that enters or leaves a body.

    Attributes:
        axes: The axes of a tensor, or None when its rank is unknown.
        content: What a small tensor says.
        sequence: The axes of each tensor of a sequence.
        dtype: The element type of a tensor that leaves a body.
        lost: Why its rank is unknown, if it is.
    """

    axes: tuple[Axis, ...] | None = None
    content: ShapeValue | None = None
    sequence: Sequence[tuple[Axis, ...]] | None = None
    dtype: ir.DataType | None = None
    lost: Reason | None = None


class Facts(Protocol):
    """What is known about the tensors of a graph while its nodes are walked."""

    def axes(self, node: ir.Node, slot: int) -> tuple[Axis, ...] | None:
        """Return the axes of an input, or None when its rank is unknown."""

    def lost(self, value: ir.Value) -> Reason | None:
        """Return why the rank of a tensor is unknown: what is to blame is the first node that lost it."""

    def maker(self, node: ir.Node, axis: Axis) -> ir.Node | None:
        """Return the node that made an axis of an input of ``node`` what it is."""

    def content(self, value: ir.Value) -> ShapeValue | None:
        """Return what a small tensor says, if that is known."""

    def obscured(self, value: ir.Value) -> Reason | None:
        """Return why it is unknown what a small tensor says: the first node that is not followed is to blame."""

    def sequence(self, value: ir.Value) -> Sequence[tuple[Axis, ...]] | None:
        """Return the axes of each tensor of a sequence, if they are known."""

    def constant(self, value: ir.Value) -> np.ndarray | None:
        """Return the elements of a constant tensor."""

    def floor(self, node: ir.Node, slot: int) -> Floor:
        """Return how small the numbers of an operand can be."""

    def floating(self, value: ir.Value) -> bool:
        """Say whether a tensor is known to hold floating-point numbers."""

    def divisible(self, node: ir.Node, slot: int) -> bool:
        """Say whether an operand is a constant of quantised numbers, whose zero point is constant too."""

    def inferred(self, value: ir.Value) -> tuple[int | None, ...] | None:
        """Return the shape that shape inference found."""

    def passed(self, value: ir.Value) -> Hashable:
        """Return all that a function can learn of a tensor passed to it, besides its axes and what it says."""

    def walk(self, body: ir.Graph, given: Sequence[Known]) -> tuple[list[Known], Ledger]:
        """Walk a graph inside a node, given its inputs; return its outputs and the obligations of its nodes."""

    def adopt(self, body: ir.Graph, node: ir.Node) -> None:
        """Take in a private copy of a function's body, whose inputs stand for those of ``node``."""
