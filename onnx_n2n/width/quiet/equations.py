"""Equations between what tensors hold in new channels: some are given, ties hand them on, and all must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import NotApplicable
from onnx_n2n.width.quiet.channels import title

Gains = Mapping[ir.Value, int]  # constants that something has been multiplied by, with their exponents


@dataclass(frozen=True, eq=False)
class Equation:
    """``one`` holds what ``other`` holds, times ``gain`` (float64[D] or 1.0), as a node asks.

    The gain is the constant ``by`` to the power of ``exponent``, 1 or -1.
    """

    one: ir.Value
    other: ir.Value
    gain: np.ndarray | float
    node: ir.Node
    by: ir.Value | None = None
    exponent: int = 1

    def across(self, value: ir.Value, held: np.ndarray) -> tuple[ir.Value, np.ndarray]:
        """Return the tensor on the other side, and what it holds if ``value`` holds ``held``."""
        if value is self.other:
            return self.one, held * self.gain
        return self.other, held / self.gain

    def gains(self, value: ir.Value, known: Gains) -> Gains:
        """Return what the other side has been multiplied by, if ``value`` has by what is ``known``."""
        if self.by is None:
            return known
        sign = self.exponent if value is self.other else -self.exponent
        found = {**known, self.by: known.get(self.by, 0) + sign}
        return {gain: exponent for gain, exponent in found.items() if exponent}


@dataclass
class Equations:
    """What nodes ask of new channels.

    Attributes:
        ties: Which tensors hold the same, but for a gain.
        fixed: What a tensor must hold, float64[D], and the node that asks for it.
        gains: Once solved, what a tensor holds more than zero or the mean: by what that was multiplied.
    """

    ties: list[Equation] = field(default_factory=list)
    fixed: dict[ir.Value, tuple[np.ndarray, ir.Node]] = field(default_factory=dict)
    gains: dict[ir.Value, Gains] = field(default_factory=dict)

    def tie(self, one: ir.Value, other: ir.Value, node: ir.Node) -> None:
        """Let ``one`` hold what ``other`` holds."""
        self.ties.append(Equation(one, other, 1.0, node))

    def tie_scaled(
        self, one: ir.Value, other: ir.Value, node: ir.Node, gain: np.ndarray, by: ir.Value, exponent: int
    ) -> None:
        """Let ``one`` hold what ``other`` holds, times the constant ``by``, or divided by it."""
        self.ties.append(Equation(one, other, gain**exponent, node, by, exponent))

    def fix(self, value: ir.Value, held: np.ndarray, node: ir.Node) -> None:
        """Let a tensor hold this.

        Raises:
            NotApplicable: If another node asks for something else.
        """
        known = self.fixed.setdefault(value, (held, node))
        if not np.array_equal(known[0], held):
            raise NotApplicable(_conflict(known[1], node))

    def solve(self, usual: np.ndarray, writers: Iterable[ir.Node]) -> dict[ir.Value, np.ndarray]:
        """Spread what is fixed along all ties.

        Args:
            usual: float64[D], what tensors hold that nothing asks for: the mean, which all linear nodes keep.
            writers: Nodes whose outputs hold something too, if no tie has them.

        Returns:
            For each tensor float64[D].

        Raises:
            NotApplicable: If a tensor would have to hold two things.
        """
        near: dict[ir.Value, list[Equation]] = {}
        for tie in self.ties:
            near.setdefault(tie.one, []).append(tie)
            near.setdefault(tie.other, []).append(tie)
        holds: dict[ir.Value, np.ndarray] = {}
        origin: dict[ir.Value, ir.Node] = {}
        starts = [(value, held, node) for value, (held, node) in self.fixed.items()]
        starts += [(value, usual, ties[0].node) for value, ties in near.items()]
        starts += [(value, usual, node) for node in writers for value in node.outputs if value not in near]
        for position, (start, held, node) in enumerate(starts):
            if start in holds:
                if position < len(self.fixed) and not np.allclose(holds[start], held, rtol=1e-9, atol=1e-12):
                    raise NotApplicable(_conflict(origin[start], node))
                continue
            holds[start], origin[start], self.gains[start] = held, node, {}
            pending = [start]
            while pending:
                value = pending.pop()
                for tie in near.get(value, ()):
                    other, found = tie.across(value, holds[value])
                    if other not in holds:
                        holds[other], origin[other] = found, origin[value]
                        self.gains[other] = tie.gains(value, self.gains[value])
                        pending.append(other)
                    elif not np.allclose(holds[other], found, rtol=1e-9, atol=1e-12):
                        raise NotApplicable(_conflict(origin[other], origin[value]))
        return holds


def _conflict(one: ir.Node, other: ir.Node) -> str:
    return (
        f"{title(one)} and {title(other)} ask for different values in the new channels, as where a normalised "
        "tensor is added to the stream again"
    )
