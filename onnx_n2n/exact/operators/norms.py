"""Normalisations: means and variances exactly, one over roots as functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_n2n.exact.domains import NOT_NEGATIVE
from onnx_n2n.exact.functions import define
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.activations import sigmoid_of
from onnx_n2n.exact.operators.indexing import rows_of
from onnx_n2n.exact.registry import MICROSOFT, rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import FLOAT, Tensor
from onnx_n2n.exact.undecided import Undecided


def _over_norm(total: np.ndarray, p: int) -> np.ndarray:
    """Return one over the p-th root of sums, and 0 where a sum is 0, as LpNormalization wants it."""
    return np.where(total == 0, 0.0, np.where(total == 0, 1.0, total) ** (-1 / p))


OVER_NORM = define("OverNorm", _over_norm, range=NOT_NEGATIVE)
SMALLEST = 1e-9  # what MeanVarianceNormalization adds to a deviation, in single precision


def mean(site: Site, x: Numbers, axes: Sequence[int]) -> Numbers:
    """Return means over axes, which stay with length 1."""
    count = int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))
    found: Numbers = x.sum(axes, keep=True) * site.world.fraction(1, count)
    return found


def centred(site: Site, x: Numbers, axes: Sequence[int], epsilon: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return numbers less their mean, that mean, and one over the root of their variance plus epsilon."""
    middle = mean(site, x, axes)
    away = x - middle
    return away, middle, site.world.rsqrt(mean(site, away * away, axes) + epsilon)


def scaled(site: Site, x: Numbers, axes: Sequence[int], epsilon: Numbers) -> tuple[Numbers, Numbers]:
    """Return numbers over the root of their mean square plus epsilon, and one over that root."""
    over = site.world.rsqrt(mean(site, x * x, axes) + epsilon)
    return x * over, over


def along(x: Numbers, axis: int, ndim: int) -> Numbers:
    """Return a vector as it stands along one axis of so many."""
    return x.reshape([-1 if place == axis else 1 for place in range(ndim)])


def affine(x: Numbers, scale: Numbers | None, bias: Numbers | None) -> Numbers:
    """Return numbers times a scale plus a bias, where there are any."""
    x = x if scale is None else x * scale
    return x if bias is None else x + bias


@rule("BatchNormalization")
def batch(site: Site) -> Tensor:
    """Normalise by a mean and a variance that are given for each channel."""
    site.ignore("momentum")  # it is what training uses
    if site.attribute("training_mode", 0) or any(site.wants(slot) for slot in range(1, site.outputs)):
        raise Undecided("it is being trained")
    if not site.attribute("spatial", 1):
        raise Undecided("each place has statistics of its own")
    x, epsilon, variance = site.numbers(0), site.attribute("epsilon", 1e-5), site.tensor(4).known
    near = None if variance is None else variance.astype(np.float64) + epsilon
    over = site.world.rsqrt(site.numbers(4) + site.setting("epsilon", 1e-5), near)
    scale, bias, middle = (site.numbers(slot) for slot in (1, 2, 3))
    factor = scale * over
    return site.result(affine(x, along(factor, 1, x.ndim), along(bias - middle * factor, 1, x.ndim)))


@rule("InstanceNormalization")
def instance(site: Site) -> Tensor:
    """Normalise each channel of each sample."""
    x, scale, bias = (site.numbers(slot) for slot in range(3))
    away, _, over = centred(site, x, range(2, x.ndim), site.setting("epsilon", 1e-5))
    return site.result(affine(away * over, along(scale, 1, x.ndim), along(bias, 1, x.ndim)))


@rule("LayerNormalization")
def layer(site: Site) -> list[Tensor]:
    """Normalise over all axes from one on; also the means and one over the deviations."""
    x, first = site.numbers(0), site.axis(-1, len(site.tensor(0).shape))
    stash = site.attribute("stash_type", FLOAT)
    away, middle, over = centred(site, x, range(first, x.ndim), site.setting("epsilon", 1e-5))
    y = affine(away * over, site.numbers(1), site.optional(2))
    return [site.result(y), site.result(middle, stash), site.result(over, stash)]


@rule("RMSNormalization", since=23)
def root_mean_square(site: Site) -> Tensor:
    """Divide by the root of the mean square over all axes from one on."""
    y: Tensor = simplified(site)[0]
    return y


@rule("SimplifiedLayerNormalization")
@rule("SimplifiedLayerNormalization", domain=MICROSOFT)
def simplified(site: Site) -> list[Tensor]:
    """Divide by the root of the mean square over all axes from one on; also one over that root."""
    x, first = site.numbers(0), site.axis(-1, len(site.tensor(0).shape))
    stash = site.attribute("stash_type", FLOAT)
    y, over = scaled(site, x, range(first, x.ndim), site.setting("epsilon", 1e-5))
    return [site.result(y * site.numbers(1)), site.result(over, stash)]


def in_groups(site: Site, x: Numbers, groups: int, epsilon: Numbers) -> Numbers:
    """Return numbers normalised over each group of channels, [n, groups, ...]."""
    parted = x.reshape((x.shape[0], groups, -1))
    away, _, over = centred(site, parted, (2,), epsilon)
    return away * over


@rule("GroupNormalization", since=18, until=20)
def group_of_groups(site: Site) -> Tensor:
    """Normalise groups of channels, each with one scale and bias."""
    x, scale, bias = (site.numbers(slot) for slot in range(3))
    y = in_groups(site, x, site.attribute("num_groups"), site.setting("epsilon", 1e-5))
    return site.result(affine(y, along(scale, 1, 3), along(bias, 1, 3)).reshape(x.shape))


