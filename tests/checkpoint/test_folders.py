"""A folder as a checkpoint: one set of weights grows, the rest is copied or named."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.sharded import arrays, load, record, same, save
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.errors import ModelError, OptionError


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
    with pytest.raises(OptionError, match="names another format"):
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
