"""Operators that work entry by entry."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from onnx_n2n.export.jax.dtypes import kind_of

Array = jax.Array


def _whole(x: Array) -> bool:
    return not jnp.issubdtype(x.dtype, jnp.floating)


def add(a: Array, b: Array) -> Array:
    """Add."""
    return a + b


def subtract(a: Array, b: Array) -> Array:
    """Subtract."""
    return a - b


def multiply(a: Array, b: Array) -> Array:
    """Multiply."""
    return a * b


def divide(a: Array, b: Array) -> Array:
    """Divide; whole numbers are rounded towards zero."""
    return jax.lax.div(*jnp.broadcast_arrays(a, b)) if _whole(a) and _whole(b) else a / b


def power(a: Array, b: Array) -> Array:
    """Raise to a power, in the type of the base."""
    if b.ndim == 0 and not isinstance(b, jax.core.Tracer) and float(b) == int(b):
        return jnp.asarray(a ** int(b)).astype(a.dtype)  # so that gradients of x ** 2 are no logarithms
    return jnp.power(a, b).astype(a.dtype)


def remainder(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """Return the remainder, with the sign of the divisor or of the dividend."""
    return jnp.fmod(a, b) if fmod else jnp.mod(a, b)


def add_all(*values: Array) -> Array:
    """Add."""
    return functools.reduce(jnp.add, values)


def average(*values: Array) -> Array:
    """Return the mean."""
    return add_all(*values) / len(values)


def maximum(*values: Array) -> Array:
    """Return the largest."""
    return functools.reduce(jnp.maximum, values)


def minimum(*values: Array) -> Array:
    """Return the smallest."""
    return functools.reduce(jnp.minimum, values)


def identity(x: Any) -> Any:
    """Return it as it is."""
    return x


def cast(x: Array, *, to: int, saturate: int = 1) -> Array:
    """Change the type."""
    return x.astype(kind_of(to))


def cast_like(x: Array, like_this: Array, *, saturate: int = 1) -> Array:
    """Change the type to that of another array."""
    return x.astype(like_this.dtype)


def clip(x: Array, min: Any = None, max: Any = None) -> Array:  # noqa: A002 - ONNX's names
    """Limit."""
    x = x if min is None else jnp.maximum(x, jnp.asarray(min, x.dtype))
    return x if max is None else jnp.minimum(x, jnp.asarray(max, x.dtype))


def relu(x: Array) -> Array:
    """Apply ReLU."""
    return jax.nn.relu(x)


def gelu(x: Array, *, approximate: str = "none") -> Array:
    """Apply GELU."""
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    """Apply the leaky ReLU."""
    return jax.nn.leaky_relu(x, alpha)


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply ELU."""
    return jax.nn.elu(x, alpha)


def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply CELU."""
    return jax.nn.celu(x, alpha)


def selu(x: Array, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Array:
    """Apply SELU."""
    return gamma * jax.nn.elu(x, alpha)


def sigmoid(x: Array) -> Array:
    """Apply the sigmoid."""
    return jax.nn.sigmoid(x)


def softplus(x: Array) -> Array:
    """Apply softplus."""
    return jax.nn.softplus(x)


def softsign(x: Array) -> Array:
    """Apply softsign."""
    return x / (1 + jnp.abs(x))


def mish(x: Array) -> Array:
    """Apply mish."""
    return x * jnp.tanh(jax.nn.softplus(x))


def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """Apply the hard sigmoid."""
    return jnp.clip(x * alpha + beta, 0, 1)


def hard_swish(x: Array) -> Array:
    """Apply the hard swish."""
    return x * jnp.clip(x / 6 + 0.5, 0, 1)


def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply ReLU with a threshold."""
    return jnp.where(x > alpha, x, 0)


def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """Shrink towards zero."""
    return jnp.where(x < -lambd, x + bias, jnp.where(x > lambd, x - bias, 0))


def swish(x: Array, *, alpha: float = 1.0) -> Array:
    """Apply swish."""
    return x * jax.nn.sigmoid(alpha * x)


def prelu(x: Array, slope: Array) -> Array:
    """Apply ReLU with a slope per channel."""
    return jnp.where(x < 0, x * slope, x)


