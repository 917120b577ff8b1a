"""What an output of the teacher asks of a student: how large an error is acceptable.

That follows from the teacher's own rounding error and from the type that it calculates in. A comparison that would also
accept the output that belongs to *another* input could not have failed: it is called vacuous. Every limit is a finite
number.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.verification.differences import (
    LARGEST,
    form_of,
    fraction,
    gap_of,
    is_real,
    laid_out,
    largest,
    sizes_of,
)


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
    moves = [gap_of(value, truth[0]) for value in truth[1:]]
    movement = max(
        (_moved(move, arrays[0], array, own) for move, array in zip(moves, arrays[1:], strict=True)), default=None
    )
    scale = (movement or own) if real else 1.0
    others = (optimised, nudged)
    quick, near = ([gap_of(old, new) for old, new in zip(truth, values, strict=False)] for values in others)
    believed = OPTIMISER_FLOORS * grain.floor * scale if real else 1.0
    measured = any(gap is not None for gap in (*quick, *near))
    drift = max(min(largest(quick), believed), largest(near)) if measured else None
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
        limits = tuple(np.minimum(allowed + ROUNDINGS * grain.epsilon * sizes_of(array), LARGEST) for array in arrays)
    tolerance = fraction(min(allowed, LARGEST), scale)
    rounding_error = None if drift is None else fraction(min(drift, LARGEST), scale)
    return Yardstick(arrays, forms, limits, edges, scale, rounding_error, tolerance, movement, vacuous=False)


def _moved(gap: np.ndarray | None, old: np.ndarray, new: np.ndarray, own: float) -> float:
    """How far an output has moved: an entry that is finite on one side only by what it is there."""
    if gap is None:
        return own
    return largest([np.where(np.isfinite(gap), gap, np.maximum(sizes_of(old), sizes_of(new)))])


def _unlike(gap: np.ndarray | None) -> np.ndarray:
    """Where a difference is no number: of another shape, or finite on one side only."""
    return np.ones((), bool) if gap is None else ~np.isfinite(gap)


def _own_size(arrays: Sequence[np.ndarray]) -> float:
    return largest(map(sizes_of, arrays)) or 1.0


def _idle(arrays: Sequence[np.ndarray], movement: float | None) -> bool:
    """Whether an output is zero for all of several feeds; for a single one it may be so by chance."""
    return movement == 0 and not largest(map(sizes_of, arrays))
