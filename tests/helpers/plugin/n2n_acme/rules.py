"""Rules of the operators of the domain ``acme``; to import this module registers them."""

from onnx_n2n.rules import Context, Keeps, Refusal, declare, ranged, rule

declare("Gate", "n c *s, c -> n c *s", domain="acme")


@rule("Mix", domain="acme")
def mix(context: Context) -> None:
    """``n c *s -> n c *s``; with ``alpha`` above 0 it adds the channels before and behind."""
    if context.attribute("alpha", 0.0) > 0:
        raise Refusal("it adds neighbouring channels")
    context.result(context.axes(0))


ranged("Mix", Keeps(2.0), domain="acme")
