"""Models as they are written: ONNX's own messages, and constants that are read when they are needed."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from onnx_n2n.errors import ModelError, OptionError

# Of types whose numbers share bytes, how many bits each has.
PACKED = {int(type_): int(bits[1]) for name, type_ in onnx.TensorProto.DataType.items()
          if (bits := re.match(r"(?:U?INT|FLOAT)([246])(?!\d)", name))}  # fmt: skip


@dataclass(frozen=True)
class File:
    """A model with where its data lies.

    Args:
        proto: The model. Tensors in files beside it are not loaded.
        folder: The folder that their places are relative to.
    """

    proto: onnx.ModelProto
    folder: Path = field(default_factory=Path)
    _arrays: dict[int, tuple[onnx.TensorProto, np.ndarray]] = field(default_factory=dict, repr=False, compare=False)

    def array(self, tensor: onnx.TensorProto) -> np.ndarray:
        """Return a tensor's numbers, the same array each time; those in a file are mapped, not read.

        Raises:
            ModelError: If its data is not what its shape says, or its file missing or outside of the model's folder.
        """
        if id(tensor) not in self._arrays:  # a tensor that is held is the only one with its number
            found = self._mapped(tensor) if tensor.data_location == onnx.TensorProto.EXTERNAL else _inside(tensor)
            self._arrays[id(tensor)] = tensor, found
        return self._arrays[id(tensor)][1]

    def _mapped(self, tensor: onnx.TensorProto) -> np.ndarray:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        folder = self.folder.resolve()
        path = (folder / entries.get("location", "")).resolve()
        if not path.is_relative_to(folder):
            raise ModelError(f"the data of {tensor.name!r} is outside of the model's folder")
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        count = int(np.prod(tensor.dims, dtype=np.int64))
        bits = PACKED.get(tensor.data_type, 8 * dtype.itemsize)
        length = (count * bits + 7) // 8
        offset = int(entries.get("offset", 0))
        try:
            raw = np.memmap(path, np.uint8, "r", offset, length) if length else np.zeros(0, np.uint8)
        except (OSError, ValueError) as error:
            raise ModelError(f"the data of {tensor.name!r} cannot be read from {path.name!r}: {error}") from error
        if tensor.data_type in PACKED:
            whole = onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=raw.tobytes())
            return numpy_helper.to_array(whole)
        return raw.view(dtype.newbyteorder("<") if dtype.kind in "iuf" else dtype).reshape(tuple(tensor.dims))

    @property
    def functions(self) -> Mapping[tuple[str, str, str], onnx.FunctionProto]:
        """The model's own functions, by domain, name and overload."""
        return {(domain_of(each.domain), each.name, each.overload): each for each in self.proto.functions}

    @property
    def inputs(self) -> Iterator[onnx.ValueInfoProto]:
        """The inputs that a caller has to give: those that no constant shadows. A length below 0 is none."""
        given = {each.name for each in self.proto.graph.initializer}
        given |= {each.values.name for each in self.proto.graph.sparse_initializer}
        return (_declared(each) for each in self.proto.graph.input if each.name not in given)


def let_go(array: np.ndarray | None) -> None:
    """Give back the memory of an array that is mapped; its pages are read again when they are needed."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _declared(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """Return an input with free axes where it declares lengths below 0, as some exporters write them."""
    if all(dim.dim_value >= 0 for dim in value.type.tensor_type.shape.dim):
        return value
    found = onnx.ValueInfoProto()
    found.CopyFrom(value)
    for dim in found.type.tensor_type.shape.dim:
        if dim.dim_value < 0:
            dim.Clear()
    return found


def _inside(tensor: onnx.TensorProto) -> np.ndarray:
    """Return the numbers of a tensor that the model's own file has."""
    try:
        if tensor.data_type == onnx.TensorProto.STRING:  # NumPy's own texts have no zeros at their end
            texts = [each.decode() for each in tensor.string_data]
            found = np.array([*texts, None], object)[:-1].reshape(tuple(tensor.dims))
        else:
            found = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"the data of {tensor.name!r} cannot be read: {error}") from error
    found.flags.writeable = False
    return found


def load(model: onnx.ModelProto | Path | str) -> File:
    """Open a model by its path, or take one that is in memory.

    Raises:
        ModelError: If there is no ONNX model.
        OptionError: If it is neither a path nor an ``onnx.ModelProto``.
    """
    if isinstance(model, onnx.ModelProto):
        return File(model)
    if not isinstance(model, str | os.PathLike):
        hint = "`onnx_n2n.verify` with `exact=True` takes models of all kinds"
        raise OptionError(f"the exact check takes a path or an onnx.ModelProto, not {type(model)}", hint=hint)
    path = Path(model)
    if path.is_dir():
        raise ModelError(f"{str(path)!r} is a folder", hint="pass the path of the file in it")
    try:
        proto = onnx.load(path, load_external_data=False)
    except FileNotFoundError as error:
        hint = f"it was looked for in {str(Path.cwd())!r}"
        raise ModelError(f"{str(path)!r} does not exist", hint=hint) from error
    except Exception as error:
        raise ModelError(f"{path} cannot be read as an ONNX model: {error}") from error
    if not proto.HasField("graph"):  # what protobuf makes of an empty file
        raise ModelError(f"{path} is no ONNX model: it has no graph")
    return File(proto, path.parent)


def opsets(imports: object) -> dict[str, int]:
    """Return the version of each domain's operators."""
    return {domain_of(each.domain): each.version for each in imports}  # type: ignore[attr-defined]


def domain_of(name: str) -> str:
    """Return the name of a domain; ONNX's own has two."""
    return "" if name == "ai.onnx" else name


def dense(file: File, sparse: onnx.SparseTensorProto) -> np.ndarray:
    """Return all elements of a sparse constant."""
    values, indices = file.array(sparse.values), file.array(sparse.indices)
    whole = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        whole.reshape(-1)[indices] = values
    else:
        whole[tuple(indices.T)] = values
    return whole
