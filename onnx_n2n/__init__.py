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
from typing import Any, Literal

import numpy as np
import onnx_graphsurgeon as gs

from onnx_n2n.analysis.redundant import Clones, clones
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.analysis.walk import analyze as _analyze
from onnx_n2n.errors import GrowthError, InputError, ModelError, N2NError, OptionError, VerificationError
from onnx_n2n.io.history import VERSION
from onnx_n2n.io.model import ModelLike, load, open_model, save
from onnx_n2n.passes import Deepen, Widen
from onnx_n2n.passes.driver import Target
from onnx_n2n.passes.report import Report, Result
from onnx_n2n.record.joining import join
from onnx_n2n.verification import TIME_LIMIT, Verdict
from onnx_n2n.verification import verify as _verify
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.plan import INIT, NOISE

__version__ = VERSION

__all__ = [
    "Analysis", "Clones", "Deepen", "GrowthError", "InputError", "ModelError", "ModelLike", "N2NError", "OptionError",
    "Report", "Result", "Verdict", "VerificationError", "Widen", "__version__", "analyze", "clones", "deepen", "join",
    "load", "save", "verify", "widen",
]  # fmt: skip


def widen(
    model: ModelLike,
    factor: float = 2.0,
    *,
    groups: Mapping[str, int] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    multiple_of: int = 1,
    init: Literal["zero", "net2net"] = INIT,
    mapping: Literal["random", "cyclic"] = "random",
    noise: float = NOISE,
    seed: int = 0,
    verify: bool = True,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: str = "auto",
    time_limit: float = TIME_LIMIT,
    output: str | Path | None = None,
    force: bool = False,
    strict: bool = False,
) -> Result[Any]:
    """Make a model wider without changing what it computes.

    Args:
        model: The teacher. A path gives a file beside it, ``model.widened.onnx``, or ``output``.
        factor: New width over old; see :class:`onnx_n2n.width.plan.Request` for it and all options up to ``seed``.
        groups: Sizes by group name.
        include: Globs of what grows.
        exclude: Globs of what does not.
        only: Names of groups; when given, no other group grows.
        without: Names of groups that do not grow.
        multiple_of: Round new widths up to a multiple of this.
        init: Fresh channels with zero outgoing weights, or copies that share theirs.
        mapping: Which channels are copied.
        noise: Noise on copied outgoing weights, which cancels.
        seed: Seed of everything random.
        verify: Whether to run both models in ONNX Runtime before anything is handed over.
        inputs: Arrays by input name to verify with; drawn when not given.
        shapes: Shapes of inputs with free dimensions, for drawing.
        provider: Where to verify: ``auto``, ``cpu``, ``cuda``, or another that ONNX Runtime offers.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        output: Where to write the student of a path.
        force: Whether to overwrite ``output``.
        strict: Whether a student that fails verification is an error at once. Otherwise what makes it wrong is left out
            (``report.left_out``), with a warning, and the rest is verified again.

    Returns:
        The student as the same kind of model, whether it differs, the growth, and a report.

    Raises:
        N2NError: One of its subclasses, as :meth:`onnx_n2n.passes.Widen.__call__` says.
    """
    grow = Widen(
        factor=factor,
        groups=dict(groups or {}),
        include=tuple(include),
        exclude=tuple(exclude),
        only=tuple(only),
        without=tuple(without),
        multiple_of=multiple_of,
        init=init,
        mapping=mapping,
        noise=noise,
        seed=seed,
    )
    proof = Proof(verify, inputs, shapes or {}, provider, seed, time_limit)
    target = Target(None if output is None else Path(output), force)
    result: Result[Any] = grow(model, proof=proof, output=target, strict=strict)
    return result


def deepen(
    model: ModelLike,
    *,
    kind: Literal["auto", "block", "identity", "residual"] = "auto",
    after: Sequence[str] = (),
    stage: Sequence[int] = (),
    every: int = 1,
    count: int = 0,
    kernel: Sequence[str] = (),
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    calibrate: str | Path = "",
    seed: int = 0,
    verify: bool = True,
    inputs: Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: str = "auto",
    time_limit: float = TIME_LIMIT,
    output: str | Path | None = None,
    force: bool = False,
    strict: bool = False,
) -> Result[Any]:
    """Make a model deeper without changing what it computes.

    Args:
        model: The teacher. A path gives a file beside it, ``model.deepened.onnx``, or ``output``.
        kind: The kind of place; see :class:`onnx_n2n.passes.Deepen` for it and all options up to ``seed``.
        after: Globs of layers, weights or tensors behind which depth is added.
        stage: Stages in which it is.
        every: Take only every n-th place.
        count: How many times to add depth; 0 for everywhere.
        kernel: Kernels of new convolutions, as ``3x3``.
        only: Names of places; when given, of those that are chosen only these take depth.
        without: Names of places that take none.
        calibrate: A file of real inputs for the statistics of BatchNormalization.
        seed: Seed of everything random.
        verify: Whether to run both models in ONNX Runtime before anything is handed over.
        inputs: Arrays by input name to verify with, and to take statistics from; drawn when not given.
        shapes: Shapes of inputs with free dimensions, for drawing.
        provider: Where to verify: ``auto``, ``cpu``, ``cuda``, or another that ONNX Runtime offers.
        time_limit: How many seconds one run of a model may take; infinity is no limit.
        output: Where to write the student of a path.
        force: Whether to overwrite ``output``.
        strict: Whether a student that fails verification is an error at once. Otherwise what makes it wrong is left out
            (``report.left_out``), with a warning, and the rest is verified again.

    Returns:
        The student as the same kind of model, whether it differs, what was added, and a report.

    Raises:
        N2NError: One of its subclasses, as :meth:`onnx_n2n.passes.Pass.__call__` says.
    """
    grow = Deepen(
        kind=kind,
        after=tuple(after),
        stage=tuple(map(str, stage)),
        every=every,
        count=count,
        kernel=tuple(kernel),
        only=tuple(only),
        without=tuple(without),
        calibrate=str(calibrate),
        seed=seed,
    )
    proof = Proof(verify, inputs, shapes or {}, provider, seed, time_limit)
    target = Target(None if output is None else Path(output), force)
    result: Result[Any] = grow(model, proof=proof, output=target, strict=strict)
    return result


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
