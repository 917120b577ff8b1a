"""Whatever holds a model, the student is the same, and comes back in the same kind."""

from __future__ import annotations

import contextlib
import io
import string
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.calling import MODELS, call, net
from helpers.needing import needs

GROWTH = onnx_n2n.widen(net(), 2, verify=False).growth
HOLDERS = (
    "path", "text", "folder", "bytes", "bytearray", "memoryview", "file", "file object", "zip", "proto", "ir", "gs",
)  # fmt: skip
BACK: dict[str, type] = {
    "path": Path, "text": Path, "folder": Path, "bytes": bytes, "bytearray": bytes, "memoryview": bytes,
    "file": io.BytesIO, "file object": io.BytesIO, "zip": io.BytesIO, "proto": onnx.ModelProto, "ir": ir.Model,
    "gs": gs.Graph, "program": object,
}  # fmt: skip


def held(kind: str, model: onnx.ModelProto, folder: Path) -> Any:
    """Put a model into a kind of holder."""
    data, path = model.SerializeToString(), folder / "model.onnx"
    folder.mkdir(exist_ok=True)
    path.write_bytes(data)
    if kind == "program":
        return needs("torch.onnx").ONNXProgram(ir.from_proto(model), None)
    if kind == "zip":
        with zipfile.ZipFile(folder / "model.zip", "w") as archive:
            archive.writestr("model", data)
        return zipfile.ZipFile(folder / "model.zip").open("model")
    makers: dict[str, Callable[[], Any]] = {
        "path": lambda: path, "text": lambda: str(path), "folder": lambda: folder, "bytes": lambda: data,
        "bytearray": lambda: bytearray(data), "memoryview": lambda: memoryview(data), "file": lambda: path.open("rb"),
        "file object": lambda: io.BytesIO(data), "proto": lambda: model, "ir": lambda: ir.from_proto(model),
        "gs": lambda: gs.import_onnx(model),
    }  # fmt: skip
    return makers[kind]()


def content(model: Any) -> bytes:
    """Return what would be in the file of a model."""
    if isinstance(model, Path):
        return model.read_bytes()
    if isinstance(model, io.BytesIO):
        assert model.tell() == 0
        return model.read()
    if isinstance(model, gs.Graph):
        return content(gs.export_onnx(model))
    if isinstance(model, bytes):
        return model
    proto = model if isinstance(model, onnx.ModelProto) else ir.to_proto(getattr(model, "model", model))
    return proto.SerializeToString()


def weights(data: bytes) -> list[bytes]:
    """Return what no library reorders or describes anew: the weights, by name."""
    found = onnx.load_model_from_string(data).graph.initializer
    return sorted(onnx.TensorProto(name=t.name, dims=t.dims, raw_data=t.raw_data).SerializeToString() for t in found)


def check(kind: str, teacher: onnx.ModelProto, passes: str, wanted: bytes, folder: Path) -> None:
    before = teacher.SerializeToString()
    theirs = held(kind, teacher, folder)
    student = onnx_n2n.run(theirs, passes, verify=False, **({"force": True} if BACK[kind] is Path else {})).model
    assert isinstance(student, BACK[kind])
    if kind in {"ir", "gs"}:  # they write graphs in their own way
        assert weights(content(student)) == weights(wanted)
        assert content(theirs) == content(held(kind, teacher, folder))
    else:
        assert content(student) == wanted
    assert teacher.SerializeToString() == before == (folder / "model.onnx").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.sampled_from(HOLDERS), st.floats(1, 4), st.booleans())
def test_the_same_student_comes_back_in_the_same_kind(tmp_path: Path, kind: str, factor: float, deep: bool) -> None:
    passes = f"widen{{factor={factor:.2f}}}" + ",deepen" * deep
    check(kind, net(), passes, content(onnx_n2n.run(net(), passes, verify=False).model), tmp_path / "x")


@pytest.mark.parametrize("name", sorted(path.stem for path in MODELS.glob("*.onnx")))
def test_so_does_that_of_a_trained_model(name: str, tmp_path: Path) -> None:
    teacher = onnx.load(MODELS / f"{name}.onnx")
    wanted = content(onnx_n2n.run(teacher, "widen{factor=1.3}", verify=False).model)
    for kind in ("bytes", "ir"):
        check(kind, teacher, "widen{factor=1.3}", wanted, tmp_path / kind)


