"""Images of another size: along each axis every pixel is a mixture of some pixels, with exact weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.windows import product, read
from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided

HALF = Fraction(1, 2)
ROUNDED = {
    "round_prefer_floor": lambda x: math.ceil(x - HALF),
    "round_prefer_ceil": lambda x: math.floor(x + HALF),
    "floor": math.floor,
    "ceil": math.ceil,
}
MODES = {"nearest", "linear", "cubic"}
CLOSE = Fraction(1, 1 << 20)  # so far from where it lies single precision may see a place, relative to its distance


@dataclass(frozen=True)
class Stretch:
    """How one axis is resized.

    Args:
        length: Its length.
        out: Its length afterwards.
        scale: By how much it gets longer, which need not be exactly ``out / length``.
        region: Which part of it is meant, from 0 to 1.
    """

    length: int
    out: int
    scale: Fraction
    region: tuple[Fraction, Fraction] = (Fraction(0), Fraction(1))


@dataclass(frozen=True)
class Manner:
    """How pixels are mixed: as the attributes of `Resize` say."""

    mode: str = "nearest"
    coordinates: str = "asymmetric"
    nearest: str = "floor"
    cubic: Fraction = Fraction(-3, 4)
    outside: bool = True  # whether pixels outside are those at the border, or left out
    smooth: bool = False
    outer: Numbers | None = field(default=None, compare=False)  # what is outside of a region


@rule("Upsample", until=8)
def upsample_by_attribute(site: Site) -> Tensor:
    """Make an image larger, by an attribute."""
    scales = site.attribute("scales")
    return _by_scales(site, [Fraction(np.float32(each).item()) for each in scales])


@rule("Upsample", since=9, until=9)
@rule("Resize", since=10, until=10)
def resize_without_choice(site: Site) -> Tensor:
    """Resize an image, by an input; the first pixel stays where it is."""
    scales = [Fraction(each.item()) for each in site.known(1)]
    if site.tensor(1).rough:
        raise Undecided("by how much an image gets larger has been rounded")
    return _by_scales(site, scales)


def _by_scales(site: Site, scales: Sequence[Fraction]) -> Tensor:
    shape = site.tensor(0).shape
    stretches = [
        Stretch(length, _longer(length, scale), scale) for length, scale in zip(shape, scales, strict=True)
    ]  # fmt: skip
    manner = Manner(site.attribute("mode", "nearest"))
    if manner.mode == "nearest" and any(each.scale < 1 and each.scale.numerator != 1 for each in stretches):
        raise Undecided("this version does not say which pixel is the nearest when an image gets smaller")
    return resized(site, stretches, manner)


@rule("Resize", since=11)
def resize(site: Site) -> Tensor:
    """Resize an image."""
    coordinates = site.attribute("coordinate_transformation_mode", "half_pixel")
    mode = site.attribute("mode", "nearest")
    manner = Manner(
        mode,
        coordinates,
        site.attribute("nearest_mode", "round_prefer_floor"),
        Fraction(site.attribute("cubic_coeff_a", -0.75)),
        not site.attribute("exclude_outside", 0),
        bool(site.attribute("antialias", 0)),
        site.setting("extrapolation_value", 0.0),
    )
    return resized(site, _stretches(site, coordinates, mode), manner)


def _stretches(site: Site, coordinates: str, mode: str) -> list[Stretch]:
    """Return how each axis is resized."""
    shape = site.tensor(0).shape
    axes = [axis % len(shape) for axis in site.attribute("axes") or range(len(shape))]
    regions = _regions(site, len(axes), coordinates)
    policy = site.attribute("keep_aspect_ratio_policy", "stretch")
    scales, sizes = site.known_optional(2), site.known_optional(3)
    found = [Stretch(length, length, Fraction(1)) for length in shape]
    if scales is not None and scales.size:
        if site.tensor(2).rough and mode != "nearest":
            raise Undecided("by how much an image gets larger has been rounded")
        if (sizes is not None and sizes.size) or len(scales) != len(axes):
            raise Undecided("how large an image gets is said twice, or not for all axes")
        for axis, each, region in zip(axes, scales, regions, strict=True):
            scale = Fraction(each.item())
            if region[1] - region[0] != 1:
                raise Undecided("of how long a part of an image gets, versions say different things")
            found[axis] = Stretch(shape[axis], _longer(shape[axis], scale), scale, region)
        return found
    if sizes is None or len(sizes) != len(axes):
        raise Undecided("how large an image gets is not said")
    ratios = [Fraction(int(size), shape[axis]) for axis, size in zip(axes, sizes, strict=True)]
    if policy != "stretch":
        if policy not in {"not_larger", "not_smaller"}:
            raise Undecided(f"there is no policy {policy!r}")
        ratios = [min(ratios) if policy == "not_larger" else max(ratios)] * len(ratios)
    for axis, scale, region in zip(axes, ratios, regions, strict=True):
        found[axis] = Stretch(shape[axis], math.floor(scale * shape[axis] + HALF), scale, region)
    return found


def _regions(site: Site, count: int, coordinates: str) -> list[tuple[Fraction, Fraction]]:
    """Return which part of each axis is meant; only one way of counting coordinates looks at that."""
    value = site.value(1)
    if coordinates == "tf_crop_and_resize":
        bounds = [Fraction(each.item()) for each in site.known(1)]
        if site.tensor(1).rough or len(bounds) != 2 * count:
            raise Undecided("which part of an image is meant has been rounded, or is not said of all axes")
        return list(zip(bounds[:count], bounds[count:], strict=True))
    if isinstance(value, Tensor):
        site.run.read(value)
    return [(Fraction(0), Fraction(1))] * count


def _longer(length: int, scale: Fraction) -> int:
    """Return a length times a scale.

    Raises:
        Undecided: If it hangs on how the product is rounded.
    """
    exact = math.floor(length * scale)
    if exact != math.floor(np.float32(length) * np.float32(scale)):
        raise Undecided(f"whether {length} times {float(scale)} is {exact} or more hangs on rounding")
    return exact


def resized(site: Site, stretches: Sequence[Stretch], manner: Manner) -> Tensor:
    """Return an image in another size; of a constant only those pixels are read that have a part in it."""
    if manner.mode not in MODES or manner.nearest not in ROUNDED:
        raise Undecided(f"there is no mode {manner.mode!r} with {manner.nearest!r}")
    if not site.tensor(0).real and manner.mode != "nearest":
        raise Undecided("means of whole numbers are rounded")
    x = site.run.numbers(site.tensor(0))
    masks, met = [], []
    for axis, stretch in enumerate(stretches):
        where = [coordinate(stretch, manner, place) for place in range(stretch.out)]
        weights = [mixture(place, stretch, manner) for place in where]
        used = np.zeros(stretch.length, bool)
        used[[pixel for each in weights for pixel in each]] = True
        met.append(used)
        masks.append(np.array([0 <= place <= stretch.length - 1 for place in where], bool))
        x = mixed(site, x, axis, weights)
    read(site, 0, met)
    if manner.coordinates == "tf_crop_and_resize" and not all(mask.all() for mask in masks):
        assert manner.outer is not None
        inside = site.world.enter(product(masks) * 1)
        x = inside * x + (1 - inside) * manner.outer
    return site.result(x)


def coordinate(stretch: Stretch, manner: Manner, place: int) -> Fraction:
    """Return where in the image the place of a resized one lies."""
    length, out, last = stretch.length, stretch.out, stretch.length - 1
    match manner.coordinates:
        case "half_pixel":
            return (place + HALF) / stretch.scale - HALF
        case "pytorch_half_pixel":
            return (place + HALF) / stretch.scale - HALF if out > 1 else Fraction(0)
        case "half_pixel_symmetric":
            offset = Fraction(length, 2) * (1 - out / (stretch.scale * length))
            return offset + (place + HALF) / stretch.scale - HALF
        case "tf_half_pixel_for_nn":
            return (place + HALF) / stretch.scale
        case "asymmetric":
            return place / stretch.scale
        case "align_corners":
            _of_whole_length(stretch)
            return Fraction(place * last, out - 1) if out > 1 else Fraction(0)
        case "tf_crop_and_resize":
            _of_whole_length(stretch)
            start, end = stretch.region
            share = Fraction(place, out - 1) if out > 1 else HALF
            return (start + share * (end - start)) * last
    raise Undecided(f"there is no coordinate_transformation_mode {manner.coordinates!r}")


def _of_whole_length(stretch: Stretch) -> None:
    if stretch.scale * stretch.length != stretch.out:
        raise Undecided("whether a length is meant before or after it is rounded, versions say different things")


def mixture(place: Fraction, stretch: Stretch, manner: Manner) -> dict[int, Fraction]:
    """Return which pixels have a part in one at a place, and how large a part."""
    last = stretch.length - 1
    if manner.mode == "nearest":
        return {nearest(place, stretch, manner): Fraction(1)}
    shrunk = min(stretch.scale, Fraction(1)) if manner.smooth else Fraction(1)
    far = (1 if manner.mode == "linear" else 2) / shrunk
    found: dict[int, Fraction] = {}
    for pixel in range(math.floor(place - far) + 1, math.ceil(place + far)):
        if 0 <= pixel <= last or manner.outside:
            weight = _share(abs(pixel - place) * shrunk, manner)
            within = min(max(pixel, 0), last)
            found[within] = found.get(within, Fraction(0)) + weight
    total = sum(found.values())
    if not total:
        raise Undecided("no pixel of the image has a part in one that lies outside")
    return {pixel: weight / total for pixel, weight in found.items()}


def nearest(place: Fraction, stretch: Stretch, manner: Manner) -> int:
    """Return which pixel is the nearest to a place.

    Raises:
        Undecided: If it hangs on how the place is rounded: runtimes calculate it in single precision.
    """
    far = (abs(place) + 1) * CLOSE
    one, pixel, two = (
        min(max(int(ROUNDED[manner.nearest](at)), 0), stretch.length - 1) for at in (place - far, place, place + far)
    )
    single = Fraction(np.float32(float(stretch.scale)).item()) == stretch.scale
    exact = single or manner.coordinates in {"align_corners", "tf_crop_and_resize"}  # the scale has no part in these
    if one != two and not (exact and place.denominator.bit_count() == 1):
        raise Undecided("which pixel is the nearest hangs on rounding")
    return pixel


def _share(away: Fraction, manner: Manner) -> Fraction:
    """Return the part that a pixel so far away has: linear, or cubic (Keys 1981, equation 4)."""
    if manner.mode == "linear":
        return max(1 - away, Fraction(0))
    a = manner.cubic
    if away <= 1:
        return ((a + 2) * away - (a + 3)) * away**2 + 1
    return ((away - 5) * away + 8) * away * a - 4 * a if away < 2 else Fraction(0)


def mixed(site: Site, x: Numbers, axis: int, weights: Sequence[dict[int, Fraction]]) -> Numbers:
    """Return numbers mixed along an axis: for each place which ones have which part in it."""
    length = x.shape[axis]
    if all(list(each.values()) == [1] for each in weights):
        places = [next(iter(each)) for each in weights]
        return x if places == list(range(length)) else x[(slice(None),) * axis + (np.array(places, np.int64),)]
    shares = sorted({share for each in weights for share in each.values()} | {Fraction(0)})
    number = {share: place for place, share in enumerate(shares)}
    which = np.full((length, len(weights)), number[Fraction(0)])
    for place, each in enumerate(weights):
        for pixel, share in each.items():
            which[pixel, place] = number[share]
    entered = [site.world.fraction(share.numerator, share.denominator).reshape([1]) for share in shares]
    matrix: Numbers = entered[0].joined(entered[1:], 0).taken(which)
    lead, rest = x.shape[:axis], x.shape[axis + 1 :]
    if math.prod(rest) == 1:
        return (x.reshape([-1, length]) @ matrix).reshape([*lead, -1, *rest])
    flat = x.reshape([math.prod(lead), length, -1])  # so that products are of matrices that lie in one piece
    return (matrix.transpose([1, 0]) @ flat).reshape([*lead, len(weights), *rest])
