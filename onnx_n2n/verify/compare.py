"""How far two outputs are apart, measured against how far the teacher's output moves by itself.

What is acceptable follows from the teacher's own noise and from the type that it calculates in. A comparison that
would also accept the output that belongs to *another* input could not have failed: it is called vacuous.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

# What is acceptable, as a fraction of the movement, of a teacher without any noise: 256 rounding steps of float32.
# Sums twice as wide in every layer came to 146. Half precision has fewer, because kernels add up in float32 and round
# only what they store.
FLOORS = {
    ir.DataType.DOUBLE: 2.0**-40,
    ir.DataType.FLOAT: 2.0**-15,
    ir.DataType.FLOAT16: 2.0**-6,
    ir.DataType.BFLOAT16: 2.0**-4,
}

# Sums twice as wide came to 2.5 times the noise in 216 outputs of real networks, and to 12.6 times in one.
NOISE_FACTOR = 16.0

# Rounding steps of an entry's own size that are acceptable however little the output moves.
ROUNDINGS = 4.0

# An optimiser may also replace the arithmetic (int8 kernels for float ones), which says nothing about rounding: its
# noise counts up to this many floors.
OPTIMISER_FLOORS = 16.0


@dataclass(frozen=True)
class Grain:
    """How finely a model calculates.

    Attributes:
        epsilon: Rounding step of its coarsest real type.
        floor: Acceptable error, as a fraction of the movement, of an output without any noise.
    """

    epsilon: float
    floor: float


@dataclass(frozen=True)
class Yardstick:
    """What one output of the teacher asks of a student.

    Attributes:
        truth: The output, per feed.
        limits: The largest acceptable difference, entry by entry, per feed.
        scale: What errors are a fraction of.
        noise: How far the teacher is from itself, as a fraction of ``scale``.
        movement: How far the output moves between two feeds.
        vacuous: Whether the output of another feed is within the limits of all the others.
    """

    truth: tuple[np.ndarray, ...]
    limits: tuple[np.ndarray, ...]
    scale: float
    noise: float
    movement: float
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
        noise: The same for the teacher against itself: optimised against not, and with inputs one rounding step off.
        movement: How far the teacher's output moves between two inputs.
        tolerance: The largest acceptable error.
        ok: Whether the student passes.
        vacuous: Whether a student that gave the output of another input would have passed too.
    """

    name: str
    dtype: str
    error: float
    noise: float
    movement: float
    tolerance: float
    ok: bool
    vacuous: bool


def grain(model: ir.Model) -> Grain:
    """Read the coarsest real type off a model's weights."""
    kinds = {value.dtype for graph in model.graphs() for value in graph.initializers.values()}
    for node in model.graph.all_nodes():
        if node.op_type == "Constant" and "value" in node.attributes:
            kinds.add(node.attributes["value"].as_tensor().dtype)
    coarsest = max((kind for kind in kinds if kind in FLOORS), key=FLOORS.__getitem__, default=ir.DataType.FLOAT)
    return Grain(float(ml_dtypes.finfo(coarsest.numpy()).eps), FLOORS[coarsest])


def yardstick(
    truth: Sequence[Any],
    grain: Grain,
    *,
    optimised: Sequence[Any] = (),
    nudged: Sequence[Any] = (),
    strict: bool = False,
) -> Yardstick:
    """Work out what one output of the teacher asks of a student.

    Args:
        truth: The output, per feed.
        grain: How finely the teacher calculates.
        optimised: The output of the optimised teacher; empty when that was not run.
        nudged: The output for inputs one rounding step off; empty when that was not run.
        strict: Measure against the output's own size, and count no noise.
    """
    arrays = tuple(_array(value) for value in truth)
    first, real = arrays[0], _is_real(arrays[0])
    sizes = [_sizes(array) for array in arrays]
    own = max(float(size.max(initial=0.0)) for size in sizes) or 1.0
    moves = [_gap(first, array) for array in arrays[1:]]
    movement = max((own if move is None else float(move.max(initial=0.0)) for move in moves), default=0.0)
    quick = max((_distance(a, _array(b)) for a, b in zip(arrays, optimised, strict=False)), default=0.0)
    near = max((_distance(a, _array(b)) for a, b in zip(arrays, nudged, strict=False)), default=0.0)

    def against(scale: float) -> Yardstick:
        counted = min(quick, OPTIMISER_FLOORS * grain.floor * scale) if real else quick
        noise = max(counted, near) / scale
        tolerance = max(grain.floor if real else 0.0, 0.0 if strict else NOISE_FACTOR * noise)
        limits = tuple(tolerance * scale + ROUNDINGS * grain.epsilon * size for size in sizes)
        stuck = all(
            move is not None and np.all(move <= limit) for move, limit in zip(moves, limits[1:], strict=True)
        )
        return Yardstick(arrays, limits, scale, noise, movement, vacuous=strict or not movement or bool(stuck))

    if not real:
        return against(1.0)
    moving = against(movement) if movement and not strict else None
    return moving if moving is not None and not moving.vacuous else replace(against(own), vacuous=True)
