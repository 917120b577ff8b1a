"""Safetensors as bytes: what is equal has equal bytes, and what is damaged is refused with a reason.

The format (https://huggingface.co/docs/safetensors) is a length in 8 bytes, a header of so many in JSON, padded with
spaces, and the numbers. The library writes the entries of the header in an order that differs from run to run.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from itertools import accumulate
from operator import index
from typing import IO, Any, NamedTuple

import ml_dtypes
import numpy as np
import safetensors

from onnx_n2n.io.lazy import FIRST, Lazy, Spec, specs_of
from onnx_n2n.io.sources import Source

LENGTH = struct.Struct("<Q")
METADATA = "__metadata__"
LONGEST = 100_000_000  # bytes of a header; the library reads no longer one
DTYPES: Mapping[str, np.dtype] = {
    name: np.dtype(dtype)
    for name, dtype in {
        "U64": "<u8", "I64": "<i8", "F64": "<f8", "C64": "<c8", "F32": "<f4", "U32": "<u4", "I32": "<i4",
        "BF16": ml_dtypes.bfloat16, "F16": "<f2", "U16": "<u2", "I16": "<i2",
        "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz, "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
        "F8_E8M0": ml_dtypes.float8_e8m0fnu, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2,
        "I8": "i1", "U8": "u1", "BOOL": "?",
    }.items()
}  # fmt: skip
"""The types that numpy has, with those of ml_dtypes, by their names in the format, in the order of its files."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}
ORDER = {dtype: place for place, dtype in enumerate(DTYPES.values())}

Arrays = Mapping[str, np.ndarray]


def to_bytes(tensors: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a file of tensors, by name: the same bytes in every run."""
    file = BytesIO()
    write(file, tensors, metadata)
    return file.getvalue()


def write(file: IO[bytes], tensors: Arrays, metadata: Mapping[str, str] | None = None) -> None:
    """Write a file of tensors, by name: the same bytes in every run. Each tensor is asked for once, one after another.

    Raises:
        ValueError: The format has no name for the type of a tensor.
    """
    specs = {name: Spec(spec.shape, spec.dtype.newbyteorder("<")) for name, spec in specs_of(tensors).items()}
    for name, spec in specs.items():
        if spec.dtype not in NAMES:
            raise ValueError(f"tensor {shown(name)} is of type {spec.dtype}, which the format does not have")

    def whole(name: str) -> None:
        file.write(data_of(tensors[name], specs[name].dtype))

    pour(file, specs, whole, metadata)


def pour(
    file: IO[bytes],
    specs: Mapping[str, Spec],
    put: Callable[[str], object],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a file of tensors that others write into it, so that no tensor need be in memory as a whole.

    Args:
        file: Where to write.
        specs: Shapes and types by name, these of :data:`DTYPES`.
        put: Writes the bytes of a tensor to where the file stands, little-endian and in C order; it is called once for
            each tensor, one after another.
        metadata: Goes into the header.

    Raises:
        AssertionError: What was written of a tensor are not as many bytes as it has.
    """
    names = sorted(specs, key=lambda name: (ORDER[specs[name].dtype], name.encode()))
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    ends = [0, *accumulate(specs[name].nbytes for name in names)]
    for name, *offsets in zip(names, ends, ends[1:], strict=False):
        spec = specs[name]
        header[name] = {"data_offsets": offsets, "dtype": NAMES[spec.dtype], "shape": list(spec.shape)}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % LENGTH.size)
    file.write(LENGTH.pack(len(text)) + text)
    for name in names:
        start = file.tell()
        put(name)
        if (written := file.tell() - start) != specs[name].nbytes:
            raise AssertionError(f"{name!r} gave {written} bytes, not {specs[name].nbytes}")


def data_of(array: np.ndarray, dtype: np.dtype) -> memoryview:
    """Return the bytes of an array as a file has them: of a type, in C order. They are copied only if they must be."""
    return np.asarray(array, dtype, order="C").reshape(-1).view(np.uint8).data


