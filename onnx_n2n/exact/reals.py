"""Arrays of doubles, for the witness that two models differ, and how far their own rounding carries."""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import onnx
from numpy.typing import ArrayLike

from onnx_n2n.exact import functions
from onnx_n2n.exact.chance import Bound
from onnx_n2n.exact.numeric import Numbers, Scalar
from onnx_n2n.exact.tensor import BOOL, WHOLE
from onnx_n2n.exact.world import World

VARIES = Bound(1, 0.0)
# Of each type that weights are stored in: a unit in the last place of 1, and the smallest number above 0.
UNITS = {
    "float32": (2.0**-23, 2.0**-149),
    "float16": (2.0**-10, 2.0**-24),
    "bfloat16": (2.0**-7, 2.0**-133),
    "float8_e4m3fn": (2.0**-3, 2.0**-9),
    "float8_e4m3fnuz": (2.0**-3, 2.0**-10),
    "float8_e5m2": (2.0**-2, 2.0**-16),
    "float8_e5m2fnuz": (2.0**-2, 2.0**-17),
    "float4_e2m1fn": (2.0**-1, 2.0**-1),
}
# The largest number of each type that models calculate in.
LARGEST: dict[int, float] = {
    onnx.TensorProto.FLOAT16: 65504.0,
    onnx.TensorProto.BFLOAT16: (2 - 2.0**-7) * 2.0**127,
    onnx.TensorProto.FLOAT: (2 - 2.0**-23) * 2.0**127,
}
Together = Literal["none", "all", "first", "last"]


@dataclass(frozen=True)
class Rounding:
    """How constants are moved, to see what it does that they were rounded to the type they are stored in.

    Args:
        seed: Seed of the errors.
        together: Which elements of a constant have the same error, relative to them: ``none``, each its own; ``all``;
            or those of one place on the ``first`` or ``last`` axis. Errors of one sign add up where others cancel.
    """

    seed: int
    together: Together = "none"

    def moved(self, array: np.ndarray, entered: int) -> np.ndarray:
        """Return a constant with errors of up to a unit in the last place of its type, the n-th of its run."""
        doubles = array.astype(np.float64)
        if array.dtype.name not in UNITS:
            return doubles
        unit, least = UNITS[array.dtype.name]
        generator = np.random.default_rng([self.seed, entered])
        if self.together == "none":
            errors = generator.uniform(-1, 1, array.shape)
        else:
            lengths = [1] * array.ndim
            if self.together != "all" and array.ndim:
                place = 0 if self.together == "first" else -1
                lengths[place] = array.shape[place]
            errors = generator.choice([-1.0, 1.0], lengths)
        return np.asarray(doubles + np.where(doubles, np.maximum(np.abs(doubles) * unit, least), 0) * errors)


