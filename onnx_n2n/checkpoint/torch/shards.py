"""The files of a checkpoint that ``torch.save`` wrote in several: dictionaries of tensors, of which one is held."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.ties import shared
from onnx_n2n.checkpoint.torch.arrays import to_numpy, to_torch
from onnx_n2n.checkpoint.torch.reading import installed, load
from onnx_n2n.errors import ModelError
from onnx_n2n.io.lazy import Lazy, Spec
from onnx_n2n.io.sources import Source


class TorchShards:
    """Reads and writes such files; holds the one that it has read last."""

    def __init__(self) -> None:
        self._held: tuple[Source, Mapping[str, np.ndarray]] | None = None

    def opened(self, source: Source) -> tuple[Lazy, Mapping[str, str]]:
        """Return the tensors in a file; it is read again where another one was in between.

        Raises:
            ModelError: It cannot be read, or holds something else.
        """
        arrays = self._arrays(source)
        specs = {name: Spec(array.shape, array.dtype) for name, array in arrays.items()}
        return Lazy(specs, lambda name: self._arrays(source)[name], shared(arrays)), {}

    def write(self, path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
        """Write a file, which has no metadata."""
        assert not metadata
        installed().save({name: to_torch(array) for name, array in arrays.items()}, path)

    def _arrays(self, source: Source) -> Mapping[str, np.ndarray]:
        if self._held is None or self._held[0] != source:
            self._held = None  # so that there are never two
            self._held = source, {name: to_numpy(each, name) for name, each in _tensors(source).items()}
        return self._held[1]


def _tensors(source: Source) -> Mapping[str, Any]:
    torch, found = installed(), load(source)
    if not isinstance(found, Mapping):
        raise ModelError(f"{source.name} holds no dictionary of tensors")
    if others := [name for name, each in found.items() if not torch.is_tensor(each)]:
        raise ModelError(f"{source.name} holds {others[0]!r}, which is no tensor, and is one of several files")
    return found
