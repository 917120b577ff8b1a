"""Laws of weights that stay in files: a session is opened without them, and all verdicts are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from onnx_n2n.errors import ModelError
from onnx_n2n.io import wire
from onnx_n2n.verification import mapped, sessions, verify

SIDE = 64


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "LARGE", wire.LARGE)


def net(by: float = 1.0, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    body = "c = Cast<to=1>(w)\n y = MatMul(x, c)"
    graph = parser.parse_graph(f"g (float[N,{SIDE}] x) => (float[N,{SIDE}] y) {{ {body} }}")
    values = by * np.random.default_rng(0).standard_normal((SIDE, SIDE))
    graph.initializer.append(numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), "w"))
    graph.initializer.append(numpy_helper.from_array(np.zeros(2, np.float32), "small"))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(net(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


HOLDERS: list[Any] = [lambda proto: proto, ir.from_proto]


@pytest.mark.parametrize("held", HOLDERS, ids=["proto", "ir"])
def test_what_a_session_is_opened_with_holds_no_large_weight(held: Any, path: Path) -> None:
    for given in (path, held(net())):
        with sessions.opened(given) as source:
            assert isinstance(source.data, bytes)
            assert len(source.data) < wire.LARGE
            assert source.proto().graph.initializer[1].raw_data == bytes(8)
            exposed = source.exposing(["c"])
            (value,) = sessions.run(
                sessions.Timed(sessions.session(exposed, sessions.CPU)), {"x": np.zeros((1, SIDE), np.float32)}, ["c"]
            )
            assert np.array_equal(value, numpy_helper.to_array(net().graph.initializer[0]))


@pytest.mark.parametrize("held", HOLDERS, ids=["proto", "ir"])
def test_verdicts_are_those_of_models_in_one_piece(held: Any, path: Path) -> None:
    for student in (net(), net(1.01)):
        found = verify(path, held(student))
        assert found == verify(net().SerializeToString(), student.SerializeToString())
        assert found.ok == (student == net())


@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT16", "BFLOAT16", "FLOAT8E4M3FN", "INT8", "INT64", "UINT4", "BOOL"])
def test_every_type_can_be_mapped(kind: str, tmp_path: Path) -> None:
    teacher = net(2, TensorProto.DataType.Value(kind))
    onnx.save(teacher, tmp_path / "net.onnx")
    assert mapped.of_file(tmp_path / "net.onnx") or kind == "UINT4"  # that takes less than what is large
    apart = onnx.ModelProto.FromString(mapped.of_proto(teacher, mapped.Apart(tmp_path)) or b"")
    assert (tmp_path / "weights").stat().st_size >= 2048
    assert apart.graph.initializer[0].data_location == TensorProto.EXTERNAL
    whole = teacher.SerializeToString()
    assert verify(tmp_path / "net.onnx", whole).error == verify(teacher, whole).error == 0


@pytest.mark.parametrize("name", ["a b", "é", "~", "-o", "a%20b", "*", "..x"])
def test_a_file_may_be_called_anything(name: str, path: Path) -> None:
    again = path.rename(path.with_name(f"{name}.onnx"))
    assert mapped.of_file(again)
    assert verify(again, net()).ok


def test_a_link_is_opened_as_it_is(path: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "folder" / "net.onnx"
    link.symlink_to(path)
    assert mapped.of_file(link) is None
    assert verify(link, path).ok


def test_data_in_files_stays_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(net(), path, save_as_external_data=True, location="weights", size_threshold=wire.LARGE)
    hollow = onnx.load(path, load_external_data=False)
    monkeypatch.chdir(path.parent)
    assert mapped.of_proto(hollow, mapped.Apart(path.parent)) is None
    assert verify(path, hollow).ok


def test_a_file_that_is_cut_short_is_an_error_of_its_own(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])
    assert mapped.of_file(path) is None
    with pytest.raises(ModelError, match="cut short"):
        verify(path, net())
    verdict = verify(net(), path)
    assert not verdict.ok
    assert "cannot open" in str(verdict.first_wrong)


def test_a_tensor_of_another_length_than_its_shape_is_left_to_the_runtime(path: Path) -> None:
    wrong = net()
    wrong.graph.initializer[0].dims[0] += 1
    path.write_bytes(wrong.SerializeToString())
    assert mapped.of_file(path) is None
    assert mapped.of_proto(wrong, mapped.Apart(path.parent)) is None
    assert not verify(net(), path).ok
    assert not verify(net(), wrong).ok
    twice = net()
    twice.graph.initializer.add().CopyFrom(twice.graph.initializer[0])
    (path.parent / "empty").mkdir()
    assert mapped.of_proto(twice, mapped.Apart(path.parent / "empty")) is None


def test_test_data_sets_are_found_in_the_folder_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_data_set_0").mkdir()
    tensor = numpy_helper.from_array(np.ones((3, SIDE), np.float32), "x")
    onnx.save_tensor(tensor, tmp_path / "test_data_set_0" / "input_0.pb")
    assert verify(net(), net(), folder=tmp_path).inputs.startswith("test_data_set_0")
    onnx.save(net(), tmp_path / "net.onnx")
    assert verify(tmp_path / "net.onnx", net()).inputs.startswith("test_data_set_0")


def test_tensors_that_are_written_begin_on_a_page(tmp_path: Path) -> None:
    several = net()
    for k in range(3):
        several.graph.initializer.append(numpy_helper.from_array(np.ones(1025 + k, np.uint8), f"w{k}"))
    apart = onnx.ModelProto.FromString(mapped.of_proto(several, mapped.Apart(tmp_path)) or b"")
    places = [
        {entry.key: entry.value for entry in tensor.external_data} for tensor in apart.graph.initializer
    ]
    assert [int(place["offset"]) % 4096 for place in places if place] == [0] * 4
    assert len({place["offset"] for place in places if place}) == 4
    assert verify(several, several.SerializeToString()).ok
