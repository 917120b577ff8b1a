"""What a model says survives the way in and out, the caller's own is left alone, and files are whole or absent."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array, to_array

from onnx_n2n import files
from onnx_n2n.errors import ModelError, N2NError, OptionError
from onnx_n2n.model import load, open_model, save

FLOAT = TensorProto.FLOAT


def describe(message: Any, word: str) -> Any:
    """Give a message a doc string and metadata."""
    message.doc_string = f"about {word}"
    message.metadata_props.add(key="a", value=word)
    message.metadata_props.add(key="b", value="two")
    return message


def weight(name: str, *shape: int) -> onnx.TensorProto:
    """Return random values, always the same for one name."""
    return from_array(np.random.default_rng(sum(name.encode())).standard_normal(shape).astype(np.float32), name)


def small() -> onnx.ModelProto:
    """One layer, its weight large enough to be left on disk."""
    x, y = (helper.make_tensor_value_info(name, FLOAT, ["n", 32]) for name in "xy")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="layer")
    graph = helper.make_graph([node], "small", [x], [y], [weight("w", 32, 32)])
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def everything() -> onnx.ModelProto:
    """All that a model can say, in the order in which the IR writes it; ONNX Runtime runs it."""
    sparse, inner = (
        helper.make_sparse_tensor(
            helper.make_tensor(name, FLOAT, [2], [3.0, 4.0]),
            helper.make_tensor("at", TensorProto.INT64, [2], [1, 6]),
            [3, 4],
        )
        for name in ("sparse", "sparse_inner")
    )
    branches = {}
    for name in ("then", "else"):
        # "w" is captured from outside, "inner" is the branch's own
        node = describe(
            helper.make_node("Gemm", ["x", "w", f"inner_{name}"], [f"out_{name}"], name=f"{name}/gemm"), name
        )
        out = describe(helper.make_tensor_value_info(f"out_{name}", FLOAT, ["batch", 4]), name)
        branches[f"{name}_branch"] = describe(
            helper.make_graph([node], name, [], [out], [describe(weight(f"inner_{name}", 4), name)]), name
        )
    branches["then_branch"].sparse_initializer.append(inner)
    nodes = [
        helper.make_node("Constant", [], ["flag"], value=onnx.TensorProto(data_type=TensorProto.BOOL, raw_data=b"\1")),
        helper.make_node("If", ["flag"], ["h"], name="if", **branches),
        helper.make_node("Constant", [], ["none"]),
        helper.make_node("Cast", ["int4"], ["four"], to=FLOAT),
        helper.make_node("Double", ["h"], ["twice"], domain="local"),
        helper.make_node("Add", ["twice", "listed"], ["sum"]),
        helper.make_node("Add", ["sum", "four"], ["more"]),
        helper.make_node("Gemm", ["more", "sparse"], ["y"], transB=1),
        helper.make_node("Dropout", ["y"], ["dropped"]),
        helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0),
        helper.make_node("ZipMap", ["y"], ["map"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
    ]
    for node in nodes[1:]:
        describe(node, node.op_type)
    nodes[2].attribute.add(name="value_ints", type=onnx.AttributeProto.INTS)
    nodes[1].attribute[0].doc_string = "about an attribute"
    map_type = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))
    inputs = [
        describe(helper.make_tensor_value_info("x", FLOAT, ["batch", 8]), "x"),
        helper.make_tensor_value_info("listed", FLOAT, [4]),
    ]
    inputs[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    inputs[0].type.denotation = "TENSOR"
    outputs = [
        describe(helper.make_tensor_value_info("y", FLOAT, ["batch", 3]), "y"),
        helper.make_value_info("map", helper.make_sequence_type_proto(map_type)),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
    ]
    initializers = [
        describe(weight("w", 8, 4), "w"),
        weight("listed", 4),
        weight("unused", 300, 2),
        helper.make_tensor("int4", TensorProto.INT4, [4], b"\x21\x7f", raw=True),
        helper.make_tensor("words", TensorProto.STRING, [2], [b"a\0", b"\xff"]),
    ]
    value_info = [
        describe(helper.make_tensor_value_info("w", FLOAT, [8, 4]), "the value w"),
        helper.make_tensor_value_info("sum", FLOAT, ["batch", None]),
    ]
    graph = describe(helper.make_graph(nodes, "main", inputs, outputs, initializers, value_info=value_info), "graph")
    graph.sparse_initializer.append(sparse)
    for name in ("w", "sum"):
        graph.quantization_annotation.add(tensor_name=name).quant_parameter_tensor_names.add(
            key="SCALE", value="listed"
        )
    function = describe(
        helper.make_function(
            "local",
            "Double",
            ["a"],
            ["b"],
            [
                helper.make_node("Constant", [], ["two"], value_float=2.0),
                helper.make_node("Mul", ["a", "two"], ["b"]),
            ],
            [helper.make_opsetid("", 21)],
        ),
        "function",
    )
    opsets = [helper.make_opsetid(*pair) for pair in (("", 21), ("local", 1), ("ai.onnx.ml", 3))]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=11)
    model.producer_name, model.producer_version, model.domain, model.model_version = "pytest", "1.2", "org.test", 7
    model.configuration.add(name="two", num_devices=2, device=["a", "b"])
    spot = model.graph.node[1].device_configurations.add(configuration_id="two", pipeline_stage=1)
    spot.sharding_spec.add(tensor_name="h", device=[0, 1]).sharded_dim.add(axis=0).simple_sharding.add(num_shards=2)
    training = model.training_info.add()
    training.algorithm.CopyFrom(small().graph)
    training.update_binding.add(key="w", value="y")
    return describe(model, "model")


def surgeons() -> gs.Graph:
    """What graphsurgeon can say and its exporter forgets, with a weight that a branch captures."""
    x = gs.Variable("x", np.float32, ["batch", 32])
    y, h, flag, out = (gs.Variable(name) for name in ("y", "h", "flag", "out"))
    y.dtype, out.dtype, flag.dtype, h.dtype = np.float32, np.float32, bool, np.float32
    w = gs.Constant("w", to_array(weight("w", 32, 32)))
    branch = gs.Graph(
        [gs.Node("MatMul", "inside", inputs=[h, w], outputs=[out])], outputs=[out], name="branch", opset=17
    )
    nodes = [
        gs.Node("MatMul", "first", inputs=[x, w], outputs=[h]),
        gs.Node("Constant", "flag", {"value": gs.Constant("", np.array(True))}, outputs=[flag]),
        gs.Node("If", "if", {"then_branch": branch, "else_branch": branch.copy()}, [flag], [y]),
    ]
    graph = gs.Graph(nodes, [x], [y], name="net", doc_string="mine", opset=17, producer_name="me", ir_version=9)
    graph.layer_count, graph.name_idx, nodes[0].tag, w.scale = 3, 5, "conv-bn", 0.5
    branch.nodes[0].tag = "deep"
    return graph


def run(model: onnx.ModelProto | Path, width: int = 8) -> list[Any]:
    """Run a model on the CPU, on inputs that are always the same."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.random.default_rng(1).standard_normal((2, width)).astype(np.float32)})


