"""The axis algebra: what the length of one tensor dimension is made of.

An axis is an expression over factors::

    Axis = Factor | Product of axes (outer to inner) | Sum of axes (one after the other)

Concat, Split, Slice and Pad make sums; Reshape, Flatten, convolution groups and head splits make products. A factor is
a union-find node: binding it to an expression refines every axis that mentions it. All constraints are equalities, so
one pass over a graph is enough, and :func:`unify` never fails: what it cannot align it pins on both sides.

An axis of length 1 is the empty product ``UNIT``: it has no factors, so it never grows.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field


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
    """An atom of size, shared by all the axes tied to it. ``size`` is None when only run time knows it."""

    size: int | None
    limits: dict[Limit, Reason] = field(default_factory=dict)
    bound: Axis | None = None
    serial: int = field(default_factory=itertools.count().__next__)

    def __repr__(self) -> str:
        return f"f{self.serial}:{'?' if self.size is None else self.size}{'!' if Limit.PINNED in self.limits else ''}"


@dataclass(frozen=True, eq=False)
class Product:
    """Axes nested in each other, outer to inner, as Reshape merges them."""

    parts: tuple[Axis, ...]

    def __repr__(self) -> str:
        return f"({' '.join(map(repr, self.parts))})"


@dataclass(frozen=True, eq=False)
class Sum:
    """Axes laid end to end, as Concat joins them."""

    parts: tuple[Axis, ...]

    def __repr__(self) -> str:
        return f"[{' | '.join(map(repr, self.parts))}]"


Axis = Factor | Product | Sum

UNIT = Product(())
EMPTY = Sum(())


class Misaligned(Exception):  # noqa: N818 - not an error of the user's: it ends as a pin
    """Two axes, or an axis and a cut, do not line up."""


def axis_of(size: int | None, unknown: str = "its length is not known before run time") -> Axis:
    """Return a fresh axis of ``size``: free when the size is known, pinned when it is None or 0."""
    if size == 1:
        return UNIT
    axis = Factor(size)
    if not size:
        pin(axis, Reason(unknown if size is None else "it is empty"))
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
        end = _end(axis)
        found = end if isinstance(end, Factor) else resolve(end)
        step: Axis | None = axis
        while isinstance(step, Factor) and step is not found:  # shorten the way for the next who asks
            step.bound, step = found, step.bound
        return found
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


def size(axis: Axis) -> int | None:
    """Return the length of ``axis``, or None when only run time knows it."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        return axis.size
    sizes = [size(part) for part in axis.parts]
    known = [found for found in sizes if found is not None]
    if len(known) < len(sizes):
        return None
    return math.prod(known) if isinstance(axis, Product) else sum(known)


