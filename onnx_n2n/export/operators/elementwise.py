"""Operators that work entry by entry."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

from onnx_n2n.export.operators.arrays import Array, namespace


def divide(a: Array, b: Array) -> Array:
    """Divide; whole numbers are rounded towards zero."""
    xp = namespace(a)
    return xp.divide(a, b) if xp.is_real(a) or xp.is_real(b) else xp.divide_whole(a, b)


def power(a: Array, b: Array) -> Array:
    """Raise to a power, in the type of the base."""
    xp = namespace(a)
    return xp.astype(xp.pow(a, b), a.dtype)


def remainder(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """Return the remainder, with the sign of the divisor or of the dividend."""
    xp = namespace(a)
    return xp.fmod(a, b) if fmod else xp.remainder(a, b)


def add_all(*values: Array) -> Array:
    """Add."""
    return functools.reduce(operator.add, values)


def average(*values: Array) -> Array:
    """Return the mean."""
    return add_all(*values) / len(values)


def maximum(*values: Array) -> Array:
    """Return the largest."""
    return functools.reduce(namespace(values[0]).maximum, values)


def minimum(*values: Array) -> Array:
    """Return the smallest."""
    return functools.reduce(namespace(values[0]).minimum, values)


def identity(x: Any) -> Any:
    """Return it as it is."""
    return x


def cast(x: Array, *, to: int, saturate: int = 1) -> Array:
    """Change the type."""
    xp = namespace(x)
    return xp.astype(x, xp.kind_of(to))


def cast_like(x: Array, like_this: Array, *, saturate: int = 1) -> Array:
    """Change the type to that of another array."""
    return namespace(x).astype(x, like_this.dtype)


def clip(x: Array, min: Any = None, max: Any = None) -> Array:  # noqa: A002 - ONNX's names
    """Limit."""
    return namespace(x).clip(x, min, max)


def gelu(x: Array, *, approximate: str = "none") -> Array:
    """Apply GELU."""
    return namespace(x).gelu(x, approximate=approximate == "tanh")


def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    """Apply the leaky ReLU."""
    return namespace(x).leaky_relu(x, alpha)


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply ELU."""
    return namespace(x).elu(x, alpha)


def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply CELU."""
    return namespace(x).celu(x, alpha)


def selu(x: Array, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Array:
    """Apply SELU."""
    return gamma * elu(x, alpha=alpha)


def softsign(x: Array) -> Array:
    """Apply softsign."""
    return x / (1 + abs(x))


def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """Apply the hard sigmoid."""
    return clip(x * alpha + beta, 0, 1)


def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply ReLU with a threshold."""
    xp = namespace(x)
    return xp.where(x > alpha, x, xp.zeros_like(x))


def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """Shrink towards zero."""
    xp = namespace(x)
    return xp.where(x < -lambd, x + bias, xp.where(x > lambd, x - bias, xp.zeros_like(x)))


def swish(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply swish."""
    return x * namespace(x).sigmoid(alpha * x)


def prelu(x: Array, slope: Array) -> Array:
    """Apply ReLU with a slope per channel."""
    return namespace(x).where(x < 0, x * slope, x)


def prelu_by_channel(x: Array, slope: Array) -> Array:
    """Do the same where the slope is one number per channel, whatever its shape."""
    if slope.ndim == 1 and slope.shape[0] > 1 and x.ndim > 1:
        slope = slope.reshape([-1] + [1] * (x.ndim - 2))
    return prelu(x, slope)


def is_infinite(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Say which entries are infinite."""
    xp = namespace(x)
    return xp.isneginf(x) & bool(detect_negative) | xp.isposinf(x) & bool(detect_positive)


def shift(a: Array, b: Array, *, direction: str) -> Array:
    """Shift bits."""
    return a << b if direction == "LEFT" else a >> b


def fast_gelu(x: Array, bias: Array | None = None) -> Array:
    """Apply GELU in its approximation by tanh, behind a bias."""
    return namespace(x).gelu(x if bias is None else x + bias, approximate=True)


def bias_gelu(x: Array, bias: Array) -> Array:
    """Apply GELU behind a bias."""
    return namespace(x).gelu(x + bias, approximate=False)


def quick_gelu(x: Array, *, alpha: float = 1.702) -> Array:
    """Apply GELU in its approximation by a sigmoid."""
    return swish(x, alpha=alpha)


def scale_image(x: Array, *, bias: Sequence[float], scale: float = 1.0) -> Array:
    """Scale an image and shift its channels."""
    return x * scale + namespace(x).asarray(bias, x).reshape(1, -1, 1, 1)


def affine(x: Array, *, alpha: float = 1.0, beta: float = 0.0) -> Array:
    """Scale and shift."""
    return alpha * x + beta


def scaled_tanh(x: Array, *, alpha: float = 1.0, beta: float = 1.0) -> Array:
    """Apply tanh, scaled inside and outside."""
    return alpha * namespace(x).tanh(beta * x)


def scale(x: Array, *, scale: float = 1.0) -> Array:
    """Scale."""
    return x * scale


TABLE: dict[str, Any] = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Add": "add", "Affine": affine, "And": "logical_and",
    "Asin": "asin", "Asinh": "asinh", "Atan": "atan", "Atanh": "atanh", "BitShift": shift,
    "BitwiseAnd": "bitwise_and", "BitwiseNot": "bitwise_invert", "BitwiseOr": "bitwise_or",
    "BitwiseXor": "bitwise_xor", "Cast": cast, "CastLike": cast_like, "Ceil": "ceil", "Celu": celu, "Clip": clip,
    "Cos": "cos", "Cosh": "cosh", "Div": divide, "Elu": elu, "Equal": "equal", "Erf": "erf", "Exp": "exp",
    "Floor": "floor", "Gelu": gelu, "Greater": "greater", "GreaterOrEqual": "greater_equal",
    "HardSigmoid": hard_sigmoid, "HardSwish": "hardswish", "Identity": identity, "ImageScaler": scale_image,
    "IsInf": is_infinite, "IsNaN": "isnan", "LeakyRelu": leaky_relu, "Less": "less", "LessOrEqual": "less_equal",
    "Log": "log", "Max": maximum, "Mean": average, "Min": minimum, "Mish": "mish", "Mod": remainder,
    "Mul": "multiply", "Neg": "negative", "Not": "logical_not", "Or": "logical_or",
    "PRelu": {1: prelu_by_channel, 7: prelu}, "Pow": power, "Reciprocal": "reciprocal", "Relu": "relu",
    "Round": "round", "Scale": scale, "ScaledTanh": scaled_tanh, "Selu": selu, "Shrink": shrink,
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus",
    "Softsign": softsign, "Sqrt": "sqrt", "Sub": "subtract", "Sum": add_all, "Swish": swish, "Tan": "tan",
    "Tanh": "tanh", "ThresholdedRelu": thresholded_relu, "Where": "where", "Xor": "logical_xor",
    "com.microsoft.BiasGelu": bias_gelu, "com.microsoft.FastGelu": fast_gelu, "com.microsoft.Gelu": gelu,
    "com.microsoft.QuickGelu": quick_gelu,
}  # fmt: skip
