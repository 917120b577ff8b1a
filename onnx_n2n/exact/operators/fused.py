"""ONNX Runtime's own operators over images and numbers in steps: what its optimiser and its quantisers write."""

from __future__ import annotations

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.applied import applied
from onnx_n2n.exact.operators.convolution import biased, convolved, slid
from onnx_n2n.exact.operators.pooling import largest, mean
from onnx_n2n.exact.operators.quantised import (
    UINT8,
    dequantised,
    in_steps,
    less,
    quantised,
    rounded_conv,
    sided,
    spread,
)
from onnx_n2n.exact.operators.windows import reach, sliding
from onnx_n2n.exact.registry import MICROSOFT, rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import FLOAT, Tensor
from onnx_n2n.exact.undecided import Undecided

# What activations take as numbers, in the order of `activation_params`.
ACTIVATIONS = {
    "Relu": (), "Tanh": (), "Sigmoid": (), "LeakyRelu": ("alpha",), "Clip": ("min", "max"),
    "HardSigmoid": ("alpha", "beta"),
}  # fmt: skip
VERSION = 10  # the last version of ONNX's operators in which Clip has attributes


def activated(site: Site, x: Numbers) -> Numbers:
    """Return what the node's activation gives."""
    operator = site.attribute("activation", "")
    given = site.attribute("activation_params") or []
    if not operator and not given:
        return x
    names = ACTIVATIONS.get(operator)
    if names is None or len(names) != len(given):
        raise Undecided(f"an activation {operator!r} with {len(given)} numbers")
    return applied(site, operator, x, version=VERSION, **dict(zip(names, given, strict=True)))


def channels_second(x: Numbers) -> Numbers:
    """Return images ``[n, *lengths, c]`` as ``[n, c, *lengths]``."""
    return x.moveaxis(-1, 1)


def channels_last(x: Numbers) -> Numbers:
    """Return images ``[n, c, *lengths]`` as ``[n, *lengths, c]``."""
    return x.moveaxis(1, -1)


# Convolutions and pooling


@rule("FusedConv", domain=MICROSOFT)
def fused_conv(site: Site) -> Tensor:
    """Multiply weights with each window, add a bias and another image, and apply an activation."""
    x = site.numbers(0)
    y = biased(convolved(site, x, site.numbers(1), slid(site, x.shape, 1)), site.optional(2))
    also = site.optional(3)
    return site.result(activated(site, y if also is None else y + also))


@rule("NhwcConv", "NhwcFusedConv", domain=MICROSOFT)
def nhwc_conv(site: Site) -> Tensor:
    """Do the same with channels last; weights are as ever."""
    x = channels_second(site.numbers(0))
    y = channels_last(biased(convolved(site, x, site.numbers(1), slid(site, x.shape, 1)), site.optional(2)))
    also = site.optional(3)
    return site.result(activated(site, y if also is None else y + also))


@rule("NhwcMaxPool", domain=MICROSOFT)
def nhwc_max_pool(site: Site) -> Tensor:
    """Return the largest number of each window, with channels last."""
    x = channels_second(site.numbers(0))
    axes = sliding(site, x.shape[2:], site.attribute("kernel_shape"), rounded_up=bool(site.attribute("ceil_mode", 0)))
    reach(site, axes)
    return site.result(channels_last(largest(site, x, axes)))


@rule("QLinearConv", domain=MICROSOFT)
def qlinear_conv(site: Site) -> Tensor:
    """Multiply weights with windows, both multiples of scales, add a bias and round; channels may be last."""
    x = site.numbers(0)
    if not site.attribute("channels_last", 0):
        return rounded_conv(site, x)
    found = rounded_conv(site, channels_second(x))
    assert found.numbers is not None
    return found.but(numbers=channels_last(found.numbers))


def _rounded(site: Site, y: Numbers, scale: int) -> Tensor:
    """Return numbers rounded by a scale and a zero point in two inputs, as the type of the first."""
    zero = site.optional(scale + 1)
    return quantised(
        site, y, spread(site.numbers(scale), (), 0), None if zero is None else spread(zero, (), 0), site.tensor(0).type
    )


