"""A checkpoint in several files with an index: it grows as in one, and is read tensor by tensor."""

from __future__ import annotations

import io
import json
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from helpers.needing import needs
from helpers.sharded import SHAPES, arrays, load, record, same, save, split
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import Grown, grow
from onnx_n2n.checkpoint.shard_index import Index
from onnx_n2n.checkpoint.shards import Shards
from onnx_n2n.errors import ModelError
from onnx_n2n.io import safetensors_files, tensorfile
from onnx_n2n.io.lazy import Lazy, Spec
from onnx_n2n.io.sources import Source
from onnx_n2n.progress import unheard


@given(st.lists(st.sampled_from(["one.safetensors", "two.safetensors", "three.safetensors"]), min_size=4, max_size=4))
def test_files_of_any_split_grow_as_one_does(own: list[str]) -> None:
    files = dict(zip(SHAPES, own, strict=True))
    wanted = grow(record(), arrays()).arrays
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "old").mkdir()
        index = split(folder / "old", files, arrays(), total_size=1, total_parameters=7, made="by hand")
        for source, target in ((index, "new"), (folder / "old", "again"), (folder / "old", "one.safetensors")):
            grow_file(record(), source, folder / target)
        assert same(load(folder / "one.safetensors"), wanted)
        for target in ("new", "again"):
            told = json.loads((folder / target / index.name).read_text())
            assert told["weight_map"] == files
            assert same(load(*(folder / target / file for file in set(own))), wanted)
            assert told["metadata"] == {
                "total_size": sum(array.nbytes for array in wanted.values()),
                "total_parameters": 7 + sum(wanted[name].size - array.size for name, array in arrays().items()),
                "made": "by hand",
            }
            for file in set(own):
                with safe_open(folder / target / file, "np") as opened:
                    assert opened.metadata() == {"format": "pt"}
                    assert set(opened.keys()) == {name for name, each in files.items() if each == file}
        assert same(load(*(folder / "old" / file for file in set(own))), arrays())


def test_files_of_torch_save_grow_as_others_do(tmp_path: Path) -> None:
    torch = needs("torch")
    files = dict(zip(SHAPES, ["one.bin", "one.bin", "two.bin", "two.bin"], strict=True))
    (tmp_path / "old").mkdir()
    for file in set(files.values()):
        tensors = {name: torch.from_numpy(arrays()[name]) for name, own in files.items() if own == file}
        torch.save(tensors, tmp_path / "old" / file)
    index = tmp_path / "old" / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    grow_file(record(), tmp_path / "old", tmp_path / "new")
    grow_file(record(), index, tmp_path / "one.bin")
    parts = [torch.load(tmp_path / "new" / file, weights_only=True) for file in ("one.bin", "two.bin")]
    for found in (parts[0] | parts[1], torch.load(tmp_path / "one.bin", weights_only=True)):
        assert same({name: each.numpy() for name, each in found.items()}, grow(record(), arrays()).arrays)
    assert json.loads((tmp_path / "new" / index.name).read_text())["weight_map"] == files
    torch.save({"epoch": 3, "a.weight": torch.ones(6, 8)}, tmp_path / "old" / "one.bin")
    with pytest.raises(ModelError, match="'epoch', which is no tensor"):
        grow_file(record(), index, tmp_path / "two.bin")


def test_the_hubs_cache_is_read_through_its_links(tmp_path: Path) -> None:
    for name in ("blobs", "snapshot"):
        (tmp_path / name).mkdir()
    index = split(tmp_path / "blobs", dict.fromkeys(SHAPES, "model-1.safetensors"), arrays())
    for path in (index, index.with_name("model-1.safetensors")):
        (tmp_path / "snapshot" / path.name).symlink_to(Path("..", "blobs", path.name))
    grow_file(record(), tmp_path / "snapshot", tmp_path / "new")
    assert same(load(tmp_path / "new" / "model-1.safetensors"), grow(record(), arrays()).arrays)


