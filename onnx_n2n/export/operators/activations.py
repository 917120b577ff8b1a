"""Activations that other operators name: what ONNX Runtime fuses, and recurrent cells."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from onnx_n2n.export.operators import elementwise
from onnx_n2n.export.operators.arrays import Array, namespace

FUSED = frozenset({"", "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid"})
RECURRENT = frozenset({"Affine", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"})
DEFAULTS: Mapping[str, tuple[float, ...]] = {
    "Affine": (0.0, 0.0),  # ONNX states none; these are ONNX Runtime's
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
}
"""Defaults of alpha and beta, for the activations that have such parameters."""


def fused_refusal(attributes: Mapping[str, Any]) -> str:
    """Say why a fused operator cannot be exported: its activation; empty if it can."""
    name = attributes.get("activation", "")
    return "" if name in FUSED else f"the fused activation {name} has no counterpart in the framework yet"


def recurrent_refusal(attributes: Mapping[str, Any]) -> str:
    """Say why a recurrent cell cannot be exported: one of its activations; empty if it can."""
    lacking = [name for name in attributes.get("activations", ()) if name not in RECURRENT]
    return f"the activation {lacking[0]} has no counterpart in the framework yet" if lacking else ""


def activated(x: Array, name: str, numbers: Sequence[float | None] = ()) -> Array:
    """Apply an activation, with its parameters in ONNX's order."""
    if not name:
        return x
    if name == "Clip":
        return elementwise.clip(x, *numbers)
    function = elementwise.TABLE[name]
    if isinstance(function, str):
        return getattr(namespace(x), function)(x)
    alpha_and_beta = zip(("alpha", "beta")[: len(DEFAULTS.get(name, ()))], numbers, strict=False)
    return function(x, **dict(alpha_and_beta))


def parameters_of(activation: str, alpha: float | None, beta: float | None) -> list[float]:
    """Return the parameters of an activation, with defaults for those that are not given."""
    defaults = DEFAULTS.get(activation, ())
    return [default if given is None else given for default, given in zip(defaults, (alpha, beta), strict=False)]


def functions_of(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> Iterator[Callable[[Array], Array]]:
    """Yield activations as functions; only one that has parameters takes the next entries of the lists."""
    left = iter(alphas), iter(betas)
    for name in names:
        count = len(DEFAULTS.get(name, ()))
        alpha, beta = (next(each, None) if k < count else None for k, each in enumerate(left))
        yield functools.partial(activated, name=name, numbers=parameters_of(name, alpha, beta))