def written(model: onnx.ModelProto, folder: Path, **options: Any) -> Path:
    """Write a model by onnx's own hand."""
    path = folder / "teacher.onnx"
    onnx.save(model, path, **options)
    return path


def load_skeleton(path: Path) -> list[onnx.TensorProto]:
    return list(onnx.load(path, load_external_data=False).graph.initializer)


def grown(model: ir.Model, name: str, array: np.ndarray) -> ir.Model:
    """Give an initializer another value, fetched late as the rewriting stage does."""
    value = model.graph.initializers[name]
    value.const_value = ir.LazyTensor(
        lambda: ir.tensor(array), ir.tensor(array).dtype, ir.Shape(array.shape), name=name
    )
    return model


def vandalise(model: ir.Model) -> None:
    """Change all that can be changed in a model."""
    for graph in [*model.graphs(), *(function.graph for function in model.functions.values())]:
        for value in [*graph.inputs, *graph.initializers.values(), *(out for node in graph for out in node.outputs)]:
            value.name = f"other_{value.name}"
            value.dtype = ir.DataType.DOUBLE
            value.shape = ir.Shape([99])
            value.meta.setdefault("quant_parameter_tensor_names", {})["SCALE"] = "other"
        for value in graph.initializers.values():
            assert value.const_value is not None
            value.const_value.metadata_props["a"] = "other"
        for thing in [graph, *graph, *graph.inputs]:
            thing.metadata_props["a"] = thing.doc_string = "other"
        for node in graph:
            for attribute in node.attributes.values():
                attribute.doc_string = "other"
                if attribute.type == ir.AttributeType.TENSOR:
                    attribute.as_tensor().name = "other"
            node.attributes["new"] = ir.AttrInt64("new", 1)
            node.op_type = "Other"
        graph.opset_imports["other"] = 1
        graph.initializers.popitem() if graph.initializers else None
    model.metadata_props["a"] = "other"
    model.functions.clear()


