"""Models as files: weights stay on disk until they are asked for, and what is written is whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.errors import ModelError, told
from onnx_n2n.graph.grown import Grown
from onnx_n2n.io import incoming, space, wire
from onnx_n2n.io.atomic import STDOUT, drafting, unwritten
from onnx_n2n.io.carried import Files, carried
from onnx_n2n.io.kinds import file_of
from onnx_n2n.io.messages import tensors
from onnx_n2n.io.outgoing import keep, to_sketch
from onnx_n2n.io.rooms import is_plain, same_bytes
from onnx_n2n.io.sources import Pages, Source
from onnx_n2n.io.stand_ins import Read
from onnx_n2n.progress import Done, Progress, counting, unheard

LIMIT = 1_900_000_000
"""Bytes above which weights go into a file of their own: protobuf reads no message of 2 GiB."""

Fetch = Callable[[int, int], np.ndarray]
"""Returns bytes as uint8[length], from a start on and as many as are asked for."""

_DATA = "data"  # beside a draft, until its name is known
_PAGE = 4096  # a runtime can map a tensor that starts on a page


def read(path: str | os.PathLike[str]) -> ir.Model:
    """Read an ONNX file; its large weights, embedded or external, stay on disk.

    Args:
        path: The file, or a folder with a ``model.onnx``.

    Raises:
        ModelError: See :func:`onnx_n2n.load`.
    """
    path = file_of(path)
    source = Source.of(Path(path), repr(os.fspath(path)))
    proto, places = _skim(Pages(source), source.name)
    lazy = _readers(proto, places, source.read)
    return from_proto(proto, lazy, source.path.parent, source.path.resolve().parent, source=source)


def from_bytes(data: bytes, folder: Path | None = None) -> ir.Model:
    """Read what would be in an ONNX file; its large weights stay in the bytes.

    Args:
        data: All that would be in the file.
        folder: Where its external weights are; it has none if this is not given.

    Raises:
        ModelError: It is not a model, or not all of it: weights are in other files, and nobody says where.
    """
    proto, places = _skim(data, "the model in memory")
    for tensor in tensors(proto):
        if folder is None and tensor.data_location == onnx.TensorProto.EXTERNAL:
            reason = f"tensor {tensor.name!r} is in another file, and a model that comes as bytes has no folder"
            raise ModelError(reason, hint="Pass the path of the model's file")
    lazy = _readers(proto, places, lambda start, length: _part(data, start, length))
    return from_proto(proto, lazy, folder or Path())


def _part(data: bytes, start: int, length: int) -> np.ndarray:
    """Return bytes of some, as uint8 in memory of their own, so that numbers in them are aligned."""
    return np.frombuffer(data, np.uint8, length, start).copy()


def _skim(data: wire.Data, name: str) -> tuple[onnx.ModelProto, dict[int, tuple[int, int]]]:
    if not len(data):
        raise ModelError(f"{name} is empty")
    if data[:20] == b"version https://git-":
        raise ModelError(f"{name} is a Git LFS pointer, not the model itself", hint="'git lfs pull' fetches it")
    try:
        return wire.skim(data)
    except ValueError as error:
        raise ModelError(f"{name} is not an ONNX file, or is cut short: {error}") from error


def _readers(
    proto: onnx.ModelProto, places: dict[int, tuple[int, int]], fetch: Fetch
) -> list[tuple[onnx.TensorProto, Read]]:
    """Return the initializers that were not parsed, each with what reads it."""
    slots = ((proto.graph.initializer[position], place) for position, place in places.items())
    return [(slot, _reader(wire.outline(slot), fetch, *place)) for slot, place in slots]


@told("the model cannot be represented")
def from_proto(
    proto: onnx.ModelProto,
    lazy: list[tuple[onnx.TensorProto, Read]],
    *folders: Path,
    source: Source | None = None,
) -> ir.Model:
    """Turn a proto into the working representation, with its external weights left in their files.

    Args:
        proto: Becomes part of the model: do not use it again.
        lazy: Tensors of the proto whose values are elsewhere, and how to fetch them.
        folders: The model's folder, in which external data files are looked for, and others in which they may really
            be if that has symbolic links to them (as in a download cache).
        source: The file that the proto is from.

    Raises:
        ModelError: The model, or one of its data files, is not as it should be.
    """
    sources: dict[Path, Source] = {} if source is None else {source.path.resolve(): source}
    external = [tensor for tensor in tensors(proto) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    lazy = [*lazy, *((tensor, _external_reader(tensor, folders, sources)) for tensor in external)]
    return incoming.from_proto(proto, lazy, Files(tuple(sources.values()), bool(external)))


def write(model: ir.Model, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a model, one tensor after the other. The model is not changed.

    Raises:
        OptionError: See :func:`onnx_n2n.save`.
        ModelError: See :func:`onnx_n2n.save`.
    """
    place = Path(path)
    with drafting(place, force=force, read=carried(model).files.read, companions=data_files) as draft:
        write_draft(model, draft.path, place)
        draft.publish()


