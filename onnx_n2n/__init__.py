"""Make trained ONNX models wider and deeper without changing what they compute.

    import onnx, onnx_n2n
    student = onnx_n2n.widen(onnx.load("model.onnx"), 1.5).model

A model is a path, an ``onnx.ModelProto``, a graphsurgeon ``Graph`` or an ``onnx_ir.Model``; what comes back is of the
same kind, and the argument is never changed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from onnx_n2n.analysis.redundant import Clones, clones
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.analysis.walk import analyze as _analyze
from onnx_n2n.errors import GrowthError, InputError, ModelError, N2NError, OptionError, VerificationError
from onnx_n2n.io.history import VERSION
from onnx_n2n.io.model import ModelLike, load, open_model, save
from onnx_n2n.passes import Deepen, Widen
from onnx_n2n.passes.functions import deepen, enlarge, outputs, run, widen
from onnx_n2n.passes.report import Report, Result
from onnx_n2n.record.joining import join
from onnx_n2n.verification import TIME_LIMIT, Verdict
from onnx_n2n.verification import verify as _verify

__version__ = VERSION

__all__ = [
    "Analysis", "Clones", "Deepen", "GrowthError", "InputError", "ModelError", "ModelLike", "N2NError", "OptionError",
    "Report", "Result", "Verdict", "VerificationError", "Widen", "__version__", "analyze", "clones", "deepen",
    "enlarge", "join", "load", "outputs", "run", "save", "verify", "widen",
]  # fmt: skip


def analyze(model: ModelLike) -> Analysis:
    """Work out what in a model may grow: its groups, and for every other weight axis the reason why not.

    Raises:
        ModelError: The model cannot be read.
    """
    return _analyze(open_model(model).model)


def verify(
    teacher: ModelLike,
    student: ModelLike,
    *,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: str = "auto",
    time_limit: float = TIME_LIMIT,
    seed: int = 0,
    gained: Collection[str] = (),
) -> Verdict:
    """Run two models in ONNX Runtime and say whether they compute the same.

    Args:
        teacher: The model that is right by definition.
        student: The model in question.
        inputs: Arrays by input name, or several such; drawn to fit the teacher when not given.
        shapes: Shapes of inputs with free dimensions, for drawing.
        provider: Where to run: ``auto``, ``cpu``, ``cuda``, or another that ONNX Runtime offers.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        seed: Seed of drawn inputs.
        gained: Names of outputs in which the student may say more along one axis, behind what the teacher says.

    Raises:
        InputError: The teacher cannot be run on the inputs, or a run takes longer than it may.
        OptionError: The provider is not there, or the time limit is not above zero.
    """
    old, new = (_runnable(model) for model in (teacher, student))
    return _verify(
        old, new, inputs=inputs, shapes=shapes, provider=provider, seed=seed, time_limit=time_limit, gained=gained
    )


def _runnable(model: ModelLike) -> Any:
    if isinstance(model, str | os.PathLike):
        return Path(model)
    return open_model(model).model if isinstance(model, gs.Graph) else model