def prelu_by_channel(x: Array, slope: Array) -> Array:
    """Do the same where the slope is one number per channel, whatever its shape."""
    if slope.ndim == 1 and slope.shape[0] > 1 and x.ndim > 1:
        slope = slope.reshape([-1] + [1] * (x.ndim - 2))
    return prelu(x, slope)


def reciprocal(x: Array) -> Array:
    """Return one over it."""
    return 1 / x


def error_function(x: Array) -> Array:
    """Apply the error function."""
    return jax.lax.erf(x)


def is_infinite(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Say which entries are infinite."""
    found = jnp.zeros(x.shape, bool)
    found = found | jnp.isneginf(x) if detect_negative else found
    return found | jnp.isposinf(x) if detect_positive else found


def shift(a: Array, b: Array, *, direction: str) -> Array:
    """Shift bits."""
    return a << b if direction == "LEFT" else a >> b


def fast_gelu(x: Array, bias: Array | None = None) -> Array:
    """Apply GELU in its approximation by tanh, behind a bias."""
    return jax.nn.gelu(x if bias is None else x + bias, approximate=True)


def bias_gelu(x: Array, bias: Array) -> Array:
    """Apply GELU behind a bias."""
    return jax.nn.gelu(x + bias, approximate=False)


def quick_gelu(x: Array, *, alpha: float = 1.702) -> Array:
    """Apply GELU in its approximation by a sigmoid."""
    return x * jax.nn.sigmoid(alpha * x)


def scale_image(x: Array, *, bias: Sequence[float], scale: float = 1.0) -> Array:
    """Scale an image and shift its channels."""
    return x * scale + jnp.asarray(bias, x.dtype).reshape(1, -1, 1, 1)


def affine(x: Array, *, alpha: float = 1.0, beta: float = 0.0) -> Array:
    """Scale and shift."""
    return alpha * x + beta


PLAIN = {
    "Abs": jnp.abs, "Acos": jnp.arccos, "Acosh": jnp.arccosh, "And": jnp.logical_and, "Asin": jnp.arcsin,
    "Asinh": jnp.arcsinh, "Atan": jnp.arctan, "Atanh": jnp.arctanh, "BitwiseAnd": jnp.bitwise_and,
    "BitwiseNot": jnp.bitwise_not, "BitwiseOr": jnp.bitwise_or, "BitwiseXor": jnp.bitwise_xor, "Ceil": jnp.ceil,
    "Cos": jnp.cos, "Cosh": jnp.cosh, "Equal": jnp.equal, "Exp": jnp.exp, "Floor": jnp.floor, "Greater": jnp.greater,
    "GreaterOrEqual": jnp.greater_equal, "IsNaN": jnp.isnan, "Less": jnp.less, "LessOrEqual": jnp.less_equal,
    "Log": jnp.log, "Neg": jnp.negative, "Not": jnp.logical_not, "Or": jnp.logical_or, "Round": jnp.round,
    "Sign": jnp.sign, "Sin": jnp.sin, "Sinh": jnp.sinh, "Sqrt": jnp.sqrt, "Tan": jnp.tan, "Tanh": jnp.tanh,
    "Where": jnp.where, "Xor": jnp.logical_xor,
}  # fmt: skip
"""Operators without attributes that JAX has by another name."""

TABLE: dict[str, Any] = {
    **PLAIN,
    "Add": add,
    "Affine": affine,
    "BitShift": shift,
    "Cast": cast,
    "CastLike": cast_like,
    "Celu": celu,
    "Clip": clip,
    "Div": divide,
    "Elu": elu,
    "Erf": error_function,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Identity": identity,
    "ImageScaler": scale_image,
    "IsInf": is_infinite,
    "LeakyRelu": leaky_relu,
    "Max": maximum,
    "Mean": average,
    "Min": minimum,
    "Mish": mish,
    "Mod": remainder,
    "Mul": multiply,
    "PRelu": {1: prelu_by_channel, 7: prelu},
    "Pow": power,
    "Reciprocal": reciprocal,
    "Relu": relu,
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": sigmoid,
    "Softplus": softplus,
    "Softsign": softsign,
    "Sub": subtract,
    "Sum": add_all,
    "Swish": swish,
    "ThresholdedRelu": thresholded_relu,
    "com.microsoft.BiasGelu": bias_gelu,
    "com.microsoft.FastGelu": fast_gelu,
    "com.microsoft.Gelu": gelu,
    "com.microsoft.QuickGelu": quick_gelu,
}
