"""Operators that pick or set places by indices: what is indexed is pinned, and what is carried along is free.

Indices may be computed, and then grow like any tensor, but by copies only: others might point outside.
"""

from onnx_n2n.axes.algebra import Axis, same, size
from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.registry import rule
from onnx_n2n.rules.scanning import VALID

INDEXED = "indices point to places of this axis"
BESIDE = "indices cover only a part of this axis"


def _beside(site: Site, one: Axis, other: Axis) -> None:
    """Tie two axes that are gone through together. The indices may stop earlier, and then neither grows."""
    if same(one, other):
        return
    if size(one) is not None and size(one) == size(other):
        site.tie(one, other)
        return
    for axis in (one, other):
        site.pin(axis, BESIDE)


def _depth(site: Site) -> int:
    """Return how many axes one index goes through: the length of the last axis of the indices."""
    depth = size(site.axes(1)[-1])
    if depth is None:
        raise Refusal("how many axes it indexes is known only at run time")
    return depth


@rule("GatherElements")
def gather_elements(site: Site) -> None:
    """Every index picks from its own line along ``axis``; the result has the axes of the indices."""
    axes, indices = site.axes(0), site.axes(1)
    indexed = site.position(0, site.attribute("axis", 0))
    for place, (one, other) in enumerate(zip(axes, indices, strict=True)):
        if place == indexed:
            site.pin(one, INDEXED)
        else:
            _beside(site, one, other)
        site.copies(other, VALID)
    site.result(indices)


@rule("ScatterElements Scatter")
def scatter_elements(site: Site) -> None:
    """Every index sets a place on its own line along ``axis``; updates have the axes of the indices."""
    axes, indices, updates = (site.axes(slot) for slot in range(3))
    indexed = site.position(0, site.attribute("axis", 0))
    for place, (one, other, update) in enumerate(zip(axes, indices, updates, strict=True)):
        if place == indexed:  # a copied index would add its update twice
            for axis in (one, other):
                site.pin(axis, INDEXED)
        else:
            _beside(site, one, other)
        site.tie(other, update)
        site.copies(other, VALID)
    site.result(axes)


@rule("GatherND")
def gather_nd(site: Site) -> None:
    """``*b *indexed *rest, *b *m k -> *b *m *rest``, where ``k`` is the number of indexed axes."""
    axes, indices = site.axes(0), site.axes(1)
    batch = site.attribute("batch_dims", 0)
    rest = batch + _depth(site)
    if rest > len(axes):
        raise Refusal("it indexes more axes than there are")
    for one, other in zip(axes[:batch], indices[:batch], strict=True):
        _beside(site, one, other)
    for axis in (*axes[batch:rest], indices[-1]):
        site.pin(axis, INDEXED)
    for axis in indices:
        site.copies(axis, VALID)
    site.result([*indices[:-1], *axes[rest:]])


@rule("ScatterND")
def scatter_nd(site: Site) -> None:
    """``*indexed *rest, *m k, *m *rest -> *indexed *rest``, where ``k`` is the number of indexed axes."""
    axes, indices, updates = (site.axes(slot) for slot in range(3))
    depth = _depth(site)
    if depth > len(axes):
        raise Refusal("it indexes more axes than there are")
    for axis in (*axes[:depth], *indices):
        site.pin(axis, INDEXED)
    for one, other in zip((*indices[:-1], *axes[depth:]), updates, strict=True):
        site.tie(one, other)
    site.result(axes)


@rule("TensorScatter")
def tensor_scatter(site: Site) -> None:
    """``*b s *rest, *b n *rest, b -> *b s *rest``, where ``s``, at ``axis``, is a cache that is filled in order."""
    axes, updates = site.axes(0), site.axes(1)
    indexed = site.position(0, site.attribute("axis", -2))
    for place, (one, update) in enumerate(zip(axes, updates, strict=True)):
        if place != indexed:
            site.tie(one, update)
    for axis in (axes[indexed], updates[indexed]):
        site.pin(axis, INDEXED)
    if site.has(2):
        (batch,) = site.axes(2)
        site.tie(axes[0], batch)
        site.copies(batch, VALID)
    site.result(axes)


@rule("OneHot")
def one_hot(site: Site) -> None:
    """``*p, depth, 2 -> *p`` with one more axis at ``axis``; an index that is out of range is no error."""
    axes = list(site.axes(0))
    for axis in site.axes(2):
        site.pin(axis, "it holds the numbers for off and on")
    place, rank = site.attribute("axis", -1), len(axes) + 1
    if not -rank <= place < rank:
        raise Refusal(f"axis {place} does not exist in a tensor of rank {rank}")
    known = site.inferred()
    length = known[place] if known is not None else None
    axes.insert(place % rank, site.pinned(length, "it has one place for every value of an index"))
    site.result(axes)
