"""A new Hugging Face folder: the old one with other weights, written tensor by tensor, whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import onnx_ir as ir

from onnx_n2n.checkpoint.folders import check_weights
from onnx_n2n.checkpoint.shard_index import updated
from onnx_n2n.errors import OptionError
from onnx_n2n.huggingface.config_text import changed
from onnx_n2n.huggingface.folder import CONFIG, INDEX, SINGLE, Folder
from onnx_n2n.huggingface.sharding import as_before, by_size
from onnx_n2n.io import space
from onnx_n2n.io.atomic import ANOTHER, STDOUT, unwritten
from onnx_n2n.io.files import read_back
from onnx_n2n.io.folders import Own, check_folder, making_folder, named
from onnx_n2n.io.lazy import Spec
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import DTYPES, NAMES, places, pour
from onnx_n2n.io.wire import write_tensor
from onnx_n2n.progress import Done, Progress, counting, unheard
from onnx_n2n.record.record import Record

CARD = "README.md"
MODEL = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
TITLE = "## Grown with onnx-n2n"
RECORD = "growth{}.record"  # a folder that grew before has the record of that already
BLOCK = 1 << 20  # bytes of a tensor that are read at a time where it stays as it is: more at a time takes longer

@dataclass(frozen=True)
class Tensor:
    """A tensor that is to be written.

    Attributes:
        dtype: Its type, as safetensors names it: ``F32``, ``BF16``.
        shape: Its shape.
        put: Writes its bytes to where a file stands, little-endian and in C order; it is called once.
        weight: The weight of a graph that it is, if it is one: what has grown is read from the new folder afterwards.
    """

    dtype: str
    shape: tuple[int, ...]
    put: Callable[[BinaryIO], object]
    weight: ir.TensorProtocol | None = None

    @property
    def spec(self) -> Spec:
        """Its shape and type."""
        return Spec(self.shape, DTYPES[self.dtype])


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        path: The folder.
        shards: Names of its weight files.
        fields: For each field of the config that has changed, what was there, None for nothing, and what is there.
        record: The name of the growth record; empty for none.
        copied: Paths of the files that are as they were.
        left: Paths of what was in the old folder and is not in this one: other weights, and what is of a download.
    """

    path: Path
    shards: tuple[str, ...]
    fields: Mapping[str, tuple[Any, Any]]
    record: str
    copied: tuple[str, ...]
    left: tuple[str, ...]


def kept(folder: Folder, key: str) -> Tensor:
    """Return a tensor of a folder as it is."""
    stored = folder.tensors[key]

    def put(file: BinaryIO) -> None:
        for start in range(0, stored.length, BLOCK):
            file.write(folder.bytes_of(key, start, BLOCK).data)

    return Tensor(stored.dtype, stored.shape, put)


def of(tensor: ir.TensorProtocol) -> Tensor:
    """Return a tensor of a graph as one to be written; it is made when its turn comes, a large one in parts."""
    dtype = np.dtype(tensor.dtype.numpy()).newbyteorder("<")
    return Tensor(NAMES[dtype], tuple(tensor.shape.numpy()), lambda file: write_tensor(file, tensor), tensor)


def check_output(folder: Folder, output: str | os.PathLike[str], *, force: bool = False) -> None:
    """Make sure, before any work, that a new folder can be written.

    Raises:
        OptionError: There is something already, it is the old folder or inside of it or around it, or nothing can be
            written there.
    """
    place = Path(output)
    if place == STDOUT:
        raise OptionError("a model in a folder cannot be written to stdout", hint="name a folder with `output=`")
    old, new = Path(os.path.realpath(folder.path)), Path(os.path.realpath(place))
    if new == old:
        raise OptionError(f"{str(place)!r} is the model that is read, and inputs are never written", hint=ANOTHER)
    if new.is_relative_to(old) or old.is_relative_to(new):
        reason = f"{str(place)!r} is {'inside of' if new.is_relative_to(old) else 'around'} the model that is read"
        raise OptionError(reason, hint="choose a folder beside it with `output=`")
    own = _replacing(folder)
    check_folder(place, own, force=force, read=folder.sources.values())
    check_weights(named(place), own(named(place)))


@dataclass(frozen=True, eq=False)
class Draft:
    """A new folder that has no place yet: it is read there as any other, and judged before anybody else sees it.

    Attributes:
        folder: The old one.
        place: Where it will be.
        path: Where it is. Beside it there is room for what vanishes with the draft.
        shards: Names of its weight files.
    """

    folder: Folder
    place: Path
    path: Path
    shards: tuple[str, ...]

    def configure(self, fields: Mapping[str, Any]) -> None:
        """Give it a config: that of the old folder with other values of some fields.

        Args:
            fields: New values; ``text_config.hidden_size`` is a field of a nested config.

        Raises:
            OptionError: A field is inside of what is no config.
            ModelError: The disk does not take it.
        """
        try:
            text = changed(self.folder.sources[CONFIG].read().tobytes().decode(), fields)
        except (ValueError, RecursionError) as failure:
            raise OptionError(f"the config of {str(self.folder.path)!r} cannot be changed: {failure}") from failure
        self._put({CONFIG: text.encode()})

    def finish(self, fields: Mapping[str, Any], record: Record | None = None, card: str = "") -> Written:
        """Give it all that it lacks beside weights.

        Args:
            fields: As for :meth:`configure`.
            record: What became of every weight.
            card: What the model card says of it, in Markdown.

        Raises:
            OptionError: A field is inside of what is no config.
            ModelError: The disk does not take it.
        """
        self.configure(fields)
        name = record_name(self.folder) if record is not None else ""
        texts = {} if record is None else {name: record.to_bytes()}
        if card:
            texts[CARD] = _card(self.folder, card)
        self._put(texts)
        copied = tuple(each for each in self.folder.others if each not in texts)
        was = {field: (value_at(self.folder.config, field), value) for field, value in fields.items()}
        return Written(self.place, self.shards, MappingProxyType(was), name, copied, self.folder.left)

    def _put(self, texts: Mapping[str, bytes]) -> None:
        space.suffices(self.place, self.path, sum(map(len, texts.values())))
        try:
            for name, text in texts.items():
                (self.path / name).write_bytes(text)
        except OSError as failure:
            raise unwritten(self.place, failure) from failure


