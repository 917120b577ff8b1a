"""Net2Wider for arbitrary graphs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir
from onnx_n2n.passes.base import Pass

from onnx_n2n.analysis import Analysis, analyze
from onnx_n2n.delivery import Proof
from onnx_n2n.derived import derived
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
        noise = self.noise if self.init == "net2net" else 0.0
        return carry_out(analysis, plan(analysis, self), noise=noise, seed=self.seed)


def carry_out(
    analysis: Analysis, growth: Growth, *, noise: float = 0.0, seed: int = 0, gained: tuple[str, ...] = ()
) -> Change:
    """Rewrite a model as a growth says, and say what became of it.

    Args:
        analysis: The analysis of the working copy, which is changed in place.
        growth: How every factor grows.
        noise: On copied outgoing weights, relative to theirs.
        seed: Of everything random.
        gained: The outputs that become longer by it.
    """
    if not growth.grown:
        return Change((growth,), kept=growth.kept)
    before, trace = settings(analysis.model), Places(analysis, growth, gained)
    done = rewrite(analysis, growth, noise=noise, seed=seed)
    after = settings(analysis.model)
    widths = [each.size for each in growth.channels if each.size]
    widths += [
        length for each in done.remade for length, now in zip(each.before, each.after, strict=True) if length != now
    ]
    stay = {name: (number, number) for name, number in derived(before, after, widths).items()}
    step = Step(
        remade=done.remade,
        settings=changed(before, after) | stay,
        apart=done.apart,
        multiplied=done.multiplied,
        gained=gained,
    )
    return Change((growth,), kept=growth.kept, trace=trace, steps=(step,))


class Places(Mapping[str, tuple[np.ndarray | None, ...]]):
    """For each tensor that nodes make, where its places come from; worked out only when it is asked for."""

    def __init__(self, analysis: Analysis, growth: Growth, gained: Collection[str] = ()) -> None:
        self._growth = growth
        made = {output for node in analysis.model.graph for output in node.outputs}
        self._axes = {str(value.name): axes for value, axes in analysis.axes.items() if value in made}
        outside = {str(value.name) for value in analysis.model.graph.outputs}  # what grows has other names inside
        self._outside = outside.difference(gained)

    def __getitem__(self, name: str) -> tuple[np.ndarray | None, ...]:
        if name in self._outside:
            return (None,) * len(self._axes[name])
        return tuple(self._growth.position(axis) for axis in self._axes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)