def leaves(axis: Axis) -> Iterator[Factor]:
    """Yield the factors of ``axis``, left to right, with repetitions."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        yield axis
    else:
        for part in axis.parts:
            yield from leaves(part)


def parts_of(axis: Axis) -> list[Axis]:
    """Return the parts of a product, outer to inner, or the axis itself when it is none."""
    axis = resolve(axis)
    return list(axis.parts) if isinstance(axis, Product) else [axis]


def is_unit(axis: Axis) -> bool:
    """Say whether ``axis`` is known to have length 1."""
    return size(axis) == 1


def limit(axis: Axis, kind: Limit, reason: Reason) -> None:
    """Put a limit on every factor of ``axis``; the first reason given for a kind is the one kept."""
    for factor in leaves(axis):
        factor.limits.setdefault(kind, reason)


def pin(axis: Axis, reason: Reason) -> None:
    """Forbid every factor of ``axis`` to grow."""
    limit(axis, Limit.PINNED, reason)


def is_pinned(axis: Axis) -> bool:
    """Say whether no factor of ``axis`` may grow."""
    return all(Limit.PINNED in factor.limits for factor in leaves(axis))


def same(one: Axis, other: Axis) -> bool:
    """Say whether two axes have the same normal form, and so always the same length and order."""
    one, other = resolve(one), resolve(other)
    if one is other:
        return True
    if isinstance(one, Factor) or type(one) is not type(other) or isinstance(other, Factor):
        return False
    return len(one.parts) == len(other.parts) and all(map(same, one.parts, other.parts))


def unify(one: Axis, other: Axis, reason: Reason) -> None:
    """Make two axes equal, refining their factors as needed; pin whatever of them does not line up."""
    if is_pinned(one) and is_pinned(other):
        return
    try:
        _unify(resolve(one), resolve(other), reason)
    except (Misaligned, RecursionError):
        pin(one, reason)
        pin(other, reason)


def split_product(axis: Axis, outer: int) -> tuple[Axis, Axis]:
    """Split ``axis`` into an outer part of length ``outer`` and the inner rest.

    Raises:
        Misaligned: If the axis cannot be split there.
    """
    axis = resolve(axis)
    length = size(axis)
    if outer == 1:
        return UNIT, axis
    if length == outer:
        return axis, UNIT
    if isinstance(axis, Product) and length is None:
        return _split_known_head(axis, outer)
    if length is None or outer < 1 or length % outer:
        raise Misaligned
    if isinstance(axis, Factor):
        head, tail = axis_of(outer), axis_of(length // outer)
        _bind(axis, Product((head, tail)))
        return head, tail
    if isinstance(axis, Product):
        return _split_known_head(axis, outer)
    inner = length // outer  # (x + y) * inner = x * inner + y * inner: every segment must have the same inner part
    lengths = [size(part) or 0 for part in axis.parts]
    if any(part % inner for part in lengths):
        raise Misaligned
    pairs = [split_product(part, part_length // inner) for part, part_length in zip(axis.parts, lengths, strict=True)]
    tail = pairs[0][1]
    for _, other in pairs[1:]:
        _unify(resolve(tail), resolve(other), Reason("segments of one axis share their inner factor"))
    return total(*(head for head, _ in pairs)), resolve(tail)


def split_inner(axis: Axis, inner: int) -> tuple[Axis, Axis]:
    """Split ``axis`` into the outer rest and an inner part of length ``inner``.

    Raises:
        Misaligned: If the axis cannot be split there.
    """
    length = size(axis)
    if length is not None:
        if inner < 1 or length % inner:
            raise Misaligned
        return split_product(axis, length // inner)
    parts = parts_of(axis)
    taken: list[Axis] = []
    while inner > 1 and parts:
        last = parts.pop()
        width = size(last)
        if width is None:
            raise Misaligned
        if width and inner % width == 0:
            taken.insert(0, last)
            inner //= width
        elif width % inner == 0:
            rest, part = split_product(last, width // inner)
            parts.append(rest)
            taken.insert(0, part)
            inner = 1
        else:
            raise Misaligned
    return product(*parts), product(*taken)


def split_sum(axis: Axis, at: int) -> tuple[Axis, Axis]:
    """Cut ``axis`` into its first ``at`` places and the rest.

    Raises:
        Misaligned: If the cut falls inside a product, or the length is not known.
    """
    axis = resolve(axis)
    length = size(axis)
    if at == 0:
        return EMPTY, axis
    if at == length:
        return axis, EMPTY
    if length is None or not 0 < at < length:
        raise Misaligned
    if isinstance(axis, Factor):
        left, right = axis_of(at), axis_of(length - at)
        _bind(axis, Sum((left, right)))
        return left, right
    if isinstance(axis, Product):
        outer, inner = axis.parts[0], Product(axis.parts[1:])
        width = size(inner) or 1
        if at % width:
            raise Misaligned
        left, right = split_sum(outer, at // width)
        return product(left, inner), product(right, inner)
    before = 0
    for place, part in enumerate(axis.parts):
        length = size(part) or 0
        if before + length > at:
            left, right = split_sum(part, at - before)
            return total(*axis.parts[:place], left), total(right, *axis.parts[place + 1 :])
        before += length
    raise Misaligned


def _split_known_head(axis: Product, outer: int) -> tuple[Axis, Axis]:
    done = 1
    for place, part in enumerate(axis.parts):
        if done == outer:
            return product(*axis.parts[:place]), product(*axis.parts[place:])
        length = size(part)
        if length is None:
            raise Misaligned
        if outer % (done * length) == 0:
            done *= length
            continue
        if outer % done:
            raise Misaligned
        head, tail = split_product(part, outer // done)
        return product(*axis.parts[:place], head), product(tail, *axis.parts[place + 1 :])
    if done == outer:
        return axis, UNIT
    raise Misaligned


def _bind(factor: Factor, axis: Axis) -> None:
    if any(leaf is factor for leaf in leaves(axis)):
        raise Misaligned
    factor.bound = axis
    for kind, reason in factor.limits.items():
        limit(axis, kind, reason)


def _unify(one: Axis, other: Axis, reason: Reason) -> None:
    if same(one, other):
        return
    lengths = size(one), size(other)
    if None in lengths:
        _unify_unknown(one, other, reason)
    elif lengths[0] != lengths[1]:
        raise Misaligned
    elif isinstance(one, Factor):
        _bind(one, other)
    elif isinstance(other, Factor):
        _bind(other, one)
    elif isinstance(one, Sum) and isinstance(other, Sum):
        _unify_sums(one, other, reason)
    elif isinstance(one, Sum) and isinstance(other, Product):
        _unify_heads(one, other, size(other.parts[0]) or 1, reason)
    elif isinstance(one, Product) and isinstance(other, Sum):
        _unify_heads(one, other, size(one.parts[0]) or 1, reason)
    elif isinstance(one, Product) and isinstance(other, Product):
        common = math.gcd(size(one.parts[0]) or 1, size(other.parts[0]) or 1)
        if common == 1:
            raise Misaligned
        _unify_heads(one, other, common, reason)


def _unify_heads(one: Axis, other: Axis, outer: int, reason: Reason) -> None:
    (head, tail), (other_head, other_tail) = split_product(one, outer), split_product(other, outer)
    unify(head, other_head, reason)
    unify(tail, other_tail, reason)


def _unify_sums(one: Sum, other: Sum, reason: Reason) -> None:
    """Walk two sums of the same length by their common cuts; a pair that does not align pins only itself."""
    ours, theirs = list(reversed(one.parts)), list(reversed(other.parts))
    cuts = 2 * (len(ours) + len(theirs))  # an axis tied to itself at an offset would be cut into single places
    while ours and theirs:
        left, right = ours.pop(), theirs.pop()
        width, other_width = size(left) or 0, size(right) or 0
        cuts -= 1
        try:
            if width > other_width:
                left, rest = split_sum(left, other_width)
                ours.append(rest)
            elif other_width > width:
                right, rest = split_sum(right, width)
                theirs.append(rest)
        except Misaligned:
            cuts = -1
        if cuts < 0:
            # No cut there, or too many: what is left on both sides stays as it is.
            for part in (left, right, *ours, *theirs):
                pin(part, reason)
            return
        unify(left, right, reason)


def _unify_unknown(one: Axis, other: Axis, reason: Reason) -> None:
    """Align what is known from the outside inwards, when a length is known only at run time; pin the rest."""
    ours, theirs = parts_of(one), parts_of(other)
    while ours and theirs and _align_ends(ours, theirs, 0, reason):
        pass
    while ours and theirs and _align_ends(ours, theirs, -1, reason):
        pass
    pin(Product(tuple(ours)), reason)
    pin(Product(tuple(theirs)), reason)


def _align_ends(ours: list[Axis], theirs: list[Axis], end: int, reason: Reason) -> bool:
    """Tie the first (``end`` 0) or last (-1) parts of two products and remove them; False when that is not possible."""
    left, right = size(ours[end]), size(theirs[end])
    if left is None or right is None:
        if not same(ours[end], theirs[end]):
            return False
    elif left != right:
        long, big, small = (ours, left, right) if left > right else (theirs, right, left)
        if big % small:
            return False
        try:
            pair = split_product(long[end], small if end == 0 else big // small)
        except Misaligned:
            return False
        long[end:] = pair if end else [*pair, *long[1:]]
    unify(ours.pop(end), theirs.pop(end), reason)
    return True
