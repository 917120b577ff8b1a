"""Probes of quantised operators: whole numbers in between, floating-point ones before and after."""

import numpy as np

from helpers.probes.case import TWIN, Case, case, flat, rows

RNG = np.random.default_rng(0)


def whole(*shape: int, dtype: type = np.int8, low: int = -63, high: int = 64) -> np.ndarray:
    """Draw weights of 7 bits: of 8, processors without 8-bit products add pairs that saturate, each pairing others."""
    return RNG.integers(low, high, shape).astype(dtype)


def scales(*shape: int) -> np.ndarray:
    return RNG.uniform(0.002, 0.02, shape).astype(np.float32)


S, U = {"s": 0.02, "zero": np.uint8(120)}, {"u": 0.1, "one": np.uint8(110)}  # of what goes in, and what comes out
Q = "a = QuantizeLinear(h, s, zero)"
DQ = "z = DequantizeLinear(b, u, one)"
ACROSS = {"s": scales(12), "zero": whole(12, dtype=np.uint8, low=100, high=140)}

CASES: dict[str, list[Case]] = {}

CASES["QuantizeLinear"] = CASES["DequantizeLinear"] = [
    case(f"{Q} z = DequantizeLinear(a, s, zero)", 12, opset=opset, **S) for opset in (10, 13, 19, 21, 23)
] + [
    case("a = QuantizeLinear(h, s) z = DequantizeLinear(a, s)", 12, s=0.02),
    case(f"{Q} z = DequantizeLinear(a, s, zero)", 12, opset=13, **ACROSS),
    rows("a = QuantizeLinear<axis=-1>(h, s, zero) z = DequantizeLinear<axis=2>(a, s, zero)", 12, opset=19, **ACROSS),
    case("a = QuantizeLinear(h, s, zero) z = DequantizeLinear(a, s, zero)", 12, s=scales(1), zero=whole(1)),
    case("a = com.microsoft.QuantizeLinear(h, s, zero) z = com.microsoft.DequantizeLinear(a, s, zero)", 12, **S),
    flat("a = QuantizeLinear<axis=1, block_size=4>(h, s) z = DequantizeLinear<axis=1, block_size=4>(a, s)", 3,
         opset=21, s=scales(4, 3)),
    flat("a = QuantizeLinear<axis=1, block_size=5>(h, s) z = DequantizeLinear<axis=1, block_size=5>(a, s)",
         opset=21, s=scales(4, 3)),
    flat("a = QuantizeLinear<axis=0, block_size=2>(h, s) z = DequantizeLinear<axis=0, block_size=2>(a, s)", 12,
         opset=21, s=scales(2, 12)),
]  # fmt: skip
CASES["DequantizeLinear"] = [*CASES["DequantizeLinear"]]
CASES["DequantizeLinear"] += [  # weights
    rows("v = DequantizeLinear(w, s, o) z = MatMul(h, v)", 8, 12, w=whole(12, 8), s=scales(8), o=whole(8)),
    rows("v = DequantizeLinear<axis=0>(w, s) z = MatMul(h, v)", 8, 12, w=whole(12, 8), s=scales(12)),
    rows("v = DequantizeLinear(w, s, o) z = MatMul(h, v)", 8, 12, w=whole(12, 8), s=0.01, o=np.int8(3)),
    rows("v = DequantizeLinear(w, s) t = Transpose(v) z = MatMul(h, t)", 8, 12, w=whole(8, 12), s=0.01),
    rows("t = Transpose(w) v = DequantizeLinear(t, s) z = MatMul(h, v)", 8, 12, w=whole(8, 12), s=0.01),
    rows("v = DequantizeLinear(w, s) a = MatMul(h, v) b = Relu(a) z = MatMul(b, v)", 12, w=whole(12, 12), s=0.01),
    rows("v = DequantizeLinear<axis=0, block_size=4>(w, s, o) z = MatMul(h, v)", 3, 8, opset=21, w=whole(12, 8),
         s=scales(3, 8), o=whole(3, 8)),
    rows("e = Gather(w, i) v = DequantizeLinear(e, s) z = Add(h, v)", 12, w=whole(7, 12), s=0.01, i=[3, 1, 1, 6, 0]),
    case("v = DequantizeLinear<axis=0>(w, s, o) c = DequantizeLinear<axis=0>(b, t) z = Conv(h, v, c)", 8, 12,
         w=whole(8, 12, 3, 3), s=scales(8), o=whole(8), b=whole(8, dtype=np.int32, low=-999, high=999), t=scales(8)),
    case("v = DequantizeLinear<axis=0>(w, s) z = Conv<group=12>(h, v)", 12, w=whole(12, 1, 3, 3), s=scales(12)),
]  # fmt: skip
CASES["DynamicQuantizeLinear"] = [
    rows("a, s, o = DynamicQuantizeLinear(h) z = DequantizeLinear(a, s, o)", 12),
    rows("a, s, o = DynamicQuantizeLinear(h) b = MatMulInteger(a, w, o, p) c = Cast<to=1>(b) m = Mul(s, t) "
         "z = Mul(c, m)", 8, 12, w=whole(12, 8), p=np.int8(3), t=0.01),
]  # fmt: skip

