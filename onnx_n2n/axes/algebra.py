"""The axis algebra: what the length of one tensor dimension is made of.

An axis is an expression over factors::

    Axis = Factor | Product of axes (outer to inner) | Sum of axes (one after the other)

Concat, Split, Slice and Pad make sums; Reshape, Flatten, convolution groups and head splits make products. A factor is
a union-find node: binding it to an expression refines every axis that mentions it (``unify.py``). Until the next
binding, the normal form of an axis is worked out once.

An axis of length 1 is the empty product ``UNIT``: it has no factors, so it never grows.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain, count


@dataclass(frozen=True)
class Reason:
    """Why a factor is limited, and by which node (empty for a graph input or output)."""

    text: str
    node: str = ""

    def __str__(self) -> str:
        return f"{self.text} (node {self.node!r})" if self.node else self.text


class Limit(enum.IntEnum):
    """What a factor does not allow, from least to most strict."""

    COPIES = 1  # new channels must be copies of old ones: a maximum, or a function that is not defined everywhere
    UNIFORM = 2  # every channel must occur the same number of times: a mean over the axis
    PINNED = 3  # the factor keeps its size


@dataclass(eq=False)
class Factor:
    """An atom of size, shared by all the axes tied to it. ``size`` is None when only run time knows it.

    With ``cut_to`` it is as long as that axis, or shorter, and then longer than 1.
    """

    size: int | None
    limits: dict[Limit, Reason] = field(default_factory=dict)
    bound: Axis | None = None
    cut_to: Axis | None = None
    serial: int = field(default_factory=count().__next__)

    def __repr__(self) -> str:
        return f"f{self.serial}:{'?' if self.size is None else self.size}{'!' if Limit.PINNED in self.limits else ''}"


@dataclass(eq=False)
class _Compound:
    """What is made of parts. These never change; only the normal form does, when a factor in it is bound.

    Attributes:
        parts: The parts.
        normal: The normal form, None if that is the axis itself.
        since: As of which binding that is so.
    """

    parts: tuple[Axis, ...]
    normal: Axis | None = field(default=None, init=False, repr=False)
    since: object = field(default=None, init=False, repr=False)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """The factors that stand in it, left to right, with repetitions."""
        return tuple(chain.from_iterable((p,) if isinstance(p, Factor) else p.factors for p in self.parts))

    @cached_property
    def members(self) -> frozenset[Factor]:
        """The same factors, to look one up."""
        return frozenset(self.factors)


@dataclass(eq=False)
class Product(_Compound):
    """Axes nested in each other, outer to inner, as Reshape merges them.

    Attributes:
        single: Of a product without parts, why it is a single place: who cut it out, or joins it to others.
    """

    single: Reason | None = None

    @cached_property
    def length(self) -> int | None:
        """The product of the lengths of its parts; None if one is not known."""
        return _known(math.prod, self.parts)

    def __repr__(self) -> str:
        return f"({' '.join(map(repr, self.parts))})"


@dataclass(eq=False)
class Sum(_Compound):
    """Axes laid end to end, as Concat joins them."""

    @cached_property
    def length(self) -> int | None:
        """The sum of the lengths of its parts; None if one is not known."""
        return _known(sum, self.parts)

    @cached_property
    def having(self) -> Mapping[Factor, Sequence[int]]:
        """For each factor the numbers of the parts that have it."""
        found: dict[Factor, list[int]] = {}
        for number, part in enumerate(self.parts):
            for factor in (part,) if isinstance(part, Factor) else part.members:
                found.setdefault(factor, []).append(number)
        return found

    @cached_property
    def starts(self) -> Sequence[int]:
        """Where each part begins, if all lengths are known."""
        return list(accumulate((size(part) or 0 for part in self.parts), initial=0))

    def __repr__(self) -> str:
        return f"[{' | '.join(map(repr, self.parts))}]"


Axis = Factor | Product | Sum

UNIT = Product(())
EMPTY = Sum(())


RUNTIME = Reason("its length is not known before run time")


def axis_of(size: int | None, unknown: Reason = RUNTIME) -> Axis:
    """Return a fresh axis of ``size``: free when the size is known, pinned when it is None or 0."""
    if size == 1:
        return UNIT
    axis = Factor(size)
    if not size:
        pin(axis, unknown if size is None else Reason("it is empty"))
    return axis


def product(*parts: Axis) -> Axis:
    """Return ``parts`` nested outer to inner, in normal form."""
    return resolve(Product(parts))


def total(*parts: Axis) -> Axis:
    """Return ``parts`` laid end to end, in normal form."""
    return resolve(Sum(parts))


def resolve(axis: Axis) -> Axis:
    """Return the normal form of ``axis``: bindings followed, nesting flattened, units and empty segments dropped."""
    if isinstance(axis, Factor):
        end = axis.bound
        if end is None:
            return axis
        if isinstance(end, Factor) and end.bound is None:
            return end
        end = _end(axis)
        found = end if isinstance(end, Factor) else resolve(end)
        step: Axis | None = axis
        while isinstance(step, Factor) and step is not found:  # shorten the way for the next who asks
            step.bound, step = found, step.bound
        return found
    last = _Bindings.last
    if axis.since is not last:
        normal = _normalised(axis)
        axis.normal, axis.since = None if normal is axis else normal, last
    return axis.normal or axis


def _normalised(axis: Product | Sum) -> Axis:
    """Return the normal form of a product or sum; the axis itself if it is that."""
    kind = type(axis)
    parts: list[Axis] = []
    pending = list(reversed(axis.parts))
    while pending:
        part = pending.pop()
        if isinstance(part, Factor):
            part = _end(part)
        if not isinstance(part, Factor | kind):
            part = resolve(part)
        if isinstance(part, kind):
            pending.extend(reversed(part.parts))
        else:
            parts.append(part)
    if len(parts) == 1:
        return parts[0]
    same = len(parts) == len(axis.parts) and all(one is other for one, other in zip(parts, axis.parts, strict=True))
    return axis if same else kind(tuple(parts))


def _end(factor: Factor) -> Axis:
    """Return what a factor is bound to in the end."""
    end: Axis = factor
    while isinstance(end, Factor) and end.bound is not None:
        end = end.bound
    return end


class _Bindings:
    """The last binding there was, of any factor: normal forms that are older may be none any more."""

    last: object = object()


def bind(factor: Factor, axis: Axis | None) -> None:
    """Let a factor stand for an axis, or for itself again."""
    factor.bound, _Bindings.last = axis, object()


def size(axis: Axis) -> int | None:
    """Return the length of ``axis``, or None when only run time knows it."""
    axis = resolve(axis)
    return axis.size if isinstance(axis, Factor) else axis.length


def _known(joined: Callable[[list[int]], int], parts: tuple[Axis, ...]) -> int | None:
    """Return the product or the sum of the lengths of parts in normal form; None if one is not known."""
    lengths = [part.size if isinstance(part, Factor) else part.length for part in parts]
    return None if None in lengths else joined(lengths)  # type: ignore[arg-type]


def leaves(axis: Axis) -> tuple[Factor, ...]:
    """Return the factors of ``axis``, left to right, with repetitions."""
    axis = resolve(axis)
    return (axis,) if isinstance(axis, Factor) else axis.factors


def holds(axis: Axis, factor: Factor) -> bool:
    """Say whether ``factor`` is one of the factors of ``axis``."""
    axis = resolve(axis)
    return axis is factor if isinstance(axis, Factor) else factor in axis.members


def parts_of(axis: Axis) -> list[Axis]:
    """Return the parts of a product, outer to inner, or the axis itself when it is none."""
    axis = resolve(axis)
    return list(axis.parts) if isinstance(axis, Product) else [axis]


def is_unit(axis: Axis) -> bool:
    """Say whether ``axis`` is known to have length 1."""
    return size(axis) == 1


def is_cut(axis: Axis, other: Axis) -> bool:
    """Say whether an axis is another one cut to a length above 1: where it is cut, both do not broadcast."""
    axis = resolve(axis)
    return isinstance(axis, Factor) and axis.cut_to is not None and same(axis.cut_to, other)


def limit(axis: Axis, kind: Limit, reason: Reason) -> None:
    """Put a limit on every factor of ``axis``; the first reason given for a kind is the one kept."""
    for factor in leaves(axis):
        factor.limits.setdefault(kind, reason)


def pin(axis: Axis, reason: Reason) -> None:
    """Forbid every factor of ``axis`` to grow."""
    limit(axis, Limit.PINNED, reason)


def singled(axis: Axis) -> Reason | None:
    """Return who made single places of an axis, if anybody did; the first of them."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        return None
    own = axis.single if isinstance(axis, Product) else None
    return own or next((reason for part in axis.parts if (reason := singled(part))), None)


