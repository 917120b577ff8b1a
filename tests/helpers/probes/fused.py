"""Probes of what ONNX Runtime's optimiser writes. What has no kernel on its CPU is run by its definition."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, flat, rows

CASES: dict[str, list[Case]] = {}

# --- elementwise

CASES["BiasAdd"] = [
    rows("k = MatMul(x, w) z = com.microsoft.BiasAdd(h, b, k)", 12, reference=True, b=(12,), w=(3, 12)),
    rows("z = com.microsoft.BiasAdd(h, b, k)", 12, reference=True, b=(12,), k=(2, 5, 12)),
]
CASES["BiasGelu"] = [rows("z = com.microsoft.BiasGelu(h, b)", 12, b=(12,))]
CASES["FastGelu"] = [
    rows("z = com.microsoft.FastGelu(h, b)", 12, b=(12,)),
    rows("z = com.microsoft.FastGelu(h)", 12),
]
CASES["Gelu"] = [rows("z = com.microsoft.Gelu(h)", 12)]
CASES["QuickGelu"] = [
    rows("z = com.microsoft.QuickGelu(h)", 12),
    rows("z = com.microsoft.QuickGelu<alpha=0.5>(h)", 12),
]
CASES["BiasSplitGelu"] = [
    rows("z = com.microsoft.BiasSplitGelu(h, b)", 6, reference=True, b=(12,)),
    rows("k = MatMul(h, w) z = com.microsoft.BiasSplitGelu(k, b)", 4, 12, reference=True, w=(12, 8), b=(8,)),
]
CASES["ExpandDims"] = [
    rows("z = com.microsoft.ExpandDims(h, at)", 12, close=close, at=np.array(place, np.int32))
    for place, close in [(0, -1), (1, -1), (3, -2), (-1, -2), (-2, -1)]
]
CASES["BiasSoftmax"] = [
    rows("z = com.microsoft.BiasSoftmax<axis=2, is_inner_broadcast=1>(h, b)", reference=True, b=(2, 1, 12)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = com.microsoft.BiasSoftmax<axis=2, is_inner_broadcast=1>(t, b)", 12,
         close=1, reference=True, b=(2, 1, 5)),
    rows("t = Transpose<perm=[2,0,1]>(h) z = com.microsoft.BiasSoftmax<axis=1, is_inner_broadcast=1>(t, b)", 12,
         close=0, reference=True, b=(12, 2, 5)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = com.microsoft.BiasSoftmax<axis=2, is_inner_broadcast=0>(t, b)", close=1,
         reference=True, b=(1, 12, 5)),
]  # fmt: skip

# --- sums with weights

CASES["FusedGemm"] = [
    flat(f"{'a = Transpose(h)' if a else 'a = Identity(h)'} z = com.microsoft.FusedGemm<transA={a}, transB={b}, "
         'alpha=0.5, activation="Relu">(a, w, c)', 8, 12, w=(8, 12) if b else (12, 8), c=c)
    for (a, b), c in [((0, 0), (8,)), ((0, 1), (1, 8)), ((1, 0), (4, 1)), ((1, 1), (4, 8))]
] + [
    flat('z = com.microsoft.FusedGemm<activation="LeakyRelu", activation_alpha=0.1>(h, w)', 8, 12, w=(12, 8)),
    flat('k = MatMul(x, v) z = com.microsoft.FusedGemm<transB=1, activation="Tanh">(h, k)', 12, close=(), v=(3, 12)),
]  # fmt: skip
CASES["GemmFastGelu"] = [
    rows("z = com.microsoft.GemmFastGelu(h, w, b)", 8, 12, reference=True, w=(12, 8), b=(8,)),
    rows("z = com.microsoft.GemmFastGelu(h, w)", 8, 12, reference=True, w=(12, 8)),
]
for operator, more, reference in [
    ("FusedMatMul", "", False),
    ("TransposeMatMul", "", False),
    ("FusedMatMulActivation", ', activation="Relu"', True),
]:
    node = f"com.microsoft.{operator}"
    CASES[operator] = [
        rows(f"z = {node}<alpha=0.5{more}>(h, w)", 8, 12, reference=reference, w=(12, 8)),
        rows(f"z = {node}<transB=1{more}>(h, w)", 8, 12, reference=reference, w=(8, 12)),
        rows(f"t = Transpose<perm=[0,2,1]>(h) z = {node}<transA=1{more}>(t, w)", 8, 12, reference=reference, w=(12, 8)),
        rows(f"z = {node}<transA=1, transB=1{more}>(w, h)", 8, 12, close=1, reference=reference, w=(12, 8)),
        rows(f"k = MatMul(x, v) z = {node}<transB=1, alpha=0.3{more}>(h, k)", 12, close=(), reference=reference,
             v=(3, 12)),
        rows(f"k = MatMul(x, v) z = {node}<transA=1{more}>(h, k)", 8, 12, close=(1, 2), reference=reference, v=(3, 8)),
        rows(f"t = Transpose<perm=[0,2,1]>(h) z = {node}<transB=1{more}>(t, w)", 8, 12, close=(1, 2),
             reference=reference, w=(8, 5)),
    ]  # fmt: skip
CASES["FusedMatMul"] += [
    flat("v = ReduceSum<keepdims=0>(h, i) z = com.microsoft.FusedMatMul<transA=1, transB=1>(v, w)", 8, 12, close=0,
         w=(8, 12), i=[0]),
    flat("v = ReduceSum<keepdims=0>(h, i) z = com.microsoft.FusedMatMul<transB=0>(v, w)", 8, 12, close=0, w=(12, 8),
         i=[0]),
    flat("t = Transpose(h) z = com.microsoft.FusedMatMul<transA=1>(t, w)", close=0, w=(12,)),
    rows("t = Transpose<perm=[1,0,2]>(h) z = com.microsoft.FusedMatMul<transBatchA=1, transA=0>(t, w)", close=(),
         w=(2, 12, 8)),
]  # fmt: skip
CASES["FusedMatMulActivation"] += [
    rows('z = com.microsoft.FusedMatMulActivation<activation="Softmax">(h, w)', reference=True, w=(12, 8)),
]

# --- images with the channels last

LAST = "t = Transpose<perm=[0,2,3,1]>(h)"
CASES["NhwcConv"] = [
    case(f"{LAST} z = com.microsoft.NhwcConv(t, w)", 8, 12, close=-1, reference=True, w=(8, 1, 1, 12)),
    case(f"{LAST} z = com.microsoft.NhwcConv<pads=[1,1,1,1]>(t, w, b)", 8, 12, close=-1, reference=True,
         w=(8, 3, 3, 12), b=(8,)),
    case(f"{LAST} z = com.microsoft.NhwcConv<group=2>(t, w, b)", 2, 4, 6, close=-1, reference=True, w=(8, 1, 1, 6),
         b=(8,)),
    case(f"{LAST} z = com.microsoft.NhwcConv<group=12>(t, w)", 12, close=-1, reference=True, w=(12, 3, 3, 1)),
]  # fmt: skip
CASES["NhwcFusedConv"] = [
    case(f'{LAST} z = com.microsoft.NhwcFusedConv<activation="Relu">(t, w)', 8, 12, close=-1, reference=True,
         w=(8, 12, 1, 1)),
    case(f'{LAST} z = com.microsoft.NhwcFusedConv<activation="Relu", pads=[1,1,1,1]>(t, w, b)', 8, 12, close=-1,
         reference=True, w=(8, 12, 3, 3), b=(8,)),
    case(f"{LAST} z = com.microsoft.NhwcFusedConv<group=2>(t, w, b)", 2, 4, 6, close=-1, reference=True, w=(8, 6, 1, 1),
         b=(8,)),
    case(f's = Conv(x, u) a = Transpose<perm=[0,2,3,1]>(s) {LAST} z = com.microsoft.NhwcFusedConv<activation="Tanh">'
         "(t, w, b, a)", 8, 12, close=-1, reference=True, w=(8, 12, 1, 1), b=(8,), u=(8, 3, 1, 1)),
]  # fmt: skip
CASES["NhwcMaxPool"] = [
    case(f"{LAST} a = QuantizeLinear(t, s, zero) b = com.microsoft.NhwcMaxPool<kernel_shape=[2,2]>(a) "
         "z = DequantizeLinear(b, s, zero)", 12, close=-1, s=0.02, zero=zero)
    for zero in (np.uint8(120), np.int8(3))
]  # fmt: skip

# --- normalisation

GN = {"g": np.linspace(0.5, 2, 12, dtype=np.float32), "b": (12,)}
CASES["GroupNorm"] = [
    case(f"{LAST} z = com.microsoft.GroupNorm<groups=4, activation={active}>(t, g, b)", 3, 4, close=-1, reference=True,
         **GN)
    for active in (0, 1)
] + [
    case(f"{LAST} z = com.microsoft.GroupNorm<groups=1, activation=0, epsilon=0.1>(t, g, b)", 12, close=-1,
         reference=True, **GN),
    case("z = com.microsoft.GroupNorm<groups=4, activation=1, channels_last=0>(h, g, b)", 3, 4, reference=True, **GN),
]  # fmt: skip
