"""What an operator is besides its axes: the properties of activations that depth is decided by."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnx_n2n.graph.operators import plain

Trait = Callable[[ir.Node], bool]


def _always(_node: ir.Node) -> bool:
    return True


def _keeps_what_it_lets_through(node: ir.Node) -> bool:
    """Say whether a ThresholdedRelu gives its own zeros back as zeros."""
    found = node.attributes.get("alpha")
    return found is None or (not found.is_ref() and found.value >= 0)


# Activations with f(f(x)) = f(x), exactly and for every x: to apply one again changes nothing.
IDEMPOTENT: dict[tuple[str, str], Trait] = {
    ("", "Relu"): _always,
    ("", "Clip"): _always,  # also with bounds that cross: the upper one wins, twice
    ("", "Abs"): _always,
    ("", "Sign"): _always,
    ("", "ThresholdedRelu"): _keeps_what_it_lets_through,
}

# All other activations: elementwise, and not linear.
OTHERS = frozenset(
    {
        ("", name)
        for name in (
            "Celu", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Selu", "Sigmoid",
            "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu",
        )
    }
    | {("com.microsoft", name) for name in ("BiasGelu", "FastGelu", "Gelu", "QuickGelu")}
)  # fmt: skip


def idempotent(node: ir.Node) -> bool:
    """Say whether a node applies an activation that may be applied again without changing anything."""
    trait = IDEMPOTENT.get((plain(node.domain), node.op_type))
    return trait is not None and trait(node)


def activation(node: ir.Node) -> bool:
    """Say whether a node applies an activation."""
    return idempotent(node) or (plain(node.domain), node.op_type) in OTHERS
