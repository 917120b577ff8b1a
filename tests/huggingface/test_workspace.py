"""Weight files are lent as external data that ONNX Runtime opens, wherever they are; nothing is copied or left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import onnx_n2n
from helpers.hubs import as_cache, contents, small
from onnx_n2n.errors import ModelError
from onnx_n2n.huggingface.folder import Folder, opened
from onnx_n2n.huggingface.workspace import Workspace, save, workspace
from onnx_n2n.io import files
from onnx_n2n.io.carried import carried
from onnx_n2n.io.outgoing import to_proto
from onnx_n2n.io.rooms import PREFIX
from onnx_n2n.verification.sessions import CPU, SessionModel, session

IDS = np.array([[1, 10, 0]])


def graph(folder: Folder, place: Workspace) -> ir.Model:
    """Return an embedding of ids, scaled by a norm's gain, with its weights in the files of a folder."""
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g (int64[b,n] x) => (float[b,n,8] y) {e = Gather(w, x) y = Mul(e, v)}'
    )
    model = ir.serde.deserialize_model(onnx.parser.parse_model(text))
    for name, key in (("w", "embed.weight"), ("v", "norm.weight")):
        tensor = place.tensor(folder.tensors[key], name)
        value = next(v for node in model.graph for v in node.inputs if v is not None and v.name == name)
        value.const_value, value.dtype, value.shape = tensor, tensor.dtype, ir.Shape(tensor.shape)
        model.graph.initializers[name] = value
    place.carry(model)
    return model


def check(folder: Folder, place: Workspace) -> None:
    """Make sure that ONNX Runtime and our own reader find the weights, and that the message holds none."""
    model = graph(folder, place)
    assert {source.path for source in carried(model).files.read} == {folder.path / name for name in folder.shards}
    proto = to_proto(model)
    assert all(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer)
    data = proto.SerializeToString()
    wanted = folder.array("embed.weight")[IDS] * folder.array("norm.weight")
    found = session(SessionModel(data, place.path), CPU).run(None, {"x": IDS})[0]
    assert np.array_equal(found, wanted)
    again = files.from_bytes(data, place.path).graph.initializers["w"].const_value
    assert again is not None
    assert np.array_equal(again.numpy(), folder.array("embed.weight"))
    named = place.tensor(folder.tensors["head.weight"])
    assert (named.name, named.dtype, list(named.shape)) == ("head.weight", ir.DataType.FLOAT16, [11, 8])
    assert np.array_equal(named.numpy(), folder.array("head.weight"))


def test_a_graph_is_written_without_the_weights_that_are_in_files(folder: Folder) -> None:
    with workspace(folder) as place:
        model = graph(folder, place)
        gain = model.graph.initializers["v"]
        gain.const_value = ir.LazyTensor(
            lambda: ir.Tensor(np.full(8, 3, np.float32)), ir.DataType.FLOAT, ir.Shape([8]), name="v"
        )
        made = np.arange(11 * 8 * 9, dtype=np.float32).reshape(99, 8)
        model.graph.initializers["w"].const_value = ir.LazyTensor(
            lambda: ir.Tensor(made), ir.DataType.FLOAT, ir.Shape(made.shape), name="w"
        )
        for each in (graph(folder, place), model, graph(folder, place)):
            save(each, place.path / "model.onnx")
            proto = onnx.load(place.path / "model.onnx", load_external_data=False)
            assert [tensor.raw_data for tensor in proto.graph.initializer if tensor.name == "w"] == [b""]
            again = onnx_n2n.load(place.path / "model.onnx").graph.initializers
            for name, value in each.graph.initializers.items():
                assert again[name].const_value is not None
                assert value.const_value is not None
                assert np.array_equal(again[name].const_value.numpy(), value.const_value.numpy())
            wanted = each.graph.initializers["w"].const_value.numpy()[IDS] * again["v"].const_value.numpy()
            opened_ = session(SessionModel(place.path / "model.onnx", None), CPU)
            assert np.array_equal(opened_.run(None, {"x": IDS})[0], wanted)


@pytest.fixture(params=["plain", "cached"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    plain = small(tmp_path / "plain")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return opened(plain if request.param == "plain" else as_cache(plain, tmp_path / "cache"))


def forbidden(*_: object, **__: object) -> NoReturn:
    raise OSError(18, "Invalid cross-device link")


def test_files_get_second_names_for_a_while(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    before = contents(folder.path)
    for near, parent in ((None, tmp_path / "temporary"), (tmp_path / "near", tmp_path / "near")):
        with workspace(folder, near) as place:
            assert place.path.is_relative_to(parent)
            assert all(folder.sources[name].is_at(place.path / name) for name in folder.shards)
            check(folder, place)
        assert list(parent.iterdir()) == []
    assert contents(folder.path) == before


def test_where_no_second_names_can_be_nothing_is_lent(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", forbidden)
    before = contents(tmp_path)
    for near in (None, tmp_path / "nowhere"):
        with (
            pytest.raises(ModelError, match=r"cannot get second names, .* in .*temporary'\. Set TMPDIR"),
            workspace(folder, near),
        ):
            pytest.fail("it was lent")
        assert not list(tmp_path.rglob(f"{PREFIX}*"))
    assert contents(tmp_path) == before


def test_files_of_several_folders_get_names_in_one(tmp_path: Path) -> None:
    folder = small(tmp_path / "model")
    (tmp_path / "elsewhere").mkdir()
    last = max(folder.glob("*.safetensors"))
    last.rename(tmp_path / "elsewhere" / "w.safetensors")
    last.symlink_to(tmp_path / "elsewhere" / "w.safetensors")
    found = opened(folder)
    with workspace(found) as place:
        check(found, place)


def test_files_may_be_in_a_folder_of_it(tmp_path: Path) -> None:
    folder = opened(small(tmp_path / "model"))
    check(folder, Workspace(folder, tmp_path, "model"))


def test_what_fails_with_a_lent_folder_is_heard_and_leaves_nothing(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), workspace(folder):
        raise OSError("mine")
    assert list((tmp_path / "temporary").iterdir()) == []