@rule("QLinearAveragePool", domain=MICROSOFT)
def qlinear_average_pool(site: Site) -> Tensor:
    """Return the mean of each window of numbers in steps, rounded."""
    last = site.attribute("channels_last", 0)
    x = dequantised(site, 0)
    x = channels_second(x) if last else x
    axes = sliding(site, x.shape[2:], site.attribute("kernel_shape"), rounded_up=bool(site.attribute("ceil_mode", 0)))
    reach(site, axes)
    y = mean(site, x, axes)
    return _rounded(site, channels_last(y) if last else y, 3)


@rule("QLinearGlobalAveragePool", domain=MICROSOFT)
def qlinear_global_average_pool(site: Site) -> Tensor:
    """Return the mean of each image of numbers in steps, rounded."""
    x = dequantised(site, 0)
    axes = tuple(range(1, x.ndim - 1)) if site.attribute("channels_last", 0) else tuple(range(2, x.ndim))
    size = int(np.prod([x.shape[axis] for axis in axes]))
    name = f"the image of {site.node.name or site.node.output[0]}"
    site.run.reach(name, np.array([True, size > 1]))
    return _rounded(site, x.sum(axes, True) * site.world.fraction(1, size), 3)


# Functions of numbers in steps


@rule("QuantizeLinear", domain=MICROSOFT)
def quantize(site: Site) -> Tensor:
    """Round numbers to multiples of a scale, one for all or one for each place of an axis that is named."""
    x, scale, zero = site.numbers(0), _of_axis(site, 1), _of_axis(site, 2)
    assert scale is not None
    return quantised(site, x, scale, zero, UINT8 if zero is None else site.tensor(2).type)


@rule("DequantizeLinear", domain=MICROSOFT)
def dequantize(site: Site) -> Tensor:
    """Return the multiples of a scale."""
    scale = _of_axis(site, 1)
    assert scale is not None
    return site.result(less(site.numbers(0), _of_axis(site, 2)) * scale, site.tensor(1).type)


def _of_axis(site: Site, slot: int) -> Numbers | None:
    numbers, axis = site.optional(slot), site.attribute("axis")
    if numbers is None:
        return None
    if axis is None and numbers.size != 1:
        raise Undecided("many scales, and no axis that they are for")
    return spread(numbers, site.tensor(0).shape, 0 if axis is None else axis)