@contextmanager
def drafting(
    folder: Folder,
    output: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    *,
    like: Mapping[str, str] = MappingProxyType({}),
    shard_size: int | None = None,
    force: bool = False,
    beside: int = 0,
    read: Iterable[Source] = (),
    progress: Progress = unheard,
) -> Iterator[Draft]:
    """Lend the draft of a new folder: the old one with other weights. It takes its place when the block ends.

    Args:
        folder: The old one; nothing is written into it.
        output: The new one.
        tensors: All tensors of the new one, by key. They are written one after another.
        like: For keys that are new, the old key beside which the tensor is put.
        shard_size: How many bytes of tensors a weight file has at most. If not given, each tensor is in the file in
            which it was.
        force: Whether to replace a model that is there.
        beside: How many bytes will be put beside the draft for a while.
        read: Further files that are read on the way, and must not have changed at the end.
        progress: Is told how far it is.

    Raises:
        OptionError: As :func:`check_output`.
        ModelError: The disk has no room for it, or something that was read has changed meanwhile.
    """
    check_output(folder, output, force=force)
    place = named(Path(output))
    specs = {key: tensor.spec for key, tensor in tensors.items()}
    sizes = {key: spec.nbytes for key, spec in specs.items()}
    files = as_before(folder, sizes, like) if shard_size is None else by_size(folder, sizes, like, shard_size)
    shards = tuple(sorted(set(files.values())))
    index = b""
    if shards != (SINGLE,):
        document = folder.index or {"metadata": {"total_size": 0}, "weight_map": {}}
        before = {key: Spec(stored.shape, DTYPES[stored.dtype]) for key, stored in folder.tensors.items()}
        index = updated(document, files, before, specs)
    own = _replacing(folder, {*shards, record_name(folder)})
    others = sum(folder.sources[each].size for each in (CONFIG, *folder.others))
    space.suffices(place, place.parent, sum(sizes.values()) + len(index) + others + beside)
    progress("writing the model")
    done = counting(progress, sizes.values())
    with making_folder(place, own, force=force, read=(*folder.sources.values(), *read)) as path:
        try:
            for each in shards:
                of_file = {key: tensor for key, tensor in tensors.items() if files[key] == each}
                _pour(path / each, (place / each).absolute(), of_file, _metadata(folder, each), done)
            for each in folder.others:
                (path / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder.sources[each].path, path / each)
            if index:
                (path / INDEX).write_bytes(index)
        except OSError as failure:
            raise unwritten(place, failure) from failure
        yield Draft(folder, place, path, shards)


def _replacing(folder: Folder, new: Set[str] = frozenset()) -> Own:
    """Return what says which names are replaced where a model is already: its weights, and what is written."""
    names = frozenset(each.partition("/")[0] for each in (*folder.sources, *new, CARD))

    def own(place: Path) -> frozenset[str]:
        there = (path.name for path in place.iterdir()) if place.is_dir() else iter(())
        return names.union(name for name in there if MODEL.fullmatch(name))

    return own


def _pour(path: Path, place: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], done: Done) -> None:
    """Write a weight file that will be at some place; what has grown is read from it from then on."""

    def put(key: str) -> None:
        tensors[key].put(file)
        done(tensors[key].spec.nbytes)

    with path.open("xb") as file:
        pour(file, {key: tensor.spec for key, tensor in tensors.items()}, put, metadata)
    starts = {key: found.start for key, found in places(Source.of(path))[0].items()}
    read_back({starts[key]: each.weight for key, each in tensors.items() if each.weight is not None}, path, place)


def _metadata(folder: Folder, name: str) -> Mapping[str, str]:
    """Return the metadata of a weight file: those that it had, and of a new one those of the first."""
    return folder.metadata.get(name, folder.metadata[folder.shards[0]])


def _card(folder: Folder, text: str) -> bytes:
    """Return the model card with a section behind what it says."""
    before = folder.sources[CARD].read().tobytes().rstrip() + b"\n\n" if CARD in folder.others else b""
    return before.lstrip(b"\n") + f"{TITLE}\n\n{text.strip()}\n".encode()


def record_name(folder: Folder) -> str:
    """Return what the growth record of a new folder is called: those of before are kept beside it."""
    number, name = 1, RECORD.format("")
    while name in folder.others:
        number += 1
        name = RECORD.format(f"-{number}")
    return name


def value_at(config: Mapping[str, Any], field: str) -> Any:
    """Return what a config says of a field, None for nothing."""
    found: Any = config
    for name in field.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
