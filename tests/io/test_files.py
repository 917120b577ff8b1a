"""Files are written whole or not at all, weights stay where they were, and nobody's data is overwritten."""

from __future__ import annotations

import os
import re
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnx.numpy_helper import from_array, to_array

from helpers.saying import everything, grown, load_skeleton, run, small, weight, written
from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.io import files
from onnx_n2n.io.history import digest
from onnx_n2n.io.model import load, open_model, save


def data_of(model: Path) -> Path:
    """Return the data file of a model."""
    (name,) = {e.value for t in load_skeleton(model) for e in t.external_data if e.key == "location"}
    return model.with_name(name)


def test_external_weights_stay_external(tmp_path: Path):
    model = everything()
    model.graph.initializer.extend([weight("empty", 0, 4), weight("last", 20, 20)])
    source = written(model, tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "student.onnx"
    save(grown(load(source), "unused", np.ones((700, 2), np.float32)), target)
    names = sorted(re.sub("[0-9a-f]{16}", "DIGEST", file.name) for file in target.parent.iterdir())
    assert names == ["student.onnx", "student.onnx.DIGEST.data"]
    student = onnx.load(target)
    arrays = {t.name: to_array(t) for t in student.graph.initializer if t.data_type != TensorProto.STRING}
    assert arrays["unused"].shape == (700, 2)
    assert arrays["empty"].shape == (0, 4)
    np.testing.assert_equal(arrays["last"], to_array(weight("last", 20, 20)))
    entries = [entry for tensor in load_skeleton(target) for entry in tensor.external_data if entry.key == "offset"]
    assert [int(entry.value) % 4096 for entry in entries] == [0, 0], "a runtime can map it"
    np.testing.assert_equal(run(target), run(source))


def test_external_weights_of_a_proto_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    source = written(everything(), tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = onnx.load(source, load_external_data=False)
    loan = open_model(model)
    assert loan.give_back(loan.model) == model
    student = loan.give_back(grown(loan.model, "w", np.ones((8, 4), np.float32)))
    locations = {tensor.name: tensor.data_location for tensor in student.graph.initializer}
    assert locations["w"] == TensorProto.DEFAULT
    assert locations["unused"] == TensorProto.EXTERNAL


def test_external_weights_of_an_ir_model_stay_external(tmp_path: Path):
    source = written(small(), tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    loan = open_model(ir.load(source))
    assert isinstance(loan.model.graph.initializers["w"].const_value, ir.ExternalTensor)
    for student, name in ((loan.model, "student.onnx"), (ir.load(source), "another.onnx")):
        save(student, tmp_path / name)
        assert data_of(tmp_path / name).stat().st_size == 4 * 32 * 32
    np.testing.assert_equal(run(tmp_path / "student.onnx", 32), run(source, 32))


def test_files_are_mapped_only_while_they_are_read(tmp_path: Path):
    model = small()
    model.graph.initializer.extend(weight(f"weight_{n}", 40, 40) for n in range(3))
    source = written(model, tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    caller = ir.load(source)
    working = open_model(caller).model
    assert digest(working) == digest(load(source))
    save(working, tmp_path / "student.onnx")
    graphs = caller.graph, working.graph
    external = [graph.initializers[f"weight_{n}"].const_value for graph in graphs for n in range(3)]
    for tensor in external:
        assert isinstance(tensor, ir.ExternalTensor)
        assert tensor.raw is None
    for theirs, ours in zip(external[:3], external[3:], strict=True):
        assert theirs.tobytes() == ours.tobytes() == ours.numpy().tobytes() == np.asarray(ours).tobytes()


def test_a_model_too_large_for_one_file_gets_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = small()
    monkeypatch.setattr(files, "LIMIT", 4000)
    save(model, tmp_path / "student.onnx")
    assert data_of(tmp_path / "student.onnx").stat().st_size == 4 * 32 * 32
    assert onnx.load(tmp_path / "student.onnx").graph.initializer[0].raw_data == model.graph.initializer[0].raw_data


@pytest.mark.parametrize("external", [False, True])
def test_the_same_model_gives_the_same_bytes(external: bool, tmp_path: Path):
    source = written(everything(), tmp_path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save(load(source), tmp_path / name / "student.onnx")
    one, two = ([file.read_bytes() for file in sorted((tmp_path / name).iterdir())] for name in ("one", "two"))
    assert len(one) == 1 + external
    assert one == two


def test_weights_are_never_all_in_memory(tmp_path: Path):
    size, count = 1 << 20, 16
    model = small()
    model.graph.initializer.extend(from_array(np.zeros(size, np.uint8), f"weight_{n}") for n in range(count))
    path = written(model, tmp_path)
    del model
    tracemalloc.start()
    student = load(path)
    assert tracemalloc.get_traced_memory()[1] < size
    for value in student.graph.initializers.values():
        read = value.const_value
        assert read is not None
        lazy = ir.LazyTensor(lambda read=read: ir.tensor(read.numpy().copy()), read.dtype, read.shape, name=read.name)
        value.const_value = lazy
    save(student, tmp_path / "student.onnx")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * size < count * size


def test_overwriting_must_be_forced(tmp_path: Path):
    target = tmp_path / "student.onnx"
    target.write_bytes(b"precious")
    with pytest.raises(OptionError, match="exists already"):
        save(small(), target)
    assert target.read_bytes() == b"precious"
    model = small()
    save(model, target, force=True)
    assert target.read_bytes() == model.SerializeToString()
    with pytest.raises(OptionError, match="is an input, and inputs are never written"):
        save(load(target), target, force=True)
    assert target.read_bytes() == model.SerializeToString()


def test_data_that_is_there_already_is_not_overwritten(tmp_path: Path):
    source = written(small(), tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    for _ in range(3):
        save(load(source), tmp_path / "student.onnx")
        data = data_of(tmp_path / "student.onnx")
        (tmp_path / "student.onnx").unlink()
        data.write_bytes(b"precious")
    assert [file.read_bytes() for file in tmp_path.glob("*.data")] == 3 * [b"precious"]


@pytest.mark.parametrize("target", ["teacher.onnx", "teacher.onnx.data"])
def test_the_teachers_own_data_is_never_overwritten(target: str, tmp_path: Path):
    source = written(small(), tmp_path, save_as_external_data=True, location="teacher.onnx.data", size_threshold=0)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for teacher in (load(source), open_model(ir.load(source)).model):
        with pytest.raises(OptionError, match="is an input, and inputs are never written"):
            save(grown(teacher, "w", np.ones((32, 32), np.float32)), tmp_path / target, force=True)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("fault", ["raises", "short"])
def test_a_failure_leaves_nothing_behind(external: bool, fault: str, tmp_path: Path):
    model = small()
    model.graph.initializer.append(weight("later", 40, 40))
    source = written(model, tmp_path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    target = tmp_path / "student.onnx"
    target.write_bytes(b"precious")
    before = sorted(file.name for file in tmp_path.iterdir())
    student = load(source)

    def read() -> ir.Tensor[Any]:
        if fault == "raises":
            raise ZeroDivisionError
        return ir.tensor(np.zeros(7, np.float32))

    student.graph.initializers["later"].const_value = ir.LazyTensor(read, ir.DataType.FLOAT, ir.Shape([40, 40]))
    with pytest.raises(ZeroDivisionError if fault == "raises" else ModelError):
        save(student, target, force=True)
    assert target.read_bytes() == b"precious"
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def test_half_of_a_pair_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.suffix == ".onnx":
            raise OSError("the disk is full")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    monkeypatch.setattr(files, "LIMIT", 4000)
    with pytest.raises(ModelError, match="could not be written: the disk is full"):
        save(small(), tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no/such/folder/m.onnx", "the folder 'no/such/folder' does not exist"),
        ("", "is a folder"),
        ("pipe", "is a pipe"),
        ("link", "is a link to 'nowhere'"),
    ],
)
def test_a_target_that_is_no_place_for_a_file(path: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OptionError, match=reason):
        save(small(), path, force=True)


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OptionError, match="not writable"):
        save(small(), tmp_path / "m.onnx")


@settings(max_examples=40)
@given(st.lists(st.integers(0, 3000), max_size=6))
def test_a_file_is_written_byte_for_byte_as_protobuf_does(sizes: list[int]):
    model = everything()
    for number, size in enumerate(sizes):
        model.graph.initializer.append(from_array(np.arange(size, dtype=np.int16), f"weight_{number}"))
    with tempfile.TemporaryDirectory() as folder:
        source, target = written(model, Path(folder)), Path(folder) / "student.onnx"
        save(load(source), target)
        assert target.read_bytes() == source.read_bytes()
