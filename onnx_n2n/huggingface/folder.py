"""What is in a Hugging Face folder: the config, where each tensor is in the weight files, and what else there is.

Only headers are read. Folders of the hub's cache are made of links to blobs elsewhere; these are followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.folders import SIZES, WEIGHTS
from onnx_n2n.checkpoint.shard_index import Index
from onnx_n2n.errors import ModelError
from onnx_n2n.huggingface.refused import check_config, check_files, check_keys
from onnx_n2n.io import tensorfile
from onnx_n2n.io.kinds import NAME as ONNX
from onnx_n2n.io.sources import Source, kind_at

CONFIG = SIZES
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"  # transformers looks for them in this order
LONGEST = 10_000_000  # bytes of a config
SKIPPED = frozenset({".git", ".cache", ".huggingface", "__pycache__"})  # folders that are of a download, not a model
POINTER = b"version https://git-"


@dataclass(frozen=True)
class Stored:
    """Where a tensor is.

    Attributes:
        key: Its name.
        dtype: Its type, as safetensors names it: ``F32``, ``BF16``.
        shape: Its shape.
        file: The file, as it is named in the folder: perhaps a link.
        offset: The first of its bytes, from the start of the file.
        length: How many bytes it has, little-endian and in C order.
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    length: int


@dataclass(frozen=True)
class Folder:
    """A model in a folder, as ``save_pretrained`` and the hub have it.

    Attributes:
        path: The folder.
        config: What ``config.json`` says.
        tensors: Where each tensor is, by its key: file by file, and in each by where it begins.
        shards: Names of the weight files, in order.
        metadata: Those of each weight file, by its name.
        index: What the index says of which tensor is in which file; None where there is none.
        others: Paths of all other files, in the folder: they are copied.
        left: Paths of what is not, for it holds other weights, or is of the download: of folders with a ``/``.
        sources: What is read of it, by path in the folder: the config, the index, the weight files and the others.
    """

    path: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Stored]
    shards: tuple[str, ...]
    metadata: Mapping[str, Mapping[str, str]]
    index: Mapping[str, Any] | None
    others: tuple[str, ...]
    left: tuple[str, ...]
    sources: Mapping[str, Source]

    def __repr__(self) -> str:
        return f"<Folder {str(self.path)!r}: {len(self.tensors)} tensors in {', '.join(self.shards)}>"

    @property
    def nbytes(self) -> int:
        """How many bytes all tensors have."""
        return sum(stored.length for stored in self.tensors.values())

    def bytes_of(self, key: str, start: int = 0, length: int | None = None) -> np.ndarray:
        """Return bytes of a tensor, as uint8: all of them, or so many from a start on.

        Raises:
            ModelError: The file has changed since the folder was opened.
        """
        stored = self.tensors[key]
        rest = max(0, stored.length - start)
        length = rest if length is None else min(length, rest)
        return self.sources[stored.file.name].read(stored.offset + start, length)

    def array(self, key: str) -> np.ndarray:
        """Return a tensor.

        Raises:
            ModelError: The file has changed since the folder was opened.
        """
        stored = self.tensors[key]
        return self.bytes_of(key).view(tensorfile.DTYPES[stored.dtype]).reshape(stored.shape)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is that of a Hugging Face folder; one with a ``model.onnx`` is taken as that model."""
    if kind_at(path) != "folder":
        return False
    folder = Path(path)
    return kind_at(folder / ONNX) != "file" and os.path.lexists(folder / CONFIG)


def opened(path: str | os.PathLike[str]) -> Folder:
    """Read what is in a folder: the config, the index and the headers of the weight files.

    Raises:
        ModelError: It is no folder, has no config or no weights in safetensors, or one of its files is not what it
            should be; or it has quantised weights, or only an adapter of a model.
    """
    folder = Path(path)
    name = repr(os.fspath(path))
    if kind_at(folder) != "folder":
        raise ModelError(f"{name} {'is not a folder' if os.path.lexists(folder) else 'does not exist'}")
    try:
        names = frozenset(each.name for each in folder.iterdir())
    except OSError as failure:
        raise ModelError(f"{name} cannot be read: {failure.strerror}") from failure
    check_files(name, names)
    if CONFIG not in names:
        raise ModelError(f"{name} has no {CONFIG}", hint="pass a folder that save_pretrained has written")
    sources = {CONFIG: _source(folder, CONFIG)}
    config = _config(sources[CONFIG])
    check_config(name, config)
    index, shards = _weights(folder, names)
    if index is not None:
        sources[INDEX] = index.source
    sources |= {each: _source(folder, each, f", which {INDEX!r} names," if index else "") for each in shards}
    stored: dict[str, dict[str, Stored]] = {}
    metadata: dict[str, Mapping[str, str]] = {}
    for each in shards:
        stored[each], metadata[each] = _tensors(folder / each, sources[each])
    if index is not None:
        index.check(stored)
    tensors = {key: each for found in stored.values() for key, each in found.items()}
    if not tensors:
        raise ModelError(f"{name} has no weights: {', '.join(shards)} has no tensor")
    check_keys(name, tensors)
    try:
        others, left = _rest(folder, frozenset(sources))
    except OSError as failure:
        raise ModelError(f"{str(failure.filename)!r} cannot be read: {failure.strerror}") from failure
    sources |= {each: _source(folder, each) for each in others}
    document = None if index is None else MappingProxyType(dict(index.document))
    return Folder(
        folder, MappingProxyType(config), MappingProxyType(tensors), shards, metadata, document, others, left,
        sources,
    )  # fmt: skip


def _source(folder: Path, name: str, why: str = "") -> Source:
    """Look at a file of a folder, perhaps by a link."""
    path = folder / name
    said = f"{str(path)!r}{why}"
    if path.is_symlink() and not path.exists():
        reason = f"{said} is a link to {str(path.readlink())!r}, and nothing is there"
        raise ModelError(reason, hint="the download is not complete: download the model again")
    source = Source.of(path, said)
    if source.size < 1024 and source.read().tobytes().startswith(POINTER):
        raise ModelError(f"{said} is a Git LFS pointer, not the file itself", hint="'git lfs pull' fetches it")
    return source


def _config(source: Source) -> dict[str, Any]:
    if source.size > LONGEST:
        raise ModelError(f"{source.name} has {source.size} bytes, too many for a config")
    try:
        config = tensorfile.parse(source.read().tobytes().decode(), infinite=True)
    except ValueError as failure:
        raise ModelError(f"{source.name} cannot be read: {failure}") from failure
    if not isinstance(config, dict):
        raise ModelError(f"{source.name} is not a config: it is no JSON object")
    return config


def _weights(folder: Path, names: frozenset[str]) -> tuple[Index | None, tuple[str, ...]]:
    """Return the index, if there is one, and the names of the weight files, as transformers chooses them.

    Raises:
        ModelError: There are none, or the index is none.
    """
    index = Index.read(_source(folder, INDEX)) if INDEX in names else None
    if index is not None and (SINGLE not in names or SINGLE in index.files):
        if foreign := [each for each in index.files if not each.endswith(".safetensors")]:
            raise ModelError(f"{index.source.name} names {foreign[0]!r}, which is not a safetensors file")
        return index, index.files
    if SINGLE in names:
        return None, (SINGLE,)
    there = sorted(each for each in names if WEIGHTS.fullmatch(each))
    hint = "load it with from_pretrained and save it with save_pretrained, which writes safetensors"
    has = f", only {', '.join(map(repr, there[:4]))}{' ...' * (len(there) > 4)}" if there else ""
    raise ModelError(
        f"{str(folder)!r} has no weights in {SINGLE!r} or {INDEX!r}{has}",
        hint=hint if there else "pass a folder with the weights of the model",
    )


def _tensors(path: Path, source: Source) -> tuple[dict[str, Stored], Mapping[str, str]]:
    try:
        places, metadata = tensorfile.places(source)
    except ValueError as failure:
        raise ModelError(f"{source.name} cannot be read: {failure}") from failure
    order = sorted(places, key=lambda key: (places[key].start, places[key].length))
    return {key: Stored(key, places[key].dtype, places[key].shape, path, *places[key][2:]) for key in order}, metadata


def _rest(folder: Path, own: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the paths of what is copied, and of what is not.

    A folder in which there are weights is left as a whole: what is beside these is about them.
    """
    others, left = [], []
    for path in sorted(folder.iterdir()):
        if path.name in own:
            continue
        if path.is_dir() and not path.is_symlink():
            files = list(_files(path))
            if path.name in SKIPPED or any(WEIGHTS.fullmatch(each.name) or not each.is_file() for each in files):
                left.append(f"{path.name}/")
            else:
                others += [each.relative_to(folder).as_posix() for each in files]
        elif WEIGHTS.fullmatch(path.name) or path.is_dir() or not (path.is_file() or path.is_symlink()):
            left.append(path.name)
        else:
            others.append(path.name)
    return tuple(others), tuple(left)


def _files(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and in those below it, but no folder; a link to a folder is what it is, a link."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path
