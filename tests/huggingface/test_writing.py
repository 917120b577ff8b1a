"""A new Hugging Face folder is the old one with other weights: whole, in the memory of a block, or not there at all."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import sharded
from helpers.hubs import (
    CONFIG,
    OTHERS,
    PLACED,
    PT,
    Placed,
    as_cache,
    contents,
    copied,
    shard_name,
    shards_of,
    small,
    write_model,
)  # fmt: skip
from onnx_n2n import progress
from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.huggingface.folder import Folder, opened
from onnx_n2n.huggingface.sharding import size_of
from onnx_n2n.huggingface.writing import BLOCK, Tensor, Written, check_output, drafting, kept, of
from onnx_n2n.io import space
from onnx_n2n.io.rooms import PREFIX
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import DTYPES, read
from onnx_n2n.record import record as records

FIRST, SECOND, INDEX = shard_name(1, 2), shard_name(2, 2), "model.safetensors.index.json"


def all_kept(folder: Folder) -> dict[str, Tensor]:
    return {key: kept(folder, key) for key in folder.tensors}


def given_bytes(dtype: str, array: np.ndarray) -> Tensor:
    return Tensor(dtype, array.shape, lambda file: file.write(array.tobytes()))


def write(
    folder: Folder, output: Path | str, tensors: Mapping[str, Tensor], *, fields: Mapping[str, Any] = {},
    record: records.Record | None = None, card: str = "", **options: Any,
) -> Written:  # fmt: skip
    """Write a new folder, of which nobody looks at the draft."""
    with drafting(folder, output, tensors, **options) as draft:
        return draft.finish(fields, record, card)


@settings(max_examples=40)
@given(PLACED, st.none() | st.integers(1, 200), st.booleans())
def test_what_is_written_without_a_change_reads_back_equal(placed: Placed, most: int | None, from_cache: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        old = write_model(Path(name) / "old", shards_of(placed))
        if from_cache:
            old = as_cache(old, Path(name) / "cache")
        folder, before = opened(old), contents(old)
        written = write(folder, Path(name) / "new", all_kept(folder), shard_size=most)
        new = opened(written.path)
        assert contents(old) == before
        assert not any(path.is_symlink() for path in written.path.rglob("*"))
        assert not list(Path(name).glob(f"{PREFIX}*"))
        assert (new.shards, new.others, written.left) == (written.shards, folder.others, ())
        assert new.tensors.keys() == folder.tensors.keys()
        for key, stored in new.tensors.items():
            assert (stored.dtype, stored.shape) == (folder.tensors[key].dtype, folder.tensors[key].shape)
            assert new.array(key).tobytes() == folder.array(key).tobytes()
        assert all(read(new.sources[shard])[1] == PT for shard in new.shards)
        assert (written.path / "config.json").read_bytes() == (old / "config.json").read_bytes()
        if most is None:
            assert contents(written.path) == before
            return
        sizes = dict.fromkeys(new.shards, 0)
        for stored in new.tensors.values():
            sizes[stored.file.name] += stored.length
        alone = {shard: sum(each.file.name == shard for each in new.tensors.values()) == 1 for shard in sizes}
        largest = {shard: max(e.length for e in new.tensors.values() if e.file.name == shard) for shard in sizes}
        for shard, size in sizes.items():
            assert size <= most or alone[shard] or size == largest[shard]  # empty ones take no room
        assert len(sizes) == 1 or new.index is not None
        if new.index is not None:
            assert new.index["metadata"]["total_size"] == folder.nbytes
            assert list(new.shards) == [shard_name(number, len(sizes)) for number in range(1, len(sizes) + 1)]
        else:
            assert new.shards == ("model.safetensors",)


def test_other_weights_go_where_the_old_ones_were(tmp_path: Path) -> None:
    folder = opened(small(tmp_path / "old"))
    wider, more = np.arange(132, dtype=np.float32).reshape(11, 12), np.ones((3, 2), DTYPES["BF16"])
    graph = ir.Tensor(np.zeros((11, 12), np.float16), name="head")
    tensors = {
        "embed.weight": given_bytes("F32", wider), "norm.weight": kept(folder, "norm.weight"),
        "head.weight": of(graph), "norm.1.weight": given_bytes("BF16", more),
    }  # fmt: skip
    fields = {"hidden_size": 12, "text_config.hidden_size": 6, "tie_word_embeddings": False}
    told = Told()
    written = write(
        folder, tmp_path / "new", tensors, fields=fields, like={"norm.1.weight": "norm.weight"}, progress=told
    )
    new = opened(tmp_path / "new")
    assert {key: (stored.file.name, stored.dtype) for key, stored in new.tensors.items()} == {
        "embed.weight": (FIRST, "F32"), "norm.weight": (FIRST, "F32"),
        "norm.1.weight": (FIRST, "BF16"), "head.weight": (SECOND, "F16"),
    }  # fmt: skip
    assert np.array_equal(new.array("embed.weight"), wider)
    assert np.array_equal(new.array("head.weight"), np.zeros((11, 12)))
    assert np.array_equal(new.array("norm.1.weight"), more)
    size = sum(stored.length for stored in new.tensors.values())
    grown = sum(array.size for array in map(new.array, new.tensors))
    before = sum(array.size for array in map(folder.array, folder.tensors))
    assert new.index is not None
    assert new.index["metadata"] == {"total_size": size, "total_parameters": 7 + grown - before}
    text_config = {"hidden_size": 6, "eps": 1e-5}
    assert new.config == {**CONFIG, "hidden_size": 12, "text_config": text_config, "tie_word_embeddings": False}
    assert written.fields == {
        "hidden_size": (8, 12), "text_config.hidden_size": (4, 6), "tie_word_embeddings": (None, False),
    }  # fmt: skip
    lines = (tmp_path / "old" / "config.json").read_text().splitlines()
    assert len(set(lines) - set((tmp_path / "new" / "config.json").read_text().splitlines())) == 3  # and a new comma
    assert told.stages == ["writing the model"]
    assert told.last == progress.Reached(size, size, 4, 4)


class Told:
    """Takes down what it is told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.last: progress.Reached | None = None

    def __call__(self, stage: str) -> None:
        self.stages.append(stage)

    def reached(self, how_far: progress.Reached) -> None:
        self.last = how_far