class Reals(Numbers):
    """Doubles. Each operation may be off by a random part of its last bit, to see what rounding does."""

    LEAD: ClassVar[int] = 0
    __slots__ = ("line",)

    def __init__(self, line: RealLine, values: np.ndarray, bound: Bound = VARIES, infinite: int = 0) -> None:
        super().__init__(np.asarray(values, np.float64), bound, infinite)
        self.line = line

    def _with(self, values: np.ndarray, bound: Bound | None = None, infinite: int | None = None) -> Self:
        kept = self.infinite if infinite is None else infinite
        return type(self)(self.line, values, self.bound if bound is None else bound, kept)

    def _entered(self, other: Self | Scalar) -> Self:
        return other if isinstance(other, Reals) else self.line.enter(np.asarray(other))  # type: ignore[return-value]

    def _calculated(self, values: np.ndarray, *others: Numbers) -> Self:
        bound = self.bound
        for other in others:
            bound = bound.joined(other.bound)
        return self._with(self.line.shaken(values), bound)

    def __add__(self, other: Self | Scalar) -> Self:
        entered = self._entered(other)
        return self._calculated(self.values + entered.values, entered)

    def __sub__(self, other: Self | Scalar) -> Self:
        entered = self._entered(other)
        return self._calculated(self.values - entered.values, entered)

    def __mul__(self, other: Self | Scalar) -> Self:
        entered = self._entered(other)
        return self._calculated(self.values * entered.values, entered)

    def __matmul__(self, other: Self) -> Self:
        return self._calculated(np.matmul(self.values, other.values), other)

    def choosing(self, x: Self, y: Self) -> Self:
        """Return x where these numbers, which are 0 or 1, are 1, and y where they are 0; either may be infinite."""
        return self._with(np.where(self.values != 0, x.values, y.values), VARIES)

    def sum(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the sum over axes."""
        return self._calculated(self.values.sum(self._axes(axes), keepdims=keep))

    def multiplied(self, axes: Sequence[int], keep: bool = False) -> Self:
        """Return the product over axes."""
        return self._calculated(self.values.prod(self._axes(axes), keepdims=keep))

    def cumulated(self, axis: int) -> Self:
        """Return the sums of all numbers up to each place."""
        return self._calculated(np.cumsum(self.values, axis))


class RealLine(World[Reals]):
    """Calculating in doubles.

    Args:
        seed: Seed of the inputs.
        shaking: Seed of the errors that each operation makes, of the size of its rounding; None for none.
        rounding: How constants are moved; None for not at all.
    """

    def __init__(self, seed: int, shaking: int | None = None, rounding: Rounding | None = None) -> None:
        self.seed, self._shaking = seed, None if shaking is None else np.random.default_rng(shaking)
        self._rounding, self._entered = rounding, 0

    def shaken(self, values: np.ndarray) -> np.ndarray:
        """Return results of an operation with its error."""
        if self._shaking is None:
            return values
        with np.errstate(invalid="ignore"):
            return np.asarray(values * (1 + self._shaking.uniform(-1, 1, np.shape(values)) * 2.0**-52))

    def enter(self, array: ArrayLike) -> Reals:
        """Return numbers as doubles."""
        array = np.asarray(array)
        if self._rounding is None:
            return Reals(self, array, Bound())
        self._entered += 1
        return Reals(self, self._rounding.moved(array, self._entered), Bound())

    def fraction(self, over: int, under: int) -> Reals:
        """Return a fraction."""
        return Reals(self, np.asarray(over / under), Bound())

    def root_of(self, over: int, under: int) -> Reals:
        """Return the square root of a fraction."""
        return Reals(self, np.sqrt(np.asarray(over / under)), Bound())

    def variable(self, name: Hashable, shape: Sequence[int]) -> Reals:
        """Return numbers from a normal distribution, the same for the same name."""
        generator = np.random.default_rng([self.seed, *repr(name).encode()])
        return Reals(self, generator.standard_normal(tuple(shape)))

    def given(self, name: str, type_: int, shape: Sequence[int]) -> Reals:
        """Return an input: of whole numbers and decisions 0 and 1, else from a normal distribution."""
        drawn = self.variable(("input", name), shape)
        return Reals(self, drawn.values > 0) if type_ in WHOLE or type_ == BOOL else drawn

    def places(self, array: np.ndarray) -> Reals:
        """Return numbers that say how long or where something is."""
        return self.enter(array)

    def held(self, x: Reals, type_: int) -> Reals:
        """Return numbers as a type holds them: infinite beyond its largest one."""
        beyond = np.abs(x.values) > LARGEST.get(type_, np.inf)
        return x._with(np.where(beyond, np.copysign(np.inf, x.values), x.values)) if beyond.any() else x

    def texts(self, array: np.ndarray) -> Reals:
        """Return a number for each text."""
        return Reals(self, np.array([zlib.crc32(str(each).encode()) for each in array.flat]).reshape(array.shape))

    def reciprocal(self, x: Reals) -> Reals:
        """Return one over numbers."""
        return x._calculated(1 / x.values)

    inverse = reciprocal

    def rsqrt(self, x: Reals, approximately: ArrayLike | None = None) -> Reals:  # noqa: ARG002
        """Return one over square roots."""
        return x._calculated(1 / np.sqrt(x.values))

    def sqrt(self, x: Reals, approximately: ArrayLike | None = None) -> Reals:  # noqa: ARG002
        """Return square roots."""
        return x._calculated(np.sqrt(x.values))

    def apply(self, name: str, parameters: Hashable, *arguments: Reals) -> Reals:
        """Return the function's values."""
        given: tuple[Any, ...] = parameters if isinstance(parameters, tuple) else (parameters,)
        values = functions.of(name).real(*(each.values for each in arguments), *given)
        return arguments[0]._calculated(values, *arguments[1:])

    def extreme(self, kind: str, x: Reals, axes: Sequence[int], present: np.ndarray | None = None) -> Reals:
        """Return the largest or smallest number over axes."""
        away = -np.inf if kind == "Max" else np.inf
        values = x.values if present is None else np.where(present, x.values, away)
        chosen = values.max if kind == "Max" else values.min
        return x._with(chosen(tuple(axes)))

    def extreme_of(self, kind: str, *arguments: Reals) -> Reals:
        """Return the largest or smallest of the numbers at each place."""
        choose = np.maximum if kind == "Max" else np.minimum
        values = arguments[0].values
        for each in arguments[1:]:
            values = choose(values, each.values)
        return arguments[0]._with(values)

    def of_rows(
        self, name: str, parameters: Hashable, x: Reals, axis: int, count: int,  # noqa: ARG002
    ) -> Reals:  # fmt: skip
        """Return what a function gives for all numbers along an axis: float64[..., n] to float64[..., count]."""
        given: tuple[Any, ...] = parameters if isinstance(parameters, tuple) else (parameters,)
        values = functions.of(name).real(np.moveaxis(x.values, axis, -1), *given)
        return x._with(np.moveaxis(values, -1, axis))

    def weights(self, places: Reals, count: int, *, anywhere: bool = False) -> Reals:  # noqa: ARG002
        """Return for numbers that say which of ``count`` rows is meant 1 for that row and 0 for the others."""
        rows = np.arange(count)
        which = places.values[..., None]
        return Reals(self, (which == rows) | (which == rows - count))
