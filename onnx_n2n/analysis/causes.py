"""Where what is unknown was lost, and who made an axis what it is: found by going back from where it is missed."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnx_n2n import rules
from onnx_n2n.axes.algebra import Axis, Reason, same
from onnx_n2n.graph.names import reported
from onnx_n2n.rules.facts import Facts

UNFOLLOWED = "growth cannot follow what it computes of a length"


def maker(known: Mapping[ir.Value, tuple[Axis, ...]], node: ir.Node, axis: Axis) -> ir.Node | None:
    """Return the first node that gives a tensor with an axis that an input of ``node`` has; None if no node does."""
    found: ir.Node | None = None
    last: ir.Node | None = node
    while last is not None:
        values = (value for value in last.inputs if value is not None)
        value = next((value for value in values if any(same(axis, each) for each in known.get(value, ()))), None)
        last = value.producer() if value is not None else None
        found = last or found
    return found


def obscured(facts: Facts, value: ir.Value) -> Reason | None:
    """Return why it is unknown what a small tensor says: who computes it first of something that is known."""
    while (node := value.producer()) is not None:
        unread = [given for given in node.inputs if given is not None and facts.content(given) is None]
        shapeless = next((reason for given in unread if (reason := facts.lost(given)) is not None), None)
        if shapeless is not None:
            return shapeless
        followed = rules.shape_rule_for(node.domain, node.op_type) is not None
        small = (slot for slot, given in enumerate(node.inputs) if given in unread and _small(facts, node, slot))
        slot = next(small, None) if followed else None
        if slot is None:
            return Reason(f"{node.op_type}: {UNFOLLOWED}", reported(node))
        value = node.inputs[slot]  # type: ignore[assignment]
    return None


def _small(facts: Facts, node: ir.Node, slot: int) -> bool:
    """Say whether an input has rank 0 or 1, as what says lengths has."""
    axes = facts.axes(node, slot)
    return axes is not None and len(axes) < 2
