"""Files that are no checkpoint, hold more than tensors, or are damaged: each gets a sentence that helps."""

from __future__ import annotations

import functools
import io
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onnx_n2n
from helpers.needing import needs
from helpers.sharded import arrays, record
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.errors import ModelError
from onnx_n2n.io import tensorfile

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
