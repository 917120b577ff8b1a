"""Windows that slide over images: where they lie, the numbers in them, and numbers put back where they came from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.undecided import Undecided

LARGEST = 1 << 21  # so many numbers of windows are held at once


@dataclass(frozen=True)
class Axis:
    """A window along one axis of an image.

    Args:
        length: Length of the image.
        kernel: Number of places of the window.
        stride: How far the window moves from one output to the next.
        dilation: How far two places of the window are apart.
        before: Where the image begins in the first window; what is before it is padding.
        after: How much padding follows the image; a window may reach further, where an output is rounded up.
        out: Number of windows.
    """

    length: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    out: int = 0

    @property
    def extent(self) -> int:
        """How much of an image a window covers."""
        return (self.kernel - 1) * self.dilation + 1

    @cached_property
    def places(self) -> np.ndarray:
        """Where each place of each window lies in the image, int64[kernel, out]; below 0 and behind it is padding."""
        return np.arange(self.kernel)[:, None] * self.dilation + np.arange(self.out) * self.stride - self.before

    @cached_property
    def inside(self) -> np.ndarray:
        """Which places lie in the image, bool[kernel, out]."""
        return (self.places >= 0) & (self.places < self.length)

    @property
    def counted(self) -> np.ndarray:
        """Which places lie in the image or its padding, bool[kernel, out]."""
        return self.places < self.length + self.after

    def part(self, start: int, stop: int) -> Axis:
        """Return only some of the windows."""
        return replace(self, before=self.before - start * self.stride, out=stop - start)


def sliding(site: Site, lengths: Sequence[int], kernel: Sequence[int], *, rounded_up: bool = False) -> list[Axis]:
    """Return the windows over an image by the attributes that convolution and pooling share.

    Args:
        site: The node.
        lengths: The image's lengths.
        kernel: The window's numbers of places, in the same order.
        rounded_up: Whether a last window may hang over the end.

    Raises:
        Undecided: If the window does not fit, or versions differ in what they make of it.
    """
    count = len(lengths)
    if len(kernel) != count:
        raise Undecided(f"a window of {len(kernel)} axes over an image of {count}")
    strides = site.attribute("strides") or [1] * count
    dilations = site.attribute("dilations") or [1] * count
    pads = site.attribute("pads") or [0] * 2 * count
    auto = site.attribute("auto_pad", "NOTSET")
    if auto not in {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"}:
        raise Undecided(f"there is no auto_pad {auto!r}")
    if (auto != "NOTSET" and (any(pads) or rounded_up)) or any(pad < 0 for pad in pads):
        raise Undecided(f"auto_pad is {auto}, with pads {pads}")
    axes = []
    for place, length in enumerate(lengths):
        axis = Axis(length, kernel[place], strides[place], dilations[place], pads[place], pads[count + place])
        if auto.startswith("SAME"):
            out = -(-length // axis.stride)
            total = max((out - 1) * axis.stride + axis.extent - length, 0)
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            axis = replace(axis, before=before, after=total - before)
        axes.append(replace(axis, out=_outputs(site, axis, rounded_up)))
    return axes


def _outputs(site: Site, axis: Axis, rounded_up: bool) -> int:
    """Return how many windows there are."""
    steps = axis.length + axis.before + axis.after - axis.extent
    if steps < 0:
        raise Undecided(f"a window of {axis.extent} is larger than the image of {axis.length}")
    if not rounded_up:
        return steps // axis.stride + 1
    out = -(-steps // axis.stride) + 1
    if (out - 1) * axis.stride < axis.length + axis.before:
        return out
    if site.version < 22 and not site.node.domain:
        raise Undecided("the last window lies in the padding, which version 22 was the first to leave out")
    return out - 1


def reach(site: Site, axes: Sequence[Axis]) -> None:
    """Note which places of a window meet the image at all, and whether it moves, so that it counts if it does not."""
    name = f"the window of {site.node.name or site.node.output[0]}"
    site.run.reach(name, product([np.asarray(axis.inside.any(1)) for axis in axes]))
    site.run.reach(f"the steps of {name}", np.array([axis.stride == 1 or axis.out > 1 for axis in axes]))


def product(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return what holds along all axes: bool[n] each, to bool[n, ...]."""
    found = np.ones((), bool)
    for mask in masks:
        found = found[..., None] & mask
    return found


def over(masks: Sequence[np.ndarray], joined: np.ufunc = np.logical_and) -> np.ndarray:
    """Join what is said of each axis about all places of windows: [kernel, out] each, to [kernel places, *outs]."""
    count, found = len(masks), None
    for axis, mask in enumerate(masks):
        lengths = [1] * 2 * count
        lengths[axis], lengths[count + axis] = mask.shape
        here = mask.reshape(lengths)
        found = here if found is None else joined(found, here)
    assert found is not None
    return found.reshape(-1, *found.shape[count:])


def image(site: Site, slot: int, axes: Sequence[Axis]) -> Numbers:
    """Return an input that windows slide over; of a constant only what they meet is read."""
    tensor = site.tensor(slot)
    met = []
    for axis in axes:
        mask = np.zeros(axis.length, bool)
        mask[axis.places[axis.inside]] = True
        met.append(mask)
    read(site, slot, met)
    return site.run.numbers(tensor)


