"""Activations that other operators name, in what ONNX Runtime fuses and in recurrent cells, for every framework."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FUSED = frozenset({"", "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid"})
RECURRENT = frozenset({"Affine", "Elu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"})
DEFAULTS: Mapping[str, tuple[float, ...]] = {
    "Affine": (0.0, 0.0),  # ONNX states none; these are ONNX Runtime's
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
}
"""The parameters alpha and beta of those that have some."""


def fused_refusal(attributes: Mapping[str, Any]) -> str:
    """Say which activation of a fused operator there is no way to do."""
    name = attributes.get("activation", "")
    return "" if name in FUSED else f"the fused activation {name} has no counterpart in the framework yet"


def recurrent_refusal(attributes: Mapping[str, Any]) -> str:
    """Say which activation of a recurrent cell there is no way to do."""
    lacking = [name for name in attributes.get("activations", ()) if name not in RECURRENT]
    return f"the activation {lacking[0]} has no counterpart in the framework yet" if lacking else ""


def parameters_of(activation: str, alpha: float | None, beta: float | None) -> list[float]:
    """Return the parameters of an activation: those that are given, or what they are without."""
    defaults = DEFAULTS.get(activation, ())
    return [default if given is None else given for default, given in zip(defaults, (alpha, beta), strict=False)]


def with_parameters(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> Iterator[tuple[str, list[float]]]:
    """Yield activations with their parameters: only those that have some take the next of the list."""
    left = iter(alphas), iter(betas)
    for name in names:
        count = len(DEFAULTS.get(name, ()))
        alpha, beta = (next(each, None) if k < count else None for k, each in enumerate(left))
        yield name, parameters_of(name, alpha, beta)
