"""Names of groups say what channels are for where the structure shows it, whatever the layers are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from helpers.graphs import grow, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.width.plan import Request, plan

ATTENTION = """
    a = MatMul(x, e)
    q0 = MatMul(a, wq) q1 = Reshape(q0, split) q = Transpose<perm = [0, 2, 1, 3]>(q1)
    k0 = MatMul(a, wk) k1 = Reshape(k0, split) k = Transpose<perm = [0, 2, 3, 1]>(k1)
    v0 = MatMul(a, wv) v1 = Reshape(v0, value) v = Transpose<perm = [0, 2, 1, 3]>(v1)
    s = MatMul(q, k) p = Softmax<axis = -1>(s) m = MatMul(p, v)
    t = Transpose<perm = [0, 2, 1, 3]>(m) o0 = Reshape(t, merge) o = MatMul(o0, wo)
    b = Add(a, o) n = LayerNormalization(b, gain)
    f0 = MatMul(n, w1) f1 = Relu(f0) f = MatMul(f1, w2) c = Add(b, f) y = MatMul(c, out)
"""
WEIGHTS: dict[str, Any] = {
    "e": (3, 12), "wq": (12, 8), "wk": (12, 8), "wv": (12, 6), "wo": (6, 12), "gain": (12,), "w1": (12, 20),
    "w2": (20, 12), "out": (12, 2), "split": np.array([2, 5, 2, 4]), "value": np.array([2, 5, 2, 3]),
    "merge": np.array([2, 5, 6]),
}  # fmt: skip

GROUPED = """
    q0 = MatMul(x, wq) q1 = Reshape(q0, queries) q = Transpose<perm = [0, 2, 3, 1, 4]>(q1)
    k0 = MatMul(x, wk) k1 = Reshape(k0, keys) k = Transpose<perm = [0, 2, 3, 4, 1]>(k1)
    v0 = MatMul(x, wv) v1 = Reshape(v0, keys) v = Transpose<perm = [0, 2, 3, 1, 4]>(v1)
    s = MatMul(q, k) p = Softmax<axis = -1>(s) m = MatMul(p, v)
    t = Transpose<perm = [0, 3, 1, 2, 4]>(m) o0 = Reshape(t, merge) y = MatMul(o0, wo)