def test_nothing_is_read_before_it_is_written_and_then_one_tensor_at_a_time() -> None:
    values = arrays()
    made: list[weakref.ref[Any]] = []
    names: list[str] = []

    class Watched(np.ndarray[Any, Any]):
        """An array that can be counted."""

    def make(name: str) -> np.ndarray:
        assert all(other() is None for other in made)
        array = np.array(values[name]).view(Watched)
        made.append(weakref.ref(array))
        names.append(name)
        return array

    lazy = Lazy({name: Spec(array.shape, array.dtype) for name, array in values.items()}, make)
    found = grow(record(), lazy)
    assert isinstance(found.arrays, Lazy)
    assert set(found.grown) == set(SHAPES)
    assert not made
    file = io.BytesIO()
    tensorfile.write(file, found.arrays)
    assert sorted(names) == sorted(SHAPES)
    assert file.getvalue() == tensorfile.to_bytes(grow(record(), values).arrays)


ONE, TWO = "1.safetensors", "2.safetensors"
FILES = {"a.weight": ONE, "a.bias": ONE, "b.weight": TWO, "c.weight": TWO}


INDEXES = {
    "": "it is no JSON",
    "{}": "no weight_map",
    "[]": "no weight_map",
    "7": "no weight_map",
    "[" * 100_000: "nested too deeply",
    '{"weight_map": {}}': "no weight_map",
    '{"weight_map": ["a.weight"]}': "no weight_map",
    '{"weight_map": {"a.weight": 3}}': "is in 3, which is not a file beside it",
    '{"weight_map": {"a.weight": "1.safetensors", "a.weight": "2.safetensors"}}': "'a.weight' is there twice",
    '{"weight_map": {"a.weight": "../1.safetensors"}}': "is not a file beside it",
    '{"weight_map": {"a.weight": "/etc/1.safetensors"}}': "is not a file beside it",
    '{"weight_map": {"a.weight": "..\\\\1.safetensors"}}': "is not a file beside it",
    '{"weight_map": {"a.weight": "model.safetensors.index.json"}}': "is not a file beside it",
    '{"weight_map": {"a.weight": "3.safetensors"}}': "'3.safetensors', which 'model.safetensors.index.json' names",
    '{"weight_map": {"a.weight": "1.safetensors", "b.weight": "2.bin"}}': "several formats: bin, safetensors",
    json.dumps({"metadata": 3, "weight_map": FILES}): "the metadata in",
    json.dumps({"weight_map": {**FILES, "d": ONE}}): "tensor 'd' is in '1.safetensors', and it is not there",
    json.dumps({"weight_map": {**FILES, "a.bias": TWO}}): "tensor 'a.bias' is in '2.safetensors', and it is not there",
    json.dumps({"weight_map": {name: FILES[name] for name in list(FILES)[1:]}}): "has 1 tensor .*: 'a.weight'",
}


@pytest.mark.parametrize("text", INDEXES)
def test_a_damaged_index_is_a_sentence(tmp_path: Path, text: str) -> None:
    index = split(tmp_path, FILES, arrays())
    index.write_text(text)
    with pytest.raises(ModelError, match=INDEXES[text]):
        grow_file(record(), index, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    index = split(tmp_path, FILES, arrays())
    save(tmp_path / TWO, {name: arrays()[name] for name in ("a.bias", "b.weight", "c.weight")})
    with pytest.raises(ModelError, match=r"'2.safetensors' has 1 tensor .*: 'a.bias'"):
        grow_file(record(), index, tmp_path / "new")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from([ONE, "weight_map", "../x.bin"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["weight_map", "metadata", "a", "total_size"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON | st.fixed_dictionaries({"weight_map": JSON, "metadata": JSON}))
def test_any_json_is_an_index_or_a_sentence(document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.index.json"
        path.write_text(json.dumps(document))
        try:
            found = Index.read(Source.of(path))
        except ModelError:
            return
        assert all((Path(folder) / file).parent == Path(folder) for file in found.files)
        found.updated(found.weight_map, {}, {})


def test_an_untied_tensor_stays_in_its_file_with_its_type(tmp_path: Path) -> None:
    """Names that the network ties may be of two types, and in two files."""
    there = arrays() | {"c.weight": arrays()["c.weight"].astype(np.float16)}
    files = {"a.weight": ONE, "a.bias": ONE, "b.weight": ONE, "c.weight": TWO}
    index = Index.read(Source.of(split(tmp_path, files, there)))
    (tmp_path / "new").mkdir()
    shards = Shards.open([Source.of(tmp_path / name) for name in (ONE, TWO)], safetensors_files, index)
    found = Grown(record(), arrays(), (), (), untied={"c.weight": "a.weight"})
    shards.write_all(found, unheard, tmp_path / "new")
    assert same(load(tmp_path / "new" / TWO), {"c.weight": there["c.weight"]})
