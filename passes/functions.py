"""Passes as functions: build the pass, apply it, and hand the student back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from onnx_n2n.io.model import ModelLike
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.passes.driver import Target
from onnx_n2n.passes.enlarge import Enlarge
from onnx_n2n.passes.outputs import Outputs
from onnx_n2n.passes.report import Result
from onnx_n2n.passes.sequential import parse
from onnx_n2n.passes.widen import Widen
from onnx_n2n.verification import TIME_LIMIT
from onnx_n2n.verification.options import Feeds, Proof
from onnx_n2n.width.plan import INIT, NOISE


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
    **options: Any,
) -> Result[Any]:
    """Make a model wider without changing what it computes.

    >>> onnx_n2n.widen("model.onnx", 1.5, output="wider.onnx")
    <Result: 1 group grew; parameters 67 -> 99 (x1.48); verified, error ...; widen{factor=1.5}>
    """
    grow = Widen(
        factor=factor, groups=dict(groups or {}), include=tuple(include), exclude=tuple(exclude), only=tuple(only),
        without=tuple(without), multiple_of=multiple_of, init=init, mapping=mapping, noise=noise, seed=seed,
    )  # fmt: skip
    return _applied(grow, model, **options)


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
    **options: Any,
) -> Result[Any]:
    """Make a model deeper without changing what it computes.

    >>> onnx_n2n.deepen("model.onnx", count=1, output="deeper.onnx")
    <Result: 1 place changed; parameters 67 -> 139 (x2.07); verified, error ...; deepen{count=1}>
    """
    grow = Deepen(
        kind=kind, after=tuple(after), stage=tuple(map(str, stage)), every=every, count=count, kernel=tuple(kernel),
        only=tuple(only), without=tuple(without), calibrate=str(calibrate), seed=seed,
    )  # fmt: skip
    return _applied(grow, model, **options)


def enlarge(
    model: ModelLike,
    kernel: str = "",
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    **options: Any,
) -> Result[Any]:
    """Make the kernels of a model's convolutions larger without changing what it computes.

    >>> onnx_n2n.enlarge("conv.onnx", "3x3").report.parameters_after
    180
    """
    grow = Enlarge(
        kernel=kernel, include=tuple(include), exclude=tuple(exclude), only=tuple(only), without=tuple(without)
    )
    return _applied(grow, model, **options)


def outputs(model: ModelLike, size: int, name: str = "", **options: Any) -> Result[Any]:
    """Give an output of a model more entries: more classes, of which the old ones stay as they are.

    >>> onnx_n2n.outputs("model.onnx", 5, verify=False).model.name
    'model.widened.onnx'
    """
    return _applied(Outputs(size, name), model, **options)


def run(model: ModelLike, passes: Pass | str, **options: Any) -> Result[Any]:
    """Apply several passes to a model, one after the other.

    >>> onnx_n2n.run("model.onnx", "widen{factor=1.5},deepen", verify=False)
    <Result: 1 group grew, 1 place changed; parameters 67 -> 255 (x3.81); not verified; widen{factor=1.5},deepen>
    """
    return _applied(parse(passes) if isinstance(passes, str) else passes, model, **options)


def _applied(
    change: Pass,
    model: ModelLike,
    *,
    verify: bool = True,
    inputs: Feeds | str | os.PathLike[str] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: str = "auto",
    time_limit: float = TIME_LIMIT,
    output: str | Path | None = None,
    force: bool = False,
    strict: bool = False,
) -> Result[Any]:
    proof = Proof.asked(verify, inputs, shapes, provider, getattr(change, "seed", 0), time_limit)
    target = Target(None if output is None else Path(output), force)
    result: Result[Any] = change(model, proof=proof, output=target, strict=strict)
    return result
