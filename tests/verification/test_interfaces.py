"""Laws of interfaces: what differs is named, and what has no length is drawn without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_n2n
from helpers.calling import call
from helpers.graphs import model
from onnx_n2n.export.check import agreement
from onnx_n2n.verification import verify

TEACHER = model("h = MatMul(x, a) y = Relu(h)", "float[N,6] x", "float[N,4] y", a=(6, 4))


def open_ended(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the declared size of its output's last axis."""
    proto.graph.output[0].type.tensor_type.shape.dim[-1].dim_param = "M"
    return proto


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (
            model("h = MatMul(z, a) y = Relu(h)", "float[N,6] z", "float[N,4] y", a=(6, 4)),
            ["the student has no input 'x' (float[N,6])", "the teacher has no input 'z' (float[N,6])"],
        ),
        (
            model("h = MatMul(x, a) y = Relu(h)", "double[N,6] x", "double[N,4] y", a=np.ones((6, 4))),
            ["input 'x' is float[N,6] in the teacher and double[N,6] in the student"],
        ),
        (
            model("h = MatMul(x, a) y = Relu(h)", "float[N,1,6] x", "float[N,1,4] y", a=(6, 4)),
            ["input 'x' is float[N,6] in the teacher and float[N,1,6] in the student"],
        ),
        (
            model("h = MatMul(x, a) y = Relu(h)", "float[N,5] x", "float[N,4] y", a=(5, 4)),
            ["input 'x' is float[N,6] in the teacher and float[N,5] in the student"],
        ),
        (
            model("h = MatMul(x, a) z = Relu(h)", "float[N,6] x", "float[N,4] z", a=(6, 4)),
            ["the student has no output 'y' (float[N,4])", "the teacher has no output 'z' (float[N,4])"],
        ),
        (
            model("h = MatMul(x, a) y = Relu(h)", "float[N,6] x", "float[N,7] y", a=(6, 7)),
            ["output 'y' is float[N,4] in the teacher and float[N,7] in the student"],
        ),
        (
            open_ended(model("h = MatMul(x, a) y = Relu(h)", "float[N,6] x", "float[N,7] y", a=(6, 7))),
            ["output 'y' is float32[1,4] in the teacher and float32[1,7] in the student"],
        ),
    ],
    ids=["renamed", "type", "rank", "size", "output", "declared", "found"],
)
def test_interfaces_that_differ_are_named(student: onnx.ModelProto, said: list[str]) -> None:
    verdict = verify(TEACHER, student)
    assert not verdict
    found = [str(each) for each in verdict.differences]
    assert all(sentence in found for sentence in said)
    for each in verdict.to_json()["differences"]:
        assert each.keys() == {"where", "name", "what", "teacher", "student"}


def test_two_models_with_the_same_interface_have_no_differences() -> None:
    renamed = onnx.ModelProto.FromString(TEACHER.SerializeToString())
    renamed.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    renamed.graph.input.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [6, 4]))  # an initializer as well
    assert verify(TEACHER, renamed)
    assert not verify(TEACHER, renamed).differences
    wrong = model("h = MatMul(x, a) y = Relu(h)", "float[N,6] x", "float[N,4] y", a=np.ones((6, 4), np.float32))
    assert not verify(TEACHER, wrong)
    assert not verify(TEACHER, wrong).differences


def test_one_missing_output_does_not_hide_that_the_others_are_right() -> None:
    both = model("y = MatMul(x, a) z = Relu(y)", "float[N,6] x", "float[N,4] y, float[N,4] z", a=(6, 4))
    one = model("y = MatMul(x, a) z = Relu(y)", "float[N,6] x", "float[N,4] y", a=(6, 4))
    verdict = verify(both, one)
    assert {output.name: output.ok for output in verdict.outputs} == {"y": True, "z": False}
    assert not verdict
    more = verify(one, both)
    assert more
    assert [str(each) for each in more.differences] == ["the teacher has no output 'z' (float[N,4])"]


