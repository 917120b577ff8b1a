"""Laws of heads: attention grows by heads, and the size of a head only when somebody names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from helpers.graphs import STABLE, TOLERANCE, Judge, grow, model, opened
from helpers.wild import heads
from helpers.wild.sheet import Sheet, Skip, Value
from helpers.wild.teacher import finished
from onnx_n2n.analysis.roles import SIZES, Role
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.width.choice import HEAD_SIZE
from onnx_n2n.width.plan import plan
from onnx_n2n.width.request import Request

COUNTS = frozenset({Role.HEADS, Role.HEADS_PER_KV, Role.KV_HEADS})


def drawn(seed: int) -> onnx.ModelProto:
    """Attention of some form over a sequence, with a layer behind."""
    s = Sheet(seed)
    arrays = (s.rng.standard_normal((2, 5, 4)).astype(np.float32), s.rng.standard_normal((2, 5, 4)).astype(np.float32))
    s.inputs["x"] = s.values["x"] = Value("x", arrays, False)  # type: ignore[arg-type]
    try:
        heads.attended(s)
    except Skip:
        assume(False)
    out = s.nodes[-1].output[0]
    return finished(s, [s.add("MatMul", out, s.weight(4, 3, plain=True))])


def roles(teacher: onnx.ModelProto) -> dict[str, Role]:
    return {group.name: group.part.role for group in analyze(opened(teacher)).weighty if group.part is not None}


def head_sizes(teacher: onnx.ModelProto) -> set[str]:
    analysis = analyze(opened(teacher))
    return {group.name for group in analysis.weighty if group.factor in analysis.head_sizes}


@given(st.integers(0, 2**20), st.sampled_from([1.5, 2, 3]), st.sampled_from(["zero", "net2net"]))
@settings(STABLE, max_examples=40)
def test_attention_of_any_form_grows_by_heads(seed: int, factor: float, init: str) -> None:
    teacher = drawn(seed)
    judge, found, sizes = Judge(teacher), roles(teacher), head_sizes(teacher)
    assume(judge.meaningful)
    student, growth = grow(teacher, factor=factor, init=init)
    grown = {group.name for group in growth.grown}
    assert judge.error(student) < TOLERANCE
    assert not grown & sizes
    assert not sizes or {found.get(name) for name in grown} & COUNTS
    assert {kept.name for kept in growth.kept if kept.reason == HEAD_SIZE} == sizes


@given(st.integers(0, 2**20), st.sampled_from(["zero", "net2net"]))
@settings(STABLE, max_examples=40)
def test_any_size_of_a_head_grows_when_it_is_named(seed: int, init: str) -> None:
    teacher = drawn(seed)
    judge = Judge(teacher)
    sizes = {group.name: 2 * group.size for group in analyze(opened(teacher)).weighty
             if group.part is not None and group.part.role in SIZES}  # fmt: skip
    assume(judge.meaningful and sizes)
    student, growth = grow(teacher, groups=sizes, init=init)
    assert {group.name: group.after for group in growth.grown} == sizes
    assert judge.error(student) < TOLERANCE


GROUPED = """
    q0 = MatMul(x, wq) q1 = Reshape(q0, queries) q2 = Transpose<perm = [0, 2, 3, 1, 4]>(q1) q = Mul(q2, angle)
    k0 = MatMul(x, wk) k1 = Reshape(k0, keys) k2 = Transpose<perm = [0, 2, 3, 1, 4]>(k1) k3 = Mul(k2, angle)
    k = Transpose<perm = [0, 1, 2, 4, 3]>(k3)
    v0 = MatMul(x, wv) v1 = Reshape(v0, keys) v = Transpose<perm = [0, 2, 3, 1, 4]>(v1)
    s0 = MatMul(q, k) s1 = Mul(s0, scale) {pinned} p = Softmax<axis = -1>(s) m = MatMul(p, v)
    t = Transpose<perm = [0, 3, 1, 2, 4]>(m) o0 = Reshape(t, merge) y = MatMul(o0, wo)
