"""Sums, products, powers and other functions of the numbers at one place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from onnx_n2n.exact.domains import BUT_ZERO
from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.casts import BITS, REDUCED, SIGNED, WRAPPED
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor, kind
from onnx_n2n.exact.undecided import Undecided

# Functions without attributes.
PLAIN = """
    Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor Log Round Sign Sin Sinh Tan Tanh
""".split()  # noqa: SIM905
HIGHEST = 16  # powers up to this are written as products
LARGE = 64  # whole numbers of so many bits and a sign are taken to be large enough for whatever is calculated


def _truncated(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(np.trunc(x / y))


def _remainder(x: np.ndarray, y: np.ndarray, signed_as_first: int) -> np.ndarray:
    return np.asarray(np.fmod(x, y) if signed_as_first else np.mod(x, y))


QUOTIENT = define("Quotient", _truncated, domain=BUT_ZERO, judged=1)  # of whole numbers, rounded towards zero
REMAINDER = define("Mod", _remainder, domain=BUT_ZERO, judged=1)
WHOLE_POWER = define("WholePow", lambda x, y, _: np.trunc(np.power(x, y)))


@rule(*PLAIN)
def plain(site: Site) -> Tensor:
    """Apply a function without parameters; the smallest whole number has no absolute value in its type."""
    return held(site, site.world.apply(site.operator, (), site.numbers(0)))


@rule("Add", "Sub", "Mul")
def sums_and_products(site: Site) -> Tensor:
    """Add, subtract, multiply."""
    x, y = site.numbers(0), site.numbers(1)
    return held(site, {"Add": x.__add__, "Sub": x.__sub__, "Mul": x.__mul__}[site.operator](y))


def held(site: Site, x: Numbers, how: str = WRAPPED) -> Tensor:
    """Return a result in the type of the first input: whole numbers lose bits, but for those of 64 bits and a sign.

    As doubles, such numbers that are too large say nothing.

    Args:
        site: The node.
        x: The result.
        how: The function that brings it into the type.
    """
    type_ = site.tensor(0).type
    if type_ in BITS and (BITS[type_] < LARGE or type_ not in SIGNED or not site.world.exact):
        x = site.world.apply(how, (type_,), x)
    return site.result(x)


@rule("Neg")
def negative(site: Site) -> Tensor:
    """Change the sign."""
    return held(site, -site.numbers(0))


@rule("Sum", "Mean")
def sums(site: Site) -> Tensor:
    """Add any number of tensors, or return their mean."""
    total = site.numbers(0)
    for slot in range(1, site.count):
        total = total + site.numbers(slot)
    return held(site, total if site.operator == "Sum" else total * site.world.fraction(1, site.count))


@rule("Div")
def quotient(site: Site) -> Tensor:
    """Divide: exactly by constants, else by a random function; whole numbers are rounded towards zero.

    The smallest whole number divided by -1 is too large for its type.
    """
    x, y = site.numbers(0), site.numbers(1)
    return held(site, whole_quotient(site, x, y) if site.tensor(0).whole else x * site.world.reciprocal(y))


def whole_quotient(site: Site, x: Numbers, y: Numbers) -> Numbers:
    """Return a quotient of whole numbers, rounded towards zero."""
    found: Numbers = site.world.apply(QUOTIENT, (), x, y)
    return found


@rule("Mod")
def remainder(site: Site) -> Tensor:
    """Return what a division leaves over, with the sign of either number."""
    return site.result(site.world.apply(REMAINDER, (site.attribute("fmod", 0),), site.numbers(0), site.numbers(1)))


@rule("Reciprocal")
def reciprocal(site: Site) -> Tensor:
    """Divide 1 by numbers."""
    return site.result(site.world.reciprocal(site.numbers(0)))


@rule("Sqrt")
def root(site: Site) -> Tensor:
    """Return square roots."""
    return site.result(site.world.sqrt(site.numbers(0), approximately(site, 0)))


def approximately(site: Site, slot: int) -> np.ndarray | None:
    """Return a constant input in doubles, to find its root by; None where an input of the model has a part in it."""
    known = site.tensor(slot).known
    return None if known is None else known.astype(np.float64)


@rule("Pow")
def power(site: Site) -> Tensor:
    """Raise to a power: products, roots and quotients where it is one constant that is a whole number or a half."""
    x, y, exponent = site.numbers(0), site.numbers(1), site.tensor(1)
    found = raised(site, x, exponent.known) if exponent.certain and exponent.known is not None else None
    if found is not None:
        return held(site, found.broadcast_to(np.broadcast_shapes(x.shape, y.shape)), REDUCED)
    if site.tensor(0).whole:
        return site.result(site.world.apply(WHOLE_POWER, (site.tensor(0).type,), x, y))
    return site.result(site.world.apply("Pow", (), x, y))


def raised(site: Site, x: Numbers, exponents: np.ndarray) -> Numbers | None:
    """Return numbers to a constant power that is the same everywhere, or None where it is no product and no root."""
    one = float(exponents.flat[0]) if exponents.size else 0.0
    if not exponents.size or (exponents.astype(np.float64) != one).any():
        return None
    if site.tensor(0).whole and (one < 0 or one != int(one)):
        return None
    if one in {0.5, -0.5}:
        over: Numbers = (site.world.sqrt if one > 0 else site.world.rsqrt)(x, approximately(site, 0))
        return over
    if one != int(one) or abs(one) > HIGHEST:
        return None
    product: Numbers = site.world.enter(np.ones(x.shape, np.int64))
    for _ in range(abs(int(one))):
        product = product * x
    return site.world.reciprocal(product) if one < 0 else product


@rule("Relu")
def relu(site: Site) -> Tensor:
    """Return the larger of a number and 0."""
    return site.result(positive(site, site.numbers(0)))


def positive(site: Site, x: Numbers) -> Numbers:
    """Return the larger of numbers and 0."""
    larger: Numbers = site.world.extreme_of("Max", x, site.world.enter(0))
    return larger


@rule("Max", "Min")
def extremes(site: Site) -> Tensor:
    """Return the largest or smallest of the numbers at each place."""
    parts = [site.numbers(slot) for slot in range(site.count)]
    return site.result(parts[0] if len(parts) == 1 else site.world.extreme_of(site.operator, *parts))


@rule("Clip", until=10)
def clip_by_attributes(site: Site) -> Tensor:
    """Return numbers within bounds that the node states; the least and the largest of float32 bound nothing."""
    bounds: list[Numbers | None] = []
    for name, sign in (("min", -1), ("max", 1)):
        value = site.attribute(name)
        unbounded = value is None or sign * value >= float(np.finfo(np.float32).max)
        bounds.append(None if unbounded else site.setting(name))
    ordered = site.attribute("min", -np.inf) <= site.attribute("max", np.inf)
    return site.result(clipped(site, site.numbers(0), *bounds, ordered=ordered))


@rule("Clip", since=11)
def clip(site: Site) -> Tensor:
    """Return numbers within bounds."""
    least, most = (each.reshape(()) if each is not None else None for each in (site.optional(1), site.optional(2)))
    bounds = [site.tensor(slot) for slot in (1, 2) if site.given(slot)]
    arrays = [each.known.reshape(()) for each in bounds if each.known is not None and each.certain]
    ordered = len(arrays) == len(bounds) and all(one <= two for one, two in pairwise(arrays))
    return site.result(clipped(site, site.numbers(0), least, most, ordered=ordered))


def clipped(site: Site, x: Numbers, least: Numbers | None, most: Numbers | None, *, ordered: bool) -> Numbers:
    """Return ``min(most, max(x, least))``.

    Args:
        site: The node.
        x: The numbers.
        least: What is the least that a number may be.
        most: What is the most.
        ordered: Whether it is known that ``least`` is not above ``most``. Then the result is not below it either.
    """
    found = x if least is None else site.world.extreme_of("Max", x, least)
    found = found if most is None else site.world.extreme_of("Min", found, most)
    if ordered and least is not None and most is not None:
        site.world.note("Max", found, least)
    return found


# Whole numbers bit by bit


def _unsigned(x: np.ndarray, type_: int) -> np.ndarray:
    return x.astype(kind(type_))


def _bitwise(x: np.ndarray, y: np.ndarray, operator: str, type_: int) -> np.ndarray:
    how = {"And": np.bitwise_and, "Or": np.bitwise_or, "Xor": np.bitwise_xor}[operator]
    return np.asarray(how(_unsigned(x, type_), _unsigned(y, type_)), np.float64)


def _shifted(x: np.ndarray, y: np.ndarray, direction: str, type_: int) -> np.ndarray:
    bits = kind(type_).itemsize * 8
    gone = (y < 0) | (y >= bits)
    places = np.where(gone, 0, y).astype(np.int64)
    if direction == "RIGHT":
        return np.where(gone, np.where(x < 0, -1.0, 0.0), np.floor(x / 2.0**places))
    whole = [(int(a) << int(b)) % (1 << bits) for a, b in zip(*map(np.ravel, np.broadcast_arrays(x, places)))]  # noqa: B905
    signed = [each - (1 << bits) if kind(type_).kind == "i" and each >> (bits - 1) else each for each in whole]
    return np.where(gone, 0.0, np.array(signed, np.float64).reshape(np.broadcast_shapes(x.shape, y.shape)))


BITWISE = define("Bitwise", _bitwise)
SHIFTED = define("BitShift", _shifted)


@rule("BitwiseAnd", "BitwiseOr", "BitwiseXor")
def bitwise(site: Site) -> Tensor:
    """Combine whole numbers bit by bit."""
    key = (site.operator.removeprefix("Bitwise"), site.tensor(0).type)
    return site.result(site.world.apply(BITWISE, key, site.numbers(0), site.numbers(1)))


@rule("BitwiseNot")
def bitwise_not(site: Site) -> Tensor:
    """Turn every bit: of x this makes -1 - x, and without a sign the largest number less x."""
    dtype = kind(site.tensor(0).type)
    if dtype.kind not in "iu":
        raise Undecided("it is not known how many bits its numbers have")
    return site.result((int(np.iinfo(dtype).max) if dtype.kind == "u" else -1) - site.numbers(0))


@rule("BitShift")
def shift(site: Site) -> Tensor:
    """Move bits; those that leave the number are gone."""
    key = (site.attribute("direction"), site.tensor(0).type)
    return site.result(site.world.apply(SHIFTED, key, site.numbers(0), site.numbers(1)))
