"""What must follow when a kernel grows around its centre.

A kernel that gets zeros all around computes the same when its operand gets as many more places on both sides: along one
axis, a kernel of k that grows by h on both sides, with a dilation of d, needs d * h more padding at either end. So the
result keeps its length, and each of its elements sums over the same places as before, and over others times zero. That
holds for transposed convolutions too, where padding cuts off what the longer kernel adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.errors import GrowthError
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.quantised import zero_point
from onnx_n2n.graph.uses import operand
from onnx_n2n.kernels.layers import FIRST, LAST, Layer

Margin = tuple[int, ...]  # how far a kernel grows on either side, for each of its axes


@dataclass(frozen=True, eq=False)
class ConvGrowth:
    """How one convolution grows.

    Attributes:
        layer: The convolution.
        margin: How far its kernel grows on either side.
        pads: What it is padded by then: the starts of all axes, then their ends; None if ``auto_pad`` sees to that.
        zero: What stands for zero in its weight, as an array that broadcasts over it.
    """

    layer: Layer
    margin: Margin
    pads: tuple[int, ...] | None
    zero: np.ndarray

    @property
    def margins(self) -> tuple[int, ...]:
        """How far its weight grows on either side, for each axis."""
        found = [0] * len(self.layer.shape)
        found[self.layer.form.kernel] = self.margin
        return tuple(found)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its weight then."""
        return tuple(own + 2 * more for own, more in zip(self.layer.shape, self.margins, strict=True))

    @property
    def kernel(self) -> tuple[int, ...]:
        """The lengths of its kernel then."""
        return self.shape[self.layer.form.kernel]


def prepare(analysis: Analysis, layer: Layer, margin: Margin) -> ConvGrowth:
    """Work out what must follow when a kernel grows.

    Raises:
        GrowthError: If it cannot grow without a change of what the convolution computes.
    """
    if layer.barred:
        raise GrowthError(layer.barred)
    if _numbers(layer, "kernel_shape", layer.kernel) != layer.kernel:
        raise GrowthError("its kernel_shape is not that of its weight")
    return ConvGrowth(layer, margin, _pads(analysis, layer, margin), _zero(analysis, layer))


