"""What holds or does not: comparisons, and how decisions are combined.

A comparison is a random function of what is compared, for an order on residues means nothing. Combinations are
polynomials that agree with what they stand for on 0 and 1.
"""

from __future__ import annotations

import numpy as np

from onnx_n2n.exact.domains import SHARE
from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import EITHER, Numbers
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import BOOL, Tensor

# 1 of all numbers but 0; so of 0 and 1 themselves.
NOT_ZERO = define("NotZero", lambda x: (x != 0) * 1.0, idempotent=True, zero=True, at_infinity=EITHER, range=SHARE)


def _infinite(x: np.ndarray, negative: int, positive: int) -> np.ndarray:
    return (np.isposinf(x) * positive + np.isneginf(x) * negative) * 1.0


IS_INFINITE = define("IsInf", _infinite, at_infinity=EITHER, range=SHARE)


@rule("Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def order(site: Site) -> Tensor:
    """Say which number is the smaller one; y > x is x < y."""
    x, y = site.numbers(0), site.numbers(1)
    if site.operator.startswith("Greater"):
        x, y = y, x
    return site.decision(site.world.apply("LessOrEqual" if site.operator.endswith("OrEqual") else "Less", (), x, y))


@rule("Equal")
def equal(site: Site) -> Tensor:
    """Say which numbers are equal; lengths are never negative."""
    x, y = site.numbers(0), site.numbers(1)
    for length, other in ((0, 1), (1, 0)):
        if _negative(site.tensor(other)) and _measured(site, site.tensor(length)):
            return Tensor(BOOL, np.zeros(np.broadcast_shapes(x.shape, y.shape), bool))
    return site.decision(1 - (either(x, y) if site.tensor(0).type == BOOL else differing(site, x, y)))


def _negative(tensor: Tensor) -> bool:
    return tensor.whole and tensor.certain and tensor.known is not None and bool((tensor.known < 0).all())


def _measured(site: Site, tensor: Tensor) -> bool:
    """Return whether all numbers are lengths, multiples of these, or else above 0."""
    if not tensor.sized or tensor.rough or tensor.known is None or not (tensor.known > 0).all():
        return False
    return bool(site.world.measured(site.run.numbers(tensor), tensor.known).all())


def differing(site: Site, x: Numbers, y: Numbers) -> Numbers:
    """Return 1 where two numbers differ: a function of the square of their difference, which has no order.

    Infinities are equal to themselves: residues have a variable for them, doubles are compared.
    """
    found: Numbers
    if not site.world.exact:
        found = 1 - site.world.apply("Equal", (), x, y)
        return found
    apart = x.as_finite() - y.as_finite()
    found = site.world.apply(NOT_ZERO, (), apart * apart)
    return found


@rule("And", "Or", "Xor")
def combined(site: Site) -> Tensor:
    """Say where both, either, or only one of two decisions holds."""
    x, y = site.numbers(0), site.numbers(1)
    both = x * y
    return site.decision({"And": both, "Or": x + y - both, "Xor": either(x, y)}[site.operator])


def either(x: Numbers, y: Numbers) -> Numbers:
    """Return 1 where one of two decisions holds, and not the other."""
    return x + y - x * y * 2


@rule("Not")
def negated(site: Site) -> Tensor:
    """Say where a decision does not hold."""
    return site.decision(1 - site.numbers(0))


@rule("IsNaN")
def is_nan(site: Site) -> Tensor:
    """Say what is not a number."""
    return site.decision(site.world.apply("IsNaN", (), site.numbers(0)))


@rule("IsInf")
def is_infinite(site: Site) -> Tensor:
    """Say what is infinite, with either sign or with one."""
    signs = site.attribute("detect_negative", 1), site.attribute("detect_positive", 1)
    return site.decision(site.world.apply(IS_INFINITE, signs, site.numbers(0)))