@rule("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def qlinear_sums_and_products(site: Site) -> Tensor:
    """Add or multiply numbers in steps, and round."""
    a, b = dequantised(site, 0), dequantised(site, 3)
    return _rounded(site, a + b if site.operator == "QLinearAdd" else a * b, 6)


@rule("QLinearLeakyRelu", domain=MICROSOFT)
def qlinear_leaky_relu(site: Site) -> Tensor:
    """Apply LeakyRelu to numbers in steps, and round."""
    x = applied(site, "LeakyRelu", dequantised(site, 0), version=VERSION, alpha=site.attribute("alpha", 0.01))
    return _rounded(site, x, 3)


@rule("QLinearSigmoid", domain=MICROSOFT)
def qlinear_sigmoid(site: Site) -> Tensor:
    """Apply Sigmoid to numbers in steps, and round."""
    return _rounded(site, applied(site, "Sigmoid", dequantised(site, 0), version=VERSION), 3)


@rule("QLinearSoftmax", domain=MICROSOFT)
def qlinear_softmax(site: Site) -> Tensor:
    """Apply Softmax, of the version of ONNX that the node names, to numbers in steps, and round."""
    version = site.attribute("opset")
    if version is None:
        raise Undecided("it is not given which version of Softmax is meant")
    axis = site.attribute("axis", -1)
    return _rounded(site, applied(site, "Softmax", dequantised(site, 0), version=version, axis=axis), 3)


@rule("QLinearConcat", domain=MICROSOFT)
def qlinear_concat(site: Site) -> Tensor:
    """Put numbers in steps one behind the other, all rounded to the same steps."""
    parts = [dequantised(site, slot) for slot in range(2, site.count, 3)]
    axis = site.axis(0, parts[0].ndim)
    scale, zero = spread(site.numbers(0), (), 0), spread(site.numbers(1), (), 0)
    return quantised(site, parts[0].joined(parts[1:], axis), scale, zero, site.tensor(1).type)


# Products of matrices


def _single(site: Site, slot: int) -> Numbers:
    """Return the scale or zero point of a left matrix, one for all of it; 0 where it is not given."""
    numbers = site.optional(slot)
    if numbers is None:
        nothing: Numbers = site.world.enter(0)
        return nothing
    if numbers.size != 1:
        raise Undecided("many scales or zero points of a left matrix")
    return numbers.reshape(())


def _scaled(site: Site, product: Numbers, slot: int) -> Numbers:
    """Return a product times the scale of a right matrix, one for all or for each column."""
    scale = sided(site.numbers(slot), False)
    assert scale is not None
    return product * scale


@rule("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_integer_to_float(site: Site) -> Tensor:
    """Multiply matrices in steps, each less its zero point, and scale the product."""
    a = site.numbers(0) - _single(site, 4)
    b = less(site.numbers(1), sided(site.optional(5), False))
    y, bias = _scaled(site, a @ b * _single(site, 2), 3), site.optional(6)
    return site.result(y if bias is None else y + bias, site.tensor(2).type)


@rule("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_quantize_matmul(site: Site) -> Tensor:
    """Round a matrix to 256 steps and multiply it with one in steps."""
    steps, scale, start = in_steps(site, site.numbers(0))
    b = less(site.numbers(1), sided(site.optional(3), False))
    y, bias = _scaled(site, (steps - start) @ b * scale, 2), site.optional(4)
    return site.result(y if bias is None else y + bias)


@rule("QGemm", domain=MICROSOFT)
def qgemm(site: Site) -> Tensor:
    """Return ``alpha * A @ B + C`` in steps, either transposed, rounded if there is a scale to round by."""
    a = site.numbers(0) - _single(site, 2)
    a = a.transpose((1, 0)) if site.attribute("transA", 0) else a
    zero = site.numbers(5)
    b = site.numbers(3).transpose((1, 0)) if site.attribute("transB", 0) else site.numbers(3)
    product, c = a @ less(b, sided(zero, False)), site.optional(6)
    y = _scaled(site, product if c is None else product + c, 4) * _single(site, 1) * site.setting("alpha", 1.0)
    if not site.given(7):
        return Tensor(FLOAT, None, y)
    return _rounded(site, y, 7)


@rule("MatMulNBits", domain=MICROSOFT)
def matmul_n_bits(site: Site) -> Tensor:
    """Multiply with a matrix of few bits for each number, in blocks along its columns with a scale each."""
    site.ignore("accuracy_level")  # how the product may be rounded
    if site.attribute("weight_prepacked", 0) or site.given(4):
        raise Undecided("the matrix lies in another order")
    columns, rows, bits = site.attribute("K"), site.attribute("N"), site.attribute("bits", 4)
    block = site.attribute("block_size")
    blocks = -(-columns // block)
    steps = site.world.enter(unpacked(site.known(1).reshape(rows, blocks, -1), bits)[..., :block])
    zero = _zero_points(site, rows, blocks, bits)
    w = ((steps - zero) * site.numbers(2).reshape([rows, blocks, 1])).reshape([rows, -1])[:, :columns]
    y, bias = site.numbers(0) @ w.transpose((1, 0)), site.optional(5)
    return site.result(y if bias is None else y + bias)


def _zero_points(site: Site, rows: int, blocks: int, bits: int) -> Numbers:
    """Return the number that stands for 0 in each block, ``[rows, blocks, 1]``: packed, or of the type of scales."""
    if not site.given(3):
        middle: Numbers = site.world.enter(np.array(1 << (bits - 1)))
        return middle
    if site.tensor(3).type != UINT8:
        return site.numbers(3).reshape([rows, blocks, 1])
    packed = unpacked(site.known(3).reshape(rows, -1), bits)[:, :blocks, None]
    zero: Numbers = site.world.enter(packed)
    return zero


def unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """Return numbers of few bits, the lowest bits of a byte first: uint8[..., n] to uint8[..., n * 8 / bits].

    Raises:
        Undecided: If a number may lie in two bytes.
    """
    if 8 % bits:
        raise Undecided(f"numbers of {bits} bits lie across bytes")
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)).reshape(*packed.shape[:-1], -1)
