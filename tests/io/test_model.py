"""What a model says survives the way in and out, and the caller's own is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import pytest
from onnx import helper
from onnx.numpy_helper import to_array

from helpers.saying import FLOAT, everything, grown, run, small, surgeons, written
from onnx_n2n.errors import ModelError
from onnx_n2n.io.model import load, open_model, save


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
