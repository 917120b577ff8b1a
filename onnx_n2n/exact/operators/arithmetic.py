"""Sums, products and functions of the numbers at one place."""

from __future__ import annotations

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor

# Functions without attributes.
PLAIN = """
    Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor Log Round Sign Sin Sinh Tan Tanh
""".split()  # noqa: SIM905


@rule(*PLAIN)
def plain(site: Site) -> Tensor:
    """Apply a function without parameters."""
    return site.result(site.world.apply(site.operator, (), site.numbers(0)))


@rule("Add", "Sub", "Mul")
def sums_and_products(site: Site) -> Tensor:
    """Add, subtract, multiply."""
    x, y = site.numbers(0), site.numbers(1)
    return site.result({"Add": x.__add__, "Sub": x.__sub__, "Mul": x.__mul__}[site.operator](y))


@rule("Neg")
def negative(site: Site) -> Tensor:
    """Change the sign."""
    return site.result(-site.numbers(0))


@rule("Relu")
def relu(site: Site) -> Tensor:
    """Return the larger of a number and 0."""
    return site.result(positive(site, site.numbers(0)))


def positive(site: Site, x: Numbers) -> Numbers:
    """Return the larger of numbers and 0."""
    larger: Numbers = site.world.extreme_of("Max", x, site.world.enter(0))
    return larger


@rule("Max", "Min", since=8)
def extremes(site: Site) -> Tensor:
    """Return the largest or smallest of the numbers at each place."""
    parts = [site.numbers(slot) for slot in range(site.count)]
    return site.result(parts[0] if len(parts) == 1 else site.world.extreme_of(site.operator, *parts))
