"""Products, sums and activations that ONNX Runtime fuses, in the domain com.microsoft."""

from __future__ import annotations

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.activations import gelu_of, sigmoid_of
from onnx_n2n.exact.operators.applied import applied
from onnx_n2n.exact.operators.attention import split, usual_scale
from onnx_n2n.exact.operators.matrices import gemm
from onnx_n2n.exact.registry import MICROSOFT, rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided

# The activations that may follow a product, and which constants each takes; what others take makes no difference.
ACTIVATIONS = {
    "Relu": (), "Tanh": (), "Sigmoid": (), "Softplus": (), "Softsign": (),
    "LeakyRelu": ("alpha",), "Elu": ("alpha",), "ThresholdedRelu": ("alpha",), "HardSigmoid": ("alpha", "beta"),
}  # fmt: skip
CONSTANTS = ("activation_alpha", "activation_beta", "activation_gamma")
VERSION = 16  # of ONNX's operators, in which they are looked up


def activated(site: Site, x: Numbers) -> Numbers:
    """Return what the activation that a node names makes of numbers, by that operator's own rule.

    Raises:
        Undecided: If it is not known, or lacks a constant.
    """
    name = site.attribute("activation", "")
    site.ignore(*CONSTANTS)
    if not name:
        return x
    if name not in ACTIVATIONS:
        raise Undecided(f"the activation {name!r} is not known")
    given = {each: site.attribute(f"activation_{each}") for each in ACTIVATIONS[name]}
    if None in given.values():
        raise Undecided(f"the activation {name!r} lacks a constant")
    return applied(site, name, x, version=VERSION, **given)


@rule("FusedGemm", domain=MICROSOFT)
def fused_gemm(site: Site) -> Tensor:
    """Apply an activation to ``alpha * A @ B + beta * C``."""
    made = gemm(site).numbers
    assert made is not None
    return site.result(activated(site, made))


@rule("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation", domain=MICROSOFT)
def fused_matmul(site: Site) -> Tensor:
    """Multiply matrices, each perhaps transposed, and the product by a constant; then perhaps apply an activation."""
    sides = []
    for slot, name in enumerate("AB"):
        x = site.numbers(slot)
        if site.attribute(f"transBatch{name}", 0):
            x = x.moveaxis(0, -2)
        turned = site.attribute(f"trans{name}", 0) and x.ndim > 1
        sides.append(x.moveaxis(-1, -2) if turned else x)
    made = sides[0] @ sides[1] * site.setting("alpha", 1.0)
    return site.result(activated(site, made) if site.operator == "FusedMatMulActivation" else made)


@rule("BiasGelu", "Gelu", domain=MICROSOFT)
def bias_gelu(site: Site) -> Tensor:
    """Apply Gelu to numbers, or to a sum."""
    return site.result(gelu_of(site, _biased(site, site.numbers(0), 1)))


@rule("FastGelu", domain=MICROSOFT)
def fast_gelu(site: Site) -> Tensor:
    """Apply Gelu, as a hyperbolic tangent gives it, to numbers or a sum."""
    return site.result(gelu_of(site, _biased(site, site.numbers(0), 1), "tanh"))


@rule("GemmFastGelu", domain=MICROSOFT)
def gemm_fast_gelu(site: Site) -> Tensor:
    """Apply Gelu, as a hyperbolic tangent gives it, to a product of matrices, perhaps with a bias."""
    return site.result(gelu_of(site, _biased(site, site.numbers(0) @ site.numbers(1), 2), "tanh"))


@rule("QuickGelu", domain=MICROSOFT)
def quick_gelu(site: Site) -> Tensor:
    """Return ``x * sigmoid(alpha * x)``."""
    x = site.numbers(0)
    return site.result(x * sigmoid_of(site, x * site.setting("alpha", 1.702)))


@rule("BiasAdd", domain=MICROSOFT)
def bias_add(site: Site) -> Tensor:
    """Add a bias, and what skips."""
    return site.result(_biased(site, _biased(site, site.numbers(0), 1), 2))


@rule("BiasSplitGelu", domain=MICROSOFT)
def bias_split_gelu(site: Site) -> Tensor:
    """Multiply the first half of a sum along the last axis by Gelu of the second one."""
    total = _biased(site, site.numbers(0), 1)
    half = total.shape[-1] // 2
    return site.result(total[..., :half] * gelu_of(site, total[..., half:]))