def is_pinned(axis: Axis) -> bool:
    """Say whether no factor of ``axis`` may grow."""
    return all(Limit.PINNED in factor.limits for factor in leaves(axis))


def blame(axis: Axis) -> Reason | None:
    """Return why an axis may not grow at all, or has no known length, if that is what an operator does."""
    factors = list(leaves(axis))
    if not is_pinned(axis):
        factors = [factor for factor in factors if factor.size is None]
    factors.sort(key=lambda factor: (factor.size is not None, -(factor.size or 0)))
    reasons = (factor.limits.get(Limit.PINNED) for factor in factors)
    return next((reason for reason in reasons if reason is not None and reason.node), None)


def spelled(axis: Axis) -> str:
    """Return what an axis is made of, in numbers: ``4 + 2``, ``8 x 64``, with ``?`` for a length known at run time."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        return "?" if axis.size is None else str(axis.size)
    parts = [f"({spelled(part)})" if isinstance(resolve(part), Sum) else spelled(part) for part in axis.parts]
    return (" x " if isinstance(axis, Product) else " + ").join(parts) or str(size(axis))


def as_long(one: Axis, other: Axis) -> bool:
    """Say whether two axes have one length at every run: what is not known of both is the same, and the rest as long.

    >>> batch, two, pair = Factor(None), Factor(2), Factor(2)
    >>> as_long(Product((batch, two)), Product((batch, pair))), as_long(Product((batch, two)), batch)
    (True, False)
    """
    parts = [parts_of(axis) for axis in (one, other)]
    known = [math.prod(length for part in each if (length := size(part)) is not None) for each in parts]
    unknown = [[part for part in each if size(part) is None] for each in parts]
    return known[0] == known[1] and len(unknown[0]) == len(unknown[1]) and all(map(same, *unknown))


def same(one: Axis, other: Axis) -> bool:
    """Say whether two axes have the same normal form, and so always the same length and order."""
    one, other = resolve(one), resolve(other)
    if one is other:
        return True
    if isinstance(one, Factor) or type(one) is not type(other) or isinstance(other, Factor):
        return False
    return len(one.parts) == len(other.parts) and all(map(same, one.parts, other.parts))
