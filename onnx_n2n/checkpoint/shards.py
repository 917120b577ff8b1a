"""A checkpoint in one file or several, of which one tensor at a time is read, grown and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.checkpoint.shard_index import Index
from onnx_n2n.errors import ModelError
from onnx_n2n.io.lazy import Lazy, Spec, counted, specs_of
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import shown
from onnx_n2n.progress import Progress

Metadata = Mapping[str, str]


class Format(Protocol):
    """How a file of tensors is read and written."""

    def opened(self, source: Source) -> tuple[Lazy, Metadata]:
        """Return the tensors in a file, and its metadata."""

    def write(self, path: Path, arrays: Mapping[str, np.ndarray], metadata: Metadata) -> None:
        """Write a file."""


@dataclass(frozen=True)
class Shards:
    """A checkpoint in files.

    Attributes:
        arrays: All tensors.
        files: The file of each tensor, by its name.
        metadata: Those of each file.
        format: How the files are read and written.
        index: The index, if there is one.
    """

    arrays: Lazy
    files: Mapping[str, str]
    metadata: Mapping[str, Metadata]
    format: Format
    index: Index | None

    @classmethod
    def open(cls, sources: Sequence[Source], format_: Format, index: Index | None) -> Shards:
        """Open the files of a checkpoint.

        Raises:
            ModelError: One cannot be read, or has other tensors than the index says.
        """
        opened = {source.path.name: format_.opened(source) for source in sources}
        if index is not None:
            index.check({file: arrays for file, (arrays, _) in opened.items()})
        files = {name: file for file, (arrays, _) in opened.items() for name in arrays}
        specs = {name: opened[file][0].specs[name] for name, file in files.items()}
        shared = {name: other for arrays, _ in opened.values() for name, other in arrays.shared.items()}
        arrays = Lazy(
            specs,
            lambda name: opened[files[name]][0][name],
            shared,
            lambda name: opened[files[name]][0].start(name),
        )
        return cls(arrays, files, {file: metadata for file, (_, metadata) in opened.items()}, format_, index)

    def write_one(self, found: Grown, progress: Progress, path: Path) -> None:
        """Write all that has grown to one file.

        Raises:
            ModelError: Files say different things in their metadata.
        """
        metadata: dict[str, str] = {}
        for file, told in self.metadata.items():
            for key, text in told.items():
                if metadata.setdefault(key, text) != text:
                    reason = f"the metadata of the files differ: {shown(key)} is another text in {file!r}"
                    raise ModelError(reason, hint="name a folder with `output=`, so that each file keeps its own")
        self.format.write(path, counted(_as_before(found, self.arrays.specs), progress), metadata)

    def write_all(self, found: Grown, progress: Progress, folder: Path) -> None:
        """Write what has grown to files of the same names in a folder, with their index."""
        arrays, files = counted(_as_before(found, self.arrays.specs), progress), dict[str, str]()
        last = next(iter(self.metadata))
        for name in arrays:
            last = files[name] = self.files.get(found.like(name, self.files), last)
        for file, metadata in self.metadata.items():
            specs = {name: arrays.specs[name] for name, own in files.items() if own == file}
            self.format.write(folder / file, Lazy(specs, arrays.__getitem__), metadata)
        if self.index is not None:
            index = self.index.updated(files, self.arrays.specs, arrays.specs)
            (folder / self.index.source.path.name).write_bytes(index)


def _as_before(found: Grown, before: Mapping[str, Spec]) -> Lazy:
    """Return what has grown, each array of the type of what it is like: a student may be of another one."""
    specs = {
        name: Spec(spec.shape, before.get(found.like(name, before), spec).dtype)
        for name, spec in specs_of(found.arrays).items()
    }
    return Lazy(specs, lambda name: found.arrays[name].astype(specs[name].dtype, copy=False))