def test_everything_comes_back_in_a_proto():
    model = everything()
    loan = open_model(model)
    assert loan.give_back(loan.model) == model
    assert loan.give_back(loan.model.clone()) == model


def test_everything_comes_back_from_a_file(tmp_path: Path):
    model = everything()
    save(load(written(model, tmp_path)), tmp_path / "student.onnx")
    assert (tmp_path / "student.onnx").read_bytes() == model.SerializeToString()


def test_everything_comes_back_in_an_ir_model(tmp_path: Path):
    model = everything()
    theirs = load(written(model, tmp_path))
    theirs.meta["mine"] = 1
    loan = open_model(theirs)
    student = loan.give_back(loan.model)
    assert isinstance(student, ir.Model)
    assert student.meta["mine"] == 1
    save(student, tmp_path / "student.onnx")
    assert onnx.load(tmp_path / "student.onnx") == model


def test_a_graph_of_graphsurgeon_comes_back_with_all_that_it_had():
    graph = surgeons()
    a, b = gs.Variable("a"), gs.Variable("b")
    graph.functions = [gs.Function("Twice", "local", [gs.Node("Add", inputs=[a, a], outputs=[b])], [a], [b], opset=17)]
    graph.functions[0].tag = "function"
    loan = open_model(graph)
    assert [sorted(block.initializers) for block in loan.model.graphs()] == [["w"], [], []]
    student = loan.give_back(loan.model)
    assert isinstance(student, gs.Graph)
    assert student.functions[0].tag == "function"
    assert (student.name, student.doc_string, student.producer_name, student.ir_version) == ("net", "mine", "me", 9)
    assert (student.layer_count, student.name_idx) == (3, 5)
    assert student.nodes[0].tag == "conv-bn"
    assert student.nodes[2].attrs["then_branch"].nodes[0].tag == "deep"
    assert student.tensors()["w"].scale == 0.5
    np.testing.assert_equal(run(gs.export_onnx(student), 32), run(gs.export_onnx(graph), 32))


def test_what_comes_back_runs_as_before():
    model = everything()
    loan = open_model(model)
    np.testing.assert_equal(run(loan.give_back(loan.model)), run(model))


@pytest.mark.parametrize("kind", ["proto", "ir", "gs"])
def test_the_callers_model_is_left_alone(kind: str, tmp_path: Path):
    theirs: Any
    write: Callable[[Any], onnx.ModelProto]
    if kind == "proto":
        theirs, write = everything(), lambda model: model
    elif kind == "ir":
        theirs, write = load(written(everything(), tmp_path)), ir.to_proto
    else:
        theirs, write = gs.import_onnx(small()), lambda graph: gs.export_onnx(graph)
        theirs.nodes[0].inputs[1].name = "renamed"
    before = write(theirs).SerializeToString()
    loan = open_model(theirs)
    vandalise(loan.model)
    assert write(theirs).SerializeToString() == before


def test_graphsurgeons_exporter_leaves_no_trace(capsys: pytest.CaptureFixture[str]):
    model = small()
    graph = gs.import_onnx(model)
    graph.nodes[0].inputs[1].name = "renamed"  # exporting renames the caller's initializer as well
    graph.nodes[0].domain = "custom"  # exporting adds an import to the caller's opsets
    open_model(graph)
    assert model == small()
    assert [entry.domain for entry in graph.import_domains] == [""]
    bare = surgeons()
    bare.nodes[1].name = bare.nodes[0].name  # exporting prints a warning
    open_model(bare)
    assert bare.import_domains is None
    assert capsys.readouterr() == ("", "")


def test_nodes_out_of_order_are_put_in_order():
    model = everything()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    loan = open_model(model)
    makers = [node.op_type for node in loan.model.graph]
    assert makers.index("If") < makers.index("Double") < makers.index("ZipMap")
    np.testing.assert_equal(run(loan.give_back(loan.model)), run(everything()))


def test_a_tensor_with_too_few_bytes_is_found_when_it_is_read():
    model = small()
    model.graph.initializer[0].dims[0] = 33
    weights = open_model(model).model.graph.initializers["w"].const_value
    assert weights is not None
    with pytest.raises(ModelError, match="'w' holds 4096 bytes where its type and shape need 4224"):
        weights.numpy()


