"""Operators that throw dice: what they make is pinned, because no two throws are equal."""

from onnx_n2n.rules.context import Context
from onnx_n2n.rules.registry import declare, rule

DICE = "it holds random numbers"

declare("RandomNormalLike RandomUniformLike Bernoulli", "*p -> *p", pinned="p", why=DICE)
declare("Multinomial", "n _ -> n _", pinned="n", why=DICE)


@rule("RandomNormal RandomUniform")
def random(context: Context) -> None:
    """The shape is an attribute."""
    context.result([context.pinned_axis(length, DICE) for length in context.attribute("shape")])