def _biased(site: Site, x: Numbers, slot: int) -> Numbers:
    bias = site.optional(slot)
    return x if bias is None else x + bias


@rule("GatedRelativePositionBias", domain=MICROSOFT)
def gated_position_bias(site: Site) -> Tensor:
    """Multiply a bias for each pair of places by gates that each query gives."""
    if site.given(6):
        raise Undecided("its samples are packed")
    query, query_bias, bias, weight, weight_bias, eco = (site.numbers(slot) for slot in range(6))
    heads = split(query + query_bias, site.attribute("num_heads"))
    made = heads @ weight + weight_bias
    sums = made.reshape((*made.shape[:-1], 2, made.shape[-1] // 2)).sum((4,))
    gates = sigmoid_of(site, sums)
    gate = gates[..., :1] * (gates[..., 1:] * eco - 1) + 2
    return site.result(gate * bias)


def silu_of(site: Site, x: Numbers, activation: str) -> Numbers:
    """Return numbers, perhaps times their sigmoids.

    Raises:
        Undecided: If the activation is not known.
    """
    if activation not in {"none", "silu", "swish"}:
        raise Undecided(f"the activation {activation!r} is not known")
    return x if activation == "none" else x * sigmoid_of(site, x)


@rule("CausalConvWithState", since=27)
@rule("CausalConvWithState", domain=MICROSOFT)
def causal_convolution(site: Site) -> list[Tensor]:
    """Convolve each channel over what is before each place, [n, c, s]; also the last places, for what follows."""
    for name, value in (("ndim", 1), ("dilation", 1), ("channels_last", 0), ("state_window", 0)):
        if site.attribute(name, value) != value:
            raise Undecided(f"{name!r} is not {value}")
    x, weight, bias, past = site.numbers(0), site.numbers(1), site.optional(2), site.optional(3)
    samples, channels, length = x.shape
    count = weight.shape[-1]
    if past is None:
        past = site.world.enter(np.zeros((samples, channels, count - 1), np.float32))
    whole = past.joined([x], 2)
    y = whole[..., :length] * weight[:, 0, :1]
    for tap in range(1, count):
        y = y + whole[..., tap : tap + length] * weight[:, 0, tap : tap + 1]
    y = y if bias is None else y + bias.reshape((-1, 1))
    y = silu_of(site, y, site.attribute("activation", "none"))
    return [site.result(y), site.result(whole[..., length:])]


@rule("LinearAttention", since=27)
@rule("LinearAttention", domain=MICROSOFT)
def linear_attention(site: Site) -> list[Tensor]:
    """Let a matrix for each head take keys and values up, place by place, and give what queries read from it."""
    site.ignore("chunk_size")  # how it is calculated
    if site.attribute("state_window", 0):
        raise Undecided("several states are kept")
    kind, heads, groups = (
        site.attribute(name, "gated_delta") for name in ("update_rule", "q_num_heads", "kv_num_heads")
    )
    if kind not in {"linear", "gated", "delta", "gated_delta"} or heads % groups:
        raise Undecided(f"{kind!r} with {heads} heads of queries and {groups} of keys is not known")
    q, k, v = (split(site.numbers(slot), count) for slot, count in enumerate((heads, groups, groups)))
    state, decay, rate = (site.optional(slot) for slot in (3, 4, 5))
    samples, _, length, width = k.shape
    if state is None:
        state = site.world.enter(np.zeros((samples, groups, width, v.shape[-1]), np.float32))
    if (decay is not None) != ("gated" in kind) or (rate is not None) != ("delta" in kind):
        raise Undecided(f"{kind!r} does not go with the inputs that are given")
    kept = None if decay is None else split(site.world.apply("Exp", (), decay), groups)  # [n, g, s, d] or [n, g, s, 1]
    rate = None if rate is None else split(rate, rate.shape[-1])
    read = []
    for place in range(length):
        key, value = k[:, :, place, :, None], v[:, :, place, None]
        if kept is not None:
            state = state * kept[:, :, place, :, None]
        if rate is not None:
            value = (value - key.moveaxis(-1, -2) @ state) * rate[:, :, place, None]
        state = state + key * value
        query = q[:, :, place].reshape((samples, groups, heads // groups, width))
        read.append((query @ state).reshape((samples, 1, heads * v.shape[-1])))
    scale = site.setting("scale") if site.attribute("scale", 0.0) else usual_scale(site, width)
    y = read[0].joined(read[1:], 1) * scale
    return [site.result(y), site.result(state)]
