"""The proof of grown moments: pulled back through the growth of the weights, they are what they were.

New weights are a linear function of the old ones, W' = L(W), so that by the chain rule a gradient for W is that for W'
through the transpose of L. So for any V, the sum of m' * L(V) has to be that of m * V, where m and m' are a first
moment before and after, or the root of a second one. This uses how values grow, and not the rule by which moments do.
It shows that each moment grew as its parameter did; it cannot show that a moment is that of this parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.growth import Grown, apply
from onnx_n2n.checkpoint.optimizer import MOMENTS, SECOND, State, power_of
from onnx_n2n.errors import GrowthError, VerificationError
from onnx_n2n.record.record import Remade

TOLERANCE = {1: 1.0, 2: 2e-2, 4: 1e-4, 8: 1e-4}  # of how large the sum is in the mean, by the bytes of a number
PROBES = 3  # of V: a single one misses what happens to be orthogonal to it
Moved = Mapping[str, tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Pulled:
    """How far moments are from what they were, pulled back.

    Attributes:
        compared: How many were compared.
        error: The largest difference of a sum, relative to how large such sums are.
        worst: Of which parameter.
    """

    compared: int = 0
    error: float = 0.0
    worst: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return asdict(self)

    def and_also(self, other: Pulled) -> Pulled:
        """Return what is known of the moments of two optimizers."""
        worse = max(self, other, key=lambda each: each.error)
        return replace(worse, compared=self.compared + other.compared)


def pulled_back(found: Grown, before: State, after: Moved, shapes: Mapping[str, tuple[int, ...]]) -> Pulled:
    """Compare moments with what they were.

    Args:
        found: What became of the checkpoint.
        before: The moments that there were, by parameter.
        after: Those that there are, by the name of now, with the name of before.
        shapes: The shapes of all parameters before.

    Raises:
        GrowthError: If one holds what is no number.
        VerificationError: If one is not of the shape of its parameter, or is something else.
    """
    probes = [_probe(shapes, seed) for seed in range(PROBES)]
    grown = [apply(found.record, probe, _linear).arrays for probe in probes]
    ones = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    known = apply(found.record, ones, lambda remade, array: remade.gradient(array, 0.0)).arrays
    result = Pulled()
    for now, (name, moments) in after.items():
        for kind in sorted(moments.keys() & MOMENTS.keys()):
            if before[name][kind] is None:
                continue
            if np.shape(moments[kind]) != np.shape(found.arrays[now]):
                sizes = f"{list(np.shape(moments[kind]))} where it has {list(np.shape(found.arrays[now]))}"
                raise VerificationError(f"{kind!r} of {now!r} is not of the shape of the parameter", shapes=sizes)
            power = power_of(kind, before.values())
            if not power or now in found.added:
                continue
            old, new = (np.asarray(each, np.float64) for each in (before[name][kind], moments[kind]))
            if not np.isfinite(old).all():
                raise GrowthError(
                    f"{kind!r} of {name!r} holds infinity or NaN, so that how it grew cannot be proven",
                    hint="take a checkpoint from before training diverged; `verify=False` grows this one unproven",
                )
            if power == SECOND:
                old, new = np.sqrt(np.abs(old)), np.sqrt(np.abs(new)) * (known[name] != 0)
            pairs = zip(probes, grown, strict=True)
            error = max(_difference(old * probe[name], new * made[name]) for probe, made in pairs)
            if not error <= TOLERANCE[np.asarray(before[name][kind]).dtype.itemsize]:
                raise VerificationError(
                    f"{kind!r} of {now!r} is off by {error:.1e}, pulled back through the growth of the weights",
                    hint="nothing was written. Please report this",
                )
            result = result.and_also(Pulled(1, error, now))
    return result


def _probe(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def _difference(old: np.ndarray, new: np.ndarray) -> float:
    """Return how far two sums differ, relative to how large the first usually is, with signs drawn at random."""
    usual, difference = float(np.linalg.norm(old)), abs(float(new.sum() - old.sum()))
    return difference / usual if usual else difference


def _linear(remade: Remade, array: np.ndarray) -> np.ndarray:
    return replace(remade.recipe, noise=0.0).make(array)
