"""Safetensors: what is written is read, by us and by the library; what is damaged is refused with a reason."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import DTYPES, LENGTH, METADATA, from_bytes, read, to_bytes

SHAPES = st.lists(st.integers(0, 5), max_size=3)
TENSORS = st.dictionaries(st.text(min_size=1), st.tuples(st.sampled_from(sorted(DTYPES)), SHAPES))


def header_of(data: bytes) -> tuple[dict[str, object], bytes]:
    """Return the header of a file, and the numbers."""
    start = LENGTH.size + LENGTH.unpack_from(data)[0]
    return json.loads(data[LENGTH.size : start]), data[start:]


@given(TENSORS, st.dictionaries(st.text(), st.text()))
def test_what_is_written_is_read(wanted: dict[str, tuple[str, list[int]]], metadata: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    wanted.pop(METADATA, None)
    arrays = {}
    for name, (kind, shape) in wanted.items():
        numbers = rng.integers(0, 2 if kind == "BOOL" else 256, (*shape, DTYPES[kind].itemsize), np.uint8)
        arrays[name] = numbers.reshape(-1).view(DTYPES[kind]).reshape(shape)
    data = to_bytes(arrays, metadata)
    assert data == to_bytes(dict(reversed(arrays.items())), dict(reversed(metadata.items())))
    assert header_of(data) == header_of(save(arrays, metadata or None))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        found, told = read(Source.of(path))
        assert told == metadata
        for others in (from_bytes(data)[0], arrays):
            assert found.keys() == others.keys()
            for name, array in found.items():
                assert (array.dtype, array.shape) == (others[name].dtype, others[name].shape)
                assert array.tobytes() == others[name].tobytes()


WHOLE = {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
DAMAGES = {
    "a negative length": {"w": {**WHOLE["w"], "shape": [-2, -3]}},
    "an odd shape": {"w": {**WHOLE["w"], "shape": [2, 4]}},
    "a shape of text": {"w": {**WHOLE["w"], "shape": "23"}},
    "halves": {"w": {**WHOLE["w"], "shape": [2.0, 3.0]}},
    "an unknown type": {"w": {**WHOLE["w"], "dtype": "F7"}},
    "beyond the end": {"w": {**WHOLE["w"], "data_offsets": [8, 32]}},
    "before the start": {"w": {**WHOLE["w"], "data_offsets": [-24, 0]}},
    "no offsets": {"w": {"dtype": "F32", "shape": [2, 3]}},
    "no entry": {"w": 7},
    "a list": [WHOLE],
    "a hole": {**WHOLE, "v": {"dtype": "U8", "shape": [0], "data_offsets": [23, 23]}},
    "bytes of nobody": {"w": {**WHOLE["w"], "shape": [2, 2], "data_offsets": [0, 16]}},
    "bytes of two": {**WHOLE, "v": WHOLE["w"]},
    "numbers in the metadata": {**WHOLE, "__metadata__": {"epoch": 5}},
    "an absurd size": {"w": {**WHOLE["w"], "shape": [2**62, 2**62], "data_offsets": [0, 2**126]}},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_header_is_refused(damage: str, tmp_path: Path) -> None:
    header = json.dumps(DAMAGES[damage]).encode()
    (tmp_path / "file").write_bytes(LENGTH.pack(len(header)) + header + bytes(24))
    with pytest.raises(ValueError, match=r"tensor|header|metadata"):
        read(Source.of(tmp_path / "file"))


def test_every_cut_is_refused(tmp_path: Path) -> None:
    whole = to_bytes({"w": np.ones((2, 3), np.float32)})
    for length in range(len(whole)):
        (tmp_path / "file").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"short|header|JSON|inside|utf-8"):
            read(Source.of(tmp_path / "file"))