# --- sums of whole numbers

CASES["QLinearConv"] = [
    case(f"{Q} b = QLinearConv{more}(a, s, zero, w, t, p, u, one{bias}) {DQ}", *groups, w=w, t=t, p=p, opset=opset, **S,
         **U, c=whole(8, dtype=np.int32, low=-500, high=500))
    for more, bias, groups, w, t, p, opset in [
        ("", "", (8, 12), whole(8, 12, 1, 1), 0.01, np.int8(0), 10),
        ("<pads=[1,1,1,1]>", ", c", (8, 12), whole(8, 12, 3, 3), scales(8), np.zeros(8, np.int8), 17),
        ("", ", c", (8, 12), whole(8, 12, 1, 1, dtype=np.uint8, low=0, high=255), 0.01, np.uint8(131), 17),
        ("<group=2>", ", c", (2, 4, 6), whole(8, 6, 1, 1), scales(8), np.zeros(8, np.int8), 17),
        ("<group=12>", "", (12,), whole(12, 1, 3, 3), 0.05, np.int8(0), 17),
    ]
] + [
    case("t = Transpose<perm=[0,2,3,1]>(h) a = QuantizeLinear(t, s, zero) b = com.microsoft.QLinearConv"
         f"<channels_last=1>(a, s, zero, w, t0, p, u, one) {DQ}", 8, 12, close=-1, w=whole(8, 12, 1, 1), t0=0.01,
         p=np.int8(0), **S, **U),
    case(f"{Q} b = com.microsoft.QLinearConv(a, s, zero, w, t, p, u, one) {DQ}", 8, 12, w=whole(8, 12, 1, 1), t=0.01,
         p=np.int8(0), **S, **U),
    case(f"{Q} b = QLinearConv(a, s, zero, w, t, p, s, zero) c = QLinearConv(b, s, zero, w, t, p, u, one) "
         "z = DequantizeLinear(c, u, one)", 12, w=whole(12, 12, 1, 1), t=0.01, p=np.int8(0), **S, **U),
]  # fmt: skip
CASES["ConvInteger"] = [
    case(f"{Q} b = ConvInteger(a, w, zero) c = Cast<to=1>(b) z = Mul(c, t)", 8, 12, t=0.001, w=whole(8, 12, 3, 3), **S),
    case(f"{Q} b = ConvInteger<group=2>(a, w, zero, p) z = Cast<to=1>(b)", 2, 4, 6, p=np.int8(2), w=whole(8, 6, 1, 1),
         **S),
]  # fmt: skip
CASES["MatMulInteger"] = [
    rows(f"{Q} b = MatMulInteger(a, w{more}) z = Cast<to=1>(b)", 8, 12, w=w, p=p, **S)
    for more, w, p in [
        ("", whole(12, 8), np.int8(0)),
        (", zero", whole(12, 8), np.int8(0)),
        (", zero, p", whole(12, 8), np.int8(7)),
        (", zero, p", whole(12, 8, dtype=np.uint8, low=0, high=255), whole(8, dtype=np.uint8, low=90, high=160)),
        (", , p", whole(12, 8), np.int8(-7)),
    ]
] + [
    rows(f"{Q} b = MatMulInteger(a, w, zero) c = Cast<to=1>(b) d = QuantizeLinear(c, t, zero) "
         "e = MatMulInteger(d, w, zero) z = Cast<to=1>(e)", 12, w=whole(12, 12), t=200.0, **S),
    rows(f"{Q} k = MatMul(x, v) b = Transpose<perm=[0,2,1]>(k) c = QuantizeLinear(b, s, zero) "
         "d = MatMulInteger(a, c, zero, zero) z = Cast<to=1>(d)", close=(), v=(3, 12), **S),
    rows("t = Transpose<perm=[0,2,1]>(h) a = QuantizeLinear(t, s, zero) b = MatMulInteger(w, a, p, zero) "
         "z = Cast<to=1>(b)", 6, 12, close=(1,), w=whole(6, 12, dtype=np.uint8, low=0, high=255),
         p=np.uint8(131), **S),
]  # fmt: skip
MATRIX = {"w": whole(12, 8), "t": 0.01, "p": np.int8(0)}
COLUMNS = {"w": whole(12, 8, dtype=np.uint8, low=0, high=255), "t": scales(8),
           "p": whole(8, dtype=np.uint8, low=90, high=160)}  # fmt: skip
