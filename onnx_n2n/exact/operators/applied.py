"""Activations that an operator names: each is what ONNX's own operator of that name gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from onnx import helper

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import FLOAT, Tensor


def applied(site: Site, operator: str, x: Numbers, *others: Tensor, version: int, **attributes: Any) -> Numbers:
    """Return what one of ONNX's operators gives for numbers, by its own rule.

    Args:
        site: The node that it is a part of.
        operator: The operator.
        x: Its first input.
        others: Its further inputs.
        version: The version of ONNX's operators in which it is looked up.
        attributes: Its attributes.

    Raises:
        Undecided: If its rule does not know it.
    """
    scope = site.scope.inner()
    scope = replace(scope, versions={**scope.versions, "": version}, written=False)
    names = [f"given {place}" for place in range(1 + len(others))]
    scope.values.update(zip(names, (Tensor(FLOAT, None, x), *others), strict=True))
    node = helper.make_node(operator, names, [site.place], name=site.node.name, **attributes)
    (found,) = site.run.node(node, scope)
    assert isinstance(found, Tensor)
    return site.run.numbers(found)
