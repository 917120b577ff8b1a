"""Operators that pick or set places by indices: what is indexed is pinned, and what is carried along is free.

Indices may be computed, and then grow like any tensor, but by copies only: others might point outside.
"""

from onnx_n2n.axes.algebra import Axis, blame, same, size
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.registry import rule
from onnx_n2n.rules.scanning import VALID

INDEXED = "indices point to places of this axis"
BESIDE = "indices cover only a part of this axis"


def _beside(context: Context, one: Axis, other: Axis) -> None:
    """Tie two axes that are gone through together. The indices may stop earlier, and then neither grows."""
    if same(one, other):
        return
    if size(one) is not None and size(one) == size(other):
        context.tie(one, other)
        return
    for axis in (one, other):
        context.pin(axis, BESIDE)


def _depth(context: Context) -> int:
    """Return how many axes one index goes through: the length of the last axis of the indices."""
    depth = size(context.axes(1)[-1])
    if depth is None:
        raise Refusal("how many axes it indexes is known only at run time", blame(context.axes(1)[-1]))
    return depth


@rule("GatherElements")
def gather_elements(context: Context) -> None:
    """Every index picks from its own line along ``axis``; the result has the axes of the indices."""
    axes = context.axes(0)
    indices = context.axes(1, len(axes))
    indexed = context.position(0, context.attribute("axis", 0))
    for place, (one, other) in enumerate(zip(axes, indices, strict=True)):
        if place == indexed:
            context.pin(one, INDEXED)
        else:
            _beside(context, one, other)
        context.require_copies(other, VALID)
    context.result(indices)


@rule("ScatterElements Scatter")
def scatter_elements(context: Context) -> None:
    """Every index sets a place on its own line along ``axis``; updates have the axes of the indices."""
    axes = context.axes(0)
    indices, updates = (context.axes(slot, len(axes)) for slot in (1, 2))
    indexed = context.position(0, context.attribute("axis", 0))
    for place, (one, other, update) in enumerate(zip(axes, indices, updates, strict=True)):
        if place == indexed:  # a copied index would add its update twice
            for axis in (one, other):
                context.pin(axis, INDEXED)
        else:
            _beside(context, one, other)
        context.tie(other, update)
        context.require_copies(other, VALID)
    context.result(axes)


@rule("GatherND")
def gather_nd(context: Context) -> None:
    """``*b *indexed *rest, *b *m k -> *b *m *rest``, where ``k`` is the number of indexed axes."""
    axes, indices = context.axes(0), context.axes(1)
    batch = context.attribute("batch_dims", 0)
    rest = batch + _depth(context)
    if rest > len(axes):
        raise Refusal("it indexes more axes than there are")
    for one, other in zip(axes[:batch], indices[:batch], strict=True):
        _beside(context, one, other)
    for axis in (*axes[batch:rest], indices[-1]):
        context.pin(axis, INDEXED)
    for axis in indices:
        context.require_copies(axis, VALID)
    context.result([*indices[:-1], *axes[rest:]])


@rule("ScatterND")
def scatter_nd(context: Context) -> None:
    """``*indexed *rest, *m k, *m *rest -> *indexed *rest``, where ``k`` is the number of indexed axes."""
    axes, indices = context.axes(0), context.axes(1)
    depth = _depth(context)
    if depth > len(axes):
        raise Refusal("it indexes more axes than there are")
    updates = context.axes(2, len(indices) - 1 + len(axes) - depth)
    for axis in (*axes[:depth], *indices):
        context.pin(axis, INDEXED)
    for one, other in zip((*indices[:-1], *axes[depth:]), updates, strict=True):
        context.tie(one, other)
    context.result(axes)


@rule("TensorScatter")
def tensor_scatter(context: Context) -> None:
    """``*b s *rest, *b n *rest, b -> *b s *rest``, where ``s``, at ``axis``, is a cache that is filled in order."""
    axes = context.axes(0)
    updates = context.axes(1, len(axes))
    indexed = context.position(0, context.attribute("axis", -2))
    for place, (one, update) in enumerate(zip(axes, updates, strict=True)):
        if place != indexed:
            context.tie(one, update)
    for axis in (axes[indexed], updates[indexed]):
        context.pin(axis, INDEXED)
    if context.has(2):
        (batch,) = context.axes(2, 1)
        context.tie(axes[0], batch)
        context.require_copies(batch, VALID)
    context.result(axes)


@rule("OneHot")
def one_hot(context: Context) -> None:
    """``*p, depth, 2 -> *p`` with one more axis at ``axis``; an index that is out of range is no error."""
    axes = list(context.axes(0))
    for axis in context.axes(2):
        context.pin(axis, "it holds the numbers for off and on")
    place, rank = context.attribute("axis", -1), len(axes) + 1
    if not -rank <= place < rank:
        raise Refusal(f"axis {place} does not exist in a tensor of rank {rank}")
    known = context.inferred()
    length = known[place] if known is not None else None
    axes.insert(place % rank, context.pinned_axis(length, "it has one place for every value of an index"))
    context.result(axes)
