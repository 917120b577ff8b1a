"""Laws of shape arithmetic: what it says of lengths holds however the factors that it leaves free grow."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.graphs import STABLE
from onnx_n2n.axes.algebra import Axis, Factor, Limit, Reason, axis_of, leaves, product, total
from onnx_n2n.axes.symbolic import (
    ShapeDim,
    ShapeValue,
    add,
    always_equal,
    divide,
    length_of,
    multiply,
    remainder,
    subtract,
)
from onnx_n2n.width.growth import Growth, copies

WHY = Reason("because", "node")
ARITHMETIC: dict[str, tuple[Callable[[ShapeDim, ShapeDim, Reason], ShapeDim], Callable[[int, int], float]]] = {
    "product": (multiply, operator.mul),
    "quotient": (divide, operator.truediv),
    "sum": (add, operator.add),
    "difference": (subtract, operator.sub),
    "remainder": (remainder, operator.mod),
}


@st.composite
def over(draw: st.DrawFn, factors: Sequence[Axis], depth: int = 2) -> Axis:
    """Draw an expression over factors that other expressions have as well."""
    kind = draw(st.sampled_from(["factor", "product", "sum"] if depth else ["factor"]))
    if kind == "factor":
        return draw(st.sampled_from(factors))
    parts = draw(st.lists(over(factors, depth - 1), min_size=2, max_size=3))
    return product(*parts) if kind == "product" else total(*parts)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ShapeDim, ShapeDim]:
    """Draw two elements, of which one at most is a written number."""
    factors = [axis_of(draw(st.sampled_from([2, 3, 4]))) for _ in range(3)]
    elements = [length_of(draw(over(factors))) for _ in range(2)]
    if draw(st.booleans()):
        elements[draw(st.sampled_from([0, 1]))] = ShapeDim(draw(st.integers(0, 12)))
    return elements[0], elements[1]


def grown(elements: Sequence[ShapeDim]) -> Growth:
    factors: set[Factor] = {leaf for each in elements if each.axis is not None for leaf in leaves(each.axis)}
    free = sorted((each for each in factors if Limit.PINNED not in each.limits), key=lambda factor: factor.serial)
    return Growth({f: copies(f.size or 0, (f.size or 0) + 1 + place, None) for place, f in enumerate(free)}, (), ())


def length(element: ShapeDim, growth: Growth) -> float | None:
    return element.value if element.axis is None else growth.length(element.axis)


@STABLE
@pytest.mark.parametrize("name", ARITHMETIC)
@given(pair=pairs())
def test_arithmetic_on_lengths_holds_in_any_growth(name: str, pair: tuple[ShapeDim, ShapeDim]) -> None:
    symbolic, numeric = ARITHMETIC[name]
    found = symbolic(*pair, WHY)
    growth = grown([*pair, found])
    one, other = (length(each, growth) for each in pair)
    said = length(found, growth)
    if said is not None:
        assert said == numeric(int(one or 0), int(other or 0))
    if found.value is not None:
        assert found.value == numeric(int(pair[0].value or 0), int(pair[1].value or 0))
    elif found.axis is None and pair[1].value:
        assert numeric(int(pair[0].value or 0), int(pair[1].value)) % 1  # only a fraction is not known


@STABLE
@given(pair=pairs())
def test_axes_that_are_always_equal_are_so_in_any_growth(pair: tuple[ShapeDim, ShapeDim]) -> None:
    one, other = pair
    if one.axis is not None and other.axis is not None and always_equal(one.axis, other.axis):
        growth = grown(pair)
        assert growth.length(one.axis) == growth.length(other.axis)


def test_a_difference_is_what_is_left_of_an_axis() -> None:
    a, b, three = axis_of(4), axis_of(5), ShapeDim(3)
    joined, last = length_of(total(a, b)), length_of(b)
    assert always_equal(subtract(joined, last, WHY).axis or b, a)
    assert subtract(last, last, WHY) == ShapeDim(0)
    part = divide(whole := length_of(axis_of(12)), three, WHY)
    left = subtract(whole, part, WHY)
    growth = grown([whole, part, left])
    assert left.value == 8
    assert 0 < (length(left, growth) or 0) - 8 == 2 * ((length(part, growth) or 0) - 4)


def test_a_sum_in_a_product_is_no_factor_of_it() -> None:
    a, b, c = (axis_of(2) for _ in range(3))
    one, other = product(total(a, b), c), product(total(a, c), b)
    assert always_equal(one, product(c, total(a, b)))
    assert not always_equal(one, other)
    assert divide(length_of(one), length_of(c), WHY).axis is not None
    assert divide(length_of(one), length_of(a), WHY) == ShapeDim(4)


@pytest.mark.parametrize("shape", [(), (0,), (6,), (2, 3), (6, 1), (0, 3)])
def test_elements_move_as_in_an_array(shape: tuple[int, ...]) -> None:
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    value = ShapeValue.of(map(ShapeDim, numbers.ravel().tolist()), shape)
    np.testing.assert_array_equal(value.places, numbers)
    assert value.moved(value.places.T) == ShapeValue.of(map(ShapeDim, numbers.T.ravel().tolist()), numbers.T.shape)
