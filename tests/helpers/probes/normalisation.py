"""Operators that normalise."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, flat, rows

CASES: dict[str, list[Case]] = {}

BN = {"s": (12,), "b": (12,), "m": (12,), "v": np.linspace(0.5, 2, 12, dtype=np.float32)}
GN4, GN12 = ({"s": np.linspace(0.5, 2, n, dtype=np.float32), "b": (n,)} for n in (4, 12))
CASES["BatchNormalization"] = [
    case("z = BatchNormalization(h, s, b, m, v)", 12, opset=opset, **BN) for opset in (7, 9, 14, 15)
] + [
    flat("z = BatchNormalization(h, s, b, m, v)", 12, **BN),
    case("z, mm, vv = BatchNormalization<training_mode=1>(h, s, b, m, v)", 12, **BN),
    case("t = Transpose<perm=[0, 2, 1, 3]>(h) z, mm, vv = BatchNormalization<training_mode=1>(t, s, b, m, v)",
         s=(4,), b=(4,), m=(4,), v=np.linspace(0.5, 2, 4, dtype=np.float32), close=2),
    case("t = Transpose<perm=[0, 2, 1, 3]>(h) z = BatchNormalization(t, s, b, m, v)", 12,
         s=(4,), b=(4,), m=(4,), v=np.linspace(0.5, 2, 4, dtype=np.float32), close=2),
]  # fmt: skip
CASES["InstanceNormalization"] = [
    case("z = InstanceNormalization(h, s, b)", 12, **GN12),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) z = Reshape(n, back)", 3, 4, to=[0, 4, -1],
         back=[2, 12, 4, 6], **GN4),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) p = Shape(h) z = Reshape(n, p)", 3, 4, to=[0, 4, -1],
         x="float[N,3,H,W] x", **GN4),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) p = Shape(h) z = Reshape(n, p)", 3, 4, to=[2, 4, 18, 4],
         **GN4),  # of 3 * (4 * 6) and 18 * 4, 4 * 6 and 6 * 4 do not line up
]  # fmt: skip
CASES["GroupNormalization"] = [
    case("z = GroupNormalization<num_groups=4>(h, s, b)", 3, 4, opset=18, **GN4),
    case("z = GroupNormalization<num_groups=4>(h, s, b)", 3, 4, opset=21, **GN12),
    case("z = GroupNormalization<num_groups=1>(h, s, b)", 12, opset=21, **GN12),
    case("z = GroupNormalization<num_groups=12>(h, s, b)", 12, opset=21, **GN12),
]
# A border of a Concat inside a group, as in the U-Nets of diffusion models: what both have in common grows evenly,
# or all channels by copies side by side.
STRADDLED = "a = Relu(h) k = Conv(x, w) c = Concat<axis=1>(a, k)"
CASES["GroupNormalization"] += [
    case(f"{STRADDLED} z = GroupNormalization<num_groups=2>(c, s, b)", 3, opset=21, w=(6, 3, 1, 1), s=(18,), b=(18,)),
    case(f"{STRADDLED} z = GroupNormalization<num_groups=2>(c, s, b)", 1, opset=21, w=(2, 3, 1, 1), s=(14,), b=(14,)),
]
CASES["InstanceNormalization"] += [
    case(f"{STRADDLED} g = Reshape(c, to) n = InstanceNormalization(g, s, b) p = Shape(c) z = Reshape(n, p) "
         "j = Mul(z, o)", 3, x="float[N,3,H,W] x", ends="j", to=[0, 2, -1], w=(6, 3, 1, 1), s=(2,), b=(2,),
         o=(18, 1, 1)),
    case(f"{STRADDLED} g = Reshape(c, to) n = InstanceNormalization(g, s, b) z = Reshape(n, back) j = Conv(z, v) "
         "e = Add(j, c)", 3, ends="e", to=[0, 2, -1], w=(6, 3, 1, 1), s=(2,), b=(2,), v=(18, 18, 1, 1),
         back=[0, 18, 4, 6]),
]
CASES |= {
    operator: [
        case(f"z = {operator}<axis=1>(h)", opset=13),
        case(f"z = {operator}<axis=-1>(h)", 12, opset=13),
        case(f"z = {operator}(h)", opset=11),
        case(f"z = {operator}<axis=2>(h)", 12, opset=11),
    ]
    for operator in ["Softmax", "LogSoftmax", "Hardmax"]
}
CASES["LpNormalization"] = [
    case("z = LpNormalization<axis=1>(h)"),
    case("z = LpNormalization(h)", 12, opset=22),
    case("z = LpNormalization<axis=2, p=1>(h)", 12),
]

# --- over channels

GAIN = {"g": np.linspace(0.5, 2, 12, dtype=np.float32), "b": (12,)}
FIRST = "m = Transpose<perm=[0,2,1]>(h)"
CASES["LayerNormalization"] = [
    rows("z = LayerNormalization(h, g, b)", 12, opset=opset, **GAIN) for opset in (17, 23)
] + [
    rows("z = LayerNormalization<epsilon=0.1>(h, g)", 12, **GAIN),
    rows("z = LayerNormalization<axis=2>(h, g)", 12, g=(1,)),
    rows("z = LayerNormalization(h, g, b)", 12, g=(5, 12), b=(1, 5, 12)),
    rows("z = LayerNormalization<axis=1>(h, g, b)", 12, g=(5, 12), b=(5, 12)),
    rows(f"{FIRST} z = LayerNormalization(m, g, b)", 12, close=1, g=(5,), b=(5,)),
    rows("z, m, i = LayerNormalization(h, g, b) n = Concat<axis=2>(m, i)", 12, ends="z n", **GAIN),
    case("z = LayerNormalization<axis=1>(h, g)", 12, g=(12, 4, 6)),
    rows("n = LayerNormalization(h, g, b) a = Relu(n) k = MatMul(a, w) s = Add(h, k) z = LayerNormalization(s, g, b)",
         12, w=(12, 12), **GAIN),
    rows("r = Reshape(h, to) n = LayerNormalization(r, g, b) z = Reshape(n, back)", 3, 4, to=[0, 0, 3, 4],
         back=[0, 0, 12], g=(4,), b=(4,)),
]  # fmt: skip
CASES |= {
    operator: [
        rows(f"z = {operator}(h, g)", 12, opset=opset, g=GAIN["g"]),
        rows(f"z = {operator}<axis=-1, epsilon=0.1>(h, g)", 12, opset=opset, g=GAIN["g"]),
        rows(f"z = {operator}<axis=1>(h, g)", 12, opset=opset, g=(5, 12)),
        rows(f"{FIRST} z = {operator}(m, g)", 12, close=1, opset=opset, g=(5,)),
        rows(f"r = Reshape(h, to) n = {operator}(r, g) z = Reshape(n, back)", 3, 4, opset=opset, to=[0, 0, 3, 4],
             back=[0, 0, 12], g=(4,)),
    ]
    for operator, opset in [("RMSNormalization", 23), ("SimplifiedLayerNormalization", 17)]
}  # fmt: skip
CASES["SimplifiedLayerNormalization"] += [
    rows("z, i = SimplifiedLayerNormalization(h, g) n = Concat<axis=2>(i, i)", 12, ends="z n", g=GAIN["g"]),
]

# --- over channels of a sum

K = "k = MatMul(x, w)"
SKIP = {"g": GAIN["g"], "w": (3, 12), "d": (12,)}
for operator, more, bias in [
    ("SkipLayerNormalization", ", b", {"b": (12,)}),
    ("SkipSimplifiedLayerNormalization", "", {}),
]:
    node = f"com.microsoft.{operator}"
    CASES[operator] = [
        rows(f"{K} z = {node}(h, k, g{more})", 12, **SKIP, **bias),
        rows(f"{K} z = {node}(h, k, g{more}, d)", 12, **SKIP, **bias),
        rows(f"{K} z, , , s = {node}<epsilon=0.1>(h, k, g{more}, d)", 12, ends="z s", **SKIP, **bias),
        rows(f"z = {node}(h, k, g)", 12, g=GAIN["g"], k=(1, 5, 12)),
        rows(f"z, , , s = {node}(h, k, g)", 12, ends="z s", g=GAIN["g"], k=(5, 12)),
        rows(f"{K} {FIRST} n = Transpose<perm=[0,2,1]>(k) z = {node}(m, n, g)", 12, close=1, g=(5,), w=(3, 12)),
    ]  # fmt: skip

# --- over channels that tables hold

LOOK = {"x": "float[2,5,3] x, int32[2,5] i, int32[2,5] j", "e": (7, 12), "p": (9, 12), "t": (2, 12), **GAIN}
CASES["EmbedLayerNormalization"] = [
    rows("n, l = com.microsoft.EmbedLayerNormalization(i, , e, p, , g, b) z = Add(h, n)", 12, **LOOK),
    rows("n, l = com.microsoft.EmbedLayerNormalization<epsilon=0.1>(i, j, e, p, t, g, b, o) z = Add(h, n)", 12,
         o=np.ones((2, 5), np.int32), **LOOK),
    rows("n, l, s = com.microsoft.EmbedLayerNormalization(i, j, e, p, t, g, b, , o) z = Add(h, s) y = Mul(h, n)", 12,
         ends="z y", o=np.array([[0, 1, 2, 3, 4], [8, 1, 0, 3, 3]], np.int32), **LOOK),
]  # fmt: skip
