"""Calculating modulo primes: entering numbers without rounding, and functions that are random.

Whatever is a polynomial is calculated exactly. Every other function is a random one of all of its arguments: two
arguments that are equal have one value, and different ones have values that have nothing to do with each other. So if
two models give the same, they do so whatever the function is. A function sees all primes' residues at once, as a
fingerprint of 128 bits; it has one random value for each prime.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onnx_n2n.exact import functions, primes
from onnx_n2n.exact.chance import VARIABLE, Bound, Comparisons
from onnx_n2n.exact.lengths import Named
from onnx_n2n.exact.memory import Memory
from onnx_n2n.exact.numeric import infinities
from onnx_n2n.exact.prints import absorbed, final, spread, started, unlike
from onnx_n2n.exact.residues import Residues, reduced
from onnx_n2n.exact.stored import LARGE, Stored, exponents
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.world import World, row_of

MEASURES, LONGEST = 3, 1 << 20  # of so many lengths a number may be a multiple, and so large it may be
BLOCK = 1 << 15  # so many numbers at once stay in a processor's cache


class Field(World[Residues]):
    """The primes and the random functions of one run over two models.

    Args:
        count: Number of primes.
        roots: Small primes that have to have square roots modulo each of them.
        laws: Whether to know functions that change nothing when they are applied once more. This takes time.
        products: Whether to multiply numbers that inputs have a part in; else a product of two is a function of them.
    """

    exact = True

    def __init__(self, count: int, roots: Sequence[int] = (), *, laws: bool = True, products: bool = True) -> None:
        self.primes, self.roots = primes.drawn(count, roots), tuple(roots)
        self.column = np.array(self.primes, np.float64)
        self.seed = secrets.token_bytes(16)
        self._multipliers = np.frombuffer(secrets.token_bytes(16 * count), np.uint64).reshape(count, 2, 1) | np.uint64(
            1
        )
        self.comparisons, self.laws, self.products = Comparisons(), laws, products
        # Which nodes' functions are noted, and fingerprints of what they are taken of.
        self.wanted: Container[tuple[Named, str]] = ()
        self.asked: dict[tuple[Named, str], list[np.ndarray]] = {}
        self._branches: list[np.ndarray] = []  # for each branch that runs, inside of each other, what decides for it
        self._fixed: dict[Hashable, Memory] = {}  # values on which an idempotent function is the identity
        self._roots, self._reciprocals = Memory(), Memory()  # one over what is remembered

    # Numbers

    def enter(self, array: ArrayLike) -> Residues:
        """Return numbers as residues, without rounding; infinities are a number of their own."""
        array = np.asarray(array)
        ends = () if array.dtype.kind in "bui" or not array.size else (float(array.min()), float(array.max()))
        if any(map(np.isnan, ends)):
            raise Undecided("a constant is not a number")
        if any(map(np.isinf, ends)):
            doubles = array.astype(np.float64)
            infinite = np.isinf(doubles)
            finite = self.enter(np.where(infinite, 0.0, doubles))
            far = self.variable("infinity", ()) * self.enter(np.where(infinite, np.sign(doubles), 0.0))
            total = finite + far
            return Residues(self, total.values, total.bound, infinities(ends))
        found = Stored(self, array, Bound(0, *exponents(array)))
        return found if array.size >= LARGE else Residues(self, found.values, found.bound)

    def fraction(self, over: int, under: int) -> Residues:
        """Return a fraction."""
        values = np.array([over * pow(under, -1, p) % p for p in self.primes], np.float64)
        return Residues(self, values, _of_fraction(over, under))

    def root_of(self, over: int, under: int) -> Residues:
        """Return a square root of a fraction above 0, either by chance; its primes have to have roots here."""
        number = over * under
        values = np.array([pow(number, (p + 1) // 4, p) * pow(under, -1, p) % p for p in self.primes], np.float64)
        drawn = int(self._key("root", number)[0])  # which of both roots, for each prime
        signs = np.array([drawn >> place & 1 for place in range(len(self.primes))])
        values = np.where(signs, self.column - values, values)
        if any(int(v) * int(v) * under % p != over % p for v, p in zip(values, self.primes, strict=True)):
            raise Undecided(f"the root of {over}/{under} is no number modulo the primes that were drawn")
        return Residues(self, values, _of_fraction(number, under))

    def variable(self, name: Hashable, shape: Sequence[int]) -> Residues:
        """Return variables, such as the numbers of an input: one name stands for one array of a shape."""
        places = np.arange(math.prod(shape), dtype=np.uint64).reshape(tuple(shape))
        return self._drawn(absorbed(self._key("variable", name, places.shape), places))

    def given(self, name: str, type_: int, shape: Sequence[int]) -> Residues:
        """Return an input: each number a variable of its own."""
        return self.variable(("input", name, type_), shape)

    def places(self, array: np.ndarray) -> Residues:
        """Return a variable for each number that says how long or where something is, one for equal numbers."""
        words = np.asarray(array).astype(np.float64).view(np.uint64)
        return self._drawn(absorbed(self._key("place"), words))

    def stand_for(self, numbers: Residues, known: np.ndarray) -> np.ndarray:
        """Return where numbers are those that are known, and not others that stand for them, bool of their shape."""
        return np.asarray((numbers.values == self.enter(known).values).all(0))

    def measured(self, numbers: Residues, known: np.ndarray) -> np.ndarray:
        """Return which products of lengths numbers are shown to be multiples of: int64 of their shape."""
        found = self.stand_for(numbers, known).astype(np.int64)
        for place in np.ndindex(known.shape):
            if not found[place] and 1 < known[place] < LONGEST:
                found[place] = self._measure(numbers.values[(slice(None), *place)], int(known[place]))
        return found

    def _measure(self, values: np.ndarray, known: int) -> int:
        """Return the product of at most three lengths that one number, residues[primes], is a multiple of; else 0."""
        divisors = [each for each in range(2, known + 1) if known % each == 0]
        lengths = dict(zip(divisors, self.places(np.array(divisors)).values.T, strict=True))
        products: dict[tuple[int, ...], np.ndarray] = {(): self.enter(1).values}
        for _ in range(MEASURES):
            products = {
                (*parts, more): reduced(found * lengths[more], self.column)
                for parts, found in products.items()
                for more in divisors
                if known % (math.prod(parts) * more) == 0 and (not parts or parts[-1] <= more)
            }
            for parts, found in products.items():
                if (reduced(found * (known // math.prod(parts)), self.column) == values).all():
                    return math.prod(parts)
        return 0

    def marks(self, numbers: Residues) -> Iterable[bytes]:
        """Return a fingerprint of each number."""
        return (each.tobytes() for each in np.moveaxis(self.prints(numbers), 0, -1).reshape(-1, 2))

    def texts(self, array: np.ndarray) -> Residues:
        """Return a variable for each text, equal ones for equal ones."""
        keys = [self._key("text", str(each)) for each in array.flat]
        return self._drawn(np.array(keys, np.uint64).reshape(*array.shape, 2).transpose(-1, *range(array.ndim)))

    def reciprocal(self, x: Residues) -> Residues:
        """Return one over numbers: exactly for constants, else a random function that knows its own inverse."""
        if not x.constant:
            drawn = self.apply("Reciprocal", (), x)
            values, bound = drawn.values, drawn.bound
            for memory in (self._roots, self._reciprocals):
                values, bound = memory.recall(self.prints(x), values, bound)
            found = Residues(self, values, bound)
            self._reciprocals.remember(self.prints(found), x.values, x.bound)
            return found
        return self.inverse(x)

    def inverse(self, x: Residues) -> Residues:
        """Return one over numbers that no input has a part in, exactly: a fraction, also of random functions."""
        if (x.values == 0).any():
            raise Undecided("something is divided by zero")
        values = np.ones_like(x.values)
        for place, p in enumerate(self.primes):
            base, exponent = x.values[place].copy(), p - 2
            while exponent:
                if exponent & 1:
                    values[place] = reduced(values[place] * base, float(p))
                base, exponent = reduced(base * base, float(p)), exponent >> 1
        different = len(np.unique(x.values[0]))
        bound = x.bound.over(hashlib.blake2b(self.prints(x).tobytes()).digest(), different)
        if x.bound.degree:  # as polynomials, all numbers have the product of all that are different below them
            bound = replace(bound, degree=x.bound.degree * (different + 1))
        return Residues(self, values, bound)

    def rsqrt(self, x: Residues, approximately: ArrayLike | None = None) -> Residues:
        """Return one over square roots; of a constant that is the square of a double, exactly."""
        found = self.apply("Rsqrt", (), x)
        if (self.node, "Rsqrt") in self.wanted:
            self._ask("root", x * found)
        if approximately is None:
            return found
        with np.errstate(invalid="ignore"):
            roots = np.broadcast_to(np.sqrt(approximately).astype(np.float32), x.shape)
        entered = self.enter(np.where(roots > 0, roots, 1))
        exact = ((entered * entered).values == x.values).all(0)
        if not exact.any():
            return found
        over = self.reciprocal(self.enter(np.where(exact, roots, 1)))
        return Residues(self, np.where(exact, over.values, found.values), found.bound.joined(over.bound))

    def sqrt(self, x: Residues, approximately: ArrayLike | None = None) -> Residues:
        """Return square roots, one over which is what `rsqrt` gives."""
        over = self.rsqrt(x, approximately)
        root = x * over
        self.inverses(root, over)
        return root

    def inverses(self, x: Residues, over: Residues) -> None:
        """Remember that one is one over the other."""
        self._roots.remember(self.prints(x), over.values, over.bound)

    # Functions

    def apply(self, name: str, parameters: Hashable, *arguments: Residues) -> Residues:
        """Return a random function of the numbers at each place of arguments that broadcast."""
        function = functions.of(name)
        if any(each.infinite & ~function.at_infinity for each in arguments):
            raise Undecided(f"{name} is taken of what may be infinite")
        x = arguments[0]
        if (self.node, name) in self.wanted:
            self._ask(name, *arguments)
        found = self._drawn(self.prints(*arguments, name=name, parameters=parameters))
        if function.zero and (x.values[0] == 0).any():
            found.values = np.where((x.values == 0).all(0), 0.0, found.values)
        if not function.idempotent or not self.laws:
            return found
        memory = self._fixed.setdefault((name, parameters), Memory())
        found = Residues(self, *memory.recall(self.prints(*arguments), found.values, found.bound))
        memory.remember(self.prints(found, *arguments[1:]), found.values, found.bound)
        return found

    @contextmanager
    def branch(self, decision: Residues, place: int) -> Iterator[None]:
        """Take what is asked for meanwhile as asked for only where a decision is one way."""
        self._branches.append(absorbed(self.prints(decision.reshape(())), np.array(place, np.uint64)))
        try:
            yield
        finally:
            self._branches.pop()

    def _ask(self, name: str, *arguments: Residues) -> None:
        """Keep fingerprints of what a function is taken of, and of the decisions for which it is."""
        prints = self.prints(*arguments)
        for each in self._branches:
            prints = absorbed(prints, *each)
        self.asked.setdefault((self.node, name), []).append(prints)

    def note(self, name: str, x: Residues, *others: Residues, parameters: Hashable = ()) -> None:
        """Note that a function gives back its first argument: an idempotent one, or Max or Min of it and another."""
        shape = np.broadcast_shapes(x.shape, *(each.shape for each in others))
        prints = np.broadcast_to(self.prints(x, *others), (2, *shape))
        key: Hashable = name if others else (name, parameters)
        self._fixed.setdefault(key, Memory()).remember(prints, x.broadcast_to(shape).values, x.bound)

    def extreme(self, kind: str, x: Residues, axes: Sequence[int], present: np.ndarray | None = None) -> Residues:
        """Return the largest or smallest number over the last axes: a random function of the set of numbers.

        Args:
            kind: ``Max`` or ``Min``.
            x: The numbers.
            axes: The axes over which is chosen; they vanish.
            present: Which of the numbers there are, bool that broadcasts; all if not given.
        """
        gone = sorted({axis % x.ndim for axis in axes})
        kept = [axis for axis in range(x.ndim) if axis not in gone]
        flat = x.transpose([*gone, *kept]).reshape([-1, *(x.shape[axis] for axis in kept)])
        there = np.broadcast_to(True if present is None else present, x.shape)
        there = there.transpose([*gone, *kept]).reshape(flat.shape)
        if not there.any(0).all():
            raise Undecided(f"{kind} of nothing")
        prints = self.prints(flat)
        distinct = unlike(prints, there)
        sums = np.where(distinct, final(prints), np.uint64(0)).sum(1, dtype=np.uint64)
        found = self._drawn(absorbed(self._key(kind), *sums))
        self.comparisons.add(kind, x.size, x.bound)
        alone = distinct.sum(0) == 1
        if not alone.any():
            return Residues(self, found.values, VARIABLE, x.infinite)
        only = np.take_along_axis(flat.values, distinct.argmax(0)[None, None], 1)[:, 0]
        return Residues(self, np.where(alone, only, found.values), VARIABLE.joined(x.bound), x.infinite)

    def extreme_of(self, kind: str, *arguments: Residues) -> Residues:
        """Return the largest or smallest of the numbers at each place of arguments that broadcast.

        The larger of x and c, and then of that and c, is the larger of x and c.
        """
        shape = np.broadcast_shapes(*(each.shape for each in arguments))
        if len(arguments) != 2:
            full = [each.broadcast_to(shape).reshape((1, *shape)) for each in arguments]
            return self.extreme(kind, full[0].joined(full[1:], 0), (0,))
        prints = [spread(self.prints(each), len(shape)) for each in arguments]
        one, two = (each.broadcast_to(shape) for each in arguments)
        found = self._drawn(absorbed(self._key(kind), *(final(prints[0]) + final(prints[1]))))
        found.infinite = infinite = one.infinite | two.infinite
        if (same := (prints[0] == prints[1]).all(0)).any():
            found.values = np.where(same, one.values, found.values)
            found.bound = VARIABLE.joined(min(one.bound, two.bound, key=lambda each: each.bits))
        self.comparisons.add(kind, max(one.size, sum(each.size for each in arguments)), one.bound.joined(two.bound))
        if not self.laws:
            return found
        memory = self._fixed.setdefault(kind, Memory())
        values, bound = memory.recall(self.prints(one, two), found.values, found.bound)
        values, bound = memory.recall(self.prints(two, one), values, bound)
        found = Residues(self, values, bound, infinite)
        for each in (one, two):
            if each.constant:
                memory.remember(self.prints(found, each), values, found.bound)
        return found

    def opaque_product(self, one: Residues, two: Residues) -> Residues:
        """Return a random function of two numbers that may be exchanged, and is 0 where one of them is.

        A product of polynomials has the degree of both. Where each layer squares what the one before gives, no number
        of primes would do. What is a function of the same two numbers in both models is equal in both all the same.
        """
        shape = np.broadcast_shapes(one.shape, two.shape)
        prints = [spread(self.prints(each), len(shape)) for each in (one, two)]
        found = self._drawn(absorbed(self._key("product"), *(final(prints[0]) + final(prints[1]))))
        zero = (one.values == 0).all(0) | (two.values == 0).all(0)
        self.comparisons.add("product", one.size + two.size, one.bound.joined(two.bound))
        return Residues(self, np.where(zero, 0.0, found.values), VARIABLE)

    def total(self, one: Residues, two: Residues) -> Residues:
        """Return a random function of two numbers that may be opposite infinities: their sum may be no number."""
        found = self.apply("Total", (), one, two)
        found.infinite = one.infinite | two.infinite
        return found

    def of_rows(self, name: str, parameters: Hashable, x: Residues, axis: int, count: int) -> Residues:
        """Return ``count`` random functions of all numbers along an axis, in order; they stand along that axis."""
        rows = x.moveaxis(axis, -1)
        if x.infinite & ~functions.of(name).at_infinity:
            raise Undecided(f"{name} is taken of what may be infinite")
        prints = self.prints(rows)
        state = started(self._key("rows", name, parameters, rows.shape[-1]), rows.shape[:-1])
        for place in range(rows.shape[-1]):
            state = absorbed(state, prints[0][..., place], prints[1][..., place])
        self.comparisons.add(name, x.size, x.bound)
        drawn = self._drawn(absorbed(state[..., None], np.arange(count, dtype=np.uint64)))
        return drawn.moveaxis(-1, axis)

    def weights(self, places: Residues, count: int, *, anywhere: bool = False) -> Residues:  # noqa: ARG002
        """Return for numbers that say which of ``count`` rows is meant a weight for each row, along a new last axis."""
        if (self.node, row := row_of(count)) in self.wanted:
            self._ask(row, places)
        prints = self.prints(places, name="row", parameters=count)
        return self._drawn(absorbed(prints[..., None], np.arange(count, dtype=np.uint64)))

    # Fingerprints

    def prints(self, *arguments: Residues, name: str = "", parameters: Hashable = ()) -> np.ndarray:
        """Return fingerprints of the numbers at each place of arguments that broadcast, uint64[2, ...]."""
        shape = np.broadcast_shapes(*(each.shape for each in arguments))
        bound = arguments[0].bound
        for each in arguments[1:]:
            bound = bound.joined(each.bound)
        self.comparisons.add(name, math.prod(shape), bound)
        state = started(self._key(name, parameters, len(arguments)), ())
        first, *more = arguments
        ordered, back = _ordered(first.values)
        flat = ordered.reshape(len(self.primes), first.size)
        found = np.empty((2, flat.shape[1]), np.uint64)
        for start in range(0, flat.shape[1], BLOCK):
            found[:, start : start + BLOCK] = absorbed(state, *_words(flat[:, start : start + BLOCK]))
        found = found.reshape(2, *ordered.shape[1:]).transpose(back)
        for each in more:
            found = absorbed(found, *_words(each.values))
        return np.broadcast_to(found, (2, *shape))

    def _drawn(self, prints: np.ndarray) -> Residues:
        """Return a number modulo each prime for every fingerprint: the upper bits of a random sum of its two lanes."""
        ordered, back = _ordered(prints)
        flat = ordered.reshape(2, prints[0].size)
        values = np.empty((len(self.primes), flat.shape[1]))
        for start in range(0, flat.shape[1], BLOCK):
            one, two = final(flat[:, start : start + BLOCK])
            for place, p in enumerate(self.primes):
                mixed = one * self._multipliers[place, 0]
                mixed += two * self._multipliers[place, 1]
                mixed >>= np.uint64(11)
                found = values[place, start : start + BLOCK]
                np.multiply(mixed, p * 2.0**-53, out=found)
                np.floor(found, out=found)
        return Residues(self, values.reshape(len(self.primes), *ordered.shape[1:]).transpose(back), VARIABLE)

    def _key(self, *what: Any) -> np.ndarray:
        digest = hashlib.blake2b(repr(what).encode(), key=self.seed, digest_size=16).digest()
        return np.frombuffer(digest, np.uint64)


def _words(residues: np.ndarray) -> np.ndarray:
    """Return a word for each residue, uint64 of its shape: its bits stand in the lower ones."""
    return (residues + 2.0**52).view(np.uint64)


def _of_fraction(over: int, under: int) -> Bound:
    bits = float(abs(under).bit_length())
    return Bound(0, 0.0, float(abs(over).bit_length()), {(abs(under), bits): 1} if abs(under) > 1 else {})


def _ordered(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an array with the axes behind its first as they lie in memory, and what brings them back in order."""
    order = 0, *sorted(range(1, array.ndim), key=lambda axis: -array.strides[axis])
    return array.transpose(order), np.argsort(order)