def write_draft(
    model: ir.Model, draft: Path, place: Path, *, back: bool = False, progress: Progress = unheard
) -> None:
    """Write a model to a file that is not there yet, and its external weights beside it.

    The name of the data file is its own for each student. So a model never points to the weights of another one, not
    even for the moment in which one takes the other's place.

    Args:
        model: Stays what it is.
        draft: Where to write.
        place: Where the file will be; ``-`` for stdout, which takes a single file.
        back: Whether what grew is read from there afterwards, at the draft's place or where the file will be, and only
            made again where neither has it.
        progress: Is told how far it is.

    Raises:
        ModelError: See :func:`onnx_n2n.save`.
    """
    sketch = to_sketch(model)
    proto, large = sketch.proto, dict[int, ir.TensorProtocol]()
    for position, slot in enumerate(tensors(proto)):
        tensor = sketch.tensor(slot)
        if _is_large(proto, position, tensor):
            large[position] = tensor
        else:
            wire.fill(slot, tensor)
            if back:
                keep(tensor, slot)
    with told("the model cannot be serialised"):
        size = proto.ByteSize()
    if size > LIMIT:
        raise ModelError(f"{size} bytes are outside of the main graph's initializers, and an ONNX file holds fewer")
    whole = size + sum(tensor.nbytes for tensor in large.values())
    check_size(place, draft.parent, whole)
    apart = large and place != STDOUT and (carried(model).files.external or whole > LIMIT)
    done = counting(progress, (tensor.nbytes for tensor in large.values()))
    try:
        if apart:
            data, starts = _write_pair(proto, large, draft, place, done)
        else:
            for position in large:
                wire.unlocate(proto.graph.initializer[position])
            data = draft
            with draft.open("xb") as file:
                starts = wire.pour(file, proto, large, done)
    except OSError as failure:
        raise unwritten(place, failure) from failure
    if back:
        read_back({start: large[position] for position, start in starts.items()}, data, place.absolute())


@dataclass(frozen=True)
class Extent:
    """How large the file of a model is.

    Attributes:
        around: Its bytes beside those of large weights of the main graph.
        large: The bytes of these.
    """

    around: int
    large: int

    @property
    def whole(self) -> int:
        """All bytes."""
        return self.around + self.large


def extent(model: ir.Model) -> Extent:
    """Return how large the file of a model will be, but for some bytes for each weight; none of these is made."""
    sketch, around, large = to_sketch(model), 0, 0
    for position, slot in enumerate(tensors(sketch.proto)):
        tensor = sketch.tensor(slot)
        wire.unlocate(slot)
        if _is_large(sketch.proto, position, tensor):
            large += tensor.nbytes
        else:
            around += tensor.nbytes
    return Extent(around + sketch.proto.ByteSize(), large)


def _is_large(proto: onnx.ModelProto, position: int, tensor: ir.TensorProtocol) -> bool:
    """Say whether a tensor is streamed; initializers of the main graph come first."""
    top = position < len(proto.graph.initializer)
    return top and tensor.dtype != ir.DataType.STRING and tensor.nbytes > wire.LARGE


def check_size(place: Path, folder: Path, whole: int) -> None:
    """Make sure that there is room for a model of so many bytes.

    Args:
        place: Where its file will be; ``-`` for stdout.
        folder: Where its draft will be.
        whole: Its bytes.

    Raises:
        ModelError: There is not.
    """
    if place == STDOUT and whole > LIMIT:
        reason = f"the model has {whole} bytes, and a single file holds fewer"
        raise ModelError(reason, hint="Name a file with `output=`")
    space.suffices(place, folder, whole)


def read_back(written: dict[int, ir.TensorProtocol], data: Path, place: Path) -> None:
    """Let what grew be read from a file, by where it starts there."""
    source = Source.of(data)
    files = source, replace(source, path=place.with_name(data.name))
    for start, tensor in written.items():
        if isinstance(tensor, Grown):
            tensor.store(partial(_either, *(_reader(tensor, file.read, start, tensor.nbytes) for file in files)))


