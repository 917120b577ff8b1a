"""Products of matrices, and sums of products by an equation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.arithmetic import held
from onnx_n2n.exact.operators.casts import REDUCED
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided


@rule("MatMul")
def matmul(site: Site) -> Tensor:
    """Multiply matrices, as NumPy does."""
    return held(site, site.numbers(0) @ site.numbers(1))


@rule("Gemm")
def gemm(site: Site) -> Tensor:
    """Return ``alpha * A @ B + beta * C``, either transposed."""
    a, b, c = site.numbers(0), site.numbers(1), site.optional(2)
    a = a.transpose((1, 0)) if site.attribute("transA", 0) else a
    b = b.transpose((1, 0)) if site.attribute("transB", 0) else b
    product = a @ b * site.setting("alpha", 1.0)
    beta = site.setting("beta", 1.0)
    return held(site, product if c is None else product + c * beta)


@rule("Einsum")
def einsum(site: Site) -> Tensor:
    """Sum products by an equation."""
    operands = [site.numbers(slot) for slot in range(site.count)]
    return held(site, summed_products(site.attribute("equation"), operands), REDUCED)


def summed_products(equation: str, operands: Sequence[Numbers]) -> Numbers:
    """Return the sum of products that an equation describes, as matrix products of one operand after the other.

    Axes are named by letters; those under an ellipsis by numbers, from the last one.

    Raises:
        Undecided: If the equation does not fit the operands.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(operands):
        raise Undecided("the equation has another number of terms than the node has inputs")
    terms = [_named(text, each.ndim) for text, each in zip(texts, operands, strict=True)]
    listed = [axis for term in terms for axis in term]
    hidden = sorted({axis for axis in listed if axis.isdecimal()}, key=int, reverse=True)
    if arrow:
        before, dots, after = right.partition("...")
        output = [*before, *(hidden if dots else ()), *after]
    else:
        output = hidden + sorted(axis for axis in set(listed) if listed.count(axis) == 1 and not axis.isdecimal())
    lengths: dict[str, int] = {}
    for term, each in zip(terms, operands, strict=True):
        for axis, length in zip(term, each.shape, strict=True):
            lengths[axis] = length if lengths.get(axis, 1) == 1 else lengths[axis]
    if set(output) - set(listed) or len(set(output)) != len(output):
        raise Undecided("the equation's right side does not fit its left side")
    total, names = None, [""]
    for place, (term, each) in enumerate(zip(terms, operands, strict=True)):
        later = {*output, *(axis for other in terms[place + 1 :] for axis in other)}
        one, axes = _diagonal(each.broadcast_to([lengths[axis] for axis in term]), term)
        total, names = (one, axes) if total is None else _multiplied(total, names, one, axes, later)
        gone = [names.index(axis) for axis in names if axis not in later]
        total, names = total.sum(gone) if gone else total, [axis for axis in names if axis in later]
    assert total is not None
    return total.transpose([names.index(axis) for axis in output])


def _named(text: str, ndim: int) -> list[str]:
    """Return a name for each axis of an operand."""
    before, dots, after = text.partition("...")
    hidden = ndim - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise Undecided("the equation has another number of axes than an input")
    return [*before, *map(str, range(hidden - 1, -1, -1)), *after]


def _diagonal(x: Numbers, names: Sequence[str]) -> tuple[Numbers, list[str]]:
    """Return numbers with each axis once: those at equal places of axes with one name."""
    axes = list(names)
    for name in dict.fromkeys(names):
        while axes.count(name) > 1:
            first = axes.index(name)
            second = axes.index(name, first + 1)
            rest = [place for place in range(len(axes)) if place not in {first, second}]
            along = np.arange(x.shape[first])
            x = x.transpose([*rest, first, second])[..., along, along]
            axes = [*(axes[place] for place in rest), name]
    return x, axes


def _multiplied(
    x: Numbers, first: Sequence[str], y: Numbers, second: Sequence[str], later: set[str]
) -> tuple[Numbers, list[str]]:
    """Return the products of two operands, summed over the axes that both have and nothing later needs."""
    common = [axis for axis in first if axis in second]
    batch, inner = [a for a in common if a in later], [a for a in common if a not in later]
    rows, columns = [a for a in first if a not in common], [a for a in second if a not in common]

    def arranged(each: Numbers, names: Sequence[str], *groups: Sequence[str]) -> Numbers:
        lengths = dict(zip(names, each.shape, strict=True))
        moved = each.transpose([names.index(axis) for group in groups for axis in group])
        return moved.reshape([int(np.prod([lengths[axis] for axis in group], dtype=np.int64)) for group in groups])

    product = arranged(x, first, batch, rows, inner) @ arranged(y, second, batch, inner, columns)
    lengths = {**dict(zip(first, x.shape, strict=True)), **dict(zip(second, y.shape, strict=True))}
    names = [*batch, *rows, *columns]
    return product.reshape([lengths[axis] for axis in names]), names