def test_what_gained_classes_does_not_differ() -> None:
    more = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    one, other = (
        model("h = MatMul(x, a) y = Relu(h)", "float[N,6] x", f"float[N,{n}] y", a=more[:, :n]) for n in (4, 9)
    )
    assert verify(one, other, gained=["y"])
    assert not verify(one, other, gained=["y"]).differences
    assert verify(one, other).differences
    wrong = model("h = MatMul(x, a) y = Relu(h)", "float[N,6] x", "float[N,9] y", a=more * np.float32(2))
    assert not verify(one, wrong, gained=["y"])
    assert not verify(one, wrong, gained=["y"]).differences


def test_the_command_names_what_differs_and_no_infinite_error(tmp_path: Path) -> None:
    other = model("h = MatMul(z, a) y = Relu(h)", "float[N,6] z", "float[N,4] y", a=(6, 4))
    onnx.save(TEACHER, tmp_path / "a.onnx")
    onnx.save(other, tmp_path / "b.onnx")
    result = call("verify", tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "the student has no input 'x' (float[N,6])" in text
    assert "inf" not in text.replace("information", "").split(":")[1]
    found = json.loads(call("verify", tmp_path / "a.onnx", tmp_path / "b.onnx", "--json").output)
    assert [each["what"] for each in found["verification"]["differences"]] == ["missing", "added"]


# Maps


def labelled(keys: str, by: float = 1.0, labels: Any = ("u", "v", "w")) -> onnx.ModelProto:
    """Probabilities under the names of classes, as converters of classifiers write them."""
    names = {"classlabels_strings": list(labels)} if keys == "text" else {"classlabels_int64s": [5, 10**9, 7]}
    rng = np.random.default_rng(7)
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 8), (8, 3))]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["l"]),
        helper.make_node("Softmax", ["l"], ["p"]),
        helper.make_node("ZipMap", ["p"], ["z"], domain="ai.onnx.ml", **names),
    ]
    kind = TensorProto.STRING if keys == "text" else TensorProto.INT64
    value = helper.make_map_type_proto(kind, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_value_info("z", helper.make_sequence_type_proto(value))],
        [numpy_helper.from_array(weights[0], "a"), numpy_helper.from_array(weights[1] * np.float32(by), "b")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


@pytest.mark.parametrize("keys", ["text", "number"])
def test_maps_are_compared_by_keys_and_by_values(keys: str) -> None:
    assert onnx_n2n.widen(labelled(keys), 2, init="net2net").report.verdict
    assert verify(labelled(keys), labelled(keys, 1 + 1e-6))
    assert not verify(labelled(keys), labelled(keys, 1.5))
    if keys == "text":
        found = verify(labelled(keys), labelled(keys, labels=("u", "v", "other")))
        assert not found
        assert "map['u', 'v', 'w']" in str(found.differences[0])
        assert "'other'" in str(found.differences[0])


# Lengths of 0, and what does not move


def test_an_input_of_length_0_is_drawn_at_0() -> None:
    """A cache that is empty at first: ONNX Runtime takes no other length."""
    body = "h = MatMul(x, a) c = Concat<axis=1>(h, past) r = Relu(c) y = MatMul(r, b)"
    teacher = model(body, "float[N,4] x, float[N,0] past", "float[N,3] y", a=(4, 8), b=(8, 3))
    verdict = onnx_n2n.widen(teacher, 2).report.verdict
    assert verdict
    assert "past float32[1,0]" in verdict.inputs
    masked = model("m = Cast<to=1>(mask) y = Add(x, m)", "float[1,0] x, int64[1,0] mask", "float[1,0] y")
    assert verify(masked, masked)


def test_an_export_that_is_compared_where_nothing_moves_says_so() -> None:
    far = np.full((3,), 30, np.float32)
    proto = model("h = Add(x, far) y = Sigmoid(h) z = Relu(x)", "float[2,3] x", "float[2,3] y, float[2,3] z", far=far)

    def run(feed: Any) -> list[np.ndarray]:
        return [np.ones((2, 3), np.float32), np.maximum(feed["x"], 0)]

    found = agreement(proto, run)
    assert found.ok
    assert found.vacuous == ("y",)
    assert found.to_json()["vacuous"] == ("y",)