def _either(here: Read, there: Read) -> ir.TensorProtocol:
    """Return a tensor from a draft, or from where the draft has gone."""
    try:
        return here()
    except ModelError:
        return there()


def discard_draft(draft: Path) -> None:
    """Remove a draft, whole or not, so that another one can be written."""
    remove(draft)
    draft.with_name(_DATA).unlink(missing_ok=True)


def data_files(path: Path) -> frozenset[str]:
    """Return the names of the data files beside a model that were written for it, as its own name in theirs says.

    Those that another model there reads too, as a copy of this one does, are left out.
    """
    ours = re.compile(re.escape(path.name) + r"(\.[0-9a-f]{16})?\.data")
    found = frozenset(name for name in _locations(path) if ours.fullmatch(name) and is_plain(path.with_name(name)))
    others = (each for each in path.parent.glob("*.onnx") if found and each.name != path.name)
    return found.difference(*map(_locations, others))


def _locations(path: Path) -> frozenset[str]:
    """Return where a model says that its weights are; nowhere if it cannot be read."""
    try:
        source = Source.of(path)
        proto, _ = _skim(Pages(source), source.name)
    except ModelError:
        return frozenset()
    external = (tensor for tensor in tensors(proto) if tensor.data_location == onnx.TensorProto.EXTERNAL)
    return frozenset(entry.value for tensor in external for entry in tensor.external_data if entry.key == "location")


def remove(path: Path) -> None:
    """Remove a model with the data files that were written for it, if it is there."""
    for each in (path, *map(path.with_name, data_files(path))):
        each.unlink(missing_ok=True)


def _write_pair(
    proto: onnx.ModelProto, large: dict[int, ir.TensorProtocol], draft: Path, place: Path, done: Done
) -> tuple[Path, dict[int, int]]:
    """Write a model with a data file, and return that file, and where in it each large tensor starts."""
    data, spans, end = draft.with_name(_DATA), {}, 0
    with data.open("xb") as file:
        for position, tensor in large.items():
            file.seek(-(-end // _PAGE) * _PAGE)
            spans[position] = file.tell()
            wire.write_tensor(file, tensor)
            end = file.tell()
            done(tensor.nbytes)
    name = _data_name(proto, data, place)
    for position, start in spans.items():
        wire.locate(proto.graph.initializer[position], name, start, large[position].nbytes)
    data = data.rename(draft.with_name(name))
    draft.write_bytes(proto.SerializeToString())
    return data, spans


def _data_name(proto: onnx.ModelProto, data: Path, place: Path) -> str:
    """Return a name that no other weights have: by the graph with its history, and by a sixteenth of the bytes.

    Where that is not enough to tell two files apart, all of their bytes are.
    """
    found = hashlib.sha256(proto.SerializeToString(deterministic=True))
    with data.open("rb") as file:
        for start in range(0, data.stat().st_size, 16 * _PAGE):
            file.seek(start)
            found.update(file.read(_PAGE))
    while True:
        name = f"{place.name}.{found.hexdigest()[:16]}.data"
        if not os.path.lexists(place.with_name(name)) or same_bytes(place.with_name(name), data):
            return name
        found.update(b"another")


def _reader(like: ir.TensorProtocol, fetch: Fetch, start: int, length: int) -> Read:
    """Return what reads a tensor from where it is."""
    wire.check_length(like, length)

    def read() -> ir.TensorProtocol:
        raw = fetch(start, length)
        if like.dtype.bitwidth < 8:
            return ir.PackedTensor(raw, like.dtype, shape=like.shape.numpy())
        return ir.Tensor(raw.view(like.dtype.numpy()).reshape(like.shape.numpy()), like.dtype)

    return read


def _external_reader(tensor: onnx.TensorProto, folders: tuple[Path, ...], sources: dict[Path, Source]) -> Read:
    """Do the same for an external tensor."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    location = said.get("location", "")
    name = f"external data file {location!r} of tensor {tensor.name!r}"
    try:
        file = (folders[0] / location).resolve()
        inside = not Path(location).is_absolute() and any(file.is_relative_to(folder.resolve()) for folder in folders)
        start, length = int(said.get("offset", 0)), int(said.get("length", wire.outline(tensor).nbytes))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name} cannot be read: {error}") from error
    if not location or not inside:
        raise ModelError(f"{name} is outside of the model's folder", hint="Copy it into that folder")
    if file not in sources:
        sources[file] = Source.of(file, name)
    if start < 0 or length < 0 or start + length > sources[file].size:
        raise ModelError(f"{name} is too short: {sources[file].size} bytes, where {start + length} are needed")
    return _reader(wire.outline(tensor), sources[file].read, start, length)