@pytest.mark.parametrize("kind", HOLDERS)
def test_every_kind_is_verified(kind: str, tmp_path: Path) -> None:
    result = onnx_n2n.widen(held(kind, net(), tmp_path / "x"), 2)
    assert result.modified
    assert result.report.verdict is not None
    assert result.report.clones is not None
    assert onnx_n2n.verify(held(kind, net(), tmp_path / "y"), result.model)
    assert result.growth.student == GROWTH.student


@pytest.mark.parametrize("kind", HOLDERS)
def test_what_cannot_grow_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    given_ = held(kind, net(), tmp_path / "x")
    result = onnx_n2n.widen(given_, 1)
    assert not result.modified
    if BACK[kind] is io.BytesIO:
        assert content(result.model) == net().SerializeToString()
    elif kind == "ir":  # a pass of onnx_ir that is not in place has to
        assert result.model is not given_
        assert content(result.model) == content(given_)
    else:
        assert result.model == given_


@pytest.mark.parametrize("kind", ["folder", "bytes", "zip", "gs"])
def test_every_function_takes_every_kind(kind: str, tmp_path: Path) -> None:
    names = iter(string.ascii_letters)

    def fresh() -> Any:
        return held(kind, net(), tmp_path / next(names))

    assert onnx_n2n.widen(fresh(), 2, exact=True).report.exact.state == "equal"
    assert onnx_n2n.analyze(fresh()).groups == onnx_n2n.analyze(net()).groups
    assert onnx_n2n.clones(fresh()) == onnx_n2n.clones(net())
    assert onnx_n2n.verify(fresh(), fresh())
    assert onnx_n2n.verify(fresh(), fresh(), exact=True)
    onnx_n2n.save(fresh(), tmp_path / "saved.onnx")
    assert weights((tmp_path / "saved.onnx").read_bytes()) == weights(net().SerializeToString())
    assert onnx_n2n.export.write(fresh(), tmp_path / "exported", to="safetensors").parameters == 20
    found = onnx_n2n.explore(fresh(), "params=2x", output=tmp_path / "students", verify=False)
    assert found[0].path == tmp_path / "students" / "wider.onnx"


def test_a_program_of_torch_stays_one(tmp_path: Path) -> None:
    torch = needs("torch")
    program = held("program", net(), tmp_path / "x")
    program.exported_program = mark = object()
    before = content(program)
    result = onnx_n2n.widen(program, 2)
    assert type(result.model) is torch.onnx.ONNXProgram
    assert result.model.exported_program is mark
    assert weights(content(result.model)) == weights(content(onnx_n2n.widen(net(), 2).model))
    assert content(program) == before
    assert onnx_n2n.verify(program, result.model)
    x = torch.ones(1, 3, 6, 6)
    torch.testing.assert_close(result.model(x), program(x))
    idle = onnx_n2n.widen(program, 1)
    assert type(idle.model) is torch.onnx.ONNXProgram


def test_all_that_is_in_a_folder_stays(tmp_path: Path) -> None:
    folder = held("folder", net(), tmp_path / "x")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "other.onnx").write_text("no model")
    result = onnx_n2n.widen(folder, 2)
    assert result.model == folder / "model.widened.onnx"
    assert sorted(each.name for each in folder.iterdir()) == [
        "model.onnx", "model.widened.onnx", "other.onnx", "tokenizer.json",
    ]  # fmt: skip
    assert onnx_n2n.load(folder).graph.name == onnx_n2n.load(folder / "model.onnx").graph.name
    assert onnx_n2n.explore(folder, "params=2x", verify=False)[0].path == folder / "model.explored" / "wider.onnx"
    assert onnx_n2n.deepen(folder, output=tmp_path / "deep.onnx").model == tmp_path / "deep.onnx"


def test_commands_take_a_folder(tmp_path: Path) -> None:
    folder = held("folder", net(), tmp_path / "x")
    for words in (["widen"], ["inspect"], ["log"], ["explore", "--budget", "params=2x", "--no-verify"]):
        command, *rest = words
        assert call(command, folder, *rest).exit_code == 0
    assert call("verify", folder, folder / "model.widened.onnx").exit_code == 0
    assert call("export", folder, "--to", "safetensors", "-o", tmp_path / "e").exit_code == 0
    (folder / "model.onnx").rename(folder / "net.onnx")
    outcome = call("widen", folder)
    assert outcome.exit_code == call("widen", tmp_path / "nothing.onnx").exit_code
    assert "is a folder without a model.onnx" in outcome.output.replace("\n", " ")
    assert "model.widened.onnx, net.onnx" in outcome.output.replace("\n", " ")


