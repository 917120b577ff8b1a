"""Net2Wider for arbitrary graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from onnx_n2n.passes.base import Pass

from onnx_n2n.analysis import Analysis, analyze
from onnx_n2n.delivery import Proof
from onnx_n2n.growth import Growth
from onnx_n2n.plan import Request, plan
from onnx_n2n.record import Step, changed, settings
from onnx_n2n.report import Change
from onnx_n2n.rewrite import rewrite


@dataclass(frozen=True)
class Widen(Request, Pass):
    """Make layers wider without changing what the model computes.

    1. Analyse which axes of which weights must grow together, and which may not grow at all.
    2. Copy channels until every group has its new size, and divide the outgoing weights of each channel among its
       copies by shares that sum to exactly 1; add noise that cancels, so that training can tell the copies apart.
    3. Rewrite weights, attributes and shape constants. Nothing else changes.

    Source: Chen, Goodfellow, Shlens, Net2Net, ICLR 2016, section 2.2 (Net2WiderNet).

    The options are those of :class:`onnx_n2n.plan.Request`.
    """

    suffix: ClassVar[str] = "widened"

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:  # noqa: ARG002 - runs nothing
        """Widen a private working copy."""
        analysis = analyze(model)
        growth = plan(analysis, self)
        trace = _Trace(analysis, growth)
        if not growth.grown:
            return Change((growth,), kept=growth.kept)
        before = settings(model)
        noise = self.noise if self.init == "net2net" else 0.0
        done = rewrite(analysis, growth, noise=noise, seed=self.seed)
        step = Step(
            remade=done.remade,
            settings=changed(before, settings(model)),
            apart=done.apart,
            multiplied=done.multiplied,
        )
        return Change((growth,), kept=growth.kept, trace=trace, steps=(step,))


class _Trace(Mapping[str, tuple[np.ndarray | None, ...]]):
    """For each tensor that nodes make, where its places come from; worked out only when it is asked for."""

    def __init__(self, analysis: Analysis, growth: Growth) -> None:
        self._growth = growth
        made = {output for node in analysis.model.graph for output in node.outputs}
        self._axes = {str(value.name): axes for value, axes in analysis.axes.items() if value in made}
        self._outside = {str(value.name) for value in analysis.model.graph.outputs}  # what grows has other names inside

    def __getitem__(self, name: str) -> tuple[np.ndarray | None, ...]:
        if name in self._outside:
            return (None,) * len(self._axes[name])
        return tuple(self._growth.position(axis) for axis in self._axes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)