def test_a_new_tensor_that_is_like_no_other_goes_into_the_last_file(tmp_path: Path) -> None:
    folder = opened(small(tmp_path / "old"))
    tensors = {**all_kept(folder), "a.new": given_bytes("F32", np.ones(2, np.float32))}
    write(folder, tmp_path / "new", tensors)
    write(folder, tmp_path / "small", tensors, shard_size=32)
    write(folder, tmp_path / "beside", tensors, shard_size=360, like={"a.new": "embed.weight"})
    assert opened(tmp_path / "new").tensors["a.new"].file.name == SECOND
    assert opened(tmp_path / "small").tensors["a.new"].file.name == shard_name(4, 4)
    files = {key: stored.file.name for key, stored in opened(tmp_path / "beside").tensors.items()}
    assert files["a.new"] == files["embed.weight"] == shard_name(1, 2)
    assert files["norm.weight"] == files["head.weight"] == shard_name(2, 2)


def test_weights_that_fit_into_one_file_need_no_index(tmp_path: Path) -> None:
    folder = opened(small(tmp_path / "old"))
    written = write(folder, tmp_path / "new", all_kept(folder), shard_size=size_of("5GB"))
    assert written.shards == ("model.safetensors",)
    assert not (tmp_path / "new" / INDEX).exists()
    assert opened(tmp_path / "new").index is None
    again = write(opened(tmp_path / "new"), tmp_path / "apart", all_kept(folder), shard_size=200)
    assert again.shards == tuple(shard_name(number, 3) for number in (1, 2, 3))
    assert opened(tmp_path / "apart").index is not None