"""


def grouped(keys: int = 2, per: int = 2, size: int = 4, *, pinned: bool = False) -> onnx.ModelProto:
    """Attention in which several heads share keys, with a table of angles and a scale."""
    constants: dict[str, Any] = {
        "wq": (7, keys * per * size), "wk": (7, keys * size), "wv": (7, keys * size), "wo": (keys * per * size, 2),
        "queries": np.array([2, 5, keys, per, size]), "keys": np.array([2, 5, keys, 1, size]),
        "merge": np.array([2, 5, keys * per * size]), "angle": (5, size), "scale": np.float32(size**-0.5),
    }  # fmt: skip
    heads = "s2 = Softmax<axis = 1>(s1) s = Softmax<axis = 2>(s2)" if pinned else "s = Identity(s1)"
    return model(GROUPED.format(pinned=heads), "float[2,5,7] x", "y", opset=23, **constants)


def grown(teacher: onnx.ModelProto, **options: Any) -> dict[str, int]:
    student, growth = grow(teacher, **{"factor": 2, **options})
    assert Judge(teacher).error(student) < TOLERANCE
    return {group.name: group.after for group in growth.grown}


@pytest.mark.parametrize(
    ("sizes", "options", "expected"),
    [
        ({}, {}, {"wq.heads_per_kv": 4}),
        ({}, {"factor": 1.5}, {"wq.heads_per_kv": 3}),
        ({"keys": 4}, {"factor": 1.2}, {"wq.kv_heads": 5}),  # 2 for each, times 1.2, would still be 2
        ({"per": 1}, {}, {"wq.heads": 4}),
        ({"keys": 1}, {}, {"wq.heads": 4}),
        ({"keys": 1, "per": 1}, {}, {"wq.qk_dim": 8, "wv": 8}),  # no heads
        ({"pinned": True}, {}, {"wq.qk_dim": 8, "wv.v_dim": 8}),  # heads are pinned
        ({}, {"without": ("wq.heads_per_kv",)}, {"wq.kv_heads": 4}),
        ({}, {"without": ("wq.heads_per_kv", "wq.kv_heads")}, {}),
        ({}, {"only": ("wq.qk_dim",)}, {"wq.qk_dim": 8}),
        ({}, {"only": ("wq.qk_dim", "wv.v_dim")}, {"wq.qk_dim": 8, "wv.v_dim": 8}),
        ({}, {"include": ("*_dim",)}, {"wq.qk_dim": 8, "wv.v_dim": 8}),
        ({}, {"factor": None, "groups": {"wv.v_dim": 5}}, {"wv.v_dim": 5}),
        ({}, {"groups": {"wq.heads_per_kv": 3, "wq.kv_heads": 3}}, {"wq.heads_per_kv": 3, "wq.kv_heads": 3}),
    ],
)
def test_which_heads_grow(sizes: dict[str, Any], options: dict[str, Any], expected: dict[str, int]) -> None:
    assert grown(grouped(**sizes), **options) == expected


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([2, 4]), st.sampled_from([1.5, 2, 2.7]))
@settings(STABLE, max_examples=40)
def test_tables_and_scales_stay_where_heads_grow(keys: int, per: int, size: int, factor: float) -> None:
    assume(keys * per > 1)
    teacher = grouped(keys, per, size)
    student, _ = grow(teacher, factor=factor)
    before, after = ({each.name: each for each in proto.graph.initializer} for proto in (teacher, student))
    assert all(after[name] == before[name] for name in ("angle", "scale"))
    assert all(after[name].dims[1] % size == 0 for name in ("wq", "wk", "wv"))


def test_a_size_that_stays_says_how_it_grows() -> None:
    analysis = analyze(opened(grouped()))
    growth = plan(analysis, Request(factor=2))
    assert {kept.name: kept.reason for kept in growth.kept if kept.name != "wq.kv_heads"} == {
        "wq.qk_dim": HEAD_SIZE, "wv.v_dim": HEAD_SIZE,
    }  # fmt: skip
    assert {group["name"] for group in analysis.to_json()["groups"] if group["only_named"]} == {"wq.qk_dim", "wv.v_dim"}
