"""Inputs that somebody chose: an npz file, arrays, or an ONNX zoo test data set beside the model."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.errors import InputError
from onnx_n2n.io.sources import kind_at
from onnx_n2n.verification.dims import symbols
from onnx_n2n.verification.draw import Wanted
from onnx_n2n.verification.sessions import Feed
from onnx_n2n.verification.yardstick import GRAINS


def read_inputs(path: Path) -> dict[str, np.ndarray]:
    """Read arrays by input name from an npz file.

    Raises:
        InputError: The file is not there, is no npz file, or holds Python objects.
    """
    if kind_at(path) not in {"", "file"}:  # a pipe would be waited for
        raise InputError(f"{path} cannot be read: it is no file")
    try:
        with np.load(path) as archive:
            return dict(archive)
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as failure:
        reason = "it does not exist" if isinstance(failure, FileNotFoundError) else "it is no npz file of plain arrays"
        raise InputError(
            f"{path} cannot be read: {reason}", hint="Write it with numpy.savez(path, **{input_name: array})"
        ) from failure


def fitting(feed: Feed, wanted: Sequence[Wanted]) -> dict[str, np.ndarray]:
    """The feed, when every input that the model wants is there with its type and shape.

    Raises:
        InputError: It is not, or there is an array that the model does not want.
    """
    names = {want.name for want in wanted}
    for name in feed:
        if name not in names:
            raise InputError(f"the model has no input {name!r}", hint=f"Its inputs are {', '.join(sorted(names))}")
    return {want.name: _fitting(want, feed) for want in wanted}


def _fitting(want: Wanted, feed: Feed) -> np.ndarray:
    if want.name not in feed:
        raise InputError(f"input {want.name!r} is not given", hint=f"Given are {', '.join(feed) or 'none'}")
    array, dtype = np.asarray(feed[want.name]), want.kind.numpy()
    if array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize:
        array = array.view(dtype)  # npz files do not know bfloat16 and its like
    if want.kind == ir.DataType.STRING:
        array = array.astype(object)
    if array.dtype != dtype:
        raise InputError(f"input {want.name!r} has the type {array.dtype}, and the model wants {dtype}")
    sizes = zip(want.dims, array.shape, strict=False)
    if len(want.dims) != array.ndim or any(not symbols(dim) and dim != size for dim, size in sizes):
        raise InputError(
            f"input {want.name!r} has the wrong shape",
            shapes=f"given {list(array.shape)}, wanted [{', '.join(map(str, want.dims))}]",
        )
    return array


def data_sets(folder: Path, wanted: Sequence[Wanted]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The ``test_data_set_*`` folders of an ONNX zoo model that fit its inputs, by name."""
    for place in sorted(folder.glob("test_data_set_*")):
        try:
            tensors = [onnx.load_tensor(place / f"input_{n}.pb") for n in range(len(wanted))]
            names = [want.name for want in wanted]
            if {tensor.name for tensor in tensors} == set(names):  # some sets are in an order of their own
                names = [tensor.name for tensor in tensors]
            arrays = map(onnx.numpy_helper.to_array, tensors)
            yield place.name, fitting(dict(zip(names, arrays, strict=True)), wanted)
        except Exception:  # protobuf's DecodeError, whose module has no types; a file missing; inputs that do not fit
            continue  # the next set, or a drawn feed, will do


@dataclass(frozen=True)
class Given:
    """Feeds that were given; beyond the last one, the same values in another order."""

    feeds: tuple[Feed, ...]
    seed: int
    fixed_integers: bool = False

    @property
    def own(self) -> int:
        """How many feeds were given."""
        return len(self.feeds)

    def feed(self, turn: int) -> dict[str, np.ndarray]:
        """The feed of one turn."""
        feed = self.feeds[turn % len(self.feeds)]
        if turn < len(self.feeds):
            return dict(feed)
        rng = np.random.default_rng([self.seed, turn])
        return {name: self._shuffled(array, rng) for name, array in feed.items()}

    def steady(self) -> Given:
        """The same feeds, of which only real values move."""
        return replace(self, fixed_integers=True)

    def _shuffled(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        real = array.dtype.kind in "fV"
        if self.fixed_integers and not real:
            return array
        moved = rng.permutation(array.reshape(-1)).reshape(array.shape)
        return _scaled(moved, rng.uniform(0.5, 1.5, array.shape)) if real else moved


def nudges(feed: Feed) -> bool:
    """Whether there is anything in a feed that can be a rounding step off: zero cannot, nor can what is empty."""
    reals = (each for each in feed.values() if each.dtype != object and ir.DataType.from_numpy(each.dtype) in GRAINS)
    return any(bool(np.any(array)) for array in reals)


def nudged(feed: Feed, seed: int) -> dict[str, np.ndarray]:
    """The feed with every real entry one rounding step up or down: what differs afterwards is rounding."""
    rng = np.random.default_rng(seed)
    return {name: _nudged(array, rng) for name, array in feed.items()}


def _nudged(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grain = None if array.dtype == object else GRAINS.get(ir.DataType.from_numpy(array.dtype))
    if grain is None:
        return array
    return _scaled(array, 1.0 + grain.epsilon * rng.choice((-1.0, 1.0), array.shape))


def _scaled(array: np.ndarray, by: np.ndarray) -> np.ndarray:
    """An array times another one, in its own type; what its type cannot hold stays as it is."""
    with np.errstate(over="ignore"):
        scaled = np.asarray(array * by).astype(array.dtype)
    return np.where(np.isfinite(scaled), scaled, array)
