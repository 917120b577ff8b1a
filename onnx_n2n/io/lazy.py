"""Arrays that are read or made when they are asked for, and not kept: their shapes and types are known before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from onnx_n2n.progress import Progress, counting

FIRST = 64  # numbers by which most arrays of one shape are told apart
NONE: Mapping[str, str] = MappingProxyType({})


class Spec(NamedTuple):
    """What is known of an array that is not there."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """How many bytes it takes."""
        return prod(self.shape) * self.dtype.itemsize


class Lazy(Mapping[str, np.ndarray]):
    """Arrays by name, each made anew whenever it is asked for.

    Attributes:
        specs: Their shapes and types, by name.
        shared: Those that are one with another array, with the first of these.
    """

    def __init__(
        self,
        specs: Mapping[str, Spec],
        make: Callable[[str], np.ndarray],
        shared: Mapping[str, str] = NONE,
        start: Callable[[str], np.ndarray] | None = None,
    ) -> None:
        """Remember how arrays are made, and perhaps how the first numbers of one are read without the others."""
        self.specs, self.shared, self._make, self._start = specs, shared, make, start

    def __reduce__(self) -> tuple[type[dict[str, np.ndarray]], tuple[dict[str, np.ndarray]]]:
        """Copy the arrays themselves, also into another process: what makes them may be at home only here."""
        return dict, (dict(self),)

    def __getitem__(self, name: str) -> np.ndarray:
        spec, array = self.specs[name], self._make(name)
        if (array.shape, array.dtype) != spec:
            raise AssertionError(f"{name!r} became {array.dtype} {list(array.shape)}, not {spec.dtype} {spec.shape}")
        return array

    def start(self, name: str) -> np.ndarray:
        """Return the first numbers of an array."""
        return self[name].reshape(-1)[:FIRST] if self._start is None else self._start(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.specs)

    def __len__(self) -> int:
        return len(self.specs)

    def __contains__(self, name: object) -> bool:
        return name in self.specs


def specs_of(arrays: Mapping[str, np.ndarray]) -> Mapping[str, Spec]:
    """Return shapes and types of arrays, without making those that are lazy."""
    if isinstance(arrays, Lazy):
        return arrays.specs
    return {name: Spec(array.shape, array.dtype) for name, array in arrays.items()}


def start_of(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Return the first numbers of an array, without making all of one that is lazy, if there is a way."""
    return arrays.start(name) if isinstance(arrays, Lazy) else arrays[name].reshape(-1)[:FIRST]


def counted(arrays: Mapping[str, np.ndarray], progress: Progress) -> Lazy:
    """Return the same arrays, of which each is counted when it is asked for, as when it is written."""
    specs = specs_of(arrays)
    done = counting(progress, (spec.nbytes for spec in specs.values()))

    def make(name: str) -> np.ndarray:
        array = arrays[name]
        done(array.nbytes)
        return array

    return Lazy(specs, make)


def made_of(
    before: Mapping[str, np.ndarray], specs: Mapping[str, Spec], make: Callable[[str], np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Return arrays that are made of others: when they are asked for, if those are lazy, or all at once."""
    return Lazy(specs, make) if isinstance(before, Lazy) else {name: make(name) for name in specs}
