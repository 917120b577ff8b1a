"""How far two outputs are apart, measured against how far the teacher's output moves by itself.

What is acceptable follows from the teacher's own rounding error and from the type that it calculates in. A comparison
that would also accept the output that belongs to *another* input could not have failed: it is called vacuous.

Every limit is a finite number, and what is not finite on one side only is infinitely far apart: it never passes.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import InputError


@dataclass(frozen=True)
class Grain:
    """How finely a model calculates.

    Attributes:
        epsilon: Rounding step of its coarsest real type.
        floor: Acceptable error, as a fraction of the movement, of an output without any rounding error.
    """

    epsilon: float
    floor: float


# The floor of float32 is 256 rounding steps; sums twice as wide in every layer came to 146. Half precision has fewer,
# because kernels add up in float32 and round only what they store.
GRAINS = {
    ir.DataType.DOUBLE: Grain(epsilon=2.0**-52, floor=2.0**-40),
    ir.DataType.FLOAT: Grain(epsilon=2.0**-23, floor=2.0**-15),
    ir.DataType.FLOAT16: Grain(epsilon=2.0**-10, floor=2.0**-7),
    ir.DataType.BFLOAT16: Grain(epsilon=2.0**-7, floor=2.0**-5),
}

# Sums twice as wide came to 2.5 times the rounding error in 216 outputs of real networks, and to 12.6 times in one.
NOISE_FACTOR = 16.0

# Rounding steps of an entry's own size that are acceptable however little the output moves.
ROUNDINGS = 4.0

# An optimiser may also replace the arithmetic (int8 kernels for float ones), which says nothing about rounding: its
# rounding error counts up to this many floors.
OPTIMISER_FLOORS = 16.0

LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Yardstick:
    """What one output of the teacher asks of a student.

    Attributes:
        truth: The output, per feed.
        forms: Its types, shapes and keys, per feed.
        limits: The largest acceptable difference, entry by entry, per feed; always finite.
        edges: Where the teacher itself gives something finite or not, or of another shape, by rounding; per feed.
        scale: What errors are a fraction of.
        rounding_error: How far the teacher is from itself, as a fraction of ``scale``; None if not measured.
        tolerance: The largest acceptable error, as a fraction of ``scale``, of entries near zero.
        movement: How far the output moves between two feeds; None where there is one.
        vacuous: Whether the output of another feed is within the limits of all the others.
    """

    truth: tuple[np.ndarray, ...]
    forms: tuple[Hashable, ...]
    limits: tuple[np.ndarray, ...]
    edges: tuple[np.ndarray, ...]
    scale: float
    rounding_error: float | None
    tolerance: float
    movement: float | None
    vacuous: bool


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


def grain(model: ir.Model) -> Grain:
    """Read the coarsest real type off what a model is given, holds, and gives."""
    kinds = set()
    for graph in model.graphs():
        kinds |= {value.dtype for value in (*graph.inputs, *graph.outputs, *graph.initializers.values())}
        for node in graph:
            if node.op_type == "Constant" and "value" in node.attributes:
                kinds.add(node.attributes["value"].as_tensor().dtype)
            elif node.op_type == "Cast":
                kinds.add(ir.DataType(node.attributes.get_int("to", ir.DataType.UNDEFINED)))
    grains = [GRAINS[kind] for kind in kinds if kind in GRAINS]
    return max(grains, key=lambda grain: grain.epsilon, default=GRAINS[ir.DataType.FLOAT])


def yardstick(
    truth: Sequence[Any], grain: Grain, optimised: Sequence[Any] = (), nudged: Sequence[Any] = ()
) -> Yardstick:
    """Work out what one output of the teacher asks of a student.

    Args:
        truth: The output, per feed.
        grain: How finely the teacher calculates.
        optimised: The output of the optimised teacher; empty when that was not run.
        nudged: The output for inputs one rounding step off; empty when that was not run.
    """
    arrays = tuple(laid_out(value) for value in truth)
    real, own = is_real(arrays[0]), _own_size(arrays)
    moves = [_gap(value, truth[0]) for value in truth[1:]]
    movement = max(
        (_moved(move, arrays[0], array, own) for move, array in zip(moves, arrays[1:], strict=True)), default=None
    )
    scale = (movement or own) if real else 1.0
    quick, near = ([_gap(old, new) for old, new in zip(truth, values, strict=False)] for values in (optimised, nudged))
    believed = OPTIMISER_FLOORS * grain.floor * scale if real else 1.0
    measured = any(gap is not None for gap in (*quick, *near))
    drift = max(min(_largest(quick), believed), _largest(near)) if measured else None
    edges = tuple(
        _unlike(one) | _unlike(other)
        for _, one, other in itertools.zip_longest(arrays, quick, near, fillvalue=np.zeros(()))
    )
    forms = tuple(map(form_of, truth))
    stick = _stick(arrays, forms, edges, scale, drift, movement, grain)
    stuck = all(move is not None and np.all(move <= limit) for move, limit in zip(moves, stick.limits[1:], strict=True))
    never = real and not any(np.isfinite(array.astype(np.float64)).any() for array in arrays)
    if not (stuck or never):
        return stick
    # It tells nothing by its movement: it is measured against the output's own size.
    return replace(_stick(arrays, forms, edges, own if real else 1.0, drift, movement, grain), vacuous=True)


def ungranted(stick: Yardstick, grain: Grain) -> Yardstick:
    """The yardstick of an output that tells nothing by its movement, to which no rounding error is granted.

    One of zeros is granted what was measured, up to the floor.
    """
    drift = None
    if stick.rounding_error is not None and _idle(stick.truth, stick.movement):
        drift = min(stick.rounding_error, grain.floor / NOISE_FACTOR) * stick.scale
    bare = _stick(stick.truth, stick.forms, stick.edges, stick.scale, drift, stick.movement, grain)
    return replace(bare, rounding_error=stick.rounding_error, vacuous=True)


def _stick(
    arrays: tuple[np.ndarray, ...],
    forms: tuple[Hashable, ...],
    edges: tuple[np.ndarray, ...],
    scale: float,
    drift: float | None,
    movement: float | None,
    grain: Grain,
) -> Yardstick:
    """The yardstick of a teacher that is ``drift`` away from itself, if that is known.

    An output of zeros has no size of which the floor could be a fraction: it is granted what was measured alone.
    """
    bare = not is_real(arrays[0]) or (drift is not None and _idle(arrays, movement))
    allowed = max(0.0 if bare else grain.floor * scale, NOISE_FACTOR * (drift or 0.0))
    with np.errstate(over="ignore"):
        limits = tuple(np.minimum(allowed + ROUNDINGS * grain.epsilon * _sizes(array), LARGEST) for array in arrays)
    tolerance = _fraction(min(allowed, LARGEST), scale)
    rounding_error = None if drift is None else _fraction(min(drift, LARGEST), scale)
    return Yardstick(arrays, forms, limits, edges, scale, rounding_error, tolerance, movement, vacuous=False)


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
            error, tolerance = (_fraction(float(array[place]), stick.scale) for array in (gap, limit))
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


def recalled(
    truth: Sequence[Any], grain: Grain, *, rounding_error: float | None, movement: float | None, is_vacuous: bool
) -> Yardstick:
    """Make a yardstick again of what was measured: the same but for where rounding decides what is finite.

    Args:
        truth: The output, per feed.
        grain: How finely the teacher calculates.
        rounding_error: As in the yardstick.
        movement: As in the yardstick.
        is_vacuous: Whether the comparison is vacuous.
    """
    arrays = tuple(map(laid_out, truth))
    own = _own_size(arrays)
    scale = (own if is_vacuous else movement or own) if is_real(arrays[0]) else 1.0
    edges = (np.zeros((), bool),) * len(arrays)
    drift = None if rounding_error is None else rounding_error * scale
    stick = _stick(arrays, tuple(map(form_of, truth)), edges, scale, drift, movement, grain)
    return replace(stick, vacuous=is_vacuous)


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


def same(old: Any, new: Any) -> bool:
    """Whether two outputs are the same to the last bit."""
    gap = _gap(old, new)
    return gap is not None and not gap.any()


def apart(truth: Sequence[Any], values: Sequence[Any]) -> tuple[float, float]:
    """The largest and the mean difference of outputs, per feed; infinite where shapes, types or keys differ."""
    gaps = [_gap(old, new) for old, new in zip(truth, values, strict=True)]
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


def _gap(old: Any, new: Any) -> np.ndarray | None:
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


def _moved(gap: np.ndarray | None, old: np.ndarray, new: np.ndarray, own: float) -> float:
    """How far an output has moved: an entry that is finite on one side only by what it is there."""
    if gap is None:
        return own
    return _largest([np.where(np.isfinite(gap), gap, np.maximum(_sizes(old), _sizes(new)))])


def _unlike(gap: np.ndarray | None) -> np.ndarray:
    """Where a difference is no number: of another shape, or finite on one side only."""
    return np.ones((), bool) if gap is None else ~np.isfinite(gap)


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


def _fraction(part: float, whole: float) -> float:
    """A part as a fraction; infinite only where the part is."""
    return min(part / whole, LARGEST) if np.isfinite(part) else part


def _largest(gaps: Iterable[np.ndarray | None]) -> float:
    """The largest difference that is a number; 0 without one."""
    known = (gap for gap in gaps if gap is not None)
    return max((float(np.max(gap, where=np.isfinite(gap), initial=0.0)) for gap in known), default=0.0)


def _sizes(array: np.ndarray) -> np.ndarray:
    """Absolute values; zero where they are not finite or no real numbers."""
    if not is_real(array):
        return np.zeros(())
    return np.abs(np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0))


def _own_size(arrays: Sequence[np.ndarray]) -> float:
    return _largest(map(_sizes, arrays)) or 1.0


def _idle(arrays: Sequence[np.ndarray], movement: float | None) -> bool:
    """Whether an output is zero for all of several feeds; for a single one it may be so by chance."""
    return movement == 0 and not _largest(map(_sizes, arrays))
