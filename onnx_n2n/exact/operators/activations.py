"""Activation functions: of the larger of x and 0, of exponentials, and functions of their own."""

from __future__ import annotations

import math

import numpy as np

from onnx_n2n.exact.domains import POSITIVE, SHARE
from onnx_n2n.exact.functions import define, of
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.arithmetic import clipped, held, positive
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.logaddexp(0, x))


def _normal(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + of("Erf").real(x / math.sqrt(2))))


def _normal_by_tanh(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _thresholded(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x > alpha, x, 0.0)


SOFTPLUS = define("Softplus", _softplus, range=POSITIVE)
NORMAL = define("Normal", _normal, range=SHARE)  # how much of a normal distribution is below a number
NORMAL_BY_TANH = define("NormalByTanh", _normal_by_tanh, range=SHARE)
# x where x > alpha, else 0. Of x it makes x again, and of 0 it makes 0, whatever alpha is.
THRESHOLDED = define("ThresholdedRelu", _thresholded, idempotent=True, zero=True)


def negative_part(site: Site, x: Numbers) -> tuple[Numbers, Numbers]:
    """Return the larger of numbers and 0, and what is left of them: the smaller of them and 0."""
    above = positive(site, x)
    return above, x - above


@rule("LeakyRelu")
def leaky_relu(site: Site) -> Tensor:
    """Multiply numbers below 0 by a constant."""
    above, below = negative_part(site, site.numbers(0))
    return site.result(above + below * site.setting("alpha", 0.01))


@rule("PRelu")
def parametric_relu(site: Site) -> Tensor:
    """Multiply numbers below 0 by slopes."""
    above, below = negative_part(site, site.numbers(0))
    return held(site, above + below * site.numbers(1))


@rule("Elu")
def elu(site: Site) -> Tensor:
    """Return x above 0, and ``alpha * (exp(x) - 1)`` below."""
    above, below = negative_part(site, site.numbers(0))
    return site.result(above + (site.world.apply("Exp", (), below) - 1) * site.setting("alpha", 1.0))


@rule("Celu")
def celu(site: Site) -> Tensor:
    """Return x above 0, and ``alpha * (exp(x / alpha) - 1)`` below."""
    above, below = negative_part(site, site.numbers(0))
    alpha = site.setting("alpha", 1.0)
    bent = site.world.apply("Exp", (), below * site.world.reciprocal(alpha)) - 1
    return site.result(above + bent * alpha)


@rule("Selu")
def selu(site: Site) -> Tensor:
    """Return gamma times x above 0, and times ``alpha * (exp(x) - 1)`` below."""
    above, below = negative_part(site, site.numbers(0))
    alpha = site.setting("alpha", 1.67326319217681884765625)
    bent = above + (site.world.apply("Exp", (), below) - 1) * alpha
    return site.result(bent * site.setting("gamma", 1.05070102214813232421875))


@rule("ThresholdedRelu")
def thresholded_relu(site: Site) -> Tensor:
    """Return x above a threshold, else 0."""
    alpha = float(np.float32(site.attribute("alpha", 1.0)))
    return site.result(site.world.apply(THRESHOLDED, (alpha,), site.numbers(0)))


@rule("Shrink")
def shrink(site: Site) -> Tensor:
    """Bring numbers nearer to 0 by a bias, and make 0 of those that are near."""
    if site.tensor(0).whole and not float(site.attribute("bias", 0.0)).is_integer():
        raise Undecided("a whole number gets a bias that is none")
    x, bias, limit = site.numbers(0), site.setting("bias", 0.0), site.setting("lambd", 0.5)
    below, above = site.world.apply("Less", (), x, -limit), site.world.apply("Less", (), limit, x)
    return site.result(below * (x + bias) + (1 - below) * above * (x - bias))


@rule("Sigmoid")
def sigmoid(site: Site) -> Tensor:
    """Return ``1 / (1 + exp(-x))``."""
    return site.result(sigmoid_of(site, site.numbers(0)))


def sigmoid_of(site: Site, x: Numbers) -> Numbers:
    """Return ``1 / (1 + exp(-x))``."""
    found: Numbers = site.world.apply("Reciprocal", (), site.world.apply("Exp", (), -x) + 1)
    return found


@rule("HardSigmoid")
def hard_sigmoid(site: Site) -> Tensor:
    """Return ``alpha * x + beta``, not below 0 and not above 1."""
    line = site.numbers(0) * site.setting("alpha", 0.2) + site.setting("beta", 0.5)
    return site.result(between_0_and_1(site, line))


@rule("HardSwish")
def hard_swish(site: Site) -> Tensor:
    """Multiply x by its hard sigmoid, ``x / 6 + 1 / 2`` not below 0 and not above 1."""
    x = site.numbers(0)
    return site.result(x * between_0_and_1(site, x * site.world.fraction(1, 6) + site.world.fraction(1, 2)))


def between_0_and_1(site: Site, x: Numbers) -> Numbers:
    """Return numbers, 0 for those below it and 1 for those above."""
    return clipped(site, x, site.world.enter(0), site.world.enter(1), ordered=True)


@rule("Swish")
def swish(site: Site) -> Tensor:
    """Return ``x * sigmoid(alpha * x)``."""
    return site.result(swish_of(site, site.numbers(0)))


@rule("SwiGLU")
def gated_swish(site: Site) -> Tensor:
    """Multiply the swish of one input by the other one."""
    gate, x = site.numbers(0), site.numbers(1)
    if gate.shape != x.shape:
        raise Undecided("its inputs have different shapes")
    return site.result(swish_of(site, gate) * x)


def swish_of(site: Site, x: Numbers) -> Numbers:
    """Return ``x * sigmoid(alpha * x)``."""
    return x * sigmoid_of(site, x * site.setting("alpha", 1.0))


@rule("Softplus")
def softplus(site: Site) -> Tensor:
    """Return ``log(1 + exp(x))``."""
    return site.result(site.world.apply(SOFTPLUS, (), site.numbers(0)))


@rule("Mish")
def mish(site: Site) -> Tensor:
    """Return ``x * tanh(softplus(x))``."""
    x = site.numbers(0)
    return site.result(x * site.world.apply("Tanh", (), site.world.apply(SOFTPLUS, (), x)))


@rule("Softsign")
def softsign(site: Site) -> Tensor:
    """Return ``x / (1 + |x|)``."""
    x = site.numbers(0)
    return site.result(x * site.world.reciprocal(site.world.apply("Abs", (), x) + 1))


@rule("Gelu")
def gelu(site: Site) -> Tensor:
    """Multiply x by the part of a normal distribution below it."""
    return site.result(gelu_of(site, site.numbers(0), site.attribute("approximate", "none")))


def gelu_of(site: Site, x: Numbers, approximate: str = "none") -> Numbers:
    """Return x times the part of a normal distribution below it, or times what ``tanh`` takes for it.

    Raises:
        Undecided: If the approximation is neither ``none`` nor ``tanh``.
    """
    if approximate not in {"none", "tanh"}:
        raise Undecided(f"the approximation {approximate!r} is not known")
    part: Numbers = site.world.apply(NORMAL if approximate == "none" else NORMAL_BY_TANH, (), x)
    return x * part


MASK = define("DropoutMask", np.ones_like)


@rule("Dropout", until=11)
def dropout_in_inference(site: Site) -> list[Tensor]:
    """Return what is given, for these versions drop nothing outside of training; the mask may hang on it."""
    site.ignore("ratio")
    mask = [site.decision(site.world.apply(MASK, (), site.numbers(0)))] if site.wants(1) else []
    return [site.tensor(0), *mask]


@rule("Dropout", since=12)
def dropout(site: Site) -> list[Tensor]:
    """Return what is given, and a mask that drops nothing."""
    if site.given(2) and (not site.tensor(2).certain or bool(site.known(2).any())):
        raise Undecided("it may be in training mode")
    site.ignore("seed")
    data, ratio = site.tensor(0), site.value(1)  # the ratio changes nothing
    if isinstance(ratio, Tensor) and ratio.known is not None and ratio.known.size == 1:
        site.run.read(ratio)
    return [data, site.decision(site.world.enter(np.ones(data.shape, np.int64)))]
