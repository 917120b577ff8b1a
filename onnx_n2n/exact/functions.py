"""Functions that are no polynomials: what each is on real numbers, and the laws it is known by.

In residues each is a random function: of its name, its parameters and its arguments, and the same in both models. What
holds for all functions holds for these. A law says more about one; whatever is not said here is not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Function:
    """A function of the numbers at one place of its arguments.

    Args:
        real: Its value, from float64 arrays that broadcast, and its parameters.
        idempotent: Whether ``f(f(x)) = f(x)``, with equal parameters.
        at_infinity: Whether it has a finite value where an argument is infinite.
        zero: Whether ``f(0) = 0``, whatever its parameters are.
    """

    real: Callable[..., np.ndarray]
    idempotent: bool = False
    at_infinity: bool = False
    zero: bool = False


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _half_even(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(x))


FUNCTIONS: dict[str, Function] = {
    "Abs": Function(np.abs, idempotent=True, zero=True),
    "Acos": Function(np.arccos),
    "Acosh": Function(np.arccosh),
    "Asin": Function(np.arcsin, zero=True),
    "Asinh": Function(np.arcsinh, zero=True),
    "Atan": Function(np.arctan, zero=True, at_infinity=True),
    "Atanh": Function(np.arctanh, zero=True),
    "Ceil": Function(np.ceil, idempotent=True, zero=True),
    "Cos": Function(np.cos),
    "Cosh": Function(np.cosh),
    "Erf": Function(_erf, zero=True, at_infinity=True),
    "Exp": Function(np.exp, at_infinity=True),
    "Floor": Function(np.floor, idempotent=True, zero=True),
    "Log": Function(np.log),
    "Reciprocal": Function(np.reciprocal),
    "Round": Function(_half_even, idempotent=True, zero=True),
    "Rsqrt": Function(lambda x: 1 / np.sqrt(x)),
    "Sign": Function(np.sign, idempotent=True, zero=True, at_infinity=True),
    "Sin": Function(np.sin, zero=True),
    "Sinh": Function(np.sinh, zero=True),
    "Tan": Function(np.tan, zero=True),
    "Tanh": Function(np.tanh, zero=True, at_infinity=True),
    # Decisions: 1 where they hold, and 0 elsewhere.
    "Equal": Function(lambda x, y: (x == y) * 1.0, at_infinity=True),
    "Less": Function(lambda x, y: (x < y) * 1.0, at_infinity=True),
    "LessOrEqual": Function(lambda x, y: (x <= y) * 1.0, at_infinity=True),
    "IsNaN": Function(lambda x: np.isnan(x) * 1.0, at_infinity=True),
    # Powers of what is not known to be a whole number.
    "Pow": Function(np.power),
}


def of(name: str) -> Function:
    """Return a function by name."""
    return FUNCTIONS[name]


def define(name: str, real: Callable[..., Any], **laws: bool) -> str:
    """Add a function that a family of operators needs, and return its name.

    Raises:
        ValueError: If there is another function of that name.
    """
    if name in FUNCTIONS:
        raise ValueError(f"there is a function {name!r} already")
    FUNCTIONS[name] = Function(real, **laws)
    return name
