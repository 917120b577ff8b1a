"""Outputs as arrays, whatever their kind, and how far two of them are apart."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

LARGEST = float(np.finfo(np.float64).max)


def laid_out(value: Any) -> np.ndarray:
    """An output as one array: sequences, and the values of maps, are laid end to end."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return np.asarray([] if value is None else value)
    return np.concatenate([np.empty(0, bool), *(laid_out(part).reshape(-1) for part in value)])


def form_of(value: Any) -> Hashable:
    """What of an output has to be equal: the type and shape of each array in it, and the keys of maps."""
    if isinstance(value, Mapping):
        return tuple(value), form_of(list(value.values()))
    if isinstance(value, list | tuple):
        return tuple(map(form_of, value))
    if value is None:  # an output that is not there, or an optional one without a value
        return None
    array = laid_out(value)
    return str(array.dtype), array.shape


def is_real(value: Any) -> bool:
    """Whether an output holds real numbers, not indices, truth values or strings."""
    return laid_out(value).dtype.kind in "fV"  # V: bfloat16 and the 8-bit kinds


def same(old: Any, new: Any) -> bool:
    """Whether two outputs are the same to the last bit."""
    gap = gap_of(old, new)
    return gap is not None and not gap.any()


def apart(truth: Sequence[Any], values: Sequence[Any]) -> tuple[float, float]:
    """The largest and the mean difference of outputs, per feed; infinite where shapes, types or keys differ."""
    gaps = [gap_of(old, new) for old, new in zip(truth, values, strict=True)]
    known = [gap.reshape(-1) for gap in gaps if gap is not None]
    if len(known) < len(gaps):
        return np.inf, np.inf
    entries = np.concatenate(known)
    return float(np.max(entries, initial=0.0)), float(np.mean(entries)) if entries.size else 0.0


def finite(values: Sequence[Any]) -> float:
    """The fraction of entries that are finite."""
    arrays = [array for array in map(laid_out, values) if is_real(array) and array.size]
    return min((float(np.mean(np.isfinite(array.astype(np.float64)))) for array in arrays), default=1.0)


def where_finite(truth: Any, value: Any) -> Any:
    """A student's output with the teacher's entries in all places where those are not finite."""
    if form_of(truth) != form_of(value):
        return value
    if isinstance(truth, Mapping):
        return {key: where_finite(old, value[key]) for key, old in truth.items()}
    if isinstance(truth, list | tuple):
        return [where_finite(*pair) for pair in zip(truth, value, strict=True)]
    if not isinstance(truth, np.ndarray) or not is_real(truth):
        return value
    return np.where(np.isfinite(truth.astype(np.float64)), value, truth)


def gap_of(old: Any, new: Any) -> np.ndarray | None:
    """The difference of two outputs; None where their shapes, types or keys differ."""
    return difference(laid_out(old), laid_out(new)) if form_of(old) == form_of(new) else None


def difference(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The difference, entry by entry, or for entries that are no real numbers the fraction that differs.

    It is infinite where only one is finite, where both are not and differ, and where no number is as large as it.
    """
    if not is_real(old):
        return np.asarray(np.mean(old != new) if old.size else 0.0)
    a, b = old.astype(np.float64), new.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        gap = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.asarray(np.where(same, 0.0, np.where(np.isnan(gap), np.inf, gap)))


def worst_of(gap: np.ndarray, limit: np.ndarray) -> tuple[tuple[float, bool], tuple[np.intp, ...]]:
    """How far the worst entry is off, as a share of what is acceptable, whether infinitely far, and where it is.

    An entry without any tolerance has to be equal. Of several that are beyond all measure, it is one that is infinitely
    far off.
    """
    with np.errstate(over="ignore"):
        share = np.divide(gap, limit, where=limit > 0, out=np.where(gap > 0, np.inf, 0.0))
    place = np.unravel_index(np.argmax((share == share.max()) * (1 + np.isinf(gap))), share.shape)
    return (float(share[place]), bool(np.isinf(gap[place]))), place


def fraction(part: float, whole: float) -> float:
    """A part as a fraction; infinite only where the part is."""
    return min(part / whole, LARGEST) if np.isfinite(part) else part


def largest(gaps: Iterable[np.ndarray | None]) -> float:
    """The largest difference that is a number; 0 without one."""
    known = (gap for gap in gaps if gap is not None)
    return max((float(np.max(gap, where=np.isfinite(gap), initial=0.0)) for gap in known), default=0.0)


def sizes_of(array: np.ndarray) -> np.ndarray:
    """Absolute values; zero where they are not finite or no real numbers."""
    if not is_real(array):
        return np.zeros(())
    return np.abs(np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0))
