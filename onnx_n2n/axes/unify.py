"""How two axes become one: products refined by common divisors, sums by common cuts.

All constraints are equalities, so one pass over a graph is enough, and :func:`unify` never fails: what it cannot align
it pins on both sides.
"""

from __future__ import annotations

import math

from onnx_n2n.axes.algebra import (
    EMPTY,
    UNIT,
    Axis,
    Factor,
    Limit,
    Product,
    Reason,
    Sum,
    axis_of,
    blame,
    is_pinned,
    leaves,
    limit,
    parts_of,
    pin,
    product,
    resolve,
    same,
    size,
    total,
)

ACROSS = "it makes groups across the borders of axes that are laid end to end"
UNSAID = Reason(ACROSS)


class Misaligned(Exception):  # noqa: N818 - not an error of the user's: it ends as a pin
    """Two axes, or an axis and a cut, do not line up."""


def unify(one: Axis, other: Axis, reason: Reason) -> None:
    """Make two axes equal, refining their factors as needed; pin whatever of them does not line up."""
    if is_pinned(one) and is_pinned(other):
        return
    try:
        _unify(resolve(one), resolve(other), reason)
    except (Misaligned, RecursionError):
        _part(one, other, reason)


def _recounted(axis: Axis, length: int) -> Axis:
    """Return an axis of known length that is pinned for the reason that another one is."""
    found = axis_of(length)
    reasons = (leaf.limits[Limit.PINNED] for leaf in leaves(axis))
    pin(found, next(reasons))
    return found


def split_product(axis: Axis, outer: int, reason: Reason = UNSAID) -> tuple[Axis, Axis]:
    """Split ``axis`` into an outer part of length ``outer`` and the inner rest; one that is pinned splits anywhere.

    Args:
        axis: The axis.
        outer: The length.
        reason: Why parts of a sum keep their lengths where it is cut elsewhere than they end.

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
        return _split_known_head(axis, outer, reason)
    if not length or outer < 1 or length % outer:
        raise Misaligned
    if isinstance(axis, Factor):
        head, tail = axis_of(outer), axis_of(length // outer)
        _bind(axis, Product((head, tail)))
        return head, tail
    if isinstance(axis, Product):
        return _split_known_head(axis, outer, reason)
    inner = length // outer  # (x + y) * inner = x * inner + y * inner: every segment must have the same inner part
    lengths = [size(part) or 0 for part in axis.parts]
    if any(part % inner for part in lengths):
        if is_pinned(axis):
            return _recounted(axis, outer), _recounted(axis, inner)
        return _split_between(axis, outer, math.gcd(inner, *lengths), reason)
    parts = zip(axis.parts, lengths, strict=True)
    pairs = [split_product(part, part_length // inner, reason) for part, part_length in parts]
    tail = pairs[0][1]
    for _, other in pairs[1:]:
        _unify(resolve(tail), resolve(other), Reason("segments of one axis share their inner factor"))
    return total(*(head for head, _ in pairs)), resolve(tail)


def _split_between(axis: Sum, outer: int, common: int, reason: Reason) -> tuple[Axis, Axis]:
    """Split a sum whose segments end inside the parts: all are multiples of ``common``, which may grow, and no more.

    Raises:
        Misaligned: If it is 1.
    """
    length = size(axis) or 0
    if common == 1:
        raise Misaligned
    kept, tail = split_product(axis, length // common, reason)
    pin(kept, reason)
    heads = axis_of(outer), axis_of(length // outer // common)
    for head in heads:
        pin(head, reason)
    return heads[0], product(heads[1], tail)


def split_inner(axis: Axis, inner: int, reason: Reason = UNSAID) -> tuple[Axis, Axis]:
    """Split ``axis`` into the outer rest and an inner part of length ``inner``, as :func:`split_product` does.

    Raises:
        Misaligned: If the axis cannot be split there.
    """
    length = size(axis)
    if length is not None:
        if inner < 1 or length % inner:
            raise Misaligned
        return split_product(axis, length // inner, reason)
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
            rest, part = split_product(last, width // inner, reason)
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


def _split_known_head(axis: Product, outer: int, reason: Reason) -> tuple[Axis, Axis]:
    done = 1
    for place, part in enumerate(axis.parts):
        if done == outer:
            return product(*axis.parts[:place]), product(*axis.parts[place:])
        length = size(part)
        if not length:
            raise Misaligned
        if outer % (done * length) == 0:
            done *= length
            continue
        if outer % done:
            raise Misaligned
        head, tail = split_product(part, outer // done, reason)
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
    (head, tail), (other_head, other_tail) = (split_product(each, outer, reason) for each in (one, other))
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
    _part(Product(tuple(ours)), Product(tuple(theirs)), reason)


def _part(one: Axis, other: Axis, reason: Reason) -> None:
    """Pin two axes that do not line up; if an operator has pinned one of them before, that is why."""
    causes = blame(other), blame(one)
    for axis, cause in zip((one, other), causes, strict=True):
        pin(axis, cause or reason)


def _align_ends(ours: list[Axis], theirs: list[Axis], end: int, reason: Reason) -> bool:
    """Tie the first (``end`` 0) or last (-1) parts of two products and remove them; False when that is not possible."""
    left, right = size(ours[end]), size(theirs[end])
    if left is None or right is None:
        if not same(ours[end], theirs[end]):
            return False
    elif left != right:
        long, big, small = (ours, left, right) if left > right else (theirs, right, left)
        if not small or big % small:
            return False
        try:
            pair = split_product(long[end], small if end == 0 else big // small, reason)
        except Misaligned:
            return False
        long[end:] = pair if end else [*pair, *long[1:]]
    unify(ours.pop(end), theirs.pop(end), reason)
    return True