def test_values_stored_as_numbers_come_back_bit_equal():
    model = small()
    array = to_array(model.graph.initializer[0]).copy()
    array[0, :3] = np.nan, -0.0, np.inf
    stored = helper.make_tensor("w", FLOAT, array.shape, array.ravel())
    assert stored.float_data
    model.graph.initializer[0].CopyFrom(stored)
    loan = open_model(model)
    np.testing.assert_array_equal(
        to_array(loan.give_back(loan.model).graph.initializer[0]).view(np.uint32), array.view(np.uint32)
    )


def test_the_declared_shape_of_an_initializer_follows_it():
    model = everything()
    loan = open_model(model)
    student = loan.give_back(
        grown(grown(loan.model, "listed", np.ones(6, np.float32)), "w", np.ones((8, 6), np.float32))
    )
    shapes = {info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim] for info in student.graph.input}
    assert shapes["listed"] == [6]
    info = next(info for info in student.graph.value_info if info.name == "w")
    assert [dim.dim_value for dim in info.type.tensor_type.shape.dim] == [8, 6]


def test_a_sparse_initializer_is_dense_inside_and_after_growth():
    model = everything()
    loan = open_model(model)
    sparse = loan.model.graph.initializers["sparse"].const_value
    assert sparse is not None
    dense = np.zeros((3, 4), np.float32)
    dense[0, 1], dense[1, 2] = 3, 4
    np.testing.assert_array_equal(sparse.numpy(), dense)
    student = loan.give_back(grown(loan.model, "sparse", dense))
    assert not student.graph.sparse_initializer
    np.testing.assert_equal(run(student), run(model))


def test_external_weights_stay_external(tmp_path: Path):
    model = everything()
    model.graph.initializer.extend([weight("empty", 0, 4), weight("last", 20, 20)])
    source = written(model, tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "student.onnx"
    save(grown(load(source), "unused", np.ones((700, 2), np.float32)), target)
    assert sorted(file.name for file in target.parent.iterdir()) == ["student.onnx", "student.onnx.data"]
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
        assert (tmp_path / f"{name}.data").stat().st_size == 4 * 32 * 32
    np.testing.assert_equal(run(tmp_path / "student.onnx", 32), run(source, 32))


def test_a_model_too_large_for_one_file_gets_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = small()
    monkeypatch.setattr(files, "LIMIT", 4000)
    save(model, tmp_path / "student.onnx")
    assert (tmp_path / "student.onnx.data").stat().st_size == 4 * 32 * 32
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
    save(load(target), target, force=True)  # while it is read from that very file
    assert target.read_bytes() == model.SerializeToString()


def test_data_that_is_there_already_is_not_overwritten(tmp_path: Path):
    source = written(small(), tmp_path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "student.onnx.data").write_bytes(b"precious")
    with pytest.raises(OptionError, match="exists already"):
        save(load(source), tmp_path / "student.onnx")
    assert not (tmp_path / "student.onnx").exists()
    assert (tmp_path / "student.onnx.data").read_bytes() == b"precious"


@pytest.mark.parametrize("target", ["teacher.onnx", "teacher.onnx.data"])
def test_the_teachers_own_data_is_never_overwritten(target: str, tmp_path: Path):
    source = written(small(), tmp_path, save_as_external_data=True, location="teacher.onnx.data", size_threshold=0)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    for teacher in (load(source), open_model(ir.load(source)).model):
        with pytest.raises(OptionError, match="holds weights of the model"):
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
        ("no/such/folder/m.onnx", "there is no folder"),
        ("", "is not a file"),
        ("pipe", "is not a file"),
    ],
)
def test_a_target_that_is_no_place_for_a_file(path: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OptionError, match=reason):
        save(small(), path, force=True)


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OptionError, match="not writable"):
        save(small(), tmp_path / "m.onnx")


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
    with pytest.raises(ModelError, match="is not a file"):
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


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=6))
def test_a_file_is_written_byte_for_byte_as_protobuf_does(sizes: list[int]):
    model = everything()
    for number, size in enumerate(sizes):
        model.graph.initializer.append(from_array(np.arange(size, dtype=np.int16), f"weight_{number}"))
    with tempfile.TemporaryDirectory() as folder:
        source, target = written(model, Path(folder)), Path(folder) / "student.onnx"
        save(load(source), target)
        assert target.read_bytes() == source.read_bytes()


SOUND = everything().SerializeToString()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255), st.booleans())
def test_a_damaged_file_gives_a_model_or_a_sentence(place: int, byte: int, cut: bool):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        path.write_bytes(SOUND[:place] if cut else SOUND[:place] + bytes([byte]) + SOUND[place + 1 :])
        with contextlib.suppress(N2NError):
            save(load(path), Path(folder) / "student.onnx")
