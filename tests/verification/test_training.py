"""Laws of models that train in the file: verified as they are evaluated, and what is random is said to be so."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

import onnx_n2n
from helpers.calling import call
from helpers.graphs import model
from onnx_n2n.errors import InputError
from onnx_n2n.verification import verify

YES, HALF = np.array(True), 0.5
NORM = {"g": (16,), "c": (16,), "m": (16,), "v": np.linspace(0.5, 2, 16).astype(np.float32)}
LAYERS = {"a": (6, 16), "b": (16, 4)}

TRAINED: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "Dropout": ("d = Dropout(h, half, yes)", {"half": HALF, "yes": YES}, ("Dropout",)),
    "Dropout by a node": ("t = Constant<value = bool {1}>() d = Dropout(h, half, t)", {"half": HALF}, ("Dropout",)),
    "Dropout off": ("d = Dropout(h, half, no)", {"half": HALF, "no": np.array(False)}, ()),
    "BatchNormalization": (
        "d, mean, var = BatchNormalization<training_mode=1>(h, g, c, m, v)", NORM, ("BatchNormalization",),
    ),
    "both": (
        "n, mean, var = BatchNormalization<training_mode=1>(h, g, c, m, v) d = Dropout(n, half, yes)",
        {**NORM, "half": HALF, "yes": YES},
        ("BatchNormalization", "Dropout"),
    ),
    "in a body": (
        "s = ReduceSum<keepdims=0>(h) z = Sub(s, s) o = Cast<to=9>(z) d = If(o) <then_branch = t () => (float[N,16] p)"
        " { p = Identity(h) }, else_branch = e () => (float[N,16] p) { p = Dropout(h, half, yes) }>",
        {"half": HALF, "yes": YES},
        ("Dropout",),
    ),
}  # fmt: skip


def net(name: str, outputs: str = "float[N,4] y", **other: Any) -> onnx.ModelProto:
    middle, constants, _ = TRAINED[name]
    body = f"f = MatMul(x, a) h = Relu(f) {middle} y = MatMul(d, b)"
    return model(body, "float[N,6] x", outputs, **{**LAYERS, **constants, **other})


@pytest.mark.parametrize("name", TRAINED)
def test_what_trains_is_verified_as_it_is_evaluated(name: str) -> None:
    right = verify(net(name), net(name))
    assert right
    assert tuple(each.operator for each in right.as_evaluated) == TRAINED[name][2]
    assert not right.random
    wrong = {"b": np.full((16, 4), 0.1, np.float32)}
    assert not verify(net(name), net(name, **wrong))


@pytest.mark.parametrize("init", ["zero", "drawn", "net2net"])
@pytest.mark.parametrize("name", TRAINED)
def test_what_trains_is_grown_through_and_trains_on(name: str, init: str) -> None:
    if name == "in a body":
        return
    result = onnx_n2n.widen(net(name), 2, init=init)
    assert result.report.verdict
    sizes = {tensor.name: list(tensor.dims) for tensor in result.model.graph.initializer}
    assert sizes["a"] == [6, 32]
    kept = {node.op_type: node for node in result.model.graph.node}
    teacher = {node.op_type: node for node in net(name).graph.node}
    for operator in ("Dropout", "BatchNormalization"):
        assert (operator in kept) == (operator in teacher)
        if operator in kept:
            assert list(kept[operator].input)[2:] == list(teacher[operator].input)[2:]
            assert kept[operator].attribute == teacher[operator].attribute


def test_statistics_that_are_outputs_are_those_that_are_stored() -> None:
    outputs = "float[N,4] y, float[16] mean, float[16] var"
    teacher = net("BatchNormalization", outputs)
    found = verify(teacher, teacher)
    assert found
    assert found.vacuous == ("mean", "var")
    moved = {"m": np.zeros(16, np.float32)}
    assert not verify(teacher, net("BatchNormalization", outputs, **moved))


def test_a_function_trains_too() -> None:
    text = """<ir_version: 8, opset_import: ["": 17, "own": 1]>
    g (float[N,6] x) => (float[N,6] y) { y = own.drop(x) }
    <domain: "own", opset_import: ["": 17]> drop (x) => (y)
    { r = Constant<value = float {0.5}>() t = Constant<value = bool {1}>() y = Dropout(x, r, t) }"""
    proto = parser.parse_model(text)
    found = verify(proto, proto)
    assert found
    assert [each.operator for each in found.as_evaluated] == ["Dropout"]


def test_the_command_says_what_was_evaluated(tmp_path: Any) -> None:
    onnx.save(net("both"), tmp_path / "a.onnx")
    path = str(tmp_path / "a.onnx")
    text = call("verify", path, path).output
    assert "Run as in evaluation" in text
    assert "1 BatchNormalization node, 1 Dropout node" in text


def test_depth_takes_its_statistics_from_what_drops_nothing() -> None:
    """The same seed gives the same student, although Dropout draws in the file."""
    teacher = model(
        "f = Conv(x, a) n = BatchNormalization(f, g, c, m, v) r = Relu(n) d = Dropout(r, half, yes) e = Conv(d, w)"
        " k = BatchNormalization(e, g, c, m, v) y = Relu(k)",
        "float[N,3,8,8] x", "float[N,16,M,K] y", a=(16, 3, 3, 3), w=(16, 16, 3, 3), half=HALF, yes=YES, **NORM,
    )  # fmt: skip
    one, two = (onnx_n2n.deepen(teacher) for _ in range(2))
    assert one.report.verdict
    assert one.model.SerializeToString() == two.model.SerializeToString()


# Random numbers

DRAWN: dict[str, tuple[str, str]] = {
    "RandomNormalLike": ("RandomNormalLike", "z = RandomNormalLike(h) n = Add(h, z) y = MatMul(n, b)"),
    "seeded": ("RandomUniformLike", "z = RandomUniformLike<seed=3.0>(h) n = Add(h, z) y = MatMul(n, b)"),
    "Bernoulli": ("Bernoulli", "p = Sigmoid(h) z = Bernoulli(p) n = Mul(h, z) y = MatMul(n, b)"),
    "in a body": (
        "RandomNormal",
        "s = ReduceSum<keepdims=0>(h) q = Sub(s, s) o = Cast<to=9>(q) n = If(o) <then_branch = t () => (float[2,16] u)"
        " { u = Identity(h) }, else_branch = e () => (float[2,16] u)"
        " { r = RandomNormal<shape=[2, 16]>() u = Add(h, r) }> y = MatMul(n, b)",
    ),
}


def draws(name: str, outputs: str, **other: Any) -> onnx.ModelProto:
    before = "i = MatMul(x, first) j = Relu(i) l = MatMul(j, second) f = MatMul(l, a) h = Relu(f) e = MatMul(h, b)"
    body = f"{before} {DRAWN[name][1]}"
    return model(body, "float[2,6] x", outputs, **{"first": (6, 16), "second": (16, 6), **LAYERS, **other})


@pytest.mark.parametrize("name", DRAWN)
def test_a_model_of_which_no_two_runs_are_alike_is_named_as_such(name: str) -> None:
    teacher = draws(name, "float[2,4] y")
    with pytest.raises(InputError, match="no two runs of the teacher are alike: 'y' depends on random") as caught:
        verify(teacher, teacher)
    assert caught.value.operator == DRAWN[name][0]
    with pytest.raises(InputError, match="no two runs"):
        onnx_n2n.widen(teacher, 2)


@pytest.mark.parametrize("name", DRAWN)
def test_what_does_not_depend_on_random_numbers_is_compared_and_the_rest_is_named(name: str, tmp_path: Any) -> None:
    teacher = draws(name, "float[2,4] y, float[2,4] e")
    found = verify(teacher, teacher)
    assert found
    assert [each.output for each in found.random] == ["y"]
    assert [output.name for output in found.outputs] == ["e"]
    assert found.to_json()["random"][0]["operator"] == DRAWN[name][0]
    assert not verify(teacher, draws(name, "float[2,4] y, float[2,4] e", a=np.ones((6, 16), np.float32)))
    onnx.save(teacher, tmp_path / "a.onnx")
    text = " ".join(call("verify", *[tmp_path / "a.onnx"] * 2).output.split())
    assert "not compared" in text
    assert f"'y' (by a {DRAWN[name][0]} node)" in text


def test_random_numbers_that_reach_no_output_by_their_values_do_not_matter() -> None:
    body = "f = MatMul(x, a) z = RandomNormalLike(f) s = Shape(z) r = Reshape(f, s) k = Mul(z, zero) y = Add(r, k)"
    teacher = model(body, "float[2,6] x", "float[2,16] y", a=(6, 16), zero=0.0)
    assert verify(teacher, teacher)
    assert not verify(teacher, teacher).random


def test_the_first_wrong_tensor_is_none_that_is_random() -> None:
    outputs, trace = "float[2,4] y, float[2,4] e", dict.fromkeys("fhznye", (None, None))
    wrong = verify(draws("RandomNormalLike", outputs), draws("RandomNormalLike", outputs, b=(16, 4)), trace=trace)
    assert wrong
    other = np.ones((16, 4), np.float32)
    found = verify(draws("RandomNormalLike", outputs), draws("RandomNormalLike", outputs, b=other), trace=trace)
    assert found.wrong is not None
    assert found.wrong.tensor == "e"


def test_a_mode_that_is_an_input_is_off() -> None:
    body = "h = MatMul(x, a) y = Dropout(h, half, t)"
    proto = model(body, "float[2,6] x, bool t", "float[2,16] y", a=(6, 16), half=HALF)
    assert verify(proto, proto, inputs={"x": np.ones((2, 6), np.float32), "t": YES})


# A student that trains where its teacher does not is another model

FIXED = {name: np.random.default_rng(5).standard_normal(shape).astype(np.float32) for name, shape in LAYERS.items()}
TWO = "e = Dropout(h, half, {}) d = Dropout(e, half, {})"
MODES = {"half": HALF, "yes": YES, "no": np.array(False)}
ASKEW = {
    "d = Dropout(h, half, no)": "d = Dropout(h, half, yes)",
    "d = Identity(h)": "d = Dropout(h, half, yes)",
    TWO.format("yes", "no"): TWO.format("yes", "yes"),
}


@pytest.mark.parametrize("rests", ASKEW)
def test_a_student_that_drops_where_its_teacher_does_not_is_another(rests: str) -> None:
    teacher, student = (
        model(f"f = MatMul(x, a) h = Relu(f) {middle} y = MatMul(d, b)", "float[N,6] x", "y", **FIXED, **MODES)
        for middle in (rests, ASKEW[rests])
    )
    assert not verify(teacher, student)
    # The other way round they agree as evaluated.
    found = verify(student, teacher)
    assert found
    assert {each.operator for each in found.as_evaluated} == {"Dropout"}