def from_bytes(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors in a file, and its metadata.

    Raises:
        ValueError: If it is no such file, with what is wrong.
    """
    try:
        found = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as failure:
        raise ValueError(str(failure).removeprefix("Error while deserializing: ")) from failure
    header = parse(_header(data)[0].decode())
    tensors = {}
    for name, tensor in found:
        if tensor["dtype"] not in DTYPES:
            raise ValueError(f"tensor {shown(name)} is of type {tensor['dtype']}, which numpy does not have")
        tensors[name] = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return tensors, header.get(METADATA) or {}


class Place(NamedTuple):
    """Where a tensor is in a file.

    Attributes:
        dtype: Its type, by its name in the format.
        shape: Its shape.
        start: The first of its bytes, from the start of the file.
        length: How many bytes it has.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    length: int


def places(source: Source) -> tuple[dict[str, Place], dict[str, str]]:
    """Return where each tensor of a file is, by name, in the order of its header, and its metadata.

    Raises:
        ValueError: If it is no such file, with what is wrong.
        ModelError: If it has changed since the source was made.
    """
    most = source.size - LENGTH.size
    length = LENGTH.unpack(source.read(0, LENGTH.size).tobytes())[0] if most >= 0 else 0
    if not 0 < length <= most:
        raise ValueError("it is too short for its header")
    if length > LONGEST:
        raise ValueError(f"its header is of {length} bytes, and no such file has more than {LONGEST}")
    start = LENGTH.size + length
    found: dict[str, Place] = {}
    try:
        header = parse(source.read(LENGTH.size, length).tobytes().decode())
        metadata = header.pop(METADATA, None) or {}
        if not all(isinstance(text, str) for text in metadata.values()):
            raise ValueError("its metadata are not texts")
        for name, entry in header.items():
            name.encode()  # half of a pair of surrogates is no character
            if entry["dtype"] not in DTYPES:
                raise ValueError(f"tensor {shown(name)} is of type {entry['dtype']}, which numpy does not have")
            spec = Spec(tuple(map(index, entry["shape"])), DTYPES[entry["dtype"]])
            begin, end = map(index, entry["data_offsets"])
            if min(spec.shape, default=0) < 0 or end - begin != spec.nbytes:
                raise ValueError(f"tensor {shown(name)} does not have the bytes that its shape needs")
            if not 0 <= begin <= end <= source.size - start:
                raise ValueError(f"tensor {shown(name)} is not inside the file")
            found[name] = Place(entry["dtype"], spec.shape, start + begin, end - begin)
    except (AttributeError, KeyError, TypeError) as failure:
        raise ValueError("its header is damaged") from failure
    reached = start
    for begin, size in (*sorted((place.start, place.length) for place in found.values()), (source.size, 0)):
        if begin != reached:
            raise ValueError(f"its tensors {'share bytes' if begin < reached else 'leave out bytes'} of the file")
        reached = begin + size
    return found, metadata


def read(source: Source) -> tuple[Lazy, dict[str, str]]:
    """Return the tensors in a file, of any size, and its metadata.

    The file is never mapped, and a tensor is read whenever it is asked for.

    Raises:
        ValueError: If it is no such file, with what is wrong.
        ModelError: If it has changed since the source was made; so does the reading of a tensor.
    """
    found, metadata = places(source)
    specs = {name: Spec(place.shape, DTYPES[place.dtype]) for name, place in found.items()}

    def make(name: str) -> np.ndarray:
        place = found[name]
        return source.read(place.start, place.length).view(specs[name].dtype).reshape(place.shape)

    def first(name: str) -> np.ndarray:
        place, dtype = found[name], specs[name].dtype
        return source.read(place.start, min(place.length, FIRST * dtype.itemsize)).view(dtype)

    return Lazy(specs, make, start=first), metadata


def parse(text: str, *, infinite: bool = False) -> Any:
    """Read JSON as its standard has it: every name once, numbers that are numbers.

    Args:
        text: What is read.
        infinite: Whether ``Infinity`` and ``NaN`` may be there, which Python writes, and the standard does not have.

    Raises:
        ValueError: If it is something else.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=float if infinite else _no_number)
    except json.JSONDecodeError as failure:
        raise ValueError(f"it is no JSON: {failure}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def shown(value: object) -> str:
    """Return a value as a refusal shows it: cut where it is long."""
    text = ascii(value) if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:56]} ..."


def _header(data: bytes) -> tuple[bytes, int]:
    """Return the header of a file, and where the numbers start."""
    start = LENGTH.size + LENGTH.unpack_from(data)[0]
    return data[LENGTH.size : start], start


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{shown(name)} is there twice")
        found[name] = value
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
