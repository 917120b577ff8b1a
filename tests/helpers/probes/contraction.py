"""Operators that sum over an axis of their operands with weights."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, flat, rows

CASES: dict[str, list[Case]] = {}

CASES["Conv"] = [
    case("z = Conv(h, w)", 8, 12, w=(8, 12, 1, 1)),
    case("z = Conv<pads=[1,1,1,1], strides=[2,2]>(h, w, b)", 8, 12, w=(8, 12, 3, 3), b=(8,), opset=7),
    case('z = Conv<auto_pad="SAME_UPPER">(h, w)', 8, 12, w=(8, 12, 3, 3)),
    case("z = Conv<group=2>(h, w, b)", 2, 4, 6, w=(8, 6, 1, 1), b=(8,)),
    case("z = Conv<group=12>(h, w, b)", 12, w=(12, 1, 3, 3), b=(12,)),
    case("z = Conv<group=12>(h, w)", 2, 12, w=(24, 1, 1, 1)),
    case("a = Conv<group=2>(h, w) b = Relu(a) z = Conv<group=4>(b, v)", 2, 2, 3, 4, 6, w=(12, 6, 1, 1),
         v=(16, 3, 1, 1)),
    case("a = Conv(h, w) b = Conv(a, w) z = Relu(b)", 12, w=(12, 12, 1, 1)),
    case("k = Conv(h, w) l = Relu(h) m = Conv(l, w) z = Add(k, m)", 8, 12, w=(8, 12, 1, 1)),
    case("a = Transpose<perm=[0,2,1]>(h) z = Conv(a, w)", 8, 12, stream="rows", close=1, w=(8, 12, 3)),
    case("a = Unsqueeze(h, axes) z = Conv(a, w)", 8, 12, w=(8, 12, 1, 1, 1), axes=[4]),
    case("v = Identity(w) z = Conv(h, v)", 8, 12, w=(8, 12, 1, 1)),
    case("v = Transpose<perm=[1,0,2,3]>(w) z = Conv(h, v)", 8, 12, w=(12, 8, 1, 1)),
    case("v = Transpose<perm=[3,2,0,1]>(w) z = Conv(h, v)", 8, 12, w=(1, 1, 12, 8)),
    case("k = Conv(h, w, b) l = Relu(k) z = Conv(l, v, b)", 8, 8, 12, w=(8, 12, 1, 1), v=(8, 8, 1, 1), b=(8,)),
    case("c = Conv(h, w) d = Conv(h, w) e = Mul(c, d) z = Relu(e)", 8, 12, w=(8, 12, 1, 1)),
]
CASES["FusedConv"] = [
    case('z = com.microsoft.FusedConv<activation="Relu">(h, w, b)', 8, 12, w=(8, 12, 3, 3), b=(8,)),
    case('z = com.microsoft.FusedConv<activation="Relu", group=2>(h, w, b)', 2, 4, 6, w=(8, 6, 1, 1), b=(8,)),
    case('s = Conv(x, w) z = com.microsoft.FusedConv<activation="Relu">(h, v, b, s)', 8, 12, w=(8, 3, 1, 1),
         v=(8, 12, 1, 1), b=(8,)),
]
CASES["ConvTranspose"] = [
    case("z = ConvTranspose(h, w)", 8, 12, w=(12, 8, 1, 1)),
    case("z = ConvTranspose<strides=[2,2]>(h, w, b)", 8, 12, w=(12, 8, 2, 2), b=(8,), opset=7),
    case("z = ConvTranspose<group=2>(h, w, b)", 2, 4, 6, w=(12, 4, 1, 1), b=(8,)),
    case("z = ConvTranspose<group=12>(h, w)", 12, w=(12, 1, 2, 2)),
]
CASES["Gemm"] = [
    flat(
        f"{'a = Transpose(h)' if a else 'a = Identity(h)'} z = Gemm<transA={a}, transB={b}, alpha=0.5>(a, w, c)",
        8, 12, w=(8, 12) if b else (12, 8), c=c, opset=opset,
    )
    for (a, b), c, opset in [((0, 0), (8,), 7), ((0, 1), (1, 8), 9), ((1, 0), (4, 1), 11), ((1, 1), (4, 8), 13)]
]
CASES["Gemm"] += [
    flat("z = Gemm(h, w)", 8, 12, w=(12, 8), opset=11),
    flat("z = Gemm(h, w, c)", 8, 12, w=(12, 8), c=0.5),
    flat("z = Gemm<transB=1>(w, h)", 8, 12, close=0, w=(8, 12)),
    flat("z = Gemm(h, w, c)", 8, 12, w=(12, 8), c=(1,)),
    flat("k = MatMul(x, v) z = Gemm<transA=1>(h, k)", 8, 12, close=(0, 1), v=(3, 8)),
    flat("k = MatMul(x, v) z = Gemm<transB=1>(h, k)", 12, close=(), v=(3, 12)),
]
CASES["MatMul"] = [
    rows("z = MatMul(h, w)", 8, 12, w=(12, 8)),
    rows("z = MatMul(h, w)", 8, 12, w=(1, 12, 8)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = MatMul(w, t)", 8, 12, close=1, w=(8, 12)),
    rows("v = Transpose(w) z = MatMul(h, v)", 8, 12, w=(8, 12)),
    rows("v = Cast<to=1>(w) z = MatMul(h, v)", 8, 12, w=np.linspace(-1, 1, 96).reshape(12, 8) ** 3),
    rows("i = Cast<to=6>(w) v = Cast<to=1>(i) z = MatMul(h, v)", 8, 12, w=np.arange(96.0).reshape(12, 8) - 48),
    rows("k = MatMul(x, w) t = Transpose<perm=[0,2,1]>(k) z = MatMul(h, t)", 12, close=(), w=(3, 12)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = MatMul(t, h)", 12, close=(1, 2)),
    rows("z = MatMul(v, h)", 12, close=1, v=(5,)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = MatMul(v, t)", 12, close=(), v=(12,)),
    rows("z = MatMul(h, v)", 12, close=(), v=(12,)),
    rows("a = ReduceMax<axes=[0,1], keepdims=0>(h) z = MatMul(a, v)", 12, close=(), v=(12,)),
    rows("a = ReduceMax<axes=[0,1], keepdims=0>(h) z = MatMul(v, a)", 12, close=(), v=(12,)),
    rows("a = MatMul(h, w) b = Relu(a) z = MatMul(b, w)", 12, w=(12, 12)),
    rows("u = Transpose(w) a = MatMul(h, w) b = Relu(a) z = MatMul(b, u)", 8, 12, w=(12, 8)),
]
CASES["MatMul"] += [  # weights that other nodes make out of weights
    rows("v = Reshape(w, to) z = MatMul(h, v)", 8, 12, w=(96,), to=[12, 8]),
    rows("v = Concat<axis=0>(w, u) z = MatMul(h, v)", 5, 7, 8, w=(5, 8), u=(7, 8)),
    rows("v = Concat<axis=1>(w, u) z = MatMul(h, v)", 5, 8, 12, w=(12, 5), u=(12, 8)),
    rows("v, u = Split<axis=1>(w) a = MatMul(h, v) b = MatMul(h, u) z = Mul(a, b)", 4, 12, w=(12, 8)),
    rows("v, u = Split<axis=0>(w) a, b = Split<axis=2>(h) c = MatMul(a, v) d = MatMul(b, u) z = Mul(c, d)", 6, 6, 8,
         w=(12, 8)),
    rows("v = Slice(w, s, e) z = MatMul(h, v)", 8, 12, w=(14, 8), s=[1], e=[13]),
    rows("v = Gather(w, i) z = MatMul(h, v)", 8, 12, w=(14, 8), i=list(range(2, 14))),
    rows("v = Mul(w, s) z = MatMul(h, v)", 8, 12, w=(12, 8), s=(8,)),
    rows("v = Mul(w, s) z = MatMul(h, v)", 8, 12, w=(12, 8), s=(12, 1)),
    rows("d = MatMul(a, b) v = Add(w, d) z = MatMul(h, v)", 2, 8, 12, w=(12, 8), a=(12, 2), b=(2, 8)),
    rows("e = Gather(w, i) a = Add(h, e) t = Transpose(w) z = MatMul(a, t)", 12, close=(), w=(7, 12),
         i=[3, 1, 1, 6, 0]),
]
CASES["Einsum"] = [
    rows('z = Einsum<equation="bli,io->blo">(h, w)', 8, 12, w=(12, 8)),
    rows('k = MatMul(x, w) z = Einsum<equation="bli, bmi -> blm">(h, k)', 12, close=(), w=(3, 12)),
    rows('z = Einsum<equation="bli->bl">(h)', 12, close=()),
    rows('z = Einsum<equation="bli->ilb">(h)', 12, close=0),
    rows('k = MatMul(x, v) z = Einsum<equation="bli,ij,blj->bl">(h, w, k)', 8, 12, close=(), w=(12, 8), v=(3, 8)),
    rows('k = MatMul(x, v) g = Einsum<equation="bli,blj->bij">(h, k) z = Einsum<equation="bij,bij->b">(g, g)', 8, 12,
         close=(), v=(3, 8)),
]
