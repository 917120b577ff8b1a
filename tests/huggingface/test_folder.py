"""A Hugging Face folder is read as it is, by links too; one that is damaged or no model is refused with a reason."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.hubs import CONFIG, PLACED, Placed, as_cache, shard_name, shards_of, small, write_model
from onnx_n2n.errors import ModelError
from onnx_n2n.huggingface.folder import Folder, is_folder, opened
from onnx_n2n.io import tensorfile
from onnx_n2n.io.tensorfile import DTYPES

TEXTS = st.sampled_from([b"{", b'"', b"null", b"-1", b"9" * 9])


def same(folder: Folder, arrays: dict[str, np.ndarray]) -> bool:
    assert folder.tensors.keys() == arrays.keys()
    for key, stored in folder.tensors.items():
        assert (stored.key, DTYPES[stored.dtype], stored.shape) == (key, arrays[key].dtype, arrays[key].shape)
        with stored.file.open("rb") as file:
            file.seek(stored.offset)
            assert file.read(stored.length) == arrays[key].tobytes() == folder.array(key).tobytes()
            assert folder.bytes_of(key, 1, 2).tobytes() == arrays[key].tobytes()[1:3]
    return True


@settings(max_examples=25)
@given(PLACED)
def test_tensors_are_where_it_says_by_links_too(placed: Placed) -> None:
    shards = shards_of(placed)
    arrays = {key: array for shard in shards for key, array in shard.items()}
    with tempfile.TemporaryDirectory() as name:
        plain = write_model(Path(name) / "plain", shards)
        cached = as_cache(plain, Path(name) / "cache")
        for place in (plain, cached):
            folder = opened(place)
            assert is_folder(place)
            assert same(folder, arrays)
            assert folder.config == CONFIG
            assert folder.nbytes == sum(array.nbytes for array in arrays.values())
            assert len(folder.shards) == len(shards)
            assert list(folder.shards) == sorted({stored.file.name for stored in folder.tensors.values()})
            assert (folder.index is None) == (len(shards) == 1)
            assert folder.others == ("1_Pooling/config.json", "LICENSE", "tokenizer.json")
            assert folder.left == ()
            order = [(stored.file.name, stored.offset) for stored in folder.tensors.values()]
            assert order == sorted(order)


@settings(max_examples=120)
@given(st.data())
def test_what_is_damaged_is_refused_or_read_as_it_is(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = small(Path(name) / "model")
        index = "model.safetensors.index.json"
        path = folder / data.draw(st.sampled_from([shard_name(1, 2), shard_name(2, 2), index, "config.json"]))
        whole = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(0, len(whole)))
            end = data.draw(st.integers(start, min(len(whole), start + 40)))
            whole[start:end] = data.draw(st.binary(max_size=12) | TEXTS)
        path.write_bytes(whole)
        try:
            found = opened(folder)
        except ModelError:  # a sentence, and exit code 3
            return
        arrays = {key: found.array(key) for key in found.tensors}
        for shard in found.shards:
            plain, _ = tensorfile.from_bytes((folder / shard).read_bytes())  # by the library of the format
            assert all(plain[key].tobytes() == arrays[key].tobytes() for key in plain)


def put(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def gone(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).unlink() for name in names]


def configured(**fields: object) -> Callable[[Path], object]:
    return put("config.json", json.dumps({**CONFIG, **fields}))


def only(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        gone(FIRST, SECOND, INDEX)(folder)
        put(name, "")(folder)

    return change


def mapped(**files: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        document = json.loads((folder / INDEX).read_text())
        document["weight_map"] |= {key.replace("_", "."): file for key, file in files.items()}
        (folder / INDEX).write_text(json.dumps(document))

    return change


def shard(name: str, **arrays: np.ndarray) -> Callable[[Path], object]:
    data = tensorfile.to_bytes({key.replace("_", "."): array for key, array in arrays.items()})
    return lambda folder: (folder / name).write_bytes(data)


def cut(folder: Path) -> None:
    (folder / FIRST).write_bytes((folder / FIRST).read_bytes()[:-4])


def lost(folder: Path) -> None:
    (folder / FIRST).unlink()
    (folder / FIRST).symlink_to("../../blobs/0123")


def scrambled(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff{}")


def halved(folder: Path) -> None:
    path = folder / FIRST
    path.write_bytes(path.read_bytes().replace(b'"norm.w', b'"\\udc9f'))


def longer(folder: Path) -> None:
    (folder / FIRST).write_bytes((folder / FIRST).read_bytes() + b"more")


FIRST, SECOND, INDEX = shard_name(1, 2), shard_name(2, 2), "model.safetensors.index.json"
SMALL = ("embed_weight", "norm_weight", "head_weight")
ONE = np.ones(3, np.float32)
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 988097824\n"
NESTED = {"hidden_size": 4, "quantization_config": {"quant_method": "awq"}}
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (gone("config.json"), r"has no config.json. Pass a folder that save_pretrained"),
    "no weights": (gone(FIRST, SECOND, INDEX), "has no weights in 'model.safetensors' or .*. Pass a folder"),
    "pickled weights": (only("pytorch_model.bin"), "has no weights in .*, only 'pytorch_model.bin'. Load it"),
    "weights of TensorFlow": (only("tf_model.h5"), "has no weights in .*, only 'tf_model.h5'. Load it"),
    "GGUF": (only("model-q4.gguf"), "has its weights in GGUF, in 'model-q4.gguf'"),
    "an adapter": (put("adapter_config.json", "{}"), "is a PEFT adapter, not a model"),
    "GPTQ of before": (put("quantize_config.json", "{}"), "is quantised by GPTQ"),
    "AWQ of before": (put("quant_config.json", "{}"), "is quantised by AWQ"),
    "GPTQ": (configured(quantization_config={"quant_method": "gptq", "bits": 4}), "is quantised by gptq"),
    "nested AWQ": (configured(text_config=NESTED), "is quantised by awq"),
    "quantised somehow": (configured(quantization_config={"bits": 4}), "is quantised, its config.json says"),
    "bitsandbytes, unsaid": (shard("model.safetensors", w_weight_absmax=ONE), "is quantised by bitsandbytes"),
    "GPTQ, unsaid": (shard("model.safetensors", w_qweight=ONE), "is quantised by GPTQ or AWQ"),
    "no kind of model": (configured(model_type=None), "does not say what the weights are: it has no model_type"),
    "a config of text": (put("config.json", "hello"), "config.json' cannot be read: it is no JSON"),
    "a config of a list": (put("config.json", "[1]"), "is not a config: it is no JSON object"),
    "a config with a field twice": (put("config.json", '{"a": 1, "a": 2}'), "'a' is there twice"),
    "a config that is nested": (put("config.json", '{"a":' * 9999), "cannot be read: it is nested too deeply"),
    "a config of bytes": (scrambled, "config.json' cannot be read"),
    "a config that is too long": (put("config.json", "{}" + " " * 10**7), "has 10000002 bytes, too many for a config"),
    "a key that is half a character": (halved, f"{FIRST}'.* cannot be read: 'utf-8' codec can't encode"),
    "a config that is an LFS pointer": (put("config.json", LFS), "is a Git LFS pointer"),
    "a shard that is an LFS pointer": (put(FIRST, LFS), "is a Git LFS pointer, not the file itself. 'git lfs pull'"),
    "a shard that is missing": (gone(FIRST), f"{FIRST}', which '{INDEX}' names, does not exist"),
    "a link to nothing": (lost, "is a link to '../../blobs/0123', and nothing is there. The download is not complete"),
    "a shard that is cut": (cut, f"{FIRST}'.* cannot be read: tensor 'norm.weight' is not inside the file"),
    "a shard that is longer": (longer, f"{FIRST}'.* cannot be read: its tensors leave out bytes"),
    "a shard without a header": (put(FIRST, "{}"), f"{FIRST}'.* cannot be read: it is too short for its header"),
    "a shard that is empty": (put(FIRST, ""), f"{FIRST}'.* cannot be read: it is too short"),
    "a key in two shards": (shard(SECOND, embed_weight=ONE, head_weight=ONE), "not list for it: 'embed.weight'"),
    "a key that is not listed": (shard(SECOND, head_weight=ONE, more=ONE), "not list for it: 'more'"),
    "a key that is missing": (mapped(more=FIRST), "says that tensor 'more' is in .*, and it is not there"),
    "an absolute path": (mapped(head_weight="/etc/passwd.safetensors"), "which is not a file beside it"),
    "a path upwards": (mapped(head_weight="../model.safetensors"), "which is not a file beside it"),
    "pickled shards": (mapped(**dict.fromkeys(SMALL, "a.bin")), "names 'a.bin', which is not a safetensors file"),
    "an index of text": (put(INDEX, "hello"), "index.json' cannot be read: it is no JSON"),
    "an index of nothing": (put(INDEX, "{}"), "is not the index of a checkpoint"),
    "weights without a tensor": (shard("model.safetensors"), "has no weights: model.safetensors has no tensor"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_sentence(case: str, tmp_path: Path) -> None:
    change, reason = BAD[case]
    change(small(tmp_path / "model"))
    with pytest.raises(ModelError, match=reason) as found:
        opened(tmp_path / "model")
    assert found.value.exit_code == 3
    assert "model" in str(found.value)


def test_no_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        opened(tmp_path / "model")
    (tmp_path / "model").write_text("")
    with pytest.raises(ModelError, match="is not a folder"):
        opened(tmp_path / "model")


def test_weights_of_others_are_named_and_not_part_of_it(tmp_path: Path) -> None:
    folder = small(tmp_path / "model")
    for name in (
        "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "consolidated.safetensors", "model-q4.gguf",
        "onnx/model.onnx", "onnx/config.json", "checkpoint-5/model.safetensors", "checkpoint-5/config.json",
        ".git/HEAD", ".cache/huggingface/LICENSE.lock", ".gitattributes", "assets/deep/picture.png",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    os.mkfifo(folder / "pipe")
    (folder / "odd").mkdir()
    os.mkfifo(folder / "odd" / "pipe")
    (folder / "up").symlink_to("..")
    found = opened(folder)
    assert found.left == (
        ".cache/", ".git/", "checkpoint-5/", "consolidated.safetensors", "flax_model.msgpack", "model-q4.gguf", "odd/",
        "onnx/", "pipe", "pytorch_model.bin", "tf_model.h5", "up",
    )  # fmt: skip
    assert set(found.others) == {
        ".gitattributes", "1_Pooling/config.json", "LICENSE", "assets/deep/picture.png", "tokenizer.json",
    }  # fmt: skip
    assert found.sources.keys() == {"config.json", INDEX, FIRST, SECOND, *found.others}


def test_of_one_file_and_several_transformers_takes_the_one(tmp_path: Path) -> None:
    folder = small(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(tensorfile.to_bytes({"w": ONE}))
    found = opened(folder)
    assert (list(found.tensors), found.shards, found.index) == (["w"], ("model.safetensors",), None)
    assert found.left == (FIRST, SECOND, INDEX)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"w": "model.safetensors"}}))
    assert opened(folder).index == {"weight_map": {"w": "model.safetensors"}}


def test_a_file_that_changes_meanwhile_is_a_sentence(tmp_path: Path) -> None:
    folder = opened(small(tmp_path / "model"))
    longer(folder.path)
    with pytest.raises(ModelError, match="has changed while it was read"):
        folder.array("embed.weight")


def test_a_folder_with_a_model_of_onnx_is_that_model(tmp_path: Path) -> None:
    folder = small(tmp_path / "model")
    assert is_folder(folder)
    assert is_folder(str(folder))
    put("model.onnx", "")(folder)
    assert not is_folder(folder)
    assert not is_folder(tmp_path)
    assert not is_folder(folder / "config.json")
    assert not is_folder(tmp_path / "nowhere")
