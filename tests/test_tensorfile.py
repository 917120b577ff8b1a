"""Safetensors: what is written is read, by us and by the library; what is damaged is refused with a reason."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from onnx_n2n.io.sources import Source
from onnx_n2n.tensorfile import DTYPES, LENGTH, from_bytes, read, to_bytes

SHAPES = st.lists(st.integers(0, 5), max_size=3)
TENSORS = st.dictionaries(st.text(min_size=1), st.tuples(st.sampled_from(sorted(set(DTYPES) - {"C64"})), SHAPES))


@given(TENSORS, st.dictionaries(st.text(), st.text()))
def test_what_is_written_is_read(wanted: dict[str, tuple[str, list[int]]], metadata: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    wanted.pop("__metadata__", None)
    arrays = {name: rng.integers(0, 2, shape).astype(DTYPES[dtype]) for name, (dtype, shape) in wanted.items()}
    data = to_bytes(arrays, metadata)
    assert data == to_bytes(dict(reversed(arrays.items())), dict(reversed(metadata.items())))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        found, told = read(Source.of(path))
        assert told == metadata
        for others in (from_bytes(data)[0], load_file(path), arrays):
            assert found.keys() == others.keys()
            for name, array in found.items():
                assert (array.dtype, array.shape) == (others[name].dtype, others[name].shape)
                assert np.array_equal(array, others[name])


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
    "an absurd size": {"w": {**WHOLE["w"], "shape": [2**62, 2**62], "data_offsets": [0, 2**126]}},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_header_is_refused(damage: str, tmp_path: Path) -> None:
    header = json.dumps(DAMAGES[damage]).encode()
    (tmp_path / "file").write_bytes(LENGTH.pack(len(header)) + header + bytes(24))
    with pytest.raises(ValueError, match=r"tensor|header"):
        read(Source.of(tmp_path / "file"))


def test_every_cut_is_refused(tmp_path: Path) -> None:
    whole = to_bytes({"w": np.ones((2, 3), np.float32)})
    for length in range(len(whole)):
        (tmp_path / "file").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"short|header|JSON|inside|utf-8"):
            read(Source.of(tmp_path / "file"))