CASES["QLinearMatMul"] = [
    rows(f"{Q} b = QLinearMatMul(a, s, zero, w, t, p, u, one) {DQ}", 8, 12, opset=opset, **weight, **S, **U)
    for opset, weight in [(10, MATRIX), (21, MATRIX), (17, COLUMNS)]
] + [
    rows(f"k = MatMul(x, v) t = Transpose<perm=[0,2,1]>(k) {Q} c = QuantizeLinear(t, s, zero) "
         f"b = QLinearMatMul(a, s, zero, c, s, zero, u, one) {DQ}", close=(), v=(3, 12), **S, **U),
]  # fmt: skip
CASES["MatMulIntegerToFloat"] = [
    rows(f"{Q} z = com.microsoft.MatMulIntegerToFloat(a, w, s, t, zero, p, c)", 8, 12, c=(8,), **weight, **S)
    for weight in (MATRIX, COLUMNS)
] + [rows(f"{Q} z = com.microsoft.MatMulIntegerToFloat(a, w, s, t)", 8, 12, **MATRIX, **S)]
CASES["DynamicQuantizeMatMul"] = [
    rows("z = com.microsoft.DynamicQuantizeMatMul(h, w, t, p, c)", 8, 12, c=(8,), **weight)
    for weight in (MATRIX, COLUMNS)
] + [rows("a = Relu(h) z = com.microsoft.DynamicQuantizeMatMul(a, w, t)", 8, 12, **MATRIX)]
CASES["QGemm"] = [
    flat(f"{Q} b = com.microsoft.QGemm(a, s, zero, w, t, p, , u, one) {DQ}", 8, 12, **MATRIX, **S, **U),
    flat(f"{Q} z = com.microsoft.QGemm<transB=1, alpha=0.5>(a, s, zero, w, t, p, c)", 8, 12, w=whole(8, 12),
         t=scales(8), p=np.zeros(8, np.int8), c=whole(8, dtype=np.int32, low=-500, high=500), **S),
    flat(f"{Q} z = com.microsoft.QGemm(a, s, zero, w, t, p)", 8, 12, **COLUMNS, **S),
]  # fmt: skip
LSTM = {
    "w": whole(1, 12, 32), "r": whole(1, 8, 32), "b": (1, 64), "t": scales(1), "p": np.zeros(1, np.int8),
    "v": scales(1), "q": np.array([3], np.int8),
}  # fmt: skip
CASES["DynamicQuantizeLSTM"] = [
    rows("y = com.microsoft.DynamicQuantizeLSTM<hidden_size=8>(h, w, r, b, , , , , t, p, v, q) z = Squeeze(y, one)", 8,
         12, one=[1], **LSTM),
    rows("o, z, c = com.microsoft.DynamicQuantizeLSTM<hidden_size=8>(h, w, r, b, , , , , t, p, v, q)", 8, 12, **LSTM),
]  # fmt: skip
CASES["QAttention"] = [
    rows(f"{Q} z = com.microsoft.QAttention<num_heads=2>(a, w, c, s, t, , zero, p)", 12, w=whole(12, 24), c=(24,),
         t=t, p=p, **S)
    for t, p in [(0.01, np.int8(0)), (scales(24), whole(24, low=-9, high=9))]
]  # fmt: skip

# --- elementwise and pooling

