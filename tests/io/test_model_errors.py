"""What is no model, or not a valid one, is refused with a sentence."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

from helpers.saying import everything, small, surgeons, written
from onnx_n2n.errors import ModelError, N2NError, OptionError
from onnx_n2n.io.model import load, open_model, save


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"PK\3\4 a zip file, such as PyTorch writes", "is not an ONNX file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (onnx.ModelProto(ir_version=9).SerializeToString(), "no graph"),
        (small().SerializeToString()[:-50], "is not an ONNX file, or is cut short"),
    ],
)
def test_files_that_are_no_model(content: bytes | None, reason: str, tmp_path: Path):
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(reason)):
        load(tmp_path / "m.onnx")


def test_a_folder_is_no_model(tmp_path: Path):
    with pytest.raises(ModelError, match=r"is a folder without a model\.onnx"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"location": "missing.bin"}, "does not exist"),
        ({"location": "short.bin"}, "too short"),
        ({"location": "good.bin", "offset": "8"}, "too short"),
        ({"location": "good.bin", "offset": "-8"}, "too short"),
        ({"location": "good.bin", "length": "100"}, "holds 100 bytes"),
        ({"location": "good.bin", "offset": "x"}, "cannot be read"),
        ({"location": "nul\0.bin"}, "cannot be read"),
        ({"location": ""}, "outside of the model's folder"),
        ({"location": "../outside.bin"}, "outside of the model's folder"),
        ({"location": "link.bin"}, "outside of the model's folder"),
        ({"location": "ABSOLUTE"}, "outside of the model's folder"),
    ],
)
def test_external_data_that_is_not_as_it_should_be(entries: dict[str, str], reason: str, tmp_path: Path):
    folder = tmp_path / "model"
    folder.mkdir()
    for place in (folder / "good.bin", tmp_path / "outside.bin"):
        place.write_bytes(bytes(4096))
    (folder / "short.bin").write_bytes(bytes(4095))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    model = small()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value.replace("ABSOLUTE", str(folder / "good.bin")))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=reason):
        load(folder / "m.onnx")


def test_a_cache_may_hold_model_and_data_elsewhere_together(tmp_path: Path):
    for name in ("blobs", "snapshot"):
        (tmp_path / name).mkdir()
    onnx.save(small(), tmp_path / "blobs" / "1f", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "blobs" / "w.bin").rename(tmp_path / "blobs" / "2e")
    (tmp_path / "snapshot" / "m.onnx").symlink_to("../blobs/1f")
    (tmp_path / "snapshot" / "w.bin").symlink_to("../blobs/2e")
    assert open_model(tmp_path / "snapshot" / "m.onnx").model.graph.initializers["w"].const_value is not None


def undefined_input(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nobody"


def undefined_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "nobody"


def cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "y"


def twice_made(model: onnx.ModelProto) -> None:
    model.graph.node.append(model.graph.node[0])


def wrong_length(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(from_array(np.zeros(4, np.float32), "more"))
    model.graph.initializer[-1].dims[0] = 5


def no_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 0


def unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 999


def negative_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [-32, -32]


def many_axes(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1] * 100


def negative_strings(model: onnx.ModelProto) -> None:
    model.graph.initializer.add(name="words", data_type=TensorProto.STRING, dims=[-1])


def huge_sparse(model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add(dims=[2**30, 2**30])
    sparse.values.CopyFrom(from_array(np.ones(1, np.float32), "s"))
    sparse.indices.CopyFrom(from_array(np.zeros(1, np.int64)))


def unmade_result(model: onnx.ModelProto) -> None:
    opsets = [onnx.helper.make_opsetid("", 17)]
    nodes = [onnx.helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(onnx.helper.make_function("own", "half", ["a"], ["q"], nodes, opsets))
    model.opset_import.add(domain="own", version=1)


def sparse_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="s", type=onnx.AttributeProto.SPARSE_TENSOR)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (undefined_input, "'nobody' is used, but nothing makes it (MatMul node 'layer')"),
        (undefined_output, "nothing makes output 'nobody'"),
        (cycle, "cycle"),
        (twice_made, "redeclared"),
        (wrong_length, "holds 16 bytes where its type and shape need 20"),
        (no_type, "no valid type or shape"),
        (unknown_type, "no valid type or shape"),
        (negative_shape, "no valid type or shape"),
        (many_axes, "no valid type or shape"),
        (negative_strings, "no valid type or shape"),
        (huge_sparse, "sparse initializer 's' is too large to be made dense"),
        (unmade_result, "there is no 'q'"),
        (sparse_attribute, "Sparse tensors are not supported"),
    ],
)
def test_models_that_are_not_valid(spoil: Callable[[onnx.ModelProto], None], reason: str, tmp_path: Path):
    model = small()
    spoil(model)
    with pytest.raises(ModelError, match=re.escape(reason)):
        open_model(model)
    with pytest.raises(ModelError, match=re.escape(reason)):
        load(written(model, tmp_path))


def test_an_ir_model_with_nodes_out_of_order():
    model = small()
    model.graph.node.insert(0, helper.make_node("Relu", ["y"], ["z"]))
    with pytest.raises(ModelError, match="out of order"):
        open_model(ir.from_proto(model))


def test_what_graphsurgeon_cannot_export():
    graph = surgeons()
    graph.nodes[0].attrs["values"] = []
    with pytest.raises(ModelError, match="graphsurgeon cannot export the graph: Could not infer attribute"):
        open_model(graph)


def test_what_is_no_model():
    with pytest.raises(OptionError, match="not <class 'dict'>"):
        open_model({})  # type: ignore[call-overload]


SOUND = everything().SerializeToString()


@settings(max_examples=150)
@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255), st.booleans())
def test_a_damaged_file_gives_a_model_or_a_sentence(place: int, byte: int, cut: bool):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(SOUND[:place] if cut else SOUND[:place] + bytes([byte]) + SOUND[place + 1 :])
        with contextlib.suppress(N2NError):
            save(load(path), Path(folder) / "student.onnx")
