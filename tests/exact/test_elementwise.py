"""Operators on single numbers, reductions, matrices, casts and decisions: laws that hold over fields, and lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.exactly import W, as_runtime, both, net, never_equal, one_node
from onnx_n2n.exact import check

LOW, HIGH, ZERO, ONE = (np.float32(each) for each in (-0.25, 6, 0, 1))
IDEMPOTENT = {
    **{name: f"{name}(?)" for name in ("Relu", "Abs", "Sign", "Round", "Floor", "Ceil")},
    "ThresholdedRelu": "ThresholdedRelu <alpha=0.5>(?)",
    "Clip": "Clip(?, low, high)",
    "Max": "Max(?, low)",
    "Min": "Min(high, ?)",
}


@pytest.mark.parametrize("node", IDEMPOTENT.values(), ids=IDEMPOTENT)
def test_what_is_idempotent_may_be_repeated(node: str) -> None:
    used = {name: value for name, value in (("low", LOW), ("high", HIGH)) if name in node}
    once = net(f"y = {node.replace('?', 'a')}", **used)
    twice = net(f"b = {node.replace('?', 'a')} y = {node.replace('?', 'b')}", **used)
    assert check(once, twice)
    assert not check(once, net("y = Identity(a)"))


# Two ways to write one function.
SAME = {
    "clip of attributes": both("y = Clip <min=0.0, max=6.0>(a)", "b = Relu(a) y = Min(b, high)", opset=10, high=HIGH),
    "sigmoid": both("y = Sigmoid(a)", "b = Neg(a) c = Exp(b) d = Add(one, c) y = Reciprocal(d)", one=ONE),
    "swish": both("y = Swish(a)", "b = Sigmoid(a) y = Mul(b, a)", opset=24),
    "mish": both("y = Mish(a)", "b = Softplus(a) c = Tanh(b) y = Mul(c, a)"),
    "default": both("y = LeakyRelu(a)", "y = LeakyRelu <alpha=0.01>(a)"),
    "slopes": both("y = LeakyRelu <alpha=0.25>(a)", "y = PRelu(a, s)", s=np.full(8, 0.25, "f4")),
    "order": both("y = Greater(a, low)", "y = Less(low, a)", "bool[N, 8] y", low=LOW),
    "equality": both("b = Neg(a) y = Equal(a, b)", "b = Neg(a) y = Equal(b, a)", "bool[N, 8] y"),
    "twice not": both("y = Less(a, low)", "b = Less(a, low) c = Not(b) y = Not(c)", "bool[N, 8] y", low=LOW),
    "cast there and back": both(
        "y = Cast <to=10>(a)", "b = Cast <to=10>(a) c = Cast <to=1>(b) y = Cast <to=10>(c)", "float16[N, 8] y"
    ),
    "decision there and back": both(
        "y = Less(a, low)", "b = Less(a, low) c = Cast <to=1>(b) y = Cast <to=9>(c)", "bool[N, 8] y", low=LOW
    ),
    "square": both("y = Pow(a, e)", "y = Mul(a, a)", e=np.float32(2)),
    "root": both("b = Abs(a) y = Pow(b, e)", "b = Abs(a) y = Sqrt(b)", e=np.float32(0.5)),
    "over a root": both(
        "b = Abs(a) c = Sqrt(b) y = Div(a, c)", "b = Abs(a) c = Pow(b, e) y = Mul(a, c)", e=np.float32(-0.5)
    ),
    "mean": both(
        "y = ReduceMean <keepdims=0>(a, i)",
        "b = ReduceSum <keepdims=0>(a, i) y = Mul(b, c)",
        "float[N] y",
        i=np.array([1]),
        c=np.float32(0.125),
    ),
    "equation": both('y = Einsum <equation="ij,jk->ik">(a, V)', "y = MatMul(a, V)", V=W),
    "largest by place": both("v, y = TopK(a, k)", "v, y = TopK <axis=1>(a, k)", "int64[N, 1] y", k=np.array([1])),
    "values by places": both(
        "y, i = TopK(a, k)", "v, i = TopK(a, k) y = GatherElements <axis=1>(a, i)", "float[N, 2] y", k=np.array([2])
    ),
    "hot": both(
        "y = Hardmax(a)",
        "i = ArgMax <axis=1, keepdims=0>(a) y = OneHot(i, d, v)",
        d=np.int64(8),
        v=np.array([0, 1], "f4"),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_two_ways_to_write_one_function(name: str) -> None:
    one, two = SAME[name]
    verdict = check(one, two)
    assert verdict.state == "equal", verdict


# Pairs of models that differ for some input, though only there.
LIES = {
    "Max with 0 for x": both("y = Max(a, z)", "y = Identity(a)", z=ZERO),
    "Where for its branch": both("c = Greater(a, z) y = Where(c, a, z)", "y = Identity(a)", z=ZERO),
    "another branch": (
        net("c = Less(a, z) b = Mul(a, k) y = Where(c, b, a)", z=ZERO, k=ONE),
        net("c = Less(a, z) b = Mul(a, k) y = Where(c, b, a)", z=ZERO, k=HIGH),
    ),
    "Clip from below for above": both("y = Clip(a, k)", "y = Clip(a,, k)", k=HIGH),
    "other order of bounds": both("b = Max(a, h) y = Min(b, l)", "b = Min(a, l) y = Max(b, h)", h=HIGH, l=LOW),
    "less for less or equal": both("y = Less(a, l)", "y = LessOrEqual(a, l)", "bool[N, 8] y", l=LOW),
    "less for greater": both("y = Less(a, l)", "y = Greater(a, l)", "bool[N, 8] y", l=LOW),
    "an equality that is rare": (
        net("i = Cast <to=7>(a) y = Equal(i, k)", "bool[N, 8] y", k=np.int64(99)),
        net("i = Cast <to=7>(a) y = Equal(i, k)", "bool[N, 8] y", k=np.int64(98)),
    ),
    "through a narrower type": both("y = Identity(a)", "b = Cast <to=10>(a) y = Cast <to=1>(b)"),
    "through a wider narrower type": both("y = Identity(a)", "b = Cast <to=16>(a) y = Cast <to=1>(b)"),
    "through whole numbers": both("y = Identity(a)", "b = Cast <to=7>(a) y = Cast <to=1>(b)"),
    "whole numbers of fewer bits": both(
        "y = Cast <to=7>(a)", "b = Cast <to=7>(a) c = Cast <to=6>(b) y = Cast <to=7>(c)", "int64[N, 8] y"
    ),
    "as a decision": both("y = Identity(a)", "b = Cast <to=9>(a) y = Cast <to=1>(b)"),
    "rounded otherwise": both("y = Floor(a)", "y = Ceil(a)"),
    "division of whole numbers": both(
        "b = Cast <to=7>(a) y = Identity(b)",
        "b = Cast <to=7>(a) c = Div(b, k) y = Mul(c, k)",
        "int64[N, 8] y",
        k=np.int64(3),
    ),
    "sign of the remainder": both("y = Mod <fmod=1>(a, k)", "y = Mod <fmod=1>(k, a)", k=ONE),
    "root of a square": both("b = Mul(a, a) y = Sqrt(b)", "y = Identity(a)"),
    "0 of what is not defined": both("y = Identity(a)", "b = Mul(a, z) c = Reciprocal(b) y = Add(a, c)", z=ZERO),
    "first or last": both(
        "y = ArgMax <axis=1, keepdims=0>(a)", "y = ArgMax <axis=1, keepdims=0, select_last_index=1>(a)", "int64[N] y"
    ),
    "largest for smallest": both(
        "y, i = TopK(a, k)", "y, i = TopK <largest=0>(a, k)", "float[N, 2] y", k=np.array([2])
    ),
    "the mean over another axis": (
        net("b = ReduceMean(a, i) y = Sub(a, b)", i=np.array([0])),
        net("b = ReduceMean(a, i) y = Sub(a, b)", i=np.array([1])),
    ),
    "sum from the other end": both("y = CumSum(a, i)", "y = CumSum <reverse=1>(a, i)", i=np.int64(1)),
    "slope": both("y = LeakyRelu(a)", "y = LeakyRelu <alpha=0.02>(a)"),
    "gelu": both("y = Gelu(a)", 'y = Gelu <approximate="tanh">(a)', opset=20),
    "one too many for eight bits": (
        net("b = Cast <to=2>(a) c = Add(b, k) y = Cast <to=6>(c)", "int32[N, 8] y", k=np.uint8(200)),
        net("b = Cast <to=2>(a) c = Cast <to=6>(b) y = Add(c, k)", "int32[N, 8] y", k=np.int32(200)),
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_lies(name: str) -> None:
    one, two = LIES[name]
    never_equal(one, two)
    assert not check(two, one)


# Of these the second one is not even equal to itself.
REFUSED = {
    "divided by 0": both("y = Identity(a)", "b = Div(a, z) y = Add(a, b)", z=ZERO),
    "dropout in training": both("y = Identity(a)", "y = Dropout(a, r, t)", r=np.float32(0.5), t=np.bool_(True)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_equal_to_itself(name: str) -> None:
    one, two = REFUSED[name]
    assert check(one, one)
    assert not any(check(*pair) for pair in ((two, two), (one, two), (two, one)))


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from("LeakyRelu Elu Celu ThresholdedRelu Selu HardSigmoid Shrink Swish".split()),  # noqa: SIM905
    st.floats(0.125, 4, width=32),
    st.floats(0.125, 4, width=32),
)
def test_another_attribute_is_never_equal(operator: str, one: float, two: float) -> None:
    name = "lambd" if operator == "Shrink" else "alpha"
    made = [net(f"y = {operator} <{name}={value:.9f}>(a)", opset=24) for value in (one, two)]
    attributes = [each.graph.node[1].attribute[0].f for each in made]
    assert bool(check(*made)) == (attributes[0] == attributes[1])


@pytest.mark.parametrize("operator", "Sub Div Less LessOrEqual Pow MatMul PRelu".split())  # noqa: SIM905
def test_exchanged_inputs_are_never_equal(operator: str) -> None:
    body = "b = MatMul(x, V) c = Transpose(b) d = MatMul(b, c) e = MatMul(a, c) y = {}({})"
    out = ("bool" if operator.startswith("Less") else "float") + "[N, N] y"
    names = ["d", "e"]
    one, two = (net(body.format(operator, ", ".join(each)), out, V=W.T.copy()) for each in (names, names[::-1]))
    never_equal(one, two)


def test_infinities_are_equal_to_themselves() -> None:
    numbers = np.array([np.inf, -np.inf, 0, 1], np.float32)
    as_runtime(*one_node("Equal", [numbers[:, None], numbers]))
