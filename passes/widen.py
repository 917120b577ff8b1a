"""Net2Wider for arbitrary graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis import Analysis, analyze
from onnx_n2n.delivery import Change, Proof, Target, deliver
from onnx_n2n.growth import Growth
from onnx_n2n.model import ModelLike
from onnx_n2n.plan import Request, plan
from onnx_n2n.report import Result
from onnx_n2n.rewrite import rewrite


@dataclass(frozen=True)
class Widen(Request):
    """Make layers wider without changing what the model computes.

    1. Analyse which axes of which weights must grow together, and which may not grow at all.
    2. Copy channels until every group has its new size, and divide the outgoing weights of each channel among its
       copies by shares that sum to exactly 1; add noise that cancels, so that training can tell the copies apart.
    3. Rewrite weights, attributes and shape constants. Nothing else changes.

    Source: Chen, Goodfellow, Shlens, Net2Net, ICLR 2016, section 2.2 (Net2WiderNet).

    The options are those of :class:`onnx_n2n.plan.Request`.
    """

    def __call__(
        self,
        model: ModelLike,
        *,
        proof: Proof = Proof(),  # noqa: B008 - immutable
        output: Target = Target("widened"),  # noqa: B008 - immutable
        progress: Callable[[str], None] = lambda _: None,
    ) -> Result[Any]:
        """Widen a model.

        Args:
            model: A path, ``ModelProto``, graphsurgeon graph or ``onnx_ir`` model; it is not changed.
            proof: How to verify the student before it is handed over.
            output: Where the student of a path is written.
            progress: Is told each stage as it begins.

        Returns:
            The student, as the same kind of model, with what was done to it.

        Raises:
            OptionError: An option has no meaning, or the output cannot be written.
            ModelError: The model cannot be read.
            GrowthError: A named group does not exist, is pinned, or cannot have its size.
            InputError: The teacher cannot be run on the inputs.
            VerificationError: The student differs from the teacher. Nothing was written.
        """
        self.check()
        return deliver(model, self._grow, str(self), target=output, proof=proof, progress=progress)

    def __str__(self) -> str:
        standard = type(self)()
        options = [(f.name, getattr(self, f.name), getattr(standard, f.name)) for f in fields(self)]
        return f"widen{{{','.join(f'{name}={_text(value)}' for name, value, usual in options if value != usual)}}}"

    def _grow(self, model: ir.Model) -> Change:
        analysis = analyze(model)
        growth = plan(analysis, self)
        trace = _Trace(analysis, growth)
        if growth.grown:
            rewrite(analysis, growth, noise=self.noise if self.init == "net2net" else 0.0, seed=self.seed)
        return Change(growth, trace)


class _Trace(Mapping[str, tuple[np.ndarray | None, ...]]):
    """For each tensor that nodes make, where its places come from; worked out only when it is asked for."""

    def __init__(self, analysis: Analysis, growth: Growth) -> None:
        self._growth = growth
        made = {output for node in analysis.model.graph for output in node.outputs}
        self._axes = {str(value.name): axes for value, axes in analysis.axes.items() if value in made}

    def __getitem__(self, name: str) -> tuple[np.ndarray | None, ...]:
        return tuple(self._growth.position(axis) for axis in self._axes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._axes)

    def __len__(self) -> int:
        return len(self._axes)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}:{size}" for name, size in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