def _numbers(layer: Layer, name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    """Return an attribute with a number for each axis of the kernel; a missing or empty one is ``usual``.

    Raises:
        GrowthError: If it has another number of numbers.
    """
    found = layer.node.attributes.get(name)
    numbers = tuple(map(int, found.value)) if found is not None else ()
    if numbers and len(numbers) != len(usual):
        raise GrowthError(f"its attribute {name} does not fit its kernel")
    return numbers or usual


def _pads(analysis: Analysis, layer: Layer, margin: Margin) -> tuple[int, ...] | None:
    """Return the padding that goes with a larger kernel, None if ``auto_pad`` goes on to find it.

    What ``auto_pad`` finds grows with the kernel, half of that on either side: unless it was less than nothing.

    Raises:
        GrowthError: If it may be, or runtimes differ in what it is.
    """
    count = len(margin)
    ones, zeros = (1,) * count, (0,) * count
    strides, dilations = _numbers(layer, "strides", ones), _numbers(layer, "dilations", ones)
    spans = tuple(d * (own - 1) + 1 for own, d in zip(layer.kernel, dilations, strict=True))
    grows = [place for place in range(count) if margin[place]]
    mode = layer.node.attributes.get_string("auto_pad", "NOTSET")
    if layer.form.transposed and (cut := _cut(analysis, layer, spans, strides, str(mode))) is not None:
        if any(cut[place] < 0 for place in grows):
            raise GrowthError("its result is longer than what its kernel covers, and runtimes differ there")
        return None
    pads = _numbers(layer, "pads", zeros + zeros) if mode == "NOTSET" else zeros + zeros
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        if all(spans[place] >= strides[place] for place in grows):
            return None
        missing = _missing(_lengths(analysis, layer), spans, strides)
        if all(missing[place] >= 0 for place in grows):
            return None
        if min(missing) < -1:
            raise GrowthError("its kernel is so much shorter than its stride that runtimes differ in where it starts")
        pads = _halves(missing, upper=mode == "SAME_UPPER")
    if not layer.form.transposed and any(_blind(analysis, layer, place, pads, strides, dilations) for place in grows):
        raise GrowthError("its kernel covers its whole input along an axis, so that more of it would see padding only")
    more = tuple(d * each for d, each in zip(dilations, margin, strict=True))
    return tuple(each + extra for each, extra in zip(pads, more + more, strict=True))


def _blind(
    analysis: Analysis,
    layer: Layer,
    place: int,
    pads: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> bool:
    """Say whether what a kernel gets along an axis would never see more than padding; not where that is not known."""
    try:
        length = _lengths(analysis, layer)[place]
    except GrowthError:
        return False
    kernel, stride, dilation = layer.kernel[place], strides[place], dilations[place]
    start, end = pads[place], pads[place + len(layer.kernel)]
    steps = (length + start + end - dilation * (kernel - 1) - 1) // stride
    # The place before the kernel sees most in the last step, the one behind it in the first.
    return steps * stride - start - dilation < 0 and dilation * kernel - start >= length


def _missing(lengths: Sequence[int], spans: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Return how many places are missing for ceil(n / stride) to come out: fewer than none if some are left over."""
    return tuple(
        (-(-length // stride) - 1) * stride + span - length
        for length, span, stride in zip(lengths, spans, strides, strict=True)
    )


def _halves(missing: Sequence[int], *, upper: bool) -> tuple[int, ...]:
    """Return the padding that makes up for what is missing; the odd place is at the end if ``upper``."""
    less, more = [max(n, 0) // 2 for n in missing], [(max(n, 0) + 1) // 2 for n in missing]
    return (*less, *more) if upper else (*more, *less)


def _cut(
    analysis: Analysis, layer: Layer, spans: Sequence[int], strides: Sequence[int], mode: str
) -> tuple[int, ...] | None:
    """Return how much is cut off the result of a transposed convolution that states its length, None if none does.

    Raises:
        GrowthError: If that is not known.
    """
    count = len(spans)
    added = _numbers(layer, "output_padding", (0,) * count)
    stated = _numbers(layer, "output_shape", (-1,) * count)
    if all(length >= 0 for length in stated):
        lengths = _lengths(analysis, layer)
        whole = (stride * (length - 1) for length, stride in zip(lengths, strides, strict=True))
        return tuple(n + a + s - out for n, a, s, out in zip(whole, added, spans, stated, strict=True))
    if mode in {"SAME_UPPER", "SAME_LOWER"}:  # n * stride places come out, of stride * (n - 1) + span; added ones apart
        return tuple(span - stride for span, stride in zip(spans, strides, strict=True))
    return None


def _lengths(analysis: Analysis, layer: Layer) -> tuple[int, ...]:
    """Return the lengths of what a convolution moves over.

    Raises:
        GrowthError: If they are not known.
    """
    value = layer.node.inputs[0]
    inferred = analysis.shapes.get(value) if value is not None else None
    last = layer.form.channels_last or layer.node.attributes.get_int("channels_last", 0) == 1
    places = LAST if last else FIRST
    found = inferred.lengths[places] if inferred is not None and inferred.lengths is not None else ()
    known = tuple(length for length in found if length is not None)
    if len(known) != len(layer.kernel):
        raise GrowthError("its padding depends on the lengths of its input, which are not known")
    return known


def _zero(analysis: Analysis, layer: Layer) -> np.ndarray:
    """Return what stands for zero in a weight, as an array that broadcasts over it whatever the kernel.

    Raises:
        GrowthError: If no number does, or another one for each place of the kernel.
    """
    assert layer.source is not None
    node, _ = layer.source
    tensor = analysis.constants[operand(*layer.source)]
    if tensor.dtype in FLOATS:
        return np.zeros(())
    zero = zero_point(analysis.constants, *layer.source)
    if zero is None:
        raise GrowthError("its weight is quantised, and it is not known what stands for zero")
    rank = len(tensor.shape)
    places = range(rank)[layer.form.kernel]
    if node is not layer.node:
        scale = node.inputs[1]
        known = scale is not None and scale in analysis.constants
        shape = tuple(analysis.constants[scale].shape.numpy()) if scale is not None and known else None
        along = node.attributes.get_int("axis", 1) % rank
        if shape is None or len(shape) > 1 or (shape not in {(), (1,)} and along in places):
            raise GrowthError("its weight is quantised by blocks, or by scales that are computed")
    return zero
