"""Deeper models compute what their teachers compute, and everything that was put in can learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import onnx_n2n
from helpers.deepening import (
    BN,
    CONV,
    EXACT,
    FLAT,
    IMAGE,
    NORM,
    ROWS,
    C,
    V,
    W,
    added,
    changed,
    check_learning,
    deepen,
    distance,
    new_weights,
    resnet,
)
from helpers.graphs import Judge, model, opened, run
from helpers.growths import document
from onnx_n2n import exact
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.depth.places import places
from onnx_n2n.passes import Deepen
from onnx_n2n.rules.traits import IDEMPOTENT, OTHERS

IDENTITIES: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {  # input, body, weights, what is added
    "convolution": (IMAGE, f"{CONV} r = Relu(h) y = Conv(r, V)", {"W": W, "c": C, "V": V}, ["Conv", "Relu"]),
    "no bias": (IMAGE, "h = Conv(x, W) r = Relu(h) y = Conv(r, V)", {"W": W, "V": V}, ["Conv", "Relu"]),
    "one axis": ("float[2,3,9] x", "h = Conv(x, W) r = Relu(h) y = Conv(r, V)", {"W": (8, 3, 5), "V": (3, 8, 1)},
                 ["Conv", "Relu"]),
    "three axes": ("float[1,3,5,6,7] x", "h = Conv(x, W) r = Relu(h) y = Conv(r, V)",
                   {"W": (8, 3, 3, 1, 3), "V": (3, 8, 1, 1, 1)}, ["Conv", "Relu"]),
    "even kernel": (IMAGE, "h = Conv(x, W) r = Relu(h) y = Conv(r, V)", {"W": (8, 3, 2, 4), "V": V}, ["Conv", "Relu"]),
    "strided and dilated": (IMAGE, "h = Conv<strides=[2,1], dilations=[1,2]>(x, W) r = Relu(h) y = Conv(r, V)",
                            {"W": W, "V": V}, ["Conv", "Relu"]),
    "depthwise": (IMAGE, "d = Conv(x, U) h = Conv<group=8, pads=[1,1,1,1]>(d, W) r = Relu(h) y = Conv(r, V)",
                  {"U": (8, 3, 1, 1), "W": (8, 1, 3, 3), "V": V}, ["Conv", "Relu"]),
    "grouped": (IMAGE, "d = Conv(x, U) h = Conv<group=4>(d, W) r = Relu(h) y = Conv(r, V)",
                {"U": (8, 3, 1, 1), "W": (8, 2, 3, 3), "V": V}, ["Conv", "Relu"]),
    "transposed": (IMAGE, "h = ConvTranspose<strides=[2,2]>(x, W) r = Relu(h) y = Conv(r, V)",
                   {"W": (3, 8, 2, 2), "V": V}, ["Conv", "Relu"]),
    "norm": (IMAGE, f"{CONV} {NORM} r = Relu(n) y = Conv(r, V)", {"W": W, "c": C, "V": V, **BN},
             ["BatchNormalization", "Conv", "Relu"]),
    "norm behind a Gemm": (FLAT, "h = Gemm(x, W) n = BatchNormalization(h, s, b, m, v) r = Relu(n) y = Gemm(r, V)",
                           {"W": (3, 8), "V": (8, 3), **BN}, ["BatchNormalization", "Gemm", "Relu"]),
    "other norms": (IMAGE, "h = Conv(x, W) g = Reshape(h, to) i = InstanceNormalization(g, s4, b4) "
                    "n = Reshape(i, back) r = Relu(n) y = Conv(r, V)",
                    {"W": (8, 3, 1, 1), "to": [0, 4, -1], "back": [2, 8, 8, 9], "s4": (4,), "b4": (4,), "V": V},
                    ["Conv", "Relu"]),
    "Keras' convolution along one axis": (
        "float[2,3,9] x", "u = Unsqueeze(x, at) h = Conv<pads=[0,1,0,1]>(u, W) q = Squeeze(h, at) k = Add(q, c) "
        "r = Relu(k) v = Unsqueeze(r, at) z = Conv(v, V) y = Squeeze(z, at)",
        {"W": (8, 3, 1, 3), "c": (1, 8, 1), "V": (3, 8, 1, 1), "at": [-2]}, ["Conv", "Relu", "Squeeze", "Unsqueeze"]),
    "the same with a norm": (
        "float[N,3,T] x", "u = Unsqueeze(x, at) h = Conv<pads=[1,0,1,0]>(u, W) q = Squeeze(h, at) "
        "k = BatchNormalization(q, s, b, m, v) r = Relu(k) w = Unsqueeze(r, at) z = Conv(w, V) y = Squeeze(z, at)",
        {"W": (8, 3, 3, 1), "V": (3, 8, 1, 1), "at": [3], **BN},
        ["BatchNormalization", "Conv", "Relu", "Squeeze", "Unsqueeze"]),
    "Keras' convolution along one axis, channels last": (
        "float[2,9,3] x", "a = Transpose<perm=[0,2,1]>(x) u = Unsqueeze(a, at) h = Conv<pads=[0,1,0,1]>(u, W) "
        "q = Squeeze(h, at) t = Transpose<perm=[0,2,1]>(q) k = Add(t, c) r = Relu(k) y = MatMul(r, V)",
        {"W": (8, 3, 1, 3), "c": C, "V": (8, 3), "at": [2]},
        ["Conv", "Relu", "Squeeze", "Transpose", "Transpose", "Unsqueeze"]),
    "moves before and behind a norm": (
        "float[N,T,3] x", "a = Transpose<perm=[0,2,1]>(x) u = Unsqueeze(a, at) h = Conv<pads=[1,0,1,0]>(u, W) "
        "q = Squeeze(h, at) k = BatchNormalization(q, s, b, m, v) t = Transpose<perm=[2,0,1]>(k) r = Relu(t) "
        "y = MatMul(r, V)", {"W": (8, 3, 3, 1), "V": (8, 3), "at": [3], **BN},
        ["BatchNormalization", "Conv", "Relu", "Squeeze", "Transpose", "Transpose", "Unsqueeze"]),
    "an axis of places moved": ("float[2,3,6,7] x", "h = Conv(x, W) t = Transpose<perm=[3,0,1,2]>(h) r = Relu(t) "
                                "y = ReduceMax(r)", {"W": (8, 3, 3, 1)}, ["Conv", "Relu", "Transpose", "Transpose"]),
    "an axis put in": ("float[2,3,9] x", "h = Conv(x, W) u = Unsqueeze(h, at) r = Relu(u) y = ReduceMax(r)",
                       {"W": (8, 3, 3), "at": [1]}, ["Conv", "Relu", "Squeeze", "Unsqueeze"]),
    "a norm of a matrix product's channels": (
        "float[2,5,3] x", "h = MatMul(x, W) t = Transpose<perm=[0,2,1]>(h) n = BatchNormalization(t, s, b, m, v) "
        "r = Relu(n) y = ReduceMax(r)", {"W": (3, 8), **BN},
        ["BatchNormalization", "MatMul", "Relu", "Transpose", "Transpose"]),
    "a product reshaped": ("float[2,5,3] x", "f = Reshape(x, flat) h = MatMul(f, W) d = Reshape(h, deep) k = Add(d, c) "
                           "r = Relu(k) y = MatMul(r, V)",
                           {"W": (3, 8), "c": C, "V": (8, 3), "flat": [10, 3], "deep": [2, 5, 8]},
                           ["Add", "MatMul", "Relu"]),
    "a product reshaped and split": (
        "float[2,5,3] x", "f = Reshape(x, flat) h = MatMul(f, W) d = Reshape(h, deep) p, q = Split<axis=2>(d) "
        "r = Relu(p) z = Mul(r, q) y = ReduceMax(z)", {"W": (3, 8), "flat": [10, 3], "deep": [2, 5, 8]},
        ["MatMul", "Relu"]),
    "split": (IMAGE, "h = Conv<pads=[1,1,1,1]>(x, W, c) p, q = Split<axis=1>(h) r = Relu(p) z = Mul(r, q) "
              "y = ReduceMax(z)", {"W": W, "c": C}, ["Conv", "Relu"]),
    "a depthwise one split": (IMAGE, "d = Conv(x, U) h = Conv<group=8, pads=[1,1,1,1]>(d, W) p, q = Split<axis=1>(h) "
                              "r = Relu(p) z = Mul(r, q) y = ReduceMax(z)",
                              {"U": (8, 3, 1, 1), "W": (8, 1, 3, 3)}, ["Conv", "Relu"]),
    "cut": (FLAT, "h = Gemm(x, W, c) p = Slice(h, from, to, along) r = Relu(p) y = ReduceMax(r)",
            {"W": (3, 8), "c": C, "from": [2], "to": [7], "along": [1]}, ["Gemm", "Relu"]),
    "joined and pooled": (IMAGE, "h = Conv(x, W) g = Conv(x, W2) a = Concat<axis=1>(h, g) n = BatchNormalization"
                          "(a, s16, b16, m16, v16) p = MaxPool<kernel_shape=[2,2]>(n) r = Relu(p) y = ReduceMax(r)",
                          {"W": W, "W2": W, "s16": (16,), "b16": (16,), "m16": (16,),
                           "v16": np.linspace(0.5, 2, 16, dtype=np.float32)}, ["BatchNormalization", "Conv", "Relu"]),
    "Einsum": (ROWS, 'h = Einsum<equation="btd,dh->bth">(x, W) r = Relu(h) y = MatMul(r, V)',
               {"W": (3, 8), "V": (8, 3)}, ["MatMul", "Relu"]),
    "weights that nodes make": (IMAGE, "f = ConstantOfShape<value=float[1] {0.1}>(shape) W = Mul(f, c) "
                                "e = ConstantOfShape(one) h = Conv<pads=[1,1,1,1]>(x, W, e) r = Relu(h) y = Conv(r, V)",
                                {"shape": [8, 3, 3, 3], "c": (3, 3, 3), "one": [8], "V": V}, ["Conv", "Relu"]),
    "bounds": (IMAGE, "h = Conv(x, W) r = Clip(h, lo, hi) y = Conv(r, V)", {"W": W, "V": V, "lo": 0.0, "hi": 0.4},
               ["Clip", "Conv"]),
    "bounds around zero": (IMAGE, "h = Conv(x, W) r = Clip(h, lo, hi) y = Conv(r, V)",
                           {"W": W, "V": V, "lo": -0.2, "hi": 0.3}, ["Clip", "Conv"]),
    "signs": (FLAT, "h = Gemm(x, W) r = Sign(h) y = Gemm(r, V)", {"W": (3, 8), "V": (8, 3)}, ["Gemm", "Sign"]),
    "Gemm": (FLAT, "h = Gemm(x, W, c) r = Relu(h) y = Gemm(r, V)", {"W": (3, 8), "c": C, "V": (8, 3)},
             ["Gemm", "Relu"]),
    "Gemm, transposed": (FLAT, "h = Gemm<transB=1, alpha=0.5>(x, W, c) r = Relu(h) y = Gemm(r, V, e)",
                         {"W": (8, 3), "c": C, "V": (8, 3), "e": (3,)}, ["Gemm", "Relu"]),
    "MatMul": (ROWS, "h = MatMul(x, W) r = Relu(h) y = MatMul(r, V)", {"W": (3, 8), "V": (8, 3)}, ["MatMul", "Relu"]),
    "MatMul and bias": (ROWS, "h = MatMul(x, W) k = Add(c, h) r = Relu(k) y = MatMul(r, V)",
                        {"W": (3, 8), "c": C, "V": (8, 3)}, ["Add", "MatMul", "Relu"]),
    "behind a sum of three": (IMAGE, "h = Conv(x, W) k = Conv(x, W2) a = Sum(h, k, h) r = Relu(a) y = Conv(r, V)",
                              {"W": W, "W2": W, "V": V}, ["Conv", "Relu"]),
    "behind a sum": (IMAGE, "h = Conv(x, W) k = Conv(x, W2) a = Add(h, k) r = Relu(a) y = Conv(r, V)",
                     {"W": W, "W2": W, "V": V}, ["Conv", "Relu"]),
    "several readers": (IMAGE, "h = Conv(x, W) r = Relu(h) a = Conv(r, V) b = Conv(r, V2) m = ReduceMax(r) "
                        "c = Mul(a, b) y = Add(c, m)", {"W": W, "V": V, "V2": V}, ["Conv", "Relu"]),
    "free lengths": ("float[N,3,H,W] x", "h = Conv<pads=[1,1,1,1]>(x, W) r = Relu(h) y = Conv(r, V)", {"W": W, "V": V},
                     ["Conv", "Relu"]),
    "an output": (IMAGE, "h = Conv(x, W) y = Relu(h)", {"W": W}, ["Conv", "Relu"]),
    "captured by a branch": (IMAGE, "h = Conv(x, W) r = Relu(h) m = ReduceMax<keepdims=0>(x) t = Less(half, m) y = If<"
                             "then_branch=t () => (float[2,3,6,7] p) {p = Conv(r, V)}, else_branch=s () => "
                             "(float[2,3,6,7] z) {u = Conv(r, V) z = Neg(u)}>(t)", {"W": W, "V": V, "half": 0.5},
                             ["Conv", "Relu"]),
}  # fmt: skip


def teacher_of(name: str, opset: int = 17) -> onnx.ModelProto:
    inputs, body, weights, _ = IDENTITIES[name]
    return model(body, inputs, "y", opset=opset, **weights)


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_layer_behind_an_idempotent_activation_changes_nothing(name: str) -> None:
    teacher = teacher_of(name)
    judge = Judge(teacher)
    assert judge.meaningful
    student = deepen(teacher, kind="identity")
    assert added(teacher, student) == IDENTITIES[name][3]
    assert judge.error(student) < EXACT
    assert [value.name for value in student.graph.output] == ["y"]


@pytest.mark.parametrize("name", IDENTITIES)
def test_new_layers_matter(name: str) -> None:
    teacher = teacher_of(name)
    student, judge = deepen(teacher, kind="identity"), Judge(teacher)
    for weight in new_weights(teacher, student):
        if not weight.endswith(("norm_variance", "v_deeper")) and name != "signs":
            assert distance(student, changed(student, [weight], 0.3), judge) > 1e-3, weight


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 18, 22])
@pytest.mark.parametrize("name", ["convolution", "norm", "depthwise", "Gemm, transposed", "MatMul and bias"])
def test_every_opset(name: str, opset: int) -> None:
    teacher = teacher_of(name, opset)
    assert Judge(teacher).error(deepen(teacher)) < EXACT


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_every_precision(kind: type) -> None:
    dtype, element = {np.float16: ("float16", 10), np.float64: ("double", 11)}[kind]
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape).astype(kind) for name, shape in {"W": (3, 8), "V": (8, 3)}.items()}
    teacher = model("h = MatMul(x, W) r = Relu(h) y = MatMul(r, V)", f"{dtype}[4,3] x", "y", **weights)
    student = deepen(teacher)
    assert {t.data_type for t in student.graph.initializer} == {element}
    assert Judge(teacher).error(student) < EXACT


@given(
    lengths=st.lists(st.tuples(st.sampled_from([1, 3, 5, 7]), st.integers(1, 9)), min_size=1, max_size=3),
    groups=st.sampled_from([1, 2, 8]),
)
def test_any_odd_kernel_is_the_identity(lengths: list[tuple[int, int]], groups: int) -> None:
    kernel, sides = zip(*lengths, strict=True)
    ones = (1,) * len(kernel)
    shape = ",".join(map(str, sides))
    body = f"d = Conv(x, U) h = Conv<group={groups}>(d, W) r = Relu(h) y = Conv(r, V)"
    weights = {"U": (8, 3, *ones), "W": (8, 8 // groups, *ones), "V": (3, 8, *ones)}
    teacher = model(body, f"float[2,3,{shape}] x", "y", **weights)
    student = deepen(teacher, kernel=("x".join(map(str, kernel)),))
    (weight,) = (t for t in student.graph.initializer if t.name == "W_deeper")
    assert tuple(weight.dims) == (8, 8 // groups, *kernel)
    assert Judge(teacher).error(student) < EXACT


OPERANDS = {"Clip": "h, lo, hi", "PRelu": "h, slope", "BiasGelu": "h, c"}


@pytest.mark.parametrize(("domain", "operator"), sorted({*IDEMPOTENT, *OTHERS}))
def test_exactly_the_activations_that_say_so_may_be_applied_twice(domain: str, operator: str) -> None:
    opset = 24 if operator in {"Swish", "Gelu"} else 18
    name = f"{domain}.{operator}" if domain else operator
    operands = OPERANDS.get(operator, "h")
    numbers = {"lo": -0.1, "hi": 0.3, "slope": 0.2, "c": (8,)}
    weights = {key: value for key, value in numbers.items() if key in operands.replace(",", "").split()}
    body = f"h = Identity(x) y = {name}({operands}) z = {name}({operands.replace('h', 'y', 1)})"
    teacher = model(body, "float[64,8] x", "y, z", opset=opset, **weights)
    once, twice = run(teacher, Judge(teacher).feeds[0])
    assert np.array_equal(once, twice) == ((domain, operator) in IDEMPOTENT)


ACTIVATIONS = {  # how many nodes there are before what is added reads them
    "Sigmoid": "r = Sigmoid(h)", "Tanh": "r = Tanh(h)", "LeakyRelu": "r = LeakyRelu<alpha=0.1>(h)",
    "PRelu": "r = PRelu(h, slope)", "Elu": "r = Elu(h)", "Softplus": "r = Softplus(h)",
    "SiLU": "s = Sigmoid(h) r = Mul(h, s)",
    "GELU": "q = Div(h, root) e = Erf(q) a = Add(e, one) p = Mul(h, a) r = Mul(p, half)",
    "GELU, the half first": "q = Div(h, root) e = Erf(q) a = Add(e, one) p = Mul(h, half) r = Mul(p, a)",
    "GELU by Tanh": "p = Pow(h, three) c = Mul(p, k) i = Add(h, c) j = Mul(i, l) t = Tanh(j) a = Add(t, one) "
                    "m = Mul(h, half) r = Mul(m, a)",
}  # fmt: skip
NUMBERS = {"root": 2**0.5, "one": 1.0, "half": 0.5, "three": 3.0, "k": 0.044715, "l": 0.7978846, "slope": 0.25}


@pytest.mark.parametrize("layer", ["conv", "dense"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_two_layers_behind_any_other_activation_add_zero(name: str, layer: str) -> None:
    activation = ACTIVATIONS[name]
    words = set(activation.replace("(", " ").replace(")", " ").replace(",", " ").split())
    numbers = {key: value for key, value in NUMBERS.items() if key in words}
    if layer == "conv":
        teacher = model(f"h = Conv(x, W) {activation} y = Conv(r, V)", IMAGE, "y", W=W, V=V, **numbers)
    else:
        teacher = model(f"h = MatMul(x, W) {activation} y = MatMul(r, V)", ROWS, "y", W=(3, 8), V=(8, 3), **numbers)
    student, judge = deepen(teacher), Judge(teacher)
    assert judge.error(student) == 0
    entry = next(node for node in student.graph.node if node.op_type == "Add" and node.name.endswith("deeper_sum"))
    assert entry.input[0] == "r"
    check_learning(teacher, student, judge)


def test_where() -> None:
    teacher = resnet(5)
    judge = Judge(teacher)

    def adds(**options: Any) -> int:
        student = deepen(teacher, **options)
        assert judge.error(student) < EXACT
        return added(teacher, student).count("Add")

    assert adds() == 5
    assert adds(every=2) == 3
    assert [adds(count=count) for count in (1, 2, 3, 5, 7, 12)] == [1, 2, 3, 5, 7, 12]
    assert adds(after=("layers_3*",)) == 1
    assert adds(after=("layers_3*", "r0")) == 2
    assert added(teacher, deepen(teacher, kind="identity", after=("r0",))) == ["Conv", "Relu"]
    assert added(teacher, deepen(teacher, kind="identity", stage=("0",), count=1)) == ["Conv", "Relu"]
    with pytest.raises(onnx_n2n.GrowthError, match="no place for depth that matches 'nowhere'"):
        deepen(teacher, after=("nowhere",))
    with pytest.raises(onnx_n2n.GrowthError, match="stage 7"):
        deepen(teacher, stage=("7",))
    pair = deepen(teacher, kind="identity", count=1, kernel=("1x7", "7x1"))
    assert judge.error(pair) < EXACT
    sides = {tuple(t.dims) for t in pair.graph.initializer if t.name in new_weights(teacher, pair)}
    assert sides == {(8, 8, 1, 7), (8, 8, 7, 1)}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kernel": ("2x2",)}, "odd"), ({"kernel": ("three",)}, "of the form"), ({"every": 0}, "every"),
        ({"count": -1}, "count"), ({"kind": "pair"}, "kind"), ({"stage": ("last",)}, "numbers"), ({"seed": -1}, "seed"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(onnx_n2n.OptionError, match=reason):
        Deepen(**options)(resnet(1))


def test_a_kernel_that_does_not_fit_is_kept_with_the_reason() -> None:
    result = Deepen(kind="identity", kernel=("3",))(resnet(1))
    assert not result.modified
    assert "does not fit" in result.report.change.kept[0].reason


def test_inside_a_body() -> None:
    body = (
        "m = ReduceMax<keepdims=0>(x) t = Less(half, m) y = If<then_branch=t () => (float[4,3] p) {h = Gemm(x, W) "
        "r = Relu(h) p = Gemm(r, V)}, else_branch=s () => (float[4,3] q) {k = Gemm(x, W) q_ = Relu(k) "
        "q = Gemm(q_, V)}>(t)"
    )
    teacher = model(body, FLAT, "y", W=(3, 8), V=(8, 3), half=0.5)
    student = deepen(teacher)
    assert Judge(teacher).error(student) < EXACT
    bodies = [attribute.g for node in student.graph.node for attribute in node.attribute if attribute.HasField("g")]
    assert [len(graph.node) for graph in bodies] == [5, 5]


def test_names_and_declared_shapes_follow_the_neighbours() -> None:
    teacher = resnet(2)
    teacher = onnx.shape_inference.infer_shapes(teacher)
    for node in teacher.graph.node:
        node.name = f"/layers/{node.op_type}_{node.output[0]}"
    student = deepen(teacher, kind="identity", after=("d0",))
    names = [node.name for node in student.graph.node]
    assert len(set(names)) == len(names)
    assert [name for name in names if name.endswith("_deeper")] == ["/layers/Conv_c0_deeper", "/layers/Relu_d0_deeper"]
    assert new_weights(teacher, student) == ["layers_0_a0_deeper_weight"]
    declared = {value.name: value for value in student.graph.value_info}
    found = onnx.shape_inference.infer_shapes(student, strict_mode=True)
    inferred = {value.name: value for value in found.graph.value_info}
    assert {"d0_deeper", "d0_deeper_2"} <= declared.keys()
    for name, value in declared.items():
        assert value.type == inferred[name].type, name
    again = deepen(teacher, kind="identity", after=("d0",))
    assert again.SerializeToString(deterministic=True) == student.SerializeToString(deterministic=True)


def test_an_output_in_the_middle_keeps_its_type() -> None:
    teacher = model(
        "h = MatMul(x, w) i = MatMul(h, u) r = Tanh(i) o = MatMul(r, v) s = Add(h, o) y = MatMul(s, w2)",
        "float[2,3] x", "h, y", w=(3, 4), u=(4, 5), v=(5, 4), w2=(4, 3),
    )  # fmt: skip
    assert not teacher.graph.value_info
    student = onnx_n2n.deepen(teacher, verify=False).model
    onnx.checker.check_model(student, full_check=True)
    assert list(student.graph.output) == list(teacher.graph.output)
    assert Judge(teacher).error(student) < EXACT


def test_statistics_come_from_real_inputs(tmp_path: Any) -> None:
    teacher = teacher_of("norm")
    rng = np.random.default_rng(0)
    feed = {"x": 3 + 2 * rng.standard_normal((2, 3, 8, 9)).astype(np.float32)}
    np.savez(tmp_path / "data.npz", **feed)
    result = Deepen(calibrate=str(tmp_path / "data.npz"))(teacher, proof=onnx_n2n.passes.driver.Proof(inputs=[feed]))
    exposed = onnx.ModelProto.FromString(teacher.SerializeToString())
    exposed.graph.output.append(helper.make_tensor_value_info("r", 1, None))
    values = run(exposed, feed)[1]
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.model.graph.initializer}
    drift = result.report.change.added[0].drift
    assert drift is not None
    assert drift < 1e-6  # the batch that statistics come from is the batch
    assert np.allclose(tensors["m_deeper"], values.mean((0, 2, 3)), rtol=1e-4)
    assert np.allclose(tensors["b_deeper"], tensors["m_deeper"])
    assert np.allclose(tensors["s_deeper"] ** 2, tensors["v_deeper"] + 1e-5, rtol=1e-5)


def test_drawn_statistics_are_said_to_be_drawn() -> None:
    assert any("drawn" in note for note in Deepen()(teacher_of("norm")).report.change.notes)


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_exact_check_agrees(name: str) -> None:
    teacher = teacher_of(name)
    result = onnx_n2n.deepen(teacher, kind="identity", verify=False)
    assert Judge(teacher).error(result.model) < EXACT
    assert exact.check(teacher, result.model, record=document(result)).state == "equal"


LONELY = {  # where there is no place, and why
    "axes that are dropped unsaid": (
        "float[1,3,8,1] x", "h = Conv(x, W1) d = Squeeze(h) y = Relu(d)", "does not state"),
    "channels that are dropped": (IMAGE, "h = Conv(x, One) d = Squeeze(h, at) y = Relu(d)", "is dropped"),
    "an axis that was put in and grew": (
        IMAGE, "h = Conv(x, W1) u = Unsqueeze(h, at) k = Concat<axis=1>(u, u) y = Relu(k)", "the shape behind it"),
    "a norm of other channels": (
        "float[2,8,3] x", "h = MatMul(x, M) n = BatchNormalization(h, s, b, m, v) y = Relu(n)", "does not run along"),
    "channels that are not last": (
        ROWS, 'h = Einsum<equation="btd,dh->bht">(x, M) y = Relu(h)', "is no matrix product"),
    "a product of two that are computed": (ROWS, "t = Transpose(x) h = MatMul(x, t) y = Relu(h)", "no constant weight"),
    "a quantised weight": (ROWS, "w = DequantizeLinear(Q, step) h = MatMul(x, w) y = Relu(h)", "in quantised numbers"),
    "parts of groups of channels": (
        IMAGE, "h = Conv(x, W1) g = Reshape(h, to) p, d = Split<axis=1>(g) y = Relu(p)", "the shape behind it"),
}  # fmt: skip


@pytest.mark.parametrize("name", LONELY)
def test_why_there_is_no_place(name: str) -> None:
    inputs, body, reason = LONELY[name]
    weights: dict[str, Any] = {"W1": (8, 3, 1, 1), "One": (1, 3, 1, 1), "at": [1], "M": (3, 8), "to": [2, 2, -1],
                               "Q": np.ones((3, 8), np.int8), "step": np.float32(0.1), **BN}  # fmt: skip
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    teacher = model(body, inputs, "y", **{key: value for key, value in weights.items() if key in words})
    found = places(analyze(opened(teacher)))
    assert not found.found
    assert reason in found.barred[0].reason
