"""Models as files: weights stay on disk until they are asked for, and what is written is whole or not there at all."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n import border, stream
from onnx_n2n.errors import ModelError, OptionError

LIMIT = 1_900_000_000
"""Bytes above which weights go into a file of their own: protobuf reads no message of 2 GiB."""

_PAGE = 4096  # a runtime can map a tensor that starts on a page


def read(path: str | os.PathLike[str]) -> ir.Model:
    """Read an ONNX file; its large weights, embedded or external, stay mapped on disk.

    Raises:
        ModelError: See :func:`onnx_n2n.load`.
    """
    file, name = Path(path), repr(os.fspath(path))
    data = _map(file, name)
    if data[:20] == b"version https://git-":
        raise ModelError(f"{name} is a Git LFS pointer, not the model itself", hint="'git lfs pull' fetches it")
    try:
        proto, places = stream.skim(data)
    except ValueError as error:
        raise ModelError(f"{name} is not an ONNX file, or is cut short: {error}") from error
    lazy = []
    for position, (start, length) in places.items():
        tensor = proto.graph.initializer[position]
        lazy.append((tensor, _reader(tensor, data, start, length)))
    return from_proto(proto, lazy, file.parent, file.resolve().parent)


@border.told("the model cannot be represented")
def from_proto(proto: onnx.ModelProto, lazy: list[tuple[onnx.TensorProto, border.Read]], *folders: Path) -> ir.Model:
    """Turn a proto into the working representation, with its external weights mapped.

    Args:
        proto: Becomes part of the model: do not use it again.
        lazy: Tensors of the proto whose values are elsewhere, and how to fetch them.
        folders: The model's folder, in which external data files are looked for, and others in which they may really
            be if that has symbolic links to them (as in a download cache).

    Raises:
        ModelError: The model, or one of its data files, is not as it should be.
    """
    maps: dict[Path, mmap.mmap] = {}
    external = [tensor for tensor in border.tensors(proto) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    lazy = [*lazy, *((tensor, _external_reader(tensor, folders, maps)) for tensor in external)]
    return border.from_proto(proto, lazy, frozenset(map(str, maps)))


def write(model: ir.Model, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a model, one tensor after the other. The model is not changed.

    Raises:
        OptionError: See :func:`onnx_n2n.save`.
        ModelError: See :func:`onnx_n2n.save`.
    """
    target, teachers = Path(path), border.carried(model).data_files
    _check_target(target, force, teachers)
    sketch = border.to_sketch(model)
    proto, large = sketch.proto, dict[int, ir.TensorProtocol]()
    for position, slot in enumerate(border.tensors(proto)):  # the initializers of the main graph come first
        tensor = sketch.tensor(slot)
        top = position < len(proto.graph.initializer)
        if top and tensor.dtype != ir.DataType.STRING and tensor.nbytes > stream.LARGE:
            large[position] = tensor
        else:
            stream.fill(slot, tensor)
    with border.told("the model cannot be serialised"):
        size = proto.ByteSize()
    if size > LIMIT:
        raise ModelError(f"{size} bytes are outside of the main graph's initializers, and an ONNX file holds fewer")
    try:
        if large and (teachers or size + sum(tensor.nbytes for tensor in large.values()) > LIMIT):
            data = target.with_name(target.name + ".data")
            _check_target(data, force, teachers)
            _write_pair(proto, large, target, data)
        else:
            for position in large:
                stream.unlocate(proto.graph.initializer[position])
            with _replacing(target) as (temporary,), temporary.open("xb") as file:
                stream.pour(file, proto, large)
    except OSError as error:
        raise ModelError(f"{os.fspath(path)!r} could not be written: {error.strerror or error}") from error


def _write_pair(proto: onnx.ModelProto, large: dict[int, ir.TensorProtocol], target: Path, data: Path) -> None:
    end = 0
    with _replacing(data, target) as (temporary_data, temporary_target):
        with temporary_data.open("xb") as file:
            for position, tensor in large.items():
                file.seek(-(-end // _PAGE) * _PAGE)
                stream.locate(proto.graph.initializer[position], data.name, file.tell(), tensor.nbytes)
                stream.write_tensor(file, tensor)
                end = file.tell()
        temporary_target.write_bytes(proto.SerializeToString())


def _map(file: Path, name: str) -> mmap.mmap:
    try:
        if not file.exists():
            raise ModelError(f"{name} does not exist", hint=f"It was looked for in {str(file.parent.resolve())!r}")
        if not file.is_file():
            raise ModelError(f"{name} is not a file")
        if file.stat().st_size == 0:
            raise ModelError(f"{name} is empty")
        with file.open("rb") as handle:
            return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ModelError(f"{name} cannot be read: {error}") from error


def _reader(tensor: onnx.TensorProto, data: mmap.mmap, start: int, length: int) -> border.Read:
    """Return what reads a tensor from mapped bytes, without copying them where numpy knows the type."""
    like = stream.outline(tensor)
    stream.check_length(like, length)

    def read() -> ir.TensorProtocol:
        raw = np.frombuffer(data, np.uint8, length, start)
        if like.dtype.bitwidth < 8:
            return ir.PackedTensor(raw, like.dtype, shape=like.shape)
        return ir.Tensor(raw.view(like.dtype.numpy()).reshape(like.shape.numpy()), like.dtype)

    return read


def _external_reader(tensor: onnx.TensorProto, folders: tuple[Path, ...], maps: dict[Path, mmap.mmap]) -> border.Read:
    """Do the same for an external tensor; a file is mapped once, however many tensors are in it."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    location = said.get("location", "")
    name = f"external data file {location!r} of tensor {tensor.name!r}"
    try:
        file = (folders[0] / location).resolve()
        inside = not Path(location).is_absolute() and any(file.is_relative_to(folder.resolve()) for folder in folders)
        start, length = int(said.get("offset", 0)), int(said.get("length", stream.outline(tensor).nbytes))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name} cannot be read: {error}") from error
    if not location or not inside:
        raise ModelError(f"{name} is outside of the model's folder", hint="Copy it into that folder")
    if file not in maps:
        maps[file] = _map(file, name)
    if start < 0 or start + length > len(maps[file]):
        raise ModelError(f"{name} is too short: {len(maps[file])} bytes, where {start + length} are needed")
    return _reader(tensor, maps[file], start, length)


def _check_target(target: Path, force: bool, teachers: frozenset[str]) -> None:
    name, folder = repr(str(target)), target.parent
    if not folder.is_dir():
        raise OptionError(f"there is no folder {str(folder)!r} to write {target.name!r} to")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(f"folder {str(folder)!r} is not writable")
    if str(target.resolve()) in teachers:
        raise OptionError(f"{name} holds weights of the model that is being read", hint="Choose another output")
    if os.path.lexists(target):
        if not target.is_file():
            raise OptionError(f"{name} is not a file")
        if not force:
            raise OptionError(f"{name} exists already", hint="Choose another output, or force overwriting")


@contextmanager
def _replacing(*targets: Path) -> Iterator[list[Path]]:
    """Give a temporary path for each target; in the end the files written there take the targets' places, or vanish."""
    token = secrets.token_hex(4)
    temporary = [target.with_name(f".onnx-n2n-{token}-{number}") for number, target in enumerate(targets)]
    created = []
    try:
        yield temporary
        for source, target in zip(temporary, targets, strict=True):
            if not os.path.lexists(target):
                created.append(target)
            source.replace(target)
    except BaseException:
        for path in created:
            path.unlink(missing_ok=True)
        raise
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)