def test_the_card_gets_a_section_and_the_record_a_file(tmp_path: Path) -> None:
    old = small(tmp_path / "old")
    card = "---\r\nlicense: mit\r\n---\r\n# Toy\r\n\r\ntext  \n\n"
    (old / "README.md").write_bytes(card.encode())
    record = sharded.record()
    folder = opened(old)
    first = write(folder, tmp_path / "first", all_kept(folder), record=record, card="Grown by *2*.\n")
    said = (tmp_path / "first" / "README.md").read_bytes().decode()
    assert said == card.rstrip() + "\n\n## Grown with onnx-n2n\n\nGrown by *2*.\n"
    assert first.record == "growth.record"
    assert records.load(tmp_path / "first" / "growth.record").to_bytes() == record.to_bytes()
    assert "README.md" not in first.copied

    folder = opened(tmp_path / "first")
    second = write(folder, tmp_path / "second", all_kept(folder), record=record, card="And by 3.")
    again = (tmp_path / "second" / "README.md").read_bytes().decode()
    assert again == f"{said}\n## Grown with onnx-n2n\n\nAnd by 3.\n"
    assert (second.record, "growth.record" in second.copied) == ("growth-2.record", True)

    folder = opened(small(tmp_path / "bare"))
    write(folder, tmp_path / "third", all_kept(folder), card="Grown.")
    assert (tmp_path / "third" / "README.md").read_text() == "## Grown with onnx-n2n\n\nGrown.\n"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("old", "is the model that is read, and inputs are never written"),
        ("link", "is the model that is read|is a link"),
        ("old/new", "is inside of the model that is read"),
        (".", "is around the model that is read"),
        ("full", "is not empty. Choose another output"),
        ("file", "is not a folder"),
        ("nowhere/new", "does not exist. Make it first"),
        ("-", "cannot be written to stdout"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(
    place: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = opened(small(tmp_path / "old"))
    (tmp_path / "link").symlink_to("old")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    never = Tensor("F32", (1,), lambda _: pytest.fail("a tensor was made"))
    for refuse in (lambda: check_output(folder, place), lambda: write(folder, place, {"w": never})):
        with pytest.raises(OptionError, match=reason) as found:
            refuse()
        assert found.value.exit_code == 2
    assert contents(tmp_path) == before


def test_with_force_a_model_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    folder = opened(small(tmp_path / "old"))
    new = tmp_path / "new"
    write(folder, new, all_kept(folder), shard_size=32)
    (new / "thesis.tex").write_text("mine")
    with pytest.raises(OptionError, match="is not empty"):
        write(folder, new, all_kept(folder))
    check_output(folder, new, force=True)
    write(folder, new, all_kept(folder), shard_size=10**6, force=True)
    assert set(contents(new)) == {"model.safetensors", "config.json", "thesis.tex", *OTHERS}
    write(folder, new, all_kept(folder), force=True)
    assert set(contents(new)) == {FIRST, SECOND, INDEX, "config.json", "thesis.tex", *OTHERS}
    (new / "adapter_model.safetensors").write_text("mine")
    with pytest.raises(OptionError, match=r"has other weights: 'adapter_model.safetensors'"):
        write(folder, new, all_kept(folder), force=True)
    with pytest.raises(OptionError, match="is the model that is read"):
        write(folder, tmp_path / "old", all_kept(folder), force=True)


class Cut(Exception):  # noqa: N818
    """Stands for whatever ends a run in the middle."""


def short(file: IO[bytes]) -> None:
    file.write(b"abc")
    raise Cut


def full(file: IO[bytes]) -> None:
    file.write(b"abc")
    raise OSError(28, "No space left on device")


def too_few(file: IO[bytes]) -> None:
    file.write(b"abc")


@pytest.mark.parametrize(
    ("put", "kind", "reason"),
    [
        (short, Cut, None),
        (full, ModelError, "could not be written: No space left on device"),
        (too_few, AssertionError, "gave 3 bytes, not 8"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_what_fails_in_the_middle_leaves_nothing(
    put: Callable[[IO[bytes]], None], kind: type[Exception], reason: str | None, there: bool, tmp_path: Path
) -> None:
    folder = opened(small(tmp_path / "old"))
    if there:
        write(folder, tmp_path / "new", all_kept(folder))
    before = contents(tmp_path)
    tensors = {**all_kept(folder), "head.weight": Tensor("F32", (2,), put)}
    with pytest.raises(kind, match=reason):
        write(folder, tmp_path / "new", tensors, force=there)
    assert contents(tmp_path) == before
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_refused_before_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = opened(small(tmp_path / "old"))
    never = {key: Tensor("F32", (10**6,), lambda _: pytest.fail("a tensor was made")) for key in folder.tensors}
    monkeypatch.setattr(space, "free", lambda _: 11_999_999)
    with pytest.raises(ModelError, match=r"new' needs 12.0 MB, and 12.0 MB are free on its disk"):
        write(folder, tmp_path / "new", never)
    assert not (tmp_path / "new").exists()


def test_room_is_asked_for_all_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = opened(small(tmp_path / "old")), list[int]()
    monkeypatch.setattr(space, "suffices", lambda _place, _folder, needed: asked.append(needed))
    write(folder, tmp_path / "new", all_kept(folder), record=sharded.record(), card="Grown.")
    said = {path: data for path, data in contents(tmp_path / "new").items() if path not in folder.shards}
    config, later = len(said["config.json"]), len(said["growth.record"]) + len(said["README.md"])
    assert asked == [folder.nbytes + sum(map(len, said.values())) - later, config, later]
    asked.clear()
    write(folder, tmp_path / "more", all_kept(folder), beside=10**9)
    assert asked[0] == folder.nbytes + sum(map(len, said.values())) - later + 10**9


def test_each_file_keeps_its_metadata(tmp_path: Path) -> None:
    old = small(tmp_path / "old")
    sharded.save(old / SECOND, {"head.weight": np.ones(3, np.float32)}, {"of": "mine"})
    folder = opened(old)
    write(folder, tmp_path / "new", all_kept(folder))
    write(folder, tmp_path / "one", all_kept(folder), shard_size=10**6)
    assert opened(tmp_path / "new").metadata == folder.metadata == {FIRST: PT, SECOND: {"of": "mine"}}
    assert opened(tmp_path / "one").metadata == {"model.safetensors": PT}


def test_what_changes_meanwhile_is_not_taken(tmp_path: Path) -> None:
    old = small(tmp_path / "old")
    (tmp_path / "given").write_text("one")
    for path in (old / SECOND, old / "LICENSE", old / "config.json", tmp_path / "given"):
        folder, given_ = opened(copied(old, tmp_path / f"old-{path.name}")), Source.of(tmp_path / "given")
        moved = folder.path / path.name if path.parent == old else path

        def change(file: IO[bytes], moved: Path = moved) -> None:
            with moved.open("ab") as other:
                other.write(b"more")
            file.write(bytes(8))

        tensors = {**all_kept(folder), "norm.weight": Tensor("F32", (2,), change)}
        with pytest.raises(ModelError, match="has changed while it was read"):
            write(folder, tmp_path / "new", tensors, read=(given_,))
        assert not (tmp_path / "new").exists()


def test_a_field_inside_of_a_number_is_refused(tmp_path: Path) -> None:
    folder = opened(small(tmp_path / "old"))
    with pytest.raises(OptionError, match=r"'vocab_size\.more' is in 'vocab_size', which is no config"):
        write(folder, tmp_path / "new", all_kept(folder), fields={"vocab_size.more": 1})
    assert not (tmp_path / "new").exists()


def test_no_tensor_need_be_in_memory(tmp_path: Path) -> None:
    size = 24 * BLOCK // 4
    old = write_model(tmp_path / "old", [{"w": np.zeros(size, np.float32)}])
    made = Tensor("F32", (size,), lambda file: file.writelines(bytes(BLOCK) for _ in range(24)))
    folder = opened(old)
    tracemalloc.start()
    try:
        write(folder, tmp_path / "new", {"w": kept(folder, "w"), "v": made})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * BLOCK
    assert (tmp_path / "new" / "model.safetensors").stat().st_size > 48 * BLOCK


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("200mb", 2 * 10**8), ("4GiB", 2**32), ("1.5 KB", 1500), ("1000", 1000), ("1TB", 10**12)],
)
def test_sizes_are_read_as_transformers_writes_them(text: str, size: int) -> None:
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "5 GBs", "-5GB", "0GB", "five", "1e9", "nan", "5G"])
def test_what_is_no_size_is_a_sentence(text: str) -> None:
    with pytest.raises(OptionError, match=r"is no size of a file. Write one as 5GB"):
        size_of(text)
