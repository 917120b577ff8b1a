"""Operators that throw dice: what they make is pinned, because no two throws are equal."""

from onnx_n2n.rules.context import Site
from onnx_n2n.rules.registry import declare, rule

DICE = "it holds random numbers"

declare("RandomNormalLike RandomUniformLike Bernoulli", "*p -> *p", pinned="p", why=DICE)
declare("Multinomial", "n _ -> n _", pinned="n", why=DICE)


@rule("RandomNormal RandomUniform")
def random(site: Site) -> None:
    """The shape is an attribute."""
    site.result([site.pinned(length, DICE) for length in site.attribute("shape")])
