"""How two axes become one: products refined by common divisors, sums by common cuts.

All constraints are equalities, so one pass over a graph is enough, and :func:`unify` never fails: what it cannot align
it pins on both sides.
"""

from __future__ import annotations

import math
from contextlib import suppress

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
    bind,
    blame,
    holds,
    is_pinned,
    leaves,
    limit,
    parts_of,
    pin,
    product,
    resolve,
    same,
    singled,
    size,
    total,
)

ACROSS = "it makes groups across the borders of axes that are laid end to end"
UNSAID = Reason(ACROSS)
BESIDE = Reason("groups end inside of what is laid end to end, so copies stand beside their channel")


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


def _recounted(axis: Axis, length: int, reason: Reason) -> Axis:
    """Return an axis of known length that is pinned for the reason that another one is; for one that has none, why."""
    found = axis_of(length)
    pin(found, next((leaf.limits[Limit.PINNED] for leaf in leaves(axis)), reason))
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
            return _recounted(axis, outer, reason), _recounted(axis, inner, reason)
        return _split_between(axis, outer, math.gcd(inner, *lengths), reason)
    parts = zip(axis.parts, lengths, strict=True)
    pairs = [split_product(part, part_length // inner, reason) for part, part_length in parts]
    tail = pairs[0][1]
    for _, other in pairs[1:]:
        _unify(resolve(tail), resolve(other), Reason("segments of one axis share their inner factor", reason.node))
    return total(*(head for head, _ in pairs)), resolve(tail)


def _split_between(axis: Sum, outer: int, common: int, reason: Reason) -> tuple[Axis, Axis]:
    """Split a sum whose segments end inside the parts: all are multiples of ``common``, which may grow, and no more.

    Where that is 1, all grow by whole factors, with the copies of a channel side by side.

    Raises:
        Misaligned: If they cannot.
    """
    length = size(axis) or 0
    if common == 1:
        return _recut(outer, length // outer, _spare_alone(axis, reason), reason)
    kept, tail = split_product(axis, length // common, reason)
    pin(kept, reason)
    return _recut(outer, length // outer // common, tail, reason)


def _recut(outer: int, inner: int, tail: Axis, reason: Reason) -> tuple[Axis, Axis]:
    """Return an axis of known length, of which only ``tail`` may grow, cut into an outer part and the rest."""
    heads = axis_of(outer), axis_of(inner)
    for head in heads:
        pin(head, reason)
    return heads[0], product(heads[1], tail)


def _split_across(axis: Axis, outer: int, reason: Reason) -> tuple[Axis, Axis]:
    """Split an axis where no part of it ends: what divides both from outside or inside may grow, the rest is pinned.

    ``6 x 4`` into 4 and 6 becomes ``2 x (3 x 2) x 2`` and ``2 x (2 x 3) x 2``. Where nothing divides both, all grow by
    whole factors, with the copies of a channel side by side.

    Raises:
        Misaligned: If nothing may grow then.
    """
    heads: list[Axis] = []
    tails: list[Axis] = []
    rest, inner = axis, (size(axis) or 0) // outer
    with suppress(Misaligned):
        while (common := math.gcd(size(parts_of(rest)[0]) or 1, outer)) > 1 and common < (size(rest) or 0):
            head, rest = split_product(rest, common, reason)
            heads.append(head)
            outer //= common
    with suppress(Misaligned):
        while (common := math.gcd(size(parts_of(rest)[-1]) or 1, inner)) > 1 and common < (size(rest) or 0):
            rest, tail = split_inner(rest, common, reason)
            tails.insert(0, tail)
            inner //= common
    if all(map(is_pinned, (*heads, *tails))):
        tails.insert(0, _spare_alone(rest, reason))
    else:
        pin(rest, reason)
    first, second = _recut(outer, inner, product(*tails), reason)
    return product(*heads, first), second


def _spare_alone(axis: Axis, reason: Reason) -> Factor:
    """Return the spare of an axis, of which nothing else may grow.

    Raises:
        Misaligned: If it can have none.
    """
    spare = _spare(axis)
    for leaf in leaves(axis):
        if leaf is not spare:
            pin(leaf, reason)
    return spare


def _spare(axis: Axis) -> Factor:
    """Return the innermost factor of an axis, of length 1: when it grows, there are copies beside every place.

    Raises:
        Misaligned: If that cannot be, because a part is pinned, or its length is not known.
    """
    ends, others = _ends(axis)
    if not ends or any(Limit.PINNED in end.limits for end in ends) or any(leaf.size is None for leaf in others):
        raise Misaligned
    if not set(ends).isdisjoint(others) or any(leaf.size == 1 for leaf in others):  # it would be there twice
        raise Misaligned
    spare = next((end for end in ends if end.size == 1), None) or Factor(1)
    limit(spare, Limit.COPIES, BESIDE)
    for end in dict.fromkeys(ends):
        if end is not spare:
            _bind(end, spare if end.size == 1 else Product((axis_of(end.size), spare)))
    return spare


def _ends(axis: Axis) -> tuple[list[Factor], list[Factor]]:
    """Return the innermost factors of an axis, one for each part of a sum, and the others.

    Raises:
        Misaligned: If a part has none.
    """
    axis = resolve(axis)
    if isinstance(axis, Factor):
        return [axis], []
    if not axis.parts:
        raise Misaligned
    if isinstance(axis, Product):
        ends, others = _ends(axis.parts[-1])
        return ends, [*others, *(leaf for part in axis.parts[:-1] for leaf in leaves(part))]
    pairs = [_ends(part) for part in axis.parts]
    return [end for ends, _ in pairs for end in ends], [other for _, others in pairs for other in others]


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


def split_sum(axis: Axis, at: int, reason: Reason | None = None) -> tuple[Axis, Axis]:
    """Cut ``axis`` into its first ``at`` places and the rest.

    Args:
        axis: The axis.
        at: The number of places.
        reason: Why a single place that is cut out cannot grow, unless the whole axis could not before.

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
        single = Product((), axis.limits.get(Limit.PINNED, reason))
        left, right = (single if part == 1 else axis_of(part) for part in (at, length - at))
        _bind(axis, Sum((left, right)))
        return left, right
    if isinstance(axis, Product):
        outer, inner = axis.parts[0], Product(axis.parts[1:])
        width = size(inner) or 1
        if at % width:
            raise Misaligned
        left, right = split_sum(outer, at // width, reason)
        return product(left, inner), product(right, inner)
    before = 0
    for place, part in enumerate(axis.parts):
        length = size(part) or 0
        if before + length > at:
            left, right = split_sum(part, at - before, reason)
            return total(*axis.parts[:place], left), total(right, *axis.parts[place + 1 :])
        before += length
    raise Misaligned


def _split_known_head(axis: Product, outer: int, reason: Reason) -> tuple[Axis, Axis]:
    done = 1
    for place, part in enumerate(axis.parts):
        length = size(part)
        if done == outer and length != 1:  # a spare belongs to what stands before it
            return product(*axis.parts[:place]), product(*axis.parts[place:])
        if not length:
            raise Misaligned
        if outer % (done * length) == 0:
            done *= length
            continue
        try:
            head, tail = split_product(part, outer // done if outer % done == 0 else 0, reason)
        except Misaligned:
            return _split_front(axis, outer, place, reason)
        return product(*axis.parts[:place], head), product(tail, *axis.parts[place + 1 :])
    if done == outer:
        return axis, UNIT
    raise Misaligned


def _split_front(axis: Product, outer: int, place: int, reason: Reason) -> tuple[Axis, Axis]:
    """Split the parts up to ``place``, and the next ones that it takes, where none of them ends.

    Raises:
        Misaligned: If no parts of known lengths can be split there.
    """
    length = 1
    for end, part in enumerate(axis.parts):
        known = size(part)
        if not known:
            break
        length *= known
        if end >= place and length % outer == 0:
            head, tail = _split_across(product(*axis.parts[: end + 1]), outer, reason)
            return head, product(tail, *axis.parts[end + 1 :])
    raise Misaligned


def _bind(factor: Factor, axis: Axis) -> None:
    if holds(axis, factor):
        raise Misaligned
    bind(factor, axis)
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
    else:
        _unify_products(one, other, reason)


def _unify_products(one: Axis, other: Axis, reason: Reason) -> None:
    """Tie what two axes of one known length have in common from outside and from inside, and pin what is between.

    Raises:
        Misaligned: If they have nothing in common, and cannot grow by copies side by side either.
    """
    ours, theirs = _listed(one), _listed(other)
    _match_spares(ours, theirs, reason)
    whole = len(ours), len(theirs)
    for end in (0, -1):
        while ours and theirs and _peel(ours, theirs, end, reason):
            pass
    if not ours and not theirs:
        return
    if (len(ours), len(theirs)) != whole:
        _part(Product(tuple(ours)), Product(tuple(theirs)), reason)
        return
    spares = [_spare_alone(each, reason) for each in (one, other)]
    _unify(resolve(spares[0]), resolve(spares[1]), reason)


def _listed(axis: Axis) -> list[Axis]:
    """Return the parts of a product, with the spare that all parts of a sum share at the end of it."""
    found = parts_of(axis)
    last = found[-1] if found else UNIT
    if isinstance(last, Sum):
        ends = [parts_of(part)[-1:] for part in last.parts]
        spares = {id(end[0]): end[0] for end in ends if end and isinstance(end[0], Factor) and end[0].size == 1}
        if len(spares) == 1 and all(end and id(end[0]) in spares for end in ends):
            bare = total(*(product(*parts_of(part)[:-1]) for part in last.parts))
            return [*found[:-1], bare, *spares.values()]
    return found


def _match_spares(ours: list[Axis], theirs: list[Axis], reason: Reason) -> None:
    """Tie the spares of two axes; if only one has one, the other gets one."""
    has = [size(parts[-1]) == 1 for parts in (ours, theirs)]
    if not any(has):
        return
    if not all(has):
        bare = theirs if has[0] else ours
        try:
            _spare(bare[-1])
        except Misaligned:
            pin((ours if has[0] else theirs).pop(), reason)
            return
        bare[-1:] = _listed(bare[-1])
    unify(ours.pop(), theirs.pop(), reason)


def _peel(ours: list[Axis], theirs: list[Axis], end: int, reason: Reason) -> bool:
    """Tie what the first (``end`` 0) or last (-1) parts of two products have in common, and remove it, if any."""
    lengths = size(ours[end]) or 1, size(theirs[end]) or 1
    common = math.gcd(*lengths)
    if common == 1:
        return _drop_pinned(ours, theirs, end)
    taken = []
    try:
        for parts, length in zip((ours, theirs), lengths, strict=True):
            if end:
                rest, part = split_product(parts[end], length // common, reason)
            else:
                part, rest = split_product(parts[end], common, reason)
            taken.append((part, [] if length == common else [rest]))
    except Misaligned:
        return _drop_pinned(ours, theirs, end)
    for parts, (_, left) in zip((ours, theirs), taken, strict=True):
        parts[end if end else 0 : len(parts) if end else 1] = left
    unify(taken[0][0], taken[1][0], reason)
    return True


def _drop_pinned(ours: list[Axis], theirs: list[Axis], end: int) -> bool:
    """Remove pinned parts of one length in all from one end of two products, if there are such."""
    counts, lengths = [0, 0], [1, 1]
    sides = ours[:: end or 1], theirs[:: end or 1]
    while True:
        side = 0 if lengths[0] <= lengths[1] else 1
        if counts[side] == len(sides[side]) or not is_pinned(sides[side][counts[side]]):
            return False
        lengths[side] *= size(sides[side][counts[side]]) or 1
        counts[side] += 1
        if lengths[0] == lengths[1]:
            break
    for parts, count in zip((ours, theirs), counts, strict=True):
        del parts[len(parts) - count if end else 0 : len(parts) if end else count]
    return True


def _unify_sums(one: Sum, other: Sum, reason: Reason) -> None:
    """Walk two sums of the same length by their common cuts; a pair that does not align pins only itself."""
    ours, theirs = list(reversed(one.parts)), list(reversed(other.parts))
    single = singled(one) or singled(other) or reason
    cuts = 2 * (len(ours) + len(theirs))  # an axis tied to itself at an offset would be cut into single places
    while ours and theirs:
        left, right = ours.pop(), theirs.pop()
        width, other_width = size(left) or 0, size(right) or 0
        cuts -= 1
        try:
            if width > other_width:
                left, rest = split_sum(left, other_width, single)
                ours.append(rest)
            elif other_width > width:
                right, rest = split_sum(right, width, single)
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
