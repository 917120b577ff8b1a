"""Operators on what may be missing: what is there, a tensor or a sequence, keeps its axes."""

from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.registry import rule


@rule("Optional OptionalGetElement")
def optional(site: Site) -> None:
    """Wrap a tensor or a sequence, or unwrap it; one that is missing has no axes."""
    if not site.has(0):
        raise Refusal("there is nothing in it")
    site.give(0, site.known(0))


@rule("OptionalHasElement")
def has_element(site: Site) -> None:
    """Say whether there is something."""
    if site.has(0):
        site.known(0)
    site.result([])