def read(site: Site, slot: int, masks: Sequence[np.ndarray]) -> None:
    """Note that of a constant those elements are read that lie at some places of its last axes.

    Args:
        site: The node.
        slot: Which input.
        masks: For each of the last axes which places are read, bool[length].
    """
    tensor = site.tensor(slot)
    if tensor.ids is not None:
        ids = np.asarray(tensor.ids).reshape(tensor.shape)
        site.run.reads.mark(ids[np.broadcast_to(product(masks), ids.shape)])


def windows(site: Site, x: Numbers, axes: Sequence[Axis]) -> Numbers:
    """Return the numbers in all windows, 0 for padding.

    Args:
        site: The node.
        x: Images ``[n, c, *lengths]``.
        axes: The windows.

    Returns:
        Numbers ``[n, c, kernel places, *outs]``.
    """
    parts = [each[:, :, None] for each in shifted(site, x, axes, 2)]
    return parts[0].joined(parts[1:], 2)


def shifted(site: Site, x: Numbers, axes: Sequence[Axis], first: int) -> list[Numbers]:
    """Return the numbers at each place of all windows, 0 for padding.

    Args:
        site: The node.
        x: Images ``[..., *lengths, ...]``.
        axes: The windows.
        first: Which axis is the first of the lengths.

    Returns:
        Numbers ``[..., *outs, ...]``, for one place of the kernel after the other.
    """
    starts = []
    for place, axis in enumerate(axes, first):
        before = max(axis.before, 0)
        after = max((axis.out - 1) * axis.stride + axis.extent - axis.before - axis.length, 0)
        x = padded(site, x, place, before, after)
        starts.append(before - axis.before)
    parts = []
    for places in itertools.product(*(range(axis.kernel) for axis in axes)):
        key = [slice(None)] * first
        for start, place, axis in zip(starts, places, axes, strict=True):
            begin = start + place * axis.dilation
            key.append(slice(begin, begin + (axis.out - 1) * axis.stride + 1, axis.stride))
        parts.append(x[tuple(key)])
    return parts


def padded(site: Site, x: Numbers, axis: int, before: int, after: int) -> Numbers:
    """Return numbers with zeros before and after them along an axis."""
    if not before and not after:
        return x
    zeros = [
        site.world.enter(np.zeros((1,) * x.ndim, np.int64)).broadcast_to((*x.shape[:axis], n, *x.shape[axis + 1 :]))
        for n in (before, after)
    ]
    found: Numbers = zeros[0].joined([x, zeros[1]], axis)
    return found


def in_blocks(x: Numbers, axes: Sequence[Axis], calculate: Callable[[Sequence[Axis]], Numbers]) -> Numbers:
    """Return what is calculated of windows, in blocks of outputs along the first axis, so that memory is bounded.

    Args:
        x: Images ``[n, c, *lengths]``.
        axes: The windows.
        calculate: What gives ``[n, m, *outs]`` for some of the windows.
    """
    first, rest = axes[0], axes[1:]
    each = int(np.prod([*x.shape[:2], first.kernel, *(axis.kernel * axis.out for axis in rest)], dtype=np.int64))
    parts = [calculate([part, *rest]) for part in _parts(first, max(1, LARGEST // max(each, 1)))]
    return parts[0].joined(parts[1:], 2)


def _parts(axis: Axis, most: int) -> Iterator[Axis]:
    for start in range(0, axis.out, most):
        yield axis.part(start, min(start + most, axis.out))


def folded(site: Site, columns: Numbers, axes: Sequence[Axis]) -> Numbers:
    """Return images from the numbers in their windows: where windows meet, numbers are added.

    Args:
        site: The node.
        columns: Numbers ``[n, c, kernel places, *outs]``.
        axes: The windows.

    Returns:
        Images ``[n, c, *lengths]``.
    """
    found = columns.reshape([*columns.shape[:2], *(axis.kernel for axis in axes), *(axis.out for axis in axes)])
    at = 2 + len(axes)  # one axis of places goes each time, and the image's stands where that of outputs stood
    for axis in axes:
        together = padded(site, found.moveaxis(2, at - 1), at, 0, 1)
        total: Numbers | None = None
        for places, outs in zip(*_sources(axis), strict=True):
            part = together[(slice(None),) * (at - 1) + (places, outs)]
            total = part if total is None else total + part
        assert total is not None
        found = total
    return found


def _sources(axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pixel which places of which windows lie on it, int64[most, length] each.

    Where there are fewer of them, place 0 of a window behind the last stands for nothing.
    """
    count = np.zeros(axis.length, np.int64)
    found = []
    for place in range(axis.kernel):
        outs = np.flatnonzero(axis.inside[place])
        pixels = axis.places[place][outs]
        found += [(count[pixel], pixel, place, out) for pixel, out in zip(pixels, outs, strict=True)]
        count[pixels] += 1
    most = max(int(count.max(initial=0)), 1)
    places, windows_ = np.zeros((most, axis.length), np.int64), np.full((most, axis.length), axis.out)
    for number, pixel, place, out in found:
        places[number, pixel], windows_[number, pixel] = place, out
    return places, windows_
