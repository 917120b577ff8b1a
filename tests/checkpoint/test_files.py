"""Checkpoints in files: in one or several, in folders, of any type; and files that are none."""

from __future__ import annotations

import functools
import io
import json
import pickle
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array
from safetensors import safe_open

import onnx_n2n
from helpers.needing import needs
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.checkpoint.shard_index import Index
from onnx_n2n.errors import GrowthError, ModelError, OptionError
from onnx_n2n.io import tensorfile
from onnx_n2n.io.lazy import Lazy, Spec
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import DTYPES
from onnx_n2n.record.record import Record

SHAPES = {"a.weight": (6, 8), "a.bias": (8,), "b.weight": (8, 10), "c.weight": (10, 5)}
FLOATS = ("BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


def arrays(kind: str = "F32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(DTYPES[kind]) for name, shape in SHAPES.items()}


@functools.cache
def record(factor: float = 2, noise: float = 0) -> Record:
    """Return how a network of the parameters grows."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in (("x", 6), ("y", 5))]
    nodes = [
        helper.make_node("MatMul", ["x", "a.weight"], ["m"]), helper.make_node("Add", ["m", "a.bias"], ["s"]),
        helper.make_node("Relu", ["s"], ["h"]), helper.make_node("MatMul", ["h", "b.weight"], ["o"]),
        helper.make_node("Relu", ["o"], ["r"]), helper.make_node("MatMul", ["r", "c.weight"], ["y"]),
    ]  # fmt: skip
    weights = [from_array(array, name) for name, array in arrays().items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    found = onnx_n2n.widen(model, factor, init="net2net", noise=noise, verify=False).growth
    assert found is not None
    return found


def save(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    path.write_bytes(tensorfile.to_bytes(tensors, metadata))


def split(folder: Path, files: Mapping[str, str], tensors: Mapping[str, np.ndarray], **metadata: Any) -> Path:
    """Write tensors to files, and their index."""
    for file in set(files.values()):
        save(folder / file, {name: tensors[name] for name, own in files.items() if own == file}, {"format": "pt"})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": metadata, "weight_map": dict(files)}))
    return index


def load(*paths: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for path in paths:
        tensors, _ = tensorfile.read(Source.of(path))
        assert found.keys().isdisjoint(tensors)
        found |= tensors
    return found


def same(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> bool:
    """Say whether tensors are the same to the last bit."""
    return found.keys() == wanted.keys() and all(
        (array.dtype, array.shape, array.tobytes())
        == (wanted[name].dtype, wanted[name].shape, wanted[name].tobytes())
        for name, array in found.items()
    )


# In one file or several ----------------------------------------------------------------------------------------------


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


# Types ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLOATS)
def test_types_are_kept_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    numbers = np.arange(256, dtype=np.uint8).repeat(DTYPES[kind].itemsize).view(DTYPES[kind])  # all there are of a byte
    save(tmp_path / "old.safetensors", {**arrays(), "other": numbers})
    grow_file(record(), tmp_path / "old.safetensors", tmp_path / "new.safetensors", keep=["other"])
    wanted = {**grow(record(), arrays()).arrays, "other": numbers}
    assert same(load(tmp_path / "new.safetensors"), wanted)
    torch = needs("torch")
    from onnx_n2n.checkpoint.torch.arrays import to_numpy, to_torch

    torch.save({name: to_torch(array) for name, array in {**arrays(), "other": numbers}.items()}, tmp_path / "old.pt")
    grow_file(record(), tmp_path / "old.pt", tmp_path / "new.pt", keep=["other"])
    found = torch.load(tmp_path / "new.pt", weights_only=True)
    assert same({name: to_numpy(each) for name, each in found.items()}, wanted)


@pytest.mark.parametrize("kind", ["F16", "BF16", "F32"])
@pytest.mark.parametrize("noise", [0, 0.1])
def test_a_narrow_type_grows_as_a_wide_one_and_says_what_it_rounds(kind: str, noise: float) -> None:
    narrow = arrays(kind)
    found = grow(record(3, noise), narrow)
    wide = grow(record(3, noise), {name: array.astype(np.float32) for name, array in narrow.items()}).arrays
    assert same(found.arrays, {name: array.astype(DTYPES[kind]) for name, array in wide.items()})
    exact = {name for name, array in wide.items() if np.array_equal(array, array.astype(DTYPES[kind]))}
    assert set(found.rounded) >= set(SHAPES) - exact
    assert bool(found.rounded) == (noise > 0 and kind != "F32")
    for name, most in found.rounded.items():
        error = np.abs(found.arrays[name].astype(np.float32) - wide[name])
        assert (error <= most * np.abs(wide[name])).all()


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"])
def test_eight_bits_grow_by_halves_and_are_not_rounded_further(tmp_path: Path, kind: str) -> None:
    tensors = {name: (array * 16).astype(DTYPES[kind]) for name, array in arrays().items()}
    wide = grow(record(2), {name: array.astype(np.float32) for name, array in tensors.items()}).arrays
    least = float(ml_dtypes.finfo(DTYPES[kind]).smallest_normal)
    for name, array in grow(record(2), tensors).arrays.items():
        assert np.allclose(array.astype(np.float32), wide[name], rtol=0, atol=least / 4)
        assert np.array_equal(array[np.abs(wide[name]) >= least], wide[name][np.abs(wide[name]) >= least])
    (tmp_path / "old").mkdir()
    index = split(tmp_path / "old", dict.fromkeys(SHAPES, "model-1.safetensors"), tensors)
    with pytest.raises(GrowthError, match=rf"a weight of {DTYPES[kind].name} would be rounded"):
        grow_file(record(3, 0.1), index, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]  # it was found while the folder was made


# Folders -------------------------------------------------------------------------------------------------------------


def test_what_else_is_in_a_folder_is_copied_or_named(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "onnx").mkdir(parents=True)
    save(old / "model.safetensors", arrays())
    for name in ("config.json", "tokenizer.json", "LICENSE", "pytorch_model.bin", "flax_model.msgpack", "optimizer.pt"):
        (old / name).write_text(name)
    (old / "gone").symlink_to("nowhere")
    found = grow_file(record(), old, new)
    assert found.copied == ("LICENSE", "config.json", "tokenizer.json")
    assert found.stale == ("config.json",)
    assert found.left_out == ("flax_model.msgpack", "gone", "onnx/", "optimizer.pt", "pytorch_model.bin")
    assert {path.name for path in new.iterdir()} == {*found.copied, "model.safetensors"}
    assert all((new / name).read_text() == name for name in found.copied)
    assert same(load(new / "model.safetensors"), grow(record(), arrays()).arrays)

    with pytest.raises(OptionError, match="is not empty"):
        grow_file(record(), old, new)
    (new / "notes.txt").write_text("mine")
    grow_file(record(), old, new, force=True)
    assert (new / "notes.txt").read_text() == "mine"
    (new / "model-00002-of-00002.safetensors").write_text("another checkpoint's")
    with pytest.raises(OptionError, match=r"has other weights: 'model-00002-of-00002.safetensors'"):
        grow_file(record(), old, new, force=True)
    with pytest.raises(OptionError, match="inputs are never written"):
        grow_file(record(), old, old, force=True)
    with pytest.raises(OptionError, match="called as another format"):
        grow_file(record(), old, tmp_path / "new.pt")


def test_a_folder_without_one_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    for names, reason in {
        (): "has no checkpoint, and no files",
        ("config.json",): "has no checkpoint: there is 'config.json'",
        ("a.safetensors", "b.safetensors", "c.bin"): "several checkpoints: 'a.safetensors', 'b.safetensors'. Name the",
        ("pytorch_model.bin", "pytorch_model.fp16.bin"): "several checkpoints: 'pytorch_model.bin', 'pytorch_mod",
        ("last.pt", "best.pt"): "several checkpoints: 'best.pt', 'last.pt'",
    }.items():
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name in names:
            (folder / name).write_text("{}")
        with pytest.raises(ModelError, match=reason):
            grow_file(record(), folder, tmp_path / "new")
    with pytest.raises(ModelError, match="does not exist"):
        grow_file(record(), tmp_path / "nowhere", tmp_path / "new")


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
    '{"weight_map": {"a.weight": 3}}': "is in 3, which is no file beside it",
    '{"weight_map": {"a.weight": "1.safetensors", "a.weight": "2.safetensors"}}': "'a.weight' is there twice",
    '{"weight_map": {"a.weight": "../1.safetensors"}}': "no file beside it",
    '{"weight_map": {"a.weight": "/etc/1.safetensors"}}': "no file beside it",
    '{"weight_map": {"a.weight": "..\\\\1.safetensors"}}': "no file beside it",
    '{"weight_map": {"a.weight": "model.safetensors.index.json"}}': "no file beside it",
    '{"weight_map": {"a.weight": "3.safetensors"}}': "'3.safetensors', which 'model.safetensors.index.json' names",
    '{"weight_map": {"a.weight": "1.safetensors", "b.weight": "2.bin"}}': "several formats: bin, safetensors",
    json.dumps({"metadata": 3, "weight_map": FILES}): "metadata that are no object",
    json.dumps({"weight_map": {**FILES, "d": ONE}}): "tensor 'd' is in '1.safetensors', and it is not there",
    json.dumps({"weight_map": {**FILES, "a.bias": TWO}}): "tensor 'a.bias' is in '2.safetensors', and it is not there",
    json.dumps({"weight_map": {name: FILES[name] for name in list(FILES)[1:]}}): "has 1 tensors .*: 'a.weight'",
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
    with pytest.raises(ModelError, match=r"'2.safetensors' has 1 tensors .*: 'a.bias'"):
        grow_file(record(), index, tmp_path / "new")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from([ONE, "weight_map", "../x.bin"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["weight_map", "metadata", "a", "total_size"]), inner, max_size=3),
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


# What is no checkpoint -----------------------------------------------------------------------------------------------

FOREIGN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
    "page": (b"<!doctype html><html>", "a page of HTML"),
    "safetensors": (tensorfile.to_bytes({"a": np.ones(3)}), "a safetensors file. Call it NAME.safetensors"),
    "gguf": (b"GGUF\3\0\0\0", "a GGUF file"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(9), "an HDF5 file"),
    "flax": (b"\x81\xa6params\x81\xa1d\xc7%\x01\x93\x91\x03\xa7float32", "a msgpack file"),
    "tar": (b"x".ljust(257, b"\0") + b"ustar\0" + bytes(300), "a tar archive"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_others_are_called_what_they_are(tmp_path: Path, kind: str) -> None:
    content, what = FOREIGN[kind]
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(ModelError, match=what):
        grow_file(record(), tmp_path / "last.pt", tmp_path / "new.pt")


class Mine:
    """A class that no reader knows."""


def written() -> dict[str, tuple[Callable[[Path], object], str]]:
    """Return by kind of file how to write it, and what a refusal says."""
    torch = needs("torch")
    import argparse
    import collections

    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())

    def zipped(path: Path, names: list[str]) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    def cut(path: Path) -> None:
        torch.save(net.state_dict(), path)
        path.write_bytes(path.read_bytes()[:-200])

    old = functools.partial(torch.save, _use_new_zipfile_serialization=False)
    whole = r"holds a whole module \(torch.nn.modules.container.Sequential\), not just tensors.*net.state_dict\(\)"
    return {
        "module": (lambda path: torch.save(net, path), whole),
        "module, older": (lambda path: old(net, path), whole),
        "module inside": (lambda path: torch.save({"model": net}, path), r"whole modules .*Sequential.*False\)\[KEY\]"),
        "class": (lambda path: torch.save({"a": Mine()}, path), r"that are not read.*anything: \S*Mine\. Save"),
        "class, older": (lambda path: old({"a": Mine()}, path), r"that are not read.*anything: \S*Mine\. Save"),
        "array": (lambda path: torch.save({"a": np.ones(3)}, path), "not read.*numpy.ndarray"),
        "default": (lambda path: torch.save({"a": collections.defaultdict(list, b=[])}, path), "collections.default"),
        "hidden": (lambda path: torch.save({"a": argparse.Namespace(b=[torch.ones(3)])}, path), "in an argparse"),
        "script": (lambda path: zipped(path, ["a/data.pkl", "a/constants.pkl"]), "TorchScript archive.*torch.jit.load"),
        "program": (lambda path: zipped(path, ["a/models/model.json"]), "a program of torch.export"),
        "keras": (lambda path: zipped(path, ["config.json", "model.weights.h5"]), "a model of Keras"),
        "numpy": (lambda path: np.savez(path.open("wb"), a=np.ones(3)), "an archive of numpy"),
        "pickle": (lambda path: path.write_bytes(pickle.dumps({"a": np.ones(3)})), "a pickle that torch.save did not"),
        "cut": (cut, "whose list of contents, at its end, is missing"),
        "text": (lambda path: path.write_text("hello"), "torch.save did not write it"),
        "bare": (lambda path: torch.save(torch.ones(3), path), "no dictionary"),
    }  # fmt: skip


KINDS = (
    "module", "module, older", "module inside", "class", "class, older", "array", "default", "hidden", "script",
    "program", "keras", "numpy", "pickle", "cut", "text", "bare",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_torch_does_not_read_is_named(tmp_path: Path, kind: str) -> None:
    write, reason = written()[kind]
    write(tmp_path / "last.pt")
    with pytest.raises(ModelError, match=reason):
        grow_file(record(), tmp_path / "last.pt", tmp_path / "new.pt")
    assert not (tmp_path / "new.pt").exists()


def test_plain_values_beside_the_tensors_are_read_and_kept(tmp_path: Path) -> None:
    torch = needs("torch")
    import argparse
    others = {
        "best": np.float64(0.5), "steps": np.int64(3), "folder": tmp_path, "args": argparse.Namespace(lr=0.1, name="x"),
        "epoch": 3,
    }  # fmt: skip
    tensors = {name: torch.from_numpy(array) for name, array in arrays().items()}
    torch.save({"state_dict": tensors, **others}, tmp_path / "last.pt")
    grow_file(record(), tmp_path / "last.pt", tmp_path / "new.pt")
    found = torch.load(tmp_path / "new.pt", weights_only=False)
    assert {name: found[name] for name in others} == others
    assert all(type(found[name]) is type(value) for name, value in others.items())


@given(st.binary(max_size=40), st.integers(0, 2000))
def test_damaged_files_end_in_a_sentence(noise: bytes, place: int) -> None:
    torch = needs("torch")
    buffer = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in arrays().items()}, buffer)
    content = bytearray(buffer.getvalue())
    content[place : place + len(noise)] = noise
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        path.write_bytes(bytes(content))
        try:
            grow_file(record(), path, Path(folder) / "new.pt")
        except onnx_n2n.N2NError:
            assert not (Path(folder) / "new.pt").exists()
