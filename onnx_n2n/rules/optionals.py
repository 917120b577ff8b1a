"""Operators on what may be missing: what is there, a tensor or a sequence, keeps its axes."""

from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.registry import rule


@rule("Optional OptionalGetElement")
def optional(context: Context) -> None:
    """Wrap a tensor or a sequence, or unwrap it; one that is missing has no axes."""
    if not context.has(0):
        raise Refusal("there is nothing in it")
    context.give(0, context.known(0))


@rule("OptionalHasElement")
def has_element(context: Context) -> None:
    """Say whether there is something."""
    if context.has(0):
        context.known(0)
    context.result([])
