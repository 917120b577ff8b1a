"""A batch that is freed: each row is what it is alone, or the cut is refused with the node that mixes rows."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import onnx_n2n
from helpers.cutting import BODY, FEW, UNPROVEN, answers, classifier, close, drawn
from helpers.random_nets import teachers
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.passes import Cut
from onnx_n2n.verification.options import Proof


def fixed(proto: onnx.ModelProto, number: int) -> onnx.ModelProto:
    """Return a network for a fixed number of examples, which its shapes state too."""
    found = onnx.ModelProto.FromString(proto.SerializeToString())
    del found.graph.value_info[:]
    given = [value for value in found.graph.input if value.name in drawn(proto)]
    for value in (*given, *found.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = number
    shapes = {node.input[1] for node in found.graph.node if node.op_type == "Reshape"}
    for tensor in found.graph.initializer:
        if tensor.name in shapes and (array := numpy_helper.to_array(tensor)).size and array[0] == 0:
            tensor.CopyFrom(numpy_helper.from_array(np.array([number, *array[1:]]), tensor.name))
    return found


@settings(FEW, max_examples=8)
@given(teachers(), st.sampled_from([1, 2]), st.integers(2, 3))
def test_each_row_of_a_free_batch_is_what_it_is_alone(teacher: onnx.ModelProto, number: int, times: int) -> None:
    teacher = fixed(teacher, number)
    with contextlib.suppress(GrowthError):
        rows_stay_rows(teacher, Cut(free_batch=True)(teacher, proof=Proof(exact=None)), times)


def rows_stay_rows(teacher: onnx.ModelProto, result: Any, times: int) -> None:
    student = result.model
    onnx.checker.check_model(student, full_check=True)
    feeds = [drawn(teacher, seed) for seed in range(times)]
    alone = [answers(teacher, feed) for feed in feeds]
    batch = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
    together = answers(student, batch)
    assert all(close(whole, np.concatenate(parts)) for whole, *parts in zip(together, *alone, strict=True))
    assert result.report.verdict.tried[-1].what == "several feeds in one batch"
    for value in (*student.graph.input, *student.graph.output):
        stored = {tensor.name for tensor in student.graph.initializer}
        assert value.name in stored or value.type.tensor_type.shape.dim[0].dim_param == "batch"


def free(body: str, inputs: str = "float[1,6] x", outputs: str = "y", **constants: Any) -> Any:
    return Cut(free_batch=True)(classifier(body, inputs, outputs, **constants), proof=Proof(exact=None))


@pytest.mark.parametrize(
    ("body", "inputs", "target", "after"),
    [
        ("r = Reshape(x, s) y = MatMul(r, v)", "float[1,2,3] x", (1, 6), (-1, 6)),
        ("r = Reshape(x, s) y = MatMul(r, v)", "float[1,2,3] x", (1, -1), (0, -1)),
        ("r = Reshape(x, s) y = MatMul(r, v)", "float[3,2,3] x", (3, 6), (-1, 6)),
        ("r = Reshape(x, s) y = MatMul(r, v)", "float[2,2,3] x", (-1, 6), (-1, 6)),
        ("t = Transpose<perm=[1,0,2]>(x) u = Transpose<perm=[1,0,2]>(t) r = Reshape(u, s) y = MatMul(r, v)",
         "float[1,2,3] x", (1, 6), (-1, 6)),
    ],
)  # fmt: skip
def test_shapes_that_begin_with_the_batch_follow(
    body: str, inputs: str, target: tuple[int, ...], after: tuple[int, ...]
) -> None:
    result = free(body, inputs, s=np.array(target))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.model.graph.initializer}
    shape = next(node.input[1] for node in result.model.graph.node if node.op_type == "Reshape")
    assert tuple(arrays[shape]) == after
    assert arrays.keys() == {"v", "w", "b", shape}  # the shape that nothing reads any more is gone
    assert result.change.cuts[0].freed.reshaped == (("r",) if target != after else ())


def test_a_shape_that_something_else_reads_stays_as_it_was() -> None:
    body = "r = Reshape(x, s) c = Reshape(u, s) a = Add(r, c) y = MatMul(a, v)"
    result = free(body, "float[1,2,3] x", s=np.array([1, 6]), u=(6,))
    reads = [node.input[1] for node in result.model.graph.node if node.op_type == "Reshape"]
    arrays = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in result.model.graph.initializer}
    assert [arrays[name] for name in reads] == [[-1, 6], [1, 6]]


@pytest.mark.parametrize(
    ("body", "inputs", "operator"),
    [
        ("c = Expand(u, s) j = Concat<axis=1>(c, x) y = MatMul(j, q)", "float[1,6] x", "Concat"),
        ("m = ReduceMean<axes=[0],keepdims=1>(x) y = MatMul(m, v)", "float[1,6] x", "ReduceMean"),
        ("m = ReduceMax<keepdims=0>(x) d = Sub(x, m) y = MatMul(d, v)", "float[2,6] x", "ReduceMax"),
        ("t = Transpose(x) y = MatMul(v2, t)", "float[6,6] x", "Transpose"),
        ("z = Softmax<axis=0>(x) y = MatMul(z, v)", "float[1,6] x", "Softmax"),
    ],
)
def test_a_batch_that_cannot_be_free_is_refused_with_the_node(body: str, inputs: str, operator: str) -> None:
    with pytest.raises(GrowthError, match="the batch cannot be free") as refusal:
        free(body, inputs, u=(6,), s=np.array([1, 6]), q=(12, 4), v2=(8, 6))
    assert refusal.value.operator == operator or operator == "Transpose"
    assert refusal.value.exit_code == 3


def test_a_norm_that_trains_mixes_rows_though_it_is_run_as_in_evaluation() -> None:
    norm = {"scale": (8,), "bias": (8,), "mean": (8,), "variance": np.ones(8, np.float32)}
    body = "a = MatMul(x, v) y{} = BatchNormalization<training_mode={}>(a, scale, bias, mean, variance)"
    assert free(body.format("", 0), **norm).modified
    teacher = classifier(body.format(", m, s", 1), outputs="y", **norm)
    with pytest.raises(GrowthError, match=r"normalises by the whole batch.*BatchNormalization node 'node_1'"):
        Cut(free_batch=True)(teacher)
    student = Cut(free_batch=True)(teacher, proof=UNPROVEN).model
    assert onnx_n2n.verify(teacher, student)
    assert "normalises by the whole batch" in onnx_n2n.verify(teacher, student, rows=True).first_wrong


def test_inputs_with_another_first_axis_stay_and_one_row_of_several_is_tried() -> None:
    body = "s = Gather<axis=0>(t, i) a = MatMul(x, v) y = Mul(a, s)"
    result = free(body, "float[4,6] x, float[3,8] t", i=np.array(1))
    shapes = [[dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
              for value in (*result.model.graph.input, *result.model.graph.output)]  # fmt: skip
    assert shapes == [["batch", 6], [3, 8], ["batch", 8]]
    feed = drawn(result.model, rows=1)
    assert answers(result.model, feed)[0].shape == (1, 8)
    with pytest.raises(GrowthError, match="a batch of 1 does not run"):  # right for any number of pairs of rows
        free("p = Reshape(x, s) q = ReduceSum(p, k) y = Reshape(q, f)", "float[4,6] x", s=np.array([-1, 2, 6]),
             k=np.array([1]), f=np.array([-1, 6]))  # fmt: skip


def test_what_is_free_already_is_left_alone_and_names_differ() -> None:
    teacher = classifier(BODY, "float[N,6] x")
    assert not Cut(free_batch=True)(teacher).modified
    body = "a = MatMul(x, v) s = Relu(z) y = Relu(a)"
    result = free(body, "float[1,6] x, float[batch,6] z", "y, s")
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in result.model.graph.output] == [
        "batch_2", "batch",
    ]  # fmt: skip


def test_a_free_batch_that_nothing_runs_is_taken_at_its_word() -> None:
    body = "z = Softmax<axis=0>(x) y = MatMul(z, v)"
    result = Cut(free_batch=True)(classifier(body, outputs="y"), proof=UNPROVEN)
    assert result.report.verdict is None
    with pytest.raises(OptionError, match="no input has a first axis that is free"):
        onnx_n2n.verify(classifier(), classifier(), rows=True)
    verdict = onnx_n2n.verify(classifier(body, outputs="y"), result.model, rows=True)
    assert not verdict
    assert "each row alone" in verdict.first_wrong
    assert onnx_n2n.verify(classifier(body, outputs="y"), result.model)
