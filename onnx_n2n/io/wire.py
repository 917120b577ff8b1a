"""An ONNX file read and written without its weights in memory.

On disk a message is a row of fields, each a tag and, for everything that matters here, a length and that many bytes.
So the large weights of a file can be found without parsing them, and written without serialising them: every length
is known before the first byte is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

import onnx
import onnx_ir as ir

from onnx_n2n.errors import ModelError
from onnx_n2n.io.sources import Pages
from onnx_n2n.progress import Done

Data = bytes | Pages

RANK = 32  # numpy arrays have no more dimensions
LARGE = 1024  # bytes; a tensor above this is left on disk, or streamed to it

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER << 3 | _LENGTH
_INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER << 3 | _LENGTH
_RAW_DATA = onnx.TensorProto.RAW_DATA_FIELD_NUMBER << 3 | _LENGTH


def skim(data: Data) -> tuple[onnx.ModelProto, dict[int, tuple[int, int]]]:
    """Parse an ONNX file, all but the bytes of its large initializers.

    Args:
        data: The whole file; of one on disk only what is parsed is read.

    Returns:
        The model, and where in ``data`` the missing bytes are (start, length), by position in
        ``model.graph.initializer``.

    Raises:
        ValueError: The data is cut short, or is not an ONNX model.
    """
    places: dict[int, tuple[int, int]] = {}
    position = 0

    def skim_graph(start: int, end: int) -> Iterator[bytes]:
        nonlocal position
        for tag, start_, body, end_ in _fields(data, start, end):
            found = _raw_data(data, body, end_) if tag == _INITIALIZER else None
            if found is None:
                yield data[start_:end_]
            else:
                before, raw, after = found
                places[position] = raw, after - raw
                yield _field(_INITIALIZER, data[body:before] + data[after:end_])
            position += tag == _INITIALIZER

    kept = [
        _field(_GRAPH, b"".join(skim_graph(body, end))) if tag == _GRAPH else data[start:end]
        for tag, start, body, end in _fields(data, 0, len(data))
    ]
    try:
        return onnx.ModelProto.FromString(b"".join(kept)), places
    except Exception as error:  # protobuf's DecodeError, whose module has no types
        raise ValueError(str(error)) from error


def pour(
    file: BinaryIO, model: onnx.ModelProto, weights: Mapping[int, ir.TensorProtocol], done: Done = lambda _: None
) -> dict[int, int]:
    """Write a model, byte for byte as protobuf would, fetching one large tensor at a time.

    Args:
        file: An empty file, open for writing.
        model: Taken apart on the way: do not use it again.
        weights: The tensors to write as ``raw_data``, by position in ``model.graph.initializer``.
        done: Is told of each tensor that is written.

    Returns:
        Where their bytes start in the file.

    Raises:
        ModelError: A tensor has fewer or more bytes than its type and shape say.
    """
    pieces: list[bytes | int] = []  # a number is the position of a tensor
    for position, initializer in enumerate(model.graph.initializer):
        message = initializer.SerializeToString()
        if position not in weights:
            pieces.append(_field(_INITIALIZER, message))
            continue
        tensor = weights[position]
        before, after = _around(message, _RAW_DATA)
        before += _head(_RAW_DATA, tensor.nbytes)
        pieces += [_head(_INITIALIZER, len(before) + tensor.nbytes + len(after)) + before, position, after]
    del model.graph.initializer[:]
    graph_before, graph_after = _around(model.graph.SerializeToString(), _INITIALIZER)
    model.ClearField("graph")
    model_before, model_after = _around(model.SerializeToString(), _GRAPH)
    pieces = [graph_before, *pieces, graph_after]
    size = sum(len(piece) if isinstance(piece, bytes) else weights[piece].nbytes for piece in pieces)
    starts: dict[int, int] = {}
    for piece in (model_before + _head(_GRAPH, size), *pieces, model_after):
        if isinstance(piece, bytes):
            file.write(piece)
        else:
            starts[piece] = file.tell()
            write_tensor(file, weights[piece])
            done(weights[piece].nbytes)
    return starts


def write_tensor(file: BinaryIO, tensor: ir.TensorProtocol) -> None:
    """Append the bytes of one tensor to a file.

    Raises:
        ModelError: The tensor has fewer or more bytes than its type and shape say.
    """
    start = file.tell()
    if hasattr(tensor, "tofile"):  # all of the IR's own have it, but the protocol does not ask for it
        tensor.tofile(file)
    else:
        file.write(tensor.tobytes())
    check_length(tensor, file.tell() - start)


def check_length(tensor: ir.TensorProtocol, length: int) -> None:
    """Raise a ModelError unless ``length`` is what the type and the shape of the tensor say."""
    if length != tensor.nbytes:
        raise ModelError(
            f"tensor {tensor.name!r} holds {length} bytes where its type and shape need {tensor.nbytes}",
            shapes=f"{tensor.dtype.name} {list(tensor.shape)}",
        )


def outline(tensor: onnx.TensorProto) -> ir.serde.TensorProtoTensor:
    """Return a tensor that answers for name, type, shape and size, whether or not its values are there.

    Raises:
        ModelError: It has no valid type or shape.
    """
    outline = ir.serde.TensorProtoTensor(tensor)
    try:
        sized = outline.dtype == ir.DataType.STRING or outline.nbytes >= 0
        valid = sized and len(tensor.dims) <= RANK and min(tensor.dims, default=0) >= 0
    except (TypeError, ValueError):  # UNDEFINED, or a number that is no type
        valid = False
    if valid:
        return outline
    said = f"type {tensor.data_type}, shape {list(tensor.dims)}"
    raise ModelError(f"tensor {tensor.name!r} has no valid type or shape", shapes=said)


def fill(slot: onnx.TensorProto, tensor: ir.TensorProtocol) -> bytes:
    """Put the values of a tensor where its stub is, and return their bytes; none of strings.

    Raises:
        ModelError: The tensor has fewer or more bytes than its type and shape say.
    """
    unlocate(slot)
    if isinstance(tensor, ir.StringTensor):
        slot.string_data.extend(tensor.string_data())
        return b""
    data = tensor.tobytes() if tensor.nbytes else b""
    check_length(tensor, len(data))
    slot.raw_data = data
    return data


def locate(slot: onnx.TensorProto, location: str, offset: int | None = None, length: int | None = None) -> None:
    """Make a slot say that its values are in an external file."""
    unlocate(slot)
    slot.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            slot.external_data.add(key=key, value=str(value))


def unlocate(slot: onnx.TensorProto) -> None:
    """Take back what :func:`locate` said."""
    slot.ClearField("data_location")
    slot.ClearField("external_data")


def _fields(data: Data, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield each field of a message: its tag, where it starts, where its body does, and where it ends."""
    while start < end:
        tag, body = _varint(data, start, end)
        kind, length = tag & 7, 0
        if kind == _VARINT:
            _, body = _varint(data, body, end)
        elif kind == _LENGTH:
            length, body = _varint(data, body, end)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {start} starts no field of a message")
        if body + length > end:
            raise ValueError(f"the field at byte {start} needs {body + length - end} bytes more than there are")
        yield tag, start, body, body + length
        start = body + length


def _varint(data: Data, at: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, lowest first; return it and the place after it."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise ValueError(f"the data ends at byte {end}, inside a number")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError(f"the number that ends at byte {at} is too long")


def _raw_data(data: Data, start: int, end: int) -> tuple[int, int, int] | None:
    """Find the large raw data of a tensor: where the field starts, where its bytes do, and where it ends."""
    if end - start <= LARGE:
        return None
    found = [(start, body, end) for tag, start, body, end in _fields(data, start, end) if tag == _RAW_DATA]
    return found[0] if len(found) == 1 and found[0][2] - found[0][1] > LARGE else None


def _around(message: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split a serialised message, whose fields stand in order, where a field with that tag would stand."""
    cut = next((start for other, start, _, _ in _fields(message, 0, len(message)) if other > tag), len(message))
    return message[:cut], message[cut:]


def _field(tag: int, body: bytes) -> bytes:
    return _head(tag, len(body)) + body


def _head(tag: int, length: int) -> bytes:
    head = bytearray([tag])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*head, length])
