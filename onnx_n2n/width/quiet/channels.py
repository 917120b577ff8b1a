"""What new channels hold that no norm notices, and that there may be no way to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.uses import Use
from onnx_n2n.record.forms import Form
from onnx_n2n.rules.obligations import Mean, Norm


@dataclass(frozen=True, eq=False)
class Quiet:
    """What new channels of a factor hold.

    Attributes:
        holds: For each tensor, float64[D]: new channels are the sum of the teacher's channels with these weights.
        rows: For a use of a constant (node, input slot): what it has in new places, as weights of its old ones.
        ones: The uses of constants that have 1 in new places, because they scale.
        norms: The norms that have to make up for the new length.
        written: The norms written out in single nodes that have to: the uses of their epsilon and of their gain.
        means: The other means over new channels that are zero; they have to make up for the new length themselves.
        forms: What tensors hold before it is rounded; None where it is exact.
        forms_of_rows: The same for ``rows``.
    """

    holds: Mapping[ir.Value, np.ndarray]
    rows: Mapping[Use, np.ndarray]
    ones: frozenset[Use]
    norms: tuple[Norm, ...]
    written: tuple[tuple[Use, Use], ...]
    means: tuple[Mean, ...]
    forms: Mapping[ir.Value, Form | None]
    forms_of_rows: Mapping[Use, Form | None]

    @property
    def gains(self) -> frozenset[Use]:
        """The uses of all gains."""
        return frozenset([(norm.node, norm.gain) for norm in self.norms] + [gain for _, gain in self.written])

    @property
    def silent(self) -> list[ir.Value]:
        """The tensors in which new channels are zero."""
        return [value for value, held in self.holds.items() if not held.any()]


def title(node: ir.Node) -> str:
    """Return what a reason calls a node."""
    return f"{node.op_type} {node.name or '-> ' + str(node.outputs[0].name)!r}"
