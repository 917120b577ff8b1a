"""Which groups may have fresh channels, and how large their rows may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, Reason, leaves
from onnx_n2n.record.mixture import MOST
from onnx_n2n.width.folding import folds
from onnx_n2n.width.mixing import Mixing
from onnx_n2n.width.reach.formulas import FORMULAS
from onnx_n2n.width.reach.magnitudes import Magnitudes
from onnx_n2n.width.reach.reach import Gain
from onnx_n2n.width.reach.walk import Walk, Walked

LEAST = 1 / 64  # of the teacher's rows: fresh rows that would have to be smaller learn too slowly
ENOUGH = 1 / 4  # above, signs of both kinds are worth more than larger rows
SHARE = 3 / 4  # of the largest number: what mixtures may come to


@dataclass(frozen=True)
class Fits:
    """That a group may have fresh channels.

    Attributes:
        most: What the weights of a mixture may sum to, in absolute value; float64[n], one for each channel that is
            its first, or a number for all.
        positive: Whether all of them must be above zero.
    """

    most: Gain
    positive: bool


class Reaches:
    """Which factors may have fresh channels.

    Args:
        analysis: What the model's axes are made of.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._model = Walked(analysis, Mixing(analysis), folds(analysis), Magnitudes(analysis), FORMULAS)
        self._nodes: dict[Factor, set[ir.Node]] = {}
        for node in analysis.model.graph.all_nodes():
            inside = {leaf for value in node.outputs for axis in analysis.axes.get(value, ()) for leaf in leaves(axis)}
            for leaf in inside:
                self._nodes.setdefault(leaf, set()).add(node)

    def of(self, factor: Factor) -> Fits | Reason:
        """Say whether a factor may have fresh channels, and else the first node that may lead out of the range."""
        found: list[Fits] = []
        reason: Reason | None = None
        for positive in (False, True):
            gain, why = Walk(self._model, factor, self._nodes.get(factor, set()), positive=positive).run()
            if why is None and np.all(gain <= SHARE / LEAST):
                found.append(Fits(np.minimum(MOST, SHARE / np.maximum(gain, SHARE)), positive))
                if np.min(found[-1].most) >= ENOUGH:
                    return found[-1]
            elif why is None:
                why = Reason(f"fresh channels may get {np.max(gain):.3g} times as large as what they are made of")
            reason = reason or why
        if found:
            return max(found, key=lambda fits: float(np.mean(fits.most)))
        assert reason is not None
        return reason