"""

CASES: list[tuple[str, str, str, dict[str, Any], dict[str, int]]] = [
    (
        "attention", ATTENTION, "float[2,5,3] x", WEIGHTS,
        {"stream": 12, "wq.heads": 2, "wq.qk_dim": 4, "wv.v_dim": 3, "w1": 20},
    ),
    (
        "grouped-query", GROUPED, "float[2,5,7] x",
        {"wq": (7, 24), "wk": (7, 8), "wv": (7, 8), "wo": (24, 2), "queries": np.array([2, 5, 2, 3, 4]),
         "keys": np.array([2, 5, 2, 1, 4]), "merge": np.array([2, 5, 24])},
        {"wq.kv_heads": 2, "wq.heads_per_kv": 3, "wq.qk_dim": 4, "wv.v_dim": 4},
    ),
    (
        "fused attention", "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) "
        "a = Attention<q_num_heads = 4, kv_num_heads = 2>(q, k, v) y = MatMul(a, wo)", "float[2,5,7] x",
        {"wq": (7, 12), "wk": (7, 6), "wv": (7, 10), "wo": (20, 2)},
        {"wq.kv_heads": 2, "wq.heads_per_kv": 2, "wq.qk_dim": 3, "wv.v_dim": 5},
    ),
    (
        "packed attention", "a = com.microsoft.Attention<num_heads = 2>(x, w, b) y = MatMul(a, wo)", "float[2,5,7] x",
        {"w": (7, 18), "b": (18,), "wo": (6, 2)},
        {"w.heads": 2, "w.qk_dim": 3, "w.v_dim": 3},
    ),
    (
        "recurrent", "h, l = GRU<hidden_size = 6>(x, w, r) y = MatMul(h, o)", "float[5,2,3] x",
        {"w": (1, 18, 3), "r": (1, 18, 6), "o": (6, 2)},
        {"r.hidden": 6},
    ),
    (
        "grouped convolution", "a = Conv(x, u) b = Conv<group = 3>(a, w) y = Conv(b, v)", "float[2,3,5,5] x",
        {"u": (6, 3, 1, 1), "w": (12, 2, 1, 1), "v": (2, 12, 1, 1)},
        {"w.groups": 3, "u": 2, "w": 4},
    ),
    (
        "depthwise convolution", "a = Conv(x, u) b = Conv<group = 6>(a, w) y = Conv(b, v)", "float[2,3,5,5] x",
        {"u": (6, 3, 1, 1), "w": (6, 1, 1, 1), "v": (2, 6, 1, 1)},
        {"u": 6},
    ),
    (
        "one weight times another", "w = MatMul(u, v) h = MatMul(x, w) y = MatMul(h, o)", "float[4,3] x",
        {"u": (3, 5), "v": (5, 7), "o": (7, 2)},
        {"u": 5, "v": 7},
    ),
    (
        "normalised, but written by one layer", "h = MatMul(x, w) n = LayerNormalization(h, g) y = MatMul(n, o)",
        "float[4,3] x", {"w": (3, 6), "g": (6,), "o": (6, 2)},
        {"w": 6},
    ),
]  # fmt: skip


def build(body: str, inputs: str, constants: dict[str, Any]) -> onnx.ModelProto:
    return model(body, inputs, "y", opset=23, **constants)


def names(proto: onnx.ModelProto) -> dict[str, int]:
    return {group.name: group.size for group in analyze(opened(proto)).groups if group.members}


@pytest.mark.parametrize(("body", "inputs", "constants", "expected"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_names_say_what_channels_are_for(
    body: str, inputs: str, constants: dict[str, Any], expected: dict[str, int]
) -> None:
    assert names(build(body, inputs, constants)) == expected


@pytest.mark.parametrize("factor", [1.5, 2])
@pytest.mark.parametrize(("body", "inputs", "constants", "expected"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_students_have_the_names_of_their_teacher(
    body: str, inputs: str, constants: dict[str, Any], expected: dict[str, int], factor: float
) -> None:
    student, growth = grow(build(body, inputs, constants), factor=factor)
    assert names(student) == expected | {grown.name: grown.after for grown in growth.grown}
    assert growth.grown


def test_roles_do_not_depend_on_names() -> None:
    """The same model with other names of weights and nodes has the same roles."""
    teacher = build(ATTENTION, "float[2,5,3] x", WEIGHTS)
    renamed = {name: f"n{place}" for place, name in enumerate(sorted(WEIGHTS))}
    for tensor in teacher.graph.initializer:
        tensor.name = renamed[tensor.name]
    for node in teacher.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    wq, wv, w1 = (renamed[name] for name in ("wq", "wv", "w1"))
    assert list(names(teacher)) == ["stream", f"{wq}.heads", f"{wq}.qk_dim", f"{wv}.v_dim", w1]


def test_layers_and_roles_choose_groups() -> None:
    teacher = build(ATTENTION, "float[2,5,3] x", WEIGHTS)

    def grown(**options: Any) -> set[str]:
        return {group.name for group in plan(analyze(opened(teacher)), Request(**{"factor": 2, **options})).grown}

    assert grown(factor=1, groups={"wq.heads": 3, "wq.qk_dim": 6}) == {"wq.heads", "wq.qk_dim"}
    assert grown(include=("wv",), exclude=("wq",)) == {"wv.v_dim"}
    assert grown(include=("*.heads",)) == {"wq.heads"}
    assert grown(exclude=("stream", "*_dim")) == {"wq.heads", "w1"}
