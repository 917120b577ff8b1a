"""Safetensors as bytes: what is equal has equal bytes, and what is damaged is refused with a reason.

The format (https://huggingface.co/docs/safetensors) is a length in 8 bytes, a header of so many in JSON, padded with
spaces, and the numbers. The library writes the entries of the header in an order that differs from run to run.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from operator import index
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from onnx_n2n.io.sources import Source

LENGTH = struct.Struct("<Q")
METADATA = "__metadata__"
DTYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8",
}  # fmt: skip
"""The types that numpy has, by their names in the format."""

Arrays = Mapping[str, np.ndarray]


def to_bytes(tensors: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a file of tensors, by name: the same bytes in every run."""
    plain = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    raw = save(plain, dict(metadata) if metadata else None)  # the library writes no header of an empty dictionary
    text, start = _header(raw)
    header = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % LENGTH.size)
    return b"".join((LENGTH.pack(len(header)), header, memoryview(raw)[start:]))


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


def read(source: Source) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors in a file, of any size, and its metadata; it is never mapped, and each tensor is read once.

    Raises:
        ValueError: If it is no such file, with what is wrong.
        ModelError: If it has changed since the source was made.
    """
    most = source.size - LENGTH.size
    length = LENGTH.unpack(source.read(0, LENGTH.size).tobytes())[0] if most >= 0 else 0
    if not 0 < length <= most:
        raise ValueError("it is too short for its header")
    start, tensors = LENGTH.size + length, {}
    try:
        header = parse(source.read(LENGTH.size, length).tobytes().decode())
        metadata = header.pop(METADATA, None) or {}
        for name, entry in header.items():
            if entry["dtype"] not in DTYPES:
                raise ValueError(f"tensor {shown(name)} is of type {entry['dtype']}, which numpy does not have")
            shape, dtype = tuple(map(index, entry["shape"])), np.dtype(DTYPES[entry["dtype"]])
            begin, end = map(index, entry["data_offsets"])
            if min(shape, default=0) < 0 or end - begin != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"tensor {shown(name)} does not have the bytes that its shape needs")
            if not 0 <= begin <= end <= source.size - start:
                raise ValueError(f"tensor {shown(name)} is not inside the file")
            tensors[name] = source.read(start + begin, end - begin).view(dtype).reshape(shape)
    except (AttributeError, KeyError, TypeError) as failure:
        raise ValueError("its header is damaged") from failure
    return tensors, metadata


def parse(text: str) -> Any:
    """Read JSON as its standard has it: every name once, numbers that are numbers.

    Raises:
        ValueError: If it is something else.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
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
