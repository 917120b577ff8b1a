"""Numbers as multiples of a scale: rounded to them, taken back, and calculated with in between.

Rounding is a random function of what is rounded: of the number over the scale and of the zero point. It gives 0 for 0,
and leaves alone what it has given. Whole numbers are calculated with as they are, and are taken not to overflow.
"""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import numpy_helper

from onnx_n2n.exact import functions
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.casts import WRAPPED
from onnx_n2n.exact.operators.convolution import biased, convolved, slid
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor, kind, named
from onnx_n2n.exact.undecided import Undecided

INT32, UINT8 = onnx.TensorProto.INT32, onnx.TensorProto.UINT8
SUMMED = 1 << 15  # so many products of two bytes, each less a zero point, may be more than 31 bits hold


def _rounded(x: np.ndarray, zero: np.ndarray, type_: int, saturate: int, precision: int) -> np.ndarray:  # noqa: ARG001
    """Return numbers rounded to those of a type, of which one stands for 0: how far they are from that one."""
    if whole := re.fullmatch(r"(U?)INT(\d+)", named(type_)):
        unsigned, bits = bool(whole[1]), int(whole[2])
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return np.asarray(np.clip(np.rint(x) + zero, low, high) - zero)
    single = (x + zero).astype(np.float32)
    cast = numpy_helper.saturate_cast(single, kind(type_)) if saturate else single.astype(kind(type_))
    return np.asarray(np.asarray(cast, np.float64) - zero)


# What stands for 0 is a number of the type itself. So 0 is rounded to 0, and what was rounded once stays as it is.
QUANTISED = functions.define("Quantised", _rounded, idempotent=True, zero=True)


def quantised(site: Site, x: Numbers, scale: Numbers, zero: Numbers | None, type_: int, *how: int) -> Tensor:
    """Return numbers over a scale, rounded, from a zero point on.

    Args:
        site: The node.
        x: The numbers.
        scale: What one step stands for; broadcasts to them.
        zero: The number that stands for 0; broadcasts too.
        type_: The type of the result.
        how: Whether what is too large is the largest number (the default), and the type that is divided in.
    """
    steps = x * site.world.reciprocal(scale)
    start = site.world.enter(0) if zero is None else zero
    return Tensor(type_, None, start + site.world.apply(QUANTISED, (type_, *(how or (1, 0))), steps, start))


