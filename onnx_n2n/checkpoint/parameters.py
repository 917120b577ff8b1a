"""What the parameters of a checkpoint hold: which of them, and in which order of axes, a weight may be made of."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import permutations
from math import prod

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.constants import uniform
from onnx_n2n.io.lazy import Lazy, specs_of
from onnx_n2n.record.layouts import GATES, PART, Bias, Biases, Columns, Gates, Layout, arrangements
from onnx_n2n.record.provenance import Origin

Arrays = Mapping[str, np.ndarray]
CLOSE = 1e-4  # of the largest number: folding was done in float32
LEAST = 8  # numbers that are not the same by chance
EPSILON = 0.1  # and less is what norms add to a variance


def plain(name: str) -> str:
    """Return a name with dots between its parts, and without the number that TensorFlow puts behind: ``fc.kernel``."""
    return re.sub(r"[/:]", ".", re.sub(r":\d+$", "", name))


def module_of(name: str) -> str:
    """Return the path of the module that a parameter is in: ``layers.0.fc``."""
    return plain(name).rpartition(".")[0]


Match = tuple[tuple[str, ...], Layout]


class Parameters:
    """Parameters of a checkpoint, known by their values."""

    def __init__(self, arrays: Arrays, grown: Mapping[str, Collection[int]]) -> None:
        self.arrays, self.specs, self._grown = arrays, specs_of(arrays), grown
        self._numbers: dict[tuple[int, float, float], list[str]] = {}
        for name, array in arrays.items():
            if not uniform(array):  # many of these are equal
                self._numbers.setdefault(_numbers(array), []).append(name)
        self._norms: dict[int, list[list[str]]] = {}

    def of(self, array: np.ndarray, weight: str) -> Match | None:
        """Return what a weight is made of, and how; nothing if several may be, of which some would grow otherwise."""
        if uniform(array):
            return None
        fits = [
            (name, layout)
            for name in self._numbers.get(_numbers(array), ())
            for layout in arrangements(self.specs[name].shape, array.shape)
            if np.array_equal(_float(layout.pack([self.arrays[name]])), _float(array))
        ]
        if fits:
            one = self._one([name for name, _ in fits])
            layout = self._agreed([layout for name, layout in fits if name == one], array.ndim, weight)
            return ((one,), layout) if one and layout is not None else None
        for layout in _cells(array):
            names = [self._equal(part) for part in layout.unpack(array)]
            if all(names) and np.array_equal(layout.pack([self.arrays[name] for name in names]), array):
                return tuple(names), layout
        return None

    def _equal(self, part: np.ndarray) -> str:
        """Return the name of the one parameter that is equal to an array."""
        names = self._numbers.get(_numbers(part), ()) if part.size else ()
        return self._one([name for name in names if np.array_equal(_float(self.arrays[name]), _float(part))])

    def _one(self, names: Sequence[str]) -> str:
        """Return the first name, if all are of one parameter; else none."""
        return names[0] if names and all(name == names[0] or self._shared(name, names[0]) for name in names) else ""

    def _shared(self, name: str, other: str) -> bool:
        """Say whether two names are of one parameter."""
        if isinstance(self.arrays, Lazy):
            first, second = (self.arrays.shared.get(each, each) for each in (name, other))
            return first == second
        return np.may_share_memory(self.arrays[name], self.arrays[other])

    def part(self, array: np.ndarray) -> Match | None:
        """Return the tensor of whose first places, or copies, a weight is made; nothing if several may be."""
        if uniform(array) or array.size < LEAST:
            return None
        others = [name for name, spec in self.specs.items() if _may_contain(spec.shape, array.shape)]
        found = [name for name in others if _contains(self.arrays[name], array)]
        return ((found[0],), PART) if len(found) == 1 else None

    def folded(
        self, weight: ir.Value, bias: ir.Value, axis: int, named: Sequence[Origin]
    ) -> tuple[str, Layout, Sequence[str], str] | None:
        """Return a layer's weight, its layout, a norm, and the layer's bias that make up a weight and a bias.

        Nothing if several may.
        """
        whole, offset = (value.const_value.numpy() for value in (weight, bias))  # type: ignore[union-attr]
        layers = [(origin.names[0], origin.layout) for origin in named] or [
            (name, layout)
            for name, spec in self.specs.items()
            if prod(spec.shape) == whole.size and len(spec.shape) > 1
            for layout in arrangements(spec.shape, whole.shape)
        ]
        found: dict[tuple[str, tuple[str, ...], str], list[Layout]] = {}
        for name, layout in layers:
            layer = layout.pack([self.arrays[name]])
            ratio = _ratio(whole, layer, axis) if layer.shape == whole.shape else None
            if ratio is not None:
                for norm, before in self._folds(ratio, offset, self._vectors(module_of(name), len(offset))):
                    found.setdefault((name, norm, before), []).append(layout)
        if len(found) != 1:
            return None
        (((name, norm, before), layouts),) = found.items()
        one = self._agreed(layouts, whole.ndim, str(weight.name))
        return None if one is None else (name, one, norm, before)

    def scales(self, ratio: np.ndarray) -> set[tuple[str, ...]]:
        """Return the scales and variances of norms that multiply channels by a ratio."""
        if not ratio.all():
            return set()
        return {
            tuple(sorted(filter(None, pair)))
            for names in self._modules(len(ratio))
            for *pair, _ in self._factors(names, ratio)
        }

    def shifts(self, scale: Sequence[str], ratio: np.ndarray, offset: np.ndarray) -> set[tuple[str, ...]]:
        """Return the shifts and means that leave an offset behind a norm of a scale and variance."""
        return {
            tuple(sorted(filter(None, pair)))
            for names in self._modules(len(ratio))
            if set(scale) <= set(names)
            for *pair, _ in self._offsets([name for name in names if name not in scale], ratio, offset, ("",))
        }

    def _agreed(self, layouts: Sequence[Layout], rank: int, weight: str) -> Layout | None:
        """Return the simplest of several layouts, if they say the same of all axes that grew."""
        joins = [sum(len(group) > 1 for group in layout.axes(rank)) for layout in layouts]
        simplest = [layout for layout, count in zip(layouts, joins, strict=True) if count == min(joins)]
        said = {tuple(layout.axes(rank)[axis] for axis in self._grown.get(weight, ())) for layout in simplest}
        return simplest[0] if len(said) == 1 else None

    def _folds(self, ratio: np.ndarray, bias: np.ndarray, own: Sequence[str]) -> set[tuple[tuple[str, ...], str]]:
        """Return the norms that multiply channels by a ratio, and leave a bias, with the layer's own bias."""
        return {
            (tuple(sorted({scale, variance, shift, mean} - {""})), before)
            for names in self._modules(len(ratio))
            for scale, variance, factor in self._factors(names, ratio)
            for shift, mean, before in self._offsets(
                [name for name in names if name not in {scale, variance}],
                factor,
                bias,
                own if len(own) == 1 else ("", *own),
            )
        }

    def _factors(self, names: Sequence[str], ratio: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yield which vectors of a norm are its scale, none in one of three or less, and its variance."""
        for scale, variance in permutations((*names, *[""][: len(names) < 4]), 2):
            if not variance or self.arrays[variance].min() < 0:
                continue
            number, spread = self._vector(scale, 1.0), self._vector(variance)
            epsilon = float(np.median(np.square(number / ratio) - spread))
            factor = number / np.sqrt(spread + np.clip(epsilon, 0.0, EPSILON) + 1e-30)
            if _close(factor, ratio):
                yield scale, variance, factor

    def _offsets(
        self, names: Sequence[str], factor: np.ndarray, offset: np.ndarray, own: Sequence[str]
    ) -> Iterator[tuple[str, str, str]]:
        """Yield which vectors of a norm are its shift, perhaps none, and its mean, and which is the layer's bias."""
        for shift, mean in permutations((*names, *[""][: len(names) < 2]), 2):
            if not mean:
                continue
            for before in own:
                if before in {shift, mean} - {""}:
                    continue
                middle = self._vector(mean) - self._vector(before)
                if _close(self._vector(shift) - middle * factor, offset):
                    yield shift, mean, before

    def _vector(self, name: str, default: float = 0.0) -> np.ndarray:
        return np.asarray(self.arrays[name], np.float64) if name else np.asarray(default)

    def _vectors(self, module: str, length: int) -> list[str]:
        return [name for name, spec in self.specs.items() if spec.shape == (length,) and module_of(name) == module]

    def _modules(self, length: int) -> list[list[str]]:
        """Return the vectors of a length that are of one module, two at least.

        Flax keeps statistics of a module in a tree of their own: paths count as one module's too that differ in their
        first part only.
        """
        if length not in self._norms:
            own: dict[str, list[str]] = {}
            mirrored: dict[str, list[str]] = {}
            for name, spec in self.specs.items():
                if spec.shape == (length,):
                    own.setdefault(module_of(name), []).append(name)
                    first, _, rest = module_of(name).partition(".")
                    mirrored.setdefault(rest or first, []).append(name)
            found = (names for names in (*own.values(), *mirrored.values()) if len(names) > 1)
            self._norms[length] = [*{tuple(names): names for names in found}.values()]
        return self._norms[length]


def _ratio(weight: np.ndarray, layer: np.ndarray, axis: int) -> np.ndarray | None:
    """Return by what each channel of a layer's weight was multiplied; None if that is not one number."""
    ours, theirs = (np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (weight, layer))
    square = np.square(theirs, dtype=np.float64).sum(1)
    if not square.all():
        return None
    ratio: np.ndarray = (ours * theirs).sum(1, dtype=np.float64) / square
    return ratio if ratio.all() and _close(theirs * ratio[:, None], ours) else None


def _close(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(found - wanted).max() <= CLOSE * np.abs(wanted).max())


def _may_contain(whole: tuple[int, ...], part: tuple[int, ...]) -> bool:
    """Say whether a weight may be made of the first places, or of copies, of a tensor, by their shapes."""
    if prod(whole) == prod(part) or not 0 < len(whole) <= len(part) or whole[-1] != part[-1]:
        return False
    return all(there in {1, here} or there >= here for there, here in zip(whole, part[-len(whole) :], strict=True))


def _contains(whole: np.ndarray, part: np.ndarray) -> bool:
    """Say whether a weight is made of the first places, or of copies, of a tensor that may contain it."""
    inside = whole[tuple(slice(length) for length in part.shape[part.ndim - whole.ndim :])]
    return bool(np.all(part == inside))


def _cells(array: np.ndarray) -> Iterator[Layout]:
    """Yield the layouts that a weight may have of a recurrent cell."""
    if array.ndim not in {2, 3} or array.shape[0] not in {1, 2}:
        return
    for cell, order in GATES.items():
        if array.shape[1] % (len(order) * (2 if array.ndim == 2 else 1)) == 0:
            yield from (kind(cell) for kind in ((Gates, Columns) if array.ndim == 3 else (Biases, Bias)))


def _numbers(array: np.ndarray) -> tuple[int, float, float]:
    """Return what stays when axes are moved about."""
    plain_array = _float(array)
    return array.size, float(plain_array.min()), float(plain_array.max())


def _float(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)
