"""What growth rounds, where the numbers of a checkpoint are of few bits.

Copies of a channel sum to what it had, to the last bit of any type, with noise and without. Combinations of channels,
and a gain that makes up for further ones, are rounded to the type of the weight, by at most so much of each number as
the type's precision says. In bfloat16 that is less than training notices, and is told. In eight bits it is a few per
cent, and is refused.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import ml_dtypes
import numpy as np

from onnx_n2n.checkpoint.making import Plan, values
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.lazy import Spec
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.record.record import Remade

MOST = 0.01  # of the root mean square of a weight
UNSIGNED = np.dtype(ml_dtypes.float8_e8m0fnu)


def unrounded(remade: Remade, array: np.ndarray) -> np.ndarray:
    """Grow the values of a weight, unless its type cannot hold them.

    Raises:
        GrowthError: They would be rounded by more than a hundredth.
    """
    grown = values(remade, array)
    if array.dtype.itemsize > 1 or not is_float(array.dtype):
        return grown
    shared = remade.recipe.summed if remade.recipe.law == 1 else ()  # since then they are not rounded
    plain = replace(remade.recipe, fresh=(), mixed=(), summed=shared)  # fresh values may be rounded as they like
    wanted = plain.make(array.astype(np.float32))
    error = np.linalg.norm(plain.make(array).astype(np.float32) - wanted)
    size = float(np.linalg.norm(wanted))
    if not error <= MOST * size:
        lost = f"by {error / size:.0%}" if np.isfinite(error) else "to no number"
        raise GrowthError(
            f"a weight of {array.dtype} would be rounded {lost}, since its type has so few bits",
            node=remade.teacher,
            hint="grow the checkpoint in bfloat16 or float32",
        )
    if array.dtype == UNSIGNED and any(flags is not None and flags.any() for flags in remade.recipe.fresh):
        reason = f"a tensor of {array.dtype} gets fresh channels, and the type has no numbers below zero"
        raise GrowthError(reason, node=remade.teacher, hint="grow with `init='net2net'` and `noise=0`")
    return grown


def rounded(plan: Plan, specs: Mapping[str, Spec], names: Collection[str]) -> dict[str, float]:
    """Return which parameters are rounded when they grow, each with how much of a number that is at most.

    Args:
        plan: How they are made.
        specs: Their shapes and types before.
        names: Which ones.
    """
    found = {}
    for name in names:
        dtype = specs[plan.source(name)].dtype
        recipes = (remade.recipe for way in plan.ways.get(name, ()) for line in way.lines for remade in line)
        if is_float(dtype) and dtype.itemsize < np.float32().itemsize and any(map(_rounds, recipes)):
            found[name] = float(ml_dtypes.finfo(dtype).eps) / 2  # type: ignore[no-untyped-call]
    return found


def _rounds(recipe: Recipe) -> bool:
    """Say whether numbers are multiplied by what is no power of two, also beside an offset, or combined."""
    mixed = any(row is not None and row.combination is not None for row in recipe.rows)
    noisy = recipe.law == 1 and bool(recipe.noise and recipe.summed)
    return mixed or noisy or math.frexp(recipe.scale)[0] != 0.5 or recipe.offset != 0


def is_float(dtype: np.dtype) -> bool:
    """Say whether numbers of a type are floating-point ones, also of those that numpy itself does not have."""
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))
