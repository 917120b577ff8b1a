"""Losses: classes are pinned, because targets say them by number."""

from onnx_n2n.rules.context import Context
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.registry import rule

CLASSES = "targets say these classes by number"
MEAN = "it takes a mean or a sum over all targets"

NEGATIVE_LOG_LIKELIHOOD = {
    True: Declaration.parse("n _ *s, n *s, _? -> n *s", partial=True, why=CLASSES),
    False: Declaration.parse("n _ *s, n *s, _? ->", pinned="n s", why=MEAN),
}
CROSS_ENTROPY = {
    True: Declaration.parse("n c *s, n *s, c? -> n *s, n c *s", pinned="c", partial=True, why=CLASSES),
    False: Declaration.parse("n c *s, n *s, c? -> , n c *s", pinned="n c s", why=MEAN),
}


@rule("NegativeLogLikelihoodLoss")
def negative_log_likelihood(context: Context) -> None:
    """``n c *s, n *s, c? -> n *s``, where ``c`` is pinned; all is pinned with a reduction."""
    NEGATIVE_LOG_LIKELIHOOD[context.attribute("reduction", "mean") == "none"](context)


@rule("SoftmaxCrossEntropyLoss")
def cross_entropy(context: Context) -> None:
    """``n c *s, n *s, c? -> n *s, n c *s``, where ``c`` is pinned; all is pinned with a reduction."""
    CROSS_ENTROPY[context.attribute("reduction", "mean") == "none"](context)