TWO = "l = Conv(x, w) k = QuantizeLinear(l, t, p)"
OTHER = {"t": 0.03, "p": np.uint8(100), **TWIN}
CASES |= {
    operator: [
        case(f"{Q} {TWO} b = com.microsoft.{operator}(a, s, zero, k, t, p, u, one) {DQ}", 12, **OTHER, **S, **U),
        case(f"{Q} b = com.microsoft.{operator}(a, s, zero, w, t, p, u, one) {DQ}", 12, **{**OTHER, "w": whole(
            12, 1, 1, dtype=np.uint8, low=0, high=255)}, **S, **U),
    ]
    for operator in ["QLinearAdd", "QLinearMul"]
}  # fmt: skip
CASES |= {
    operator: [case(f"{Q} b = com.microsoft.{operator}(a, s, zero, v, zero) z = DequantizeLinear(b, v, zero)", 12,
                    v=0.01, **S)]
    for operator in ["QLinearSigmoid", "QLinearLeakyRelu"]
}  # fmt: skip
CASES["QLinearWhere"] = [
    case(f"{Q} {TWO} m = Greater(h, l) b = com.microsoft.QLinearWhere(m, a, s, zero, k, t, p, u, one) {DQ}", 12,
         **OTHER, **S, **U),
]  # fmt: skip
LAST = "t = Transpose<perm=[0,2,3,1]>(h) a = QuantizeLinear(t, s, zero)"
CASES["QLinearAveragePool"] = [
    case(f"{Q} b = com.microsoft.QLinearAveragePool<kernel_shape=[2,2]>(a, s, zero, u, one) {DQ}", 12, **S, **U),
    case(f"{LAST} b = com.microsoft.QLinearAveragePool<kernel_shape=[2,2], channels_last=1>(a, s, zero, u, one) {DQ}",
         12, close=-1, **S, **U),
]  # fmt: skip
CASES["QLinearGlobalAveragePool"] = [
    case(f"{Q} b = com.microsoft.QLinearGlobalAveragePool(a, s, zero, u, one) {DQ}", 12, **S, **U),
    case(f"{LAST} b = com.microsoft.QLinearGlobalAveragePool<channels_last=1>(a, s, zero, u, one) {DQ}", 12, close=-1,
         **S, **U),
    case("t = Transpose<perm=[0,2,1,3]>(h) a = QuantizeLinear(t, s, zero) "
         f"b = com.microsoft.QLinearGlobalAveragePool(a, s, zero, u, one) {DQ}", 12, close=(), **S, **U),
]  # fmt: skip
CASES["QLinearSoftmax"] = [
    case(f"{Q} b = com.microsoft.QLinearSoftmax<opset={opset}, axis={axis}>(a, s, zero, v, none) "
         "z = DequantizeLinear(b, v, none)", *groups, v=1 / 256, none=np.uint8(0), s=0.1, zero=np.uint8(120))
    for opset, axis, groups in [(13, -1, [12]), (13, 1, []), (11, 2, [12])]
]  # fmt: skip
CASES["QLinearConcat"] = [
    case(f"{Q} {TWO} b = com.microsoft.QLinearConcat<axis=1>(u, one, a, s, zero, k, t, p) {DQ}", 8, 12,
         **{**OTHER, "w": (8, 3, 1, 1)}, **S, **U),
    case(f"{Q} {TWO} b = com.microsoft.QLinearConcat<axis=-1>(u, one, a, s, zero, k, t, p) {DQ}", 12, **OTHER, **S,
         **U),
]  # fmt: skip

# --- packed weights

BYTES = {"dtype": np.uint8, "low": 0, "high": 255}
MANY = "g = MatMul(h, v)"  # blocks have 16 numbers or more
CASES["MatMulNBits"] = [
    rows(f"{MANY} z = com.microsoft.MatMulNBits<K=64, N=8, bits=4, block_size=16>(g, w, s{more})", *groups, v=(12, 64),
         w=whole(8, 4, 8, **BYTES), s=s, o=whole(16, **BYTES), c=(8,))
    for more, groups, s in [
        ("", (4, 8, 12), scales(32)),
        ("", (4, 8, 12), scales(8, 4)),
        (", o", (8, 12), scales(32)),
        (", , , c", (4, 8, 12), scales(32)),
    ]
]  # fmt: skip
CASES["MatMulBnb4"] = [
    rows("t = Transpose<perm=[0,2,1]>(h) z = com.microsoft.MatMulBnb4<K=5, N=8, block_size=16, quant_type=1>(t, w, s)",
         12, close=1, w=whole(20, **BYTES), s=scales(3)),
]  # fmt: skip
