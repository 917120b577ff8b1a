"""What a form of a growth record says: a formula over tensors, attributes and whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from onnx_n2n.exact.reals import RealLine
from onnx_n2n.exact.record import Form
from onnx_n2n.exact.roots import root
from onnx_n2n.exact.undecided import Undecided

DEEPEST = 64  # forms inside of each other
LARGEST = 1 << 28  # numbers in one form
DIFFERENT = 256  # different numbers in an array of which roots are taken
POWER = 8  # the largest power of a number


class Arrays(Protocol):
    """What has the arrays of a record."""

    def array(self, name: str) -> np.ndarray:
        """Return an array of the record."""


class Parts(Arrays, Protocol):
    """What forms are made of, in one world."""

    world: Any

    def tensor(self, name: str) -> Any:
        """Return a tensor of the model before the step."""

    def student(self, name: str) -> Any:
        """Return a tensor of the model after the step, as it is stored."""

    def setting(self, name: str) -> Any:
        """Return an attribute of the model before the step."""

    def near(self) -> Parts:
        """Return the same in doubles."""


def value(form: Form, parts: Parts, depth: int = 0) -> Any:
    """Return the numbers that a form stands for.

    Raises:
        Undecided: If it cannot be evaluated.
    """
    kind, inside = _only(form, depth)
    if kind == "number":
        return parts.world.fraction(*ratio(inside))
    if kind in {"tensor", "student", "setting"}:
        return getattr(parts, kind)(inside)
    if kind == "array":
        return parts.world.enter(parts.array(inside))
    if kind == "shaped":
        return value(inside[0], parts, depth + 1).reshape(tuple(int(each) for each in inside[1]))
    if kind == "power":
        return _power(inside[0], ratio(inside[1]), parts, depth + 1)
    if kind not in {"times", "plus"}:
        raise Undecided(f"there is no form {kind!r}")
    found, *others = (value(each, parts, depth + 1) for each in inside)
    for other in others:
        if math.prod(np.broadcast_shapes(found.shape, other.shape)) > LARGEST:
            raise Undecided("a form has too many numbers")
        found = found * other if kind == "times" else found + other
    return found


def ratio(pair: Any) -> tuple[int, int]:
    """Return a fraction's two whole numbers."""
    over, under = pair
    if not isinstance(over, int) or not isinstance(under, int) or under <= 0 or max(abs(over), under) >= 1 << 1100:
        raise Undecided("a form has a fraction that is none")
    return over, under


def factor(form: Form, kind: str, name: str | None = None) -> Fraction | None:
    """Return by what a form multiplies one tensor or attribute; None where it does anything else with it."""
    total, found = Fraction(1), 0
    for each in _factors(form):
        what, inside = _only(each, 0)
        if what == "number":
            total *= Fraction(*ratio(inside))
        elif what == kind and name in {None, inside}:
            found += 1
        else:
            return None
    return total if found == 1 and total > 0 else None


def named(form: Form) -> str:
    """Return the tensor that a form multiplies."""
    return next(str(each["tensor"]) for each in _factors(form) if "tensor" in each)


def fractions(form: Form, arrays: Arrays, depth: int = 0) -> np.ndarray | None:
    """Return the fractions that a form stands for, as objects; None where it is about more than whole numbers."""
    kind, inside = _only(form, depth)
    if kind == "number":
        return np.array(Fraction(*ratio(inside)), object)
    if kind == "array":
        array = arrays.array(inside)
        known, places = np.unique(array, return_inverse=True)
        if len(known) > DIFFERENT:
            return None
        return np.array([Fraction(each.item()) for each in known], object)[places].reshape(array.shape)
    if kind == "shaped" and (found := fractions(inside[0], arrays, depth + 1)) is not None:
        return found.reshape(tuple(inside[1]))
    if kind == "times":
        total = np.array(Fraction(1), object)
        for part in inside:
            if (by := fractions(part, arrays, depth + 1)) is None:
                return None
            total = np.asarray(total * by, object)
        return total
    return None


def powers(form: Any, depth: int = 0) -> Iterator[Form]:
    """Yield the forms inside of one of which roots are taken."""
    kind, inside = _only(form, depth)
    if kind == "power" and ratio(inside[1])[1] == 2:
        yield inside[0]
    if kind in {"power", "shaped"}:
        yield from powers(inside[0], depth + 1)
    if kind in {"times", "plus"}:
        for each in inside:
            yield from powers(each, depth + 1)


def _only(form: Any, depth: int) -> tuple[str, Any]:
    if depth > DEEPEST or not isinstance(form, Mapping) or len(form) != 1:
        raise Undecided("the record has something for a form that is none")
    ((kind, inside),) = form.items()
    return kind, inside


def _factors(form: Form, depth: int = 0) -> Iterator[Form]:
    kind, inside = _only(form, depth)
    if kind == "times":
        for each in inside:
            yield from _factors(each, depth + 1)
    else:
        yield form


def _power(base: Form, exponent: tuple[int, int], parts: Parts, depth: int) -> Any:
    over, under = exponent
    if under not in {1, 2} or not 0 < abs(over) <= POWER:
        raise Undecided(f"a form has the power {over}/{under}")
    world = parts.world
    if under == 1:
        found = value(base, parts, depth)
        one = found if over > 0 else world.reciprocal(found)
    elif (known := fractions(base, parts, depth)) is not None:
        one = _roots(world, known, inverse=over < 0)
    else:
        near = value(base, parts.near(), depth).values
        one = world.rsqrt(value(base, parts, depth), near)
        one = one if over < 0 else world.inverse(one)
    total = one
    for _ in range(abs(over) - 1):
        total = total * one
    return total


def _roots(world: Any, numbers: np.ndarray, *, inverse: bool) -> Any:
    """Return the roots of fractions, or one over them; the root of 0 is 0."""
    known = sorted(set(numbers.reshape(-1)))
    found = [
        (world.fraction(0, 1) if not each else root(world, 1 / each if inverse else each)).reshape((1,))
        for each in known
    ]
    places = np.array([known.index(each) for each in numbers.reshape(-1)], np.int64)
    return found[0].joined(found[1:], 0)[places].reshape(numbers.shape)


DOUBLES = RealLine(0)