# --- what is no model


class Broken:
    """A file object of a network that is gone."""

    def read(self) -> bytes:
        raise RuntimeError("connection reset")


class Odd:
    """A file object that gives something else."""

    def __init__(self, found: object) -> None:
        self.found = found

    def read(self) -> object:
        return self.found


def closed(path: Path) -> Any:
    file = path.open("rb")
    file.close()
    return file


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "text": (lambda folder: "ir_version: 8", "'ir_version: 8' does not exist"),
    "impossible": (lambda folder: "a\0b", "cannot be read"),
    "long": (lambda folder: "x" * 5000, "cannot be read: File name too long"),
    "empty": (lambda folder: b"", "the model in memory is empty"),
    "empty file": (lambda folder: io.BytesIO(), "the model in memory is empty"),
    "words": (lambda folder: b"not a model", "the model in memory is not an ONNX file, or is cut short"),
    "cut": (lambda folder: net().SerializeToString()[:-20], "the model in memory is not an ONNX file, or is cut short"),
    "lfs": (lambda folder: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "closed": (lambda folder: closed(folder / "model.onnx"), "file object cannot be read: .*closed file"),
    "write-only": (lambda folder: (folder / "new").open("wb"), "file object cannot be read: read"),
    "text mode": (lambda folder: (folder / "text").open("r"), "gives text, where a model is bytes"),
    "string": (lambda folder: io.StringIO("x"), "gives text, where a model is bytes"),
    "broken": (lambda folder: Broken(), "file object cannot be read: connection reset"),
    "nothing": (lambda folder: Odd(None), "gives <class 'NoneType'>, where a model is bytes"),
    "no folder": (lambda folder: folder / "empty", "'.*empty' is a folder without a model.onnx"),
    "folders": (lambda folder: folder / "folders", "'.*folders' is a folder without a model.onnx"),
    "others": (lambda folder: folder / "others", "Pass the path of one of its files: a.onnx, b.onnx"),
    "number": (lambda folder: 3, "a model is a path, bytes, a binary file object.*, not <class 'int'>"),
    "class": (lambda folder: onnx.ModelProto, "not <class '.*'>"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("function", [onnx_n2n.widen, onnx_n2n.analyze, onnx_n2n.verify, onnx_n2n.explore])
def test_what_is_no_model_is_an_error_that_says_so(case: str, function: Any, tmp_path: Path) -> None:
    held("path", net(), tmp_path)
    (tmp_path / "text").write_text("x")
    (tmp_path / "folders" / "model.onnx").mkdir(parents=True)
    for name in ("empty", "others"):
        (tmp_path / name).mkdir()
    for name in "ab":
        (tmp_path / "others" / f"{name}.onnx").write_bytes(b"")
    make, reason = BAD[case]
    rest: dict[Any, tuple[Any, ...]] = {onnx_n2n.verify: (net(),), onnx_n2n.explore: ("params=2x",)}
    options = {"output": tmp_path / "o"} if function is onnx_n2n.explore else {}
    with pytest.raises(onnx_n2n.N2NError, match=reason):
        function(make(tmp_path), *rest.get(function, ()), **options)
    assert not (tmp_path / "o").exists()


@settings(max_examples=150)
@given(st.data())
def test_damaged_bytes_are_a_model_or_an_error(data: st.DataObject) -> None:
    whole = net().SerializeToString()
    end = data.draw(st.integers(0, len(whole)))
    noise = data.draw(st.binary(max_size=8))
    at = data.draw(st.integers(0, end))
    with contextlib.suppress(onnx_n2n.N2NError):
        onnx_n2n.analyze(whole[:at] + noise + whole[at:end])


def test_bytes_have_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the working directory is some other model's, most likely."""
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "model.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    data = Path("model.onnx").read_bytes()
    for given_ in (data, io.BytesIO(data)):
        with pytest.raises(onnx_n2n.ModelError, match=r"tensor '.' is in another file.*Pass the path of"):
            onnx_n2n.widen(given_, 2)
    assert onnx_n2n.widen("model.onnx", 2).modified


def test_students_of_what_is_in_no_file_have_no_place() -> None:
    data = net().SerializeToString()
    with pytest.raises(onnx_n2n.OptionError, match="no folder to write students beside"):
        onnx_n2n.explore(data, "params=2x")
    with pytest.raises(onnx_n2n.OptionError, match="is not written, but returned"):
        onnx_n2n.widen(data, 2, output="student.onnx")
