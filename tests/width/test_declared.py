"""Declared shapes: a student's file says nothing of lengths that is not true of it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper, parser, shape_inference

import onnx_n2n
from helpers.graphs import TOLERANCE, Judge, model


def check(teacher: onnx.ModelProto) -> onnx.ModelProto:
    onnx.checker.check_model(teacher, full_check=True)
    judge = Judge(teacher)
    assert judge.meaningful
    student = onnx_n2n.widen(teacher, 2.0, verify=False)
    assert student.change.grown
    onnx.checker.check_model(student.model, full_check=True)
    assert judge.error(student.model) < TOLERANCE
    return student.model


def test_of_the_tensors_of_a_sequence() -> None:
    teacher = model(
        "h = MatMul(x, w) s = SequenceConstruct(h, h) a = SequenceAt(s, n) y = MatMul(a, v)",
        "float[2,3] x", "float[2,5] y", n=np.array(1), w=(3, 4), v=(4, 5),
    )  # fmt: skip
    teacher = shape_inference.infer_shapes(teacher)
    assert any(value.type.HasField("sequence_type") for value in teacher.graph.value_info)
    student = check(teacher)
    found = {value.name: value.type for value in student.graph.value_info}
    assert [dim.dim_value for dim in found["s"].sequence_type.elem_type.tensor_type.shape.dim] == [2, 8]


def test_of_axes_with_one_symbol_that_grow_apart() -> None:
    """ONNX Runtime gives tensors whose lengths have the same names the same memory."""
    teacher = model(
        "a = MatMul(x, u) b = Relu(a) c = MatMul(b, v) d = Relu(c) y = MatMul(d, w)", "float[N,3] x", "float[N,5] y",
        u=(3, 4), v=(4, 4), w=(4, 5),
    )  # fmt: skip
    made = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", "S"]) for name in "abcd")
    teacher.graph.value_info.extend(made)
    student = onnx_n2n.widen(teacher, groups={"u": 7, "v": 5}, verify=False).model
    assert Judge(teacher).error(student) < TOLERANCE
    shapes = {value.name: value.type.tensor_type.shape.dim for value in student.graph.value_info}
    named = {dim.dim_param for name in "abcd" for dim in shapes[name] if dim.dim_param}
    assert named == {"N"}
    assert [shapes[name][1].dim_value for name in "abcd"] == [7, 7, 5, 5]


def test_inside_a_function() -> None:
    text = """
        <ir_version: 10, opset_import: ["": 17, "f": 1]>
        teacher (float[2,3] x) => (float[2,5] y) {
            h = MatMul(x, w)
            t = f.Twice(h, u)
            y = MatMul(t, v)
        }
        <domain: "f", opset_import: ["": 17]>
        Twice (h, u) => (t) {
            n = Constant<value = int64 {2}>()
            t = Loop(n, , h) <body = body (int64 i, bool go, float[2,4] a) => (bool on, float[2,4] b) {
                c = MatMul(a, u)
                b = Tanh(c)
                on = Identity(go)
            }>
        }
    """
    teacher = parser.parse_model(text)
    rng = np.random.default_rng(0)
    for name, shape in {"w": (3, 4), "u": (4, 4), "v": (4, 5)}.items():
        teacher.graph.initializer.append(numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name))
    check(teacher)
