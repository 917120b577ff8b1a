"""Operators that work entry by entry."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - everybody's name for it

from onnx_n2n.export.torch.dtypes import TYPES

Tensor = torch.Tensor


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Divide; whole numbers are rounded towards zero."""
    if a.is_floating_point() or b.is_floating_point():
        return torch.div(a, b)
    return torch.div(a, b, rounding_mode="trunc")


def power(a: Tensor, b: Tensor) -> Tensor:
    """Raise to a power, in the type of the base."""
    return torch.pow(a, b).to(a.dtype)


def remainder(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """Return the remainder, with the sign of the divisor or of the dividend."""
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def add_all(*values: Tensor) -> Tensor:
    """Add."""
    return functools.reduce(torch.add, values)


def average(*values: Tensor) -> Tensor:
    """Return the mean."""
    return add_all(*values) / len(values)


def maximum(*values: Tensor) -> Tensor:
    """Return the largest."""
    return functools.reduce(torch.maximum, values)


def minimum(*values: Tensor) -> Tensor:
    """Return the smallest."""
    return functools.reduce(torch.minimum, values)


def identity(x: Any) -> Any:
    """Return it as it is."""
    return x


def cast(x: Tensor, *, to: int, saturate: int = 1) -> Tensor:
    """Change the type."""
    return x.to(TYPES[to])


def cast_like(x: Tensor, like_this: Tensor, *, saturate: int = 1) -> Tensor:
    """Change the type to that of another tensor."""
    return x.to(like_this.dtype)


def clip(x: Tensor, min: Any = None, max: Any = None) -> Tensor:  # noqa: A002 - ONNX's names
    """Limit."""
    if min is not None:
        x = torch.maximum(x, min.to(x.dtype)) if isinstance(min, Tensor) else torch.clamp(x, min=min)
    if max is not None:
        x = torch.minimum(x, max.to(x.dtype)) if isinstance(max, Tensor) else torch.clamp(x, max=max)
    return x


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """Apply GELU."""
    return F.gelu(x, approximate=approximate)


def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """Apply the leaky ReLU."""
    return F.leaky_relu(x, alpha)


def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Apply ELU."""
    return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))


def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Apply CELU."""
    return F.celu(x, alpha)


def selu(x: Tensor, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Tensor:
    """Apply SELU."""
    return gamma * elu(x, alpha=alpha)


def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """Apply the hard sigmoid."""
    return torch.clamp(x * alpha + beta, 0, 1)


def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Apply ReLU with a threshold."""
    return torch.where(x > alpha, x, torch.zeros_like(x))


def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    """Shrink towards zero."""
    zero = torch.zeros_like(x)
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, zero))


def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Apply swish."""
    return x * torch.sigmoid(alpha * x)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Apply ReLU with a slope per channel."""
    return torch.where(x < 0, x * slope, x)


def prelu_by_channel(x: Tensor, slope: Tensor) -> Tensor:
    """Do the same where the slope is one number per channel, whatever its shape."""
    if slope.dim() == 1 and slope.shape[0] > 1 and x.dim() > 1:
        slope = slope.reshape([-1] + [1] * (x.dim() - 2))
    return prelu(x, slope)


def is_infinite(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    """Say which entries are infinite."""
    found = torch.zeros_like(x, dtype=torch.bool)
    if detect_negative:
        found = found | torch.isneginf(x)
    if detect_positive:
        found = found | torch.isposinf(x)
    return found


def shift(a: Tensor, b: Tensor, *, direction: str) -> Tensor:
    """Shift bits."""
    return a << b if direction == "LEFT" else a >> b


def softsign(x: Tensor) -> Tensor:
    """Apply softsign."""
    return x / (1 + x.abs())


def fast_gelu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply GELU in its approximation by tanh, behind a bias."""
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    """Apply GELU behind a bias."""
    return F.gelu(x + bias)


def quick_gelu(x: Tensor, *, alpha: float = 1.702) -> Tensor:
    """Apply GELU in its approximation by a sigmoid."""
    return x * torch.sigmoid(alpha * x)


def scale_image(x: Tensor, *, bias: list[float], scale: float = 1.0) -> Tensor:
    """Scale an image and shift its channels."""
    return x * scale + torch.tensor(bias, dtype=x.dtype, device=x.device).reshape(1, -1, 1, 1)


def affine(x: Tensor, *, alpha: float = 1.0, beta: float = 0.0) -> Tensor:
    """Scale and shift."""
    return alpha * x + beta


def scaled_tanh(x: Tensor, *, alpha: float = 1.0, beta: float = 1.0) -> Tensor:
    """Apply tanh, scaled inside and outside."""
    return alpha * torch.tanh(beta * x)


def scale(x: Tensor, *, scale: float = 1.0) -> Tensor:
    """Scale."""
    return x * scale


def rounded(x: Tensor) -> Tensor:
    """Round to the nearest whole number, halves to even."""
    return torch.round(x)


TABLE: dict[str, Any] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Add": torch.add,
    "Affine": affine,
    "And": torch.logical_and,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitShift": shift,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseNot": torch.bitwise_not,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Cast": cast,
    "CastLike": cast_like,
    "Ceil": torch.ceil,
    "Celu": celu,
    "Clip": clip,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Div": divide,
    "Elu": elu,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Gelu": gelu,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": F.hardswish,
    "Identity": identity,
    "ImageScaler": scale_image,
    "IsInf": is_infinite,
    "IsNaN": torch.isnan,
    "LeakyRelu": leaky_relu,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "Max": maximum,
    "Mean": average,
    "Min": minimum,
    "Mish": F.mish,
    "Mod": remainder,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "PRelu": {1: prelu_by_channel, 7: prelu},
    "Pow": power,
    "Reciprocal": torch.reciprocal,
    "Relu": torch.relu,
    "Round": rounded,
    "Scale": scale,
    "ScaledTanh": scaled_tanh,
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Softplus": F.softplus,
    "Softsign": softsign,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Sum": add_all,
    "Swish": swish,
    "Tan": torch.tan,
    "Tanh": torch.tanh,
    "ThresholdedRelu": thresholded_relu,
    "Where": torch.where,
    "Xor": torch.logical_xor,
    "com.microsoft.BiasGelu": bias_gelu,
    "com.microsoft.FastGelu": fast_gelu,
    "com.microsoft.Gelu": gelu,
    "com.microsoft.QuickGelu": quick_gelu,
}