def spread(numbers: Numbers, shape: tuple[int, ...], axis: int, block: int = 0) -> Numbers:
    """Return scales or zero points so that they broadcast: one for all, one for each place of an axis, or of blocks.

    Raises:
        Undecided: If they do not fit.
    """
    if numbers.size == 1 and not block:
        return numbers.reshape(())
    axis = 0 if len(shape) == 1 else axis
    if not -len(shape) <= axis < len(shape):
        raise Undecided(f"there is no axis {axis} among {len(shape)}")
    axis %= len(shape)
    if not block and numbers.ndim == 1 and numbers.size == shape[axis]:
        return numbers.reshape([-1 if place == axis else 1 for place in range(len(shape))])
    blocks = -(-shape[axis] // block) if block > 0 else -1
    if numbers.shape == (*shape[:axis], blocks, *shape[axis + 1 :]):
        return numbers[(slice(None),) * axis + (np.arange(shape[axis]) // block,)]
    raise Undecided(f"scales {numbers.shape} do not fit numbers {shape}")


@rule("QuantizeLinear", since=10)
def quantize(site: Site) -> Tensor:
    """Round numbers to multiples of a scale."""
    x, axis, block = site.numbers(0), site.attribute("axis", 1), site.attribute("block_size", 0)
    scale = spread(site.numbers(1), x.shape, axis, block)
    zero = site.optional(2)
    type_ = site.attribute("output_dtype", 0) or (UINT8 if zero is None else site.tensor(2).type)
    start = None if zero is None else spread(zero, x.shape, axis, block)
    return quantised(site, x, scale, start, type_, site.attribute("saturate", 1), site.attribute("precision", 0))


@rule("DequantizeLinear", since=10)
def dequantize(site: Site) -> Tensor:
    """Return the multiples of a scale."""
    axis, block = site.attribute("axis", 1), site.attribute("block_size", 0)
    type_ = site.attribute("output_dtype", 0) or site.tensor(1).type
    return site.result(dequantised(site, 0, axis, block), type_)


def dequantised(site: Site, slot: int, axis: int = 1, block: int = 0) -> Numbers:
    """Return the numbers that an input stands for, by the scale and the zero point in the two inputs behind it."""
    x, scale, zero = site.numbers(slot), site.numbers(slot + 1), site.optional(slot + 2)
    x = x if zero is None else x - spread(zero, x.shape, axis, block)
    return x * spread(scale, x.shape, axis, block)


@rule("DynamicQuantizeLinear", since=11)
def dynamic(site: Site) -> list[Tensor]:
    """Round numbers to 256 steps from the smallest of them to the largest, both beyond 0."""
    steps, scale, start = in_steps(site, site.numbers(0))
    return [Tensor(UINT8, None, steps), site.result(scale), Tensor(UINT8, None, start)]


def in_steps(site: Site, x: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return numbers in 256 steps, the size of one, and the step that stands for 0."""
    flat, nothing = x.reshape([-1]), site.world.enter(0)
    low, high = (
        site.world.extreme_of(which, site.world.extreme(which, flat, (0,)), nothing) for which in ("Min", "Max")
    )
    scale = (high - low) * site.world.fraction(1, 255)
    start = quantised(site, -low, scale, None, UINT8).numbers
    assert start is not None
    steps = quantised(site, x, scale, start, UINT8).numbers
    assert steps is not None
    return steps, scale, start


# Products


def sided(numbers: Numbers | None, left: bool) -> Numbers | None:
    """Return scales or zero points of a matrix so that they broadcast: one for all, each row or each column."""
    if numbers is None:
        return None
    if numbers.size == 1:
        return numbers.reshape(())
    return numbers.reshape([-1, 1]) if left and numbers.ndim == 1 else numbers


def less(x: Numbers, zero: Numbers | None) -> Numbers:
    """Return numbers less their zero point."""
    return x if zero is None else x - zero


def accumulated(site: Site, x: Numbers, terms: int) -> Tensor:
    """Return sums of so many products of two bytes in 32 bits, which very long sums need more than."""
    return site.result(x if terms < SUMMED else site.world.apply(WRAPPED, (INT32,), x), INT32)


@rule("MatMulInteger", since=10)
def matmul_integer(site: Site) -> Tensor:
    """Multiply matrices of whole numbers, each less its zero point."""
    a = less(site.numbers(0), sided(site.optional(2), True))
    b = less(site.numbers(1), sided(site.optional(3), False))
    free = site.free(0)
    return accumulated(site, a @ b, SUMMED if free.size and free[-1] else a.shape[-1])


@rule("QLinearMatMul", since=10)
def qlinear_matmul(site: Site) -> Tensor:
    """Multiply matrices that stand for multiples of scales, and round the result."""
    a = less(site.numbers(0), sided(site.numbers(2), True))
    b = less(site.numbers(3), sided(site.numbers(5), False))
    scales = [sided(site.numbers(1), True), sided(site.numbers(4), False)]
    assert scales[0] is not None
    assert scales[1] is not None
    product = a @ b * scales[0] * scales[1]
    over, zero = sided(site.numbers(6), True), sided(site.numbers(7), True)
    assert over is not None
    return quantised(site, product, over, zero, site.tensor(7).type)


@rule("ConvInteger", since=10)
def conv_integer(site: Site) -> Tensor:
    """Multiply weights with windows of whole numbers, each less its zero point."""
    axes = slid(site, site.tensor(0).shape, 1)
    x, zero = site.numbers(0), site.optional(2)
    x = x if zero is None else x - spread(zero, x.shape, 1)
    w = less(site.numbers(1), _of_channels(site, 3, 1))
    return accumulated(site, convolved(site, x, w, axes), int(np.prod(w.shape[1:], dtype=np.int64)))


def _of_channels(site: Site, slot: int, w: int) -> Numbers | None:
    """Return zero points or scales of weights, one for all or for each channel that they make."""
    numbers = site.optional(slot)
    return None if numbers is None else spread(numbers, site.tensor(w).shape, 0)


@rule("QLinearConv", since=10)
def qlinear_conv(site: Site) -> Tensor:
    """Multiply weights with windows, both multiples of scales, add a bias and round."""
    return rounded_conv(site, site.numbers(0))


def rounded_conv(site: Site, x: Numbers) -> Tensor:
    """Return a convolution of images ``[n, c, *lengths]`` in steps, by the inputs of `QLinearConv`."""
    axes = slid(site, x.shape, 3)
    x = less(x, spread(site.numbers(2), x.shape, 1))
    w = less(site.numbers(3), _of_channels(site, 5, 3))
    y = biased(convolved(site, x, w, axes), site.optional(8))
    w_scale = spread(site.numbers(4), y.shape, 1)
    y = y * spread(site.numbers(1), x.shape, 1) * w_scale
    scale, zero = (spread(site.numbers(slot), y.shape, 1) for slot in (6, 7))
    return quantised(site, y, scale, zero, site.tensor(7).type)
