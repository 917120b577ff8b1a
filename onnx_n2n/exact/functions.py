"""Functions that are no polynomials: what each is on real numbers, and the laws it is known by.

In residues each is a random function: of its name, its parameters and its arguments, and the same in both models. What
holds for all functions holds for these. A law says more about one; whatever is not said here is not used. Where each is
defined, and between which numbers its values are, has no part in residues: it says whether a student is defined where
its teacher is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_n2n.exact.domains import (
    ABOVE_ZERO,
    AN_ANGLE,
    ANYTHING,
    BUT_ZERO,
    FINITE,
    FROM_ONE,
    FROM_ZERO,
    IN_BETWEEN,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    SIGNED,
    Domain,
    Range,
)  # fmt: skip
from onnx_n2n.exact.numeric import EITHER


@dataclass(frozen=True)
class Function:
    """A function of the numbers at one place of its arguments.

    Args:
        real: Its value, from float64 arrays that broadcast, and its parameters.
        idempotent: Whether ``f(f(x)) = f(x)``, with equal parameters and other arguments.
        at_infinity: At which infinities of an argument it has a value: `MINUS`, `EITHER`, or 0 for none.
        zero: Whether ``f(0) = 0``, whatever its parameters are.
        domain: Where it is defined; None for everywhere.
        judged: Which argument has to be there.
        range: Between which numbers its values are.
        places: Whether they are places among the numbers that it is taken of.
        rising: Whether it is strictly increasing, wherever it is defined.
        even: Whether ``f(-x) = f(x)``, and it is strictly increasing from 0 on.
        overflows: Whether it is finite everywhere, and soon larger than any number of a type.
    """

    real: Callable[..., np.ndarray]
    idempotent: bool = False
    at_infinity: int = 0
    zero: bool = False
    domain: Domain | None = None
    judged: int = 0
    range: Range = ANYTHING
    places: bool = False
    rising: bool = False
    even: bool = False
    overflows: bool = False


SLACK = 2.0**-40  # by which what a function gives in doubles may be off, relative to it
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _half_even(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(x))


FUNCTIONS: dict[str, Function] = {
    "Abs": Function(np.abs, idempotent=True, zero=True, range=NOT_NEGATIVE, even=True),
    "Acos": Function(np.arccos, domain=AN_ANGLE, range=Range(0, math.pi)),
    "Acosh": Function(np.arccosh, domain=FROM_ONE, range=NOT_NEGATIVE),
    "Asin": Function(np.arcsin, zero=True, domain=AN_ANGLE, range=Range(-2, 2), rising=True),
    "Asinh": Function(np.arcsinh, zero=True, rising=True),
    "Atan": Function(np.arctan, zero=True, at_infinity=EITHER, range=Range(-2, 2), rising=True),
    "Atanh": Function(np.arctanh, zero=True, domain=IN_BETWEEN, rising=True),
    "Ceil": Function(np.ceil, idempotent=True, zero=True),
    "Cos": Function(np.cos, range=SIGNED),
    "Cosh": Function(np.cosh, range=Range(1), even=True, overflows=True),
    "Erf": Function(_erf, zero=True, at_infinity=EITHER, range=SIGNED, rising=True),
    "Exp": Function(np.exp, at_infinity=EITHER, range=POSITIVE, rising=True, overflows=True),
    "Floor": Function(np.floor, idempotent=True, zero=True),
    "Log": Function(np.log, domain=ABOVE_ZERO, rising=True),
    "Reciprocal": Function(np.reciprocal, domain=BUT_ZERO),
    "Round": Function(_half_even, idempotent=True, zero=True),
    "Rsqrt": Function(lambda x: 1 / np.sqrt(x), domain=ABOVE_ZERO, range=POSITIVE),
    "Sign": Function(np.sign, idempotent=True, zero=True, at_infinity=EITHER, range=SIGNED),
    "Sin": Function(np.sin, zero=True, range=SIGNED),
    "Sinh": Function(np.sinh, zero=True, rising=True, overflows=True),
    "Sqrt": Function(np.sqrt, zero=True, domain=FROM_ZERO, range=NOT_NEGATIVE, rising=True),
    "Tan": Function(np.tan, zero=True),
    "Tanh": Function(np.tanh, zero=True, at_infinity=EITHER, range=SIGNED, rising=True),
    # Sums of what may be infinity and minus infinity.
    "Total": Function(np.add, at_infinity=EITHER, domain=FINITE),
    # Decisions: 1 where they hold, and 0 elsewhere.
    "Equal": Function(lambda x, y: (x == y) * 1.0, at_infinity=EITHER, range=SHARE),
    "Less": Function(lambda x, y: (x < y) * 1.0, at_infinity=EITHER, range=SHARE),
    "LessOrEqual": Function(lambda x, y: (x <= y) * 1.0, at_infinity=EITHER, range=SHARE),
    "IsNaN": Function(lambda x: np.isnan(x) * 1.0, at_infinity=EITHER, range=SHARE),
    # Powers of what is not known to be a whole number.
    "Pow": Function(np.power, domain=ABOVE_ZERO, overflows=True),
}


def of(name: str) -> Function:
    """Return a function by name."""
    return FUNCTIONS[name]


def domain_of(name: str, *ranges: Range) -> Domain | None:
    """Return where a function is defined, if its arguments are in ranges; None for everywhere."""
    if name != "Pow" or len(ranges) < 2 or ranges[1].low != ranges[1].high or ranges[1].low != int(ranges[1].low):
        return FUNCTIONS[name].domain
    return BUT_ZERO if ranges[1].low < 0 else None


def image(name: str, *ranges: Range) -> Range:
    """Return between which numbers a function's values are, wherever it is defined, if its arguments are in ranges."""
    function = FUNCTIONS[name]
    if name == "Pow" and ranges[0].low >= 0:
        return NOT_NEGATIVE if ranges[0].zero else POSITIVE
    if not function.rising and not function.even:
        return function.range
    given = ranges[0] if function.domain is None else ranges[0].met(function.domain.range)
    given = given.magnitude() if function.even else given
    with np.errstate(all="ignore"):
        ends = [float(function.real(np.asarray(end))) for end in (given.low, given.high)]
    low, high = (
        end if math.isinf(end) or end == 0 else end + sign * abs(end) * SLACK
        for end, sign in zip(ends, (-1, 1), strict=True)
    )
    return Range(low, high, given.zero if function.zero else True).met(function.range)


def define(name: str, real: Callable[..., Any], **laws: Any) -> str:
    """Add a function that a family of operators needs, and return its name.

    Raises:
        ValueError: If there is another function of that name.
    """
    if name in FUNCTIONS:
        raise ValueError(f"there is a function {name!r} already")
    FUNCTIONS[name] = Function(real, **laws)
    return name
