"""How far two outputs are apart, measured against how far the teacher's output moves by itself.

What is not finite on one side only is infinitely far apart: it never passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from onnx_n2n.errors import InputError
from onnx_n2n.verification.differences import difference, form_of, fraction, is_real, laid_out, worst_of
from onnx_n2n.verification.yardstick import Yardstick


@dataclass(frozen=True)
class OutputVerdict:
    """The comparison of one output.

    Attributes:
        name: Name of the output.
        dtype: Type of its entries.
        error: The largest difference, as a fraction of how far the teacher's output moves between two inputs, or of
            its own size where the comparison is vacuous. Of entries that are no real numbers, the fraction that
            differs. Infinite where shapes, types or non-finite entries differ.
        rounding_error: The same for the teacher against itself: optimised against not, and with inputs one rounding
            step off. None where neither was run, because the comparison did not need it.
        movement: How far the teacher's output moves between two inputs; None where it runs on one only.
        tolerance: The largest acceptable error.
        ok: Whether the student passes.
        vacuous: Whether a student that gave the output of another input would have passed too.
        undecided: Whether it does not pass only for entries of which rounding decides in the teacher too whether they
            are finite, or whether they are there at all.
    """

    name: str
    dtype: str
    error: float
    rounding_error: float | None
    movement: float | None
    tolerance: float
    ok: bool
    vacuous: bool
    undecided: bool = False


def compare(name: str, stick: Yardstick, student: Sequence[Any]) -> OutputVerdict:
    """Hold a student's output, per feed, against what the teacher asks."""
    worst, error, tolerance, ok, undecided = (-1.0, False), 0.0, stick.tolerance, True, True
    feeds = zip(stick.truth, stick.forms, stick.limits, stick.edges, student, strict=True)
    for old, form, limit, edge, value in feeds:
        new = laid_out(value)
        gap = difference(old, new) if form_of(value) == form else None
        if gap is None:
            error, tolerance, ok = np.inf, stick.tolerance, False
            undecided = undecided and old.dtype == new.dtype and bool(edge.all())
            break
        wrong = gap > limit
        if wrong.any():
            ok, undecided = False, undecided and bool(_at_an_edge(old, new, limit, edge)[wrong].all())
        if not gap.size:
            continue
        found, place = worst_of(gap, limit)
        if found > worst:
            worst = found
            error, tolerance = (fraction(float(array[place]), stick.scale) for array in (gap, limit))
    return OutputVerdict(
        name=name,
        dtype=str(stick.truth[0].dtype),
        error=error,
        rounding_error=stick.rounding_error,
        movement=stick.movement,
        tolerance=tolerance,
        ok=ok,
        vacuous=stick.vacuous,
        undecided=not ok and undecided,
    )


def decided(outputs: Sequence[OutputVerdict]) -> None:
    """Make sure that what does not pass is the student's fault.

    Raises:
        InputError: All that does not pass is undecided.
    """
    wrong = [output for output in outputs if not output.ok]
    if wrong and all(output.undecided for output in wrong):
        raise InputError(
            f"no student can be judged on these inputs: rounding decides in the teacher what of its output "
            f"{wrong[0].name!r} is finite, or how long it is",
            hint="Give others with `inputs='data.npz'`, such as smaller values",
        )


def _at_an_edge(old: np.ndarray, new: np.ndarray, limit: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Where a teacher and a student are not both finite, by rounding.

    The teacher is not steady there, or one of them is nearly as large as its type allows, and the other infinite.
    """
    one_sided = np.zeros(old.shape, bool)
    if is_real(old):
        one_sided = np.isfinite(old.astype(np.float64)) != np.isfinite(new.astype(np.float64))
    if not one_sided.any():
        return one_sided
    most = float(ml_dtypes.finfo(old.dtype).max)  # type: ignore[no-untyped-call]
    near = difference(*(np.clip(array.astype(np.float64), -most, most) for array in (old, new)))
    return one_sided & (edge | (near <= limit))
