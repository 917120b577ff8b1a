"""Net2Wider for arbitrary graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.axes.algebra import leaves
from onnx_n2n.passes.base import Selective
from onnx_n2n.passes.leaving_out import Part, touching
from onnx_n2n.passes.report import Change
from onnx_n2n.rules.declaration import WINDOW
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.choice import unmatched_in
from onnx_n2n.width.growth import Growth
from onnx_n2n.width.plan import plan
from onnx_n2n.width.request import Request
from onnx_n2n.width.rewrite import rewrite
from onnx_n2n.width.tied import parted


@dataclass(frozen=True)
class Widen(Request, Selective):
    """Make layers wider without changing what the model computes.

    1. Analyse which axes of which weights must grow together, and which may not grow at all.
    2. Copy channels until every group has its new size, and divide the outgoing weights of each channel among its
       copies by shares that sum to exactly 1; add noise that cancels, so that training can tell the copies apart.
    3. Rewrite weights, attributes and shape constants. Nothing else changes.

    Source: Chen, Goodfellow, Shlens, Net2Net, ICLR 2016, section 2.2 (Net2WiderNet).
    """

    suffix: ClassVar[str] = "widened"

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:  # noqa: ARG002 - runs nothing
        """Widen a private working copy."""
        analysis = analyze(model)
        noise, unmatched = self.noise if self.init == "net2net" else 0.0, tuple(unmatched_in(analysis, self))
        done = carry_out(analysis, plan(analysis, self), noise=noise, seed=self.seed)
        return replace(done, notes=(*done.notes, *unmatched))

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:  # noqa: ARG002
        """Return the groups that would grow."""
        analysis = analyze(model)
        return groups_touched(analysis, plan(analysis, self))

    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:
        """Return why no group has grown."""
        hint = "'onnx-n2n inspect' shows what can grow, and why the rest cannot"
        if done.kept:
            return f"nothing in the model can grow as asked: {done.kept[0].name!r}: {done.kept[0].reason}", hint
        analysis = analyze(model)
        groups = [group for group in analysis.groups if group.members]
        if not groups:
            return f"nothing in the model can grow{_mostly(analysis) or NO_WEIGHTS}", hint
        if self.times == 1:
            return "nothing is asked to grow", "give a `factor=` above 1, or a larger `groups={'NAME': 'SIZE'}`"
        if self.only or self.without:
            return "no group that can grow is left by `only=` and `without=`", hint
        if self.include or self.exclude:
            return "no group that can grow is left by `include=` and `exclude=`", hint
        largest = max(groups, key=lambda group: group.size)
        return (
            f"a factor of {self.times} adds not even one channel to the largest group, {largest.name!r} of "
            f"{largest.size}",
            "give a larger `factor=`",
        )


NO_WEIGHTS = ": no operator in it has floating-point weights"


def _mostly(analysis: Analysis) -> str:
    """Return the commonest reason of the pins, that of an operator before that of the interface, or nothing."""
    reasons = [pin.reason for pin in analysis.pins if not pin.reason.text.endswith(WINDOW)]
    texts = Counter(reason.text for reason in [each for each in reasons if each.node] or reasons)
    for text, _ in texts.most_common(1):
        alike = {reason for reason in reasons if reason.text == text}
        return f", mostly for this reason: {text if len(alike) > 1 else alike.pop()}"
    return ""


def groups_touched(analysis: Analysis, growth: Growth) -> list[Part]:
    """Return the groups that grow, with the tensors that nodes make which have them in what they read or make."""
    growing = {group.factor: group.name for group in analysis.groups if group.factor in growth.channels}

    def names(node: ir.Node) -> Iterator[str]:
        read = (analysis.axes_of_use(node, slot) or () for slot in range(len(node.inputs)))
        made = (analysis.axes.get(value, ()) for value in node.outputs)
        for axes in (*read, *made):
            for axis in axes:
                yield from (growing[factor] for factor in leaves(axis) if factor in growing)

    return touching(analysis.model.graph, names)


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
    trace, notes = ChannelSources(analysis, growth, gained), tuple(parted(analysis, growth))
    step = rewrite(analysis, growth, noise=noise, seed=seed, gained=gained)
    return Change((growth,), kept=growth.kept, trace=trace, notes=notes, steps=(step,))


class ChannelSources(Mapping[str, tuple[np.ndarray | None, ...]]):
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