@rule("GroupNormalization", since=21)
def group(site: Site) -> Tensor:
    """Normalise groups of channels; each channel has a scale and a bias."""
    site.ignore("stash_type")  # how it is rounded
    x, scale, bias = (site.numbers(slot) for slot in range(3))
    y = in_groups(site, x, site.attribute("num_groups"), site.setting("epsilon", 1e-5)).reshape(x.shape)
    return site.result(affine(y, along(scale, 1, x.ndim), along(bias, 1, x.ndim)))


@rule("GroupNorm", "SkipGroupNorm", domain=MICROSOFT)
def fused_group(site: Site) -> list[Tensor]:
    """Normalise groups of channels of a sum, which come last or first, and perhaps apply x * Sigmoid(x)."""
    x, gamma, beta = (site.numbers(slot) for slot in range(3))
    last = site.attribute("channels_last", 1)
    if site.operator == "SkipGroupNorm":
        skip, bias = site.numbers(3), site.optional(4)
        if skip.ndim == 2:
            skip = skip.reshape((skip.shape[0], 1, 1, -1) if last else (*skip.shape, 1, 1))
        x = affine(x + skip, None, None if bias is None else along(bias, x.ndim - 1 if last else 1, x.ndim))
    ordered = x.moveaxis(-1, 1) if last else x
    y = in_groups(site, ordered, site.attribute("groups"), site.setting("epsilon", 1e-5)).reshape(ordered.shape)
    y = affine(y, along(gamma, 1, x.ndim), along(beta, 1, x.ndim))
    activation = site.attribute("activation")
    if activation not in {0, 1}:
        raise Undecided(f"activation {activation} is not known")
    y = y * sigmoid_of(site, y) if activation else y
    return [site.result(y.moveaxis(1, -1) if last else y), site.result(x)]


@rule("LpNormalization")
def lp(site: Site) -> Tensor:
    """Divide by the sum of magnitudes, or the root of the sum of squares, along an axis."""
    x, axis, p = site.numbers(0), site.axis(-1, len(site.tensor(0).shape)), site.attribute("p", 2)
    if p not in {1, 2}:
        raise Undecided(f"p is {p}")
    total = (site.world.apply("Abs", (), x) if p == 1 else x * x).sum((axis,), keep=True)
    return site.result(x * site.world.apply(OVER_NORM, (p,), total))


@rule("MeanVarianceNormalization", since=9)
def mean_variance(site: Site) -> Tensor:
    """Return numbers less their mean, over their deviation and a little more."""
    x = site.numbers(0)
    axes = [axis % x.ndim for axis in site.attribute("axes", [0, 2, 3])]
    away = x - mean(site, x, axes)
    deviation = site.world.sqrt(mean(site, away * away, axes))
    over = site.world.reciprocal(deviation + site.world.enter(np.float32(SMALLEST)))
    return site.result(away * over)


@rule("LRN")
def local_response(site: Site) -> Tensor:
    """Divide by a power of a mean square over channels nearby."""
    x, size = site.numbers(0), site.attribute("size")
    channels, before, after = x.shape[1], (size - 1) // 2, size // 2
    squares = x * x
    near = [squares[:, max(0, c - before) : c + after + 1].sum((1,), keep=True) for c in range(channels)]
    total = near[0].joined(near[1:], 1) * (site.setting("alpha", 1e-4) * site.world.fraction(1, size))
    power = site.world.apply("Pow", (), total + site.setting("bias", 1.0), -site.setting("beta", 0.75))
    return site.result(x * power)


@rule("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer(site: Site) -> list[Tensor]:
    """Normalise a sum of two tensors and a bias; also its means, one over its deviations, and the sum."""
    x = affine(site.numbers(0) + site.numbers(1), None, site.optional(4))
    away, middle, over = centred(site, x, (x.ndim - 1,), site.setting("epsilon", 1e-12))
    y = affine(away * over, site.numbers(2), site.optional(3))
    return [site.result(y), site.result(middle, FLOAT), site.result(over, FLOAT), site.result(x)]


@rule("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_simplified(site: Site) -> list[Tensor]:
    """Divide a sum of two tensors and a bias by its root mean square; also one over that root, and the sum."""
    if site.wants(1):
        raise Undecided("the mean is asked for, and there is none")
    x = affine(site.numbers(0) + site.numbers(1), None, site.optional(3))
    y, over = scaled(site, x, (x.ndim - 1,), site.setting("epsilon", 1e-12))
    return [site.result(y * site.numbers(2)), site.result(over), site.result(over, FLOAT), site.result(x)]


@rule("EmbedLayerNormalization", domain=MICROSOFT)
def embedded(site: Site) -> list[Tensor]:
    """Normalise the sum of a word's, a position's and a segment's row; also how long each sample is, and the sum."""
    site.ignore("mask_index_type")
    words, mask = site.tensor(0), site.optional(7)
    samples, length = words.shape
    total = rows_of(site, site.numbers(2), site.numbers(0))
    if site.given(8):
        total = total + rows_of(site, site.numbers(3), site.numbers(8))
    else:
        total = total + rows_of(site, site.numbers(3), site.world.places(np.arange(length)))
    if site.given(1) and site.given(4):
        total = total + rows_of(site, site.numbers(4), site.numbers(1))
    away, _, over = centred(site, total, (2,), site.setting("epsilon", 1e-12))
    type_ = site.tensor(2).type
    y = site.result(affine(away * over, site.numbers(5), site.numbers(6)), type_)
    if mask is None:
        count = site.world.enter(np.zeros(samples, np.int32))
    else:
        count = site.world.apply("Equal", (), mask, site.world.enter(np.asarray(1))).sum((1,))
    return [y, site.result(count, words.type), site.result(total, type_)]
