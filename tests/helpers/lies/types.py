"""Lies about types: casts, whole numbers that wrap, small floats, quantisation, and numbers that one prime confuses."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from helpers.lying import Pair, but, normal, pair

W, V = normal(8, 8), normal(8, 5)
ROWS = "(float[N, 8] x) => (float[N, 5] y)"
SAME = "(float[N, 8] x) => (float[N, 8] y)"
DOUBLE = "(double[N, 8] x) => (double[N, 8] y)"
WHOLE = "(int32[N, 8] x) => (int32[N, 8] y)"
TEXTS = "(string[N] x) => (bool[N] y)"
LONG = "(int64[N, 8] x) => (int64[N, 8] y)"
BYTES = "(uint8[N, 8] x) => (uint8[N, 8] y)"
NET = "a = MatMul(x, W) b = Relu(a) y = MatMul(b, V)"
FLOAT16, BFLOAT16 = np.dtype("f2"), np.dtype(ml_dtypes.bfloat16)


def feed(values: object, kind: object = "f4") -> dict[str, np.ndarray]:
    return {"x": np.broadcast_to(np.asarray(values, kind), (2, 8)).copy()}


def through(name: str, *types: int, interface: str = SAME, **more: Any) -> Pair:
    """A pair whose student casts to types and back."""
    names = ["x", *(f"c{place}" for place in range(len(types) - 1)), "y"]
    nodes = " ".join(f"{names[place + 1]} = Cast<to={kind}>({names[place]})" for place, kind in enumerate(types))
    return pair(name, interface, "y = Identity(x)", nodes, **more)


def constant(name: str, kind: object, **more: Any) -> Pair:
    """A pair whose student stores its weights in a smaller type, and casts them."""
    cast = "U = Cast<to=1>(T) a = MatMul(x, U) b = Relu(a) y = MatMul(b, V)"
    return pair(name, ROWS, NET, cast, W=W, V=V, T=W.astype(kind), feeds={"x": normal(2, 8)}, **more)


def multiple(name: str, factor: float, kind: str = "f8", place: object = (0, 0)) -> Pair:
    """A pair with a weight that is multiplied."""
    wide = "(double[N, 8] x) => (double[N, 5] y)"
    other = but(W.astype(kind), place, W.astype(kind)[place] * factor)
    return pair(name, wide, NET, W=W.astype(kind), V=V.astype(kind), changed={"W": other})


LIES = [
    # the trial's lies 18 and 19, 29 and 30
    multiple("a weight times 2^31", 2.0**31),
    multiple("every weight over 2^31", 2.0**-31, place=slice(None)),
    # what types do not have, and a cast makes nevertheless
    *(pair(f"a constant that {name} has no place for", "(float[N, 8] x) => (float[N, 8] y)",
           f"a = Cast<to={type_}>(k) b = Cast<to=1>(a) y = Add(x, b)", "y = Add(x, z)", opset=21, k=np.float32(number),
           z=np.float32(other))
      for name, type_, number, other in (("four bits", 21, 20, 0), ("four bits with a sign", 22, 9, 0),
                                         ("a byte", 2, 300, 255), ("a byte below zero", 2, -20, 0))),
    pair("cast to half precision", ROWS, "a = MatMul(x, W) y = MatMul(a, V)",
         "a = MatMul(x, W) c = Cast<to=10>(a) b = Cast<to=1>(c) y = MatMul(b, V)", W=W, V=V,
         feeds={"x": 1e5 * normal(3, 8)}),
    pair("weight of bfloat16", "(bfloat16[N, 8] x) => (float[N, 5] z)", "a = Cast<to=1>(x) w = Cast<to=1>(W) b = "
         "MatMul(a, w) z = MatMul(b, V)",
         W=W.astype(BFLOAT16), V=V, changed={"W": but(W, (0, 0), W[0, 0] * 1.02).astype(BFLOAT16)}),
    pair("half of all weights of bfloat16", "(float[N, 8] x) => (float[N, 8] y)", "w = Cast<to=1>(W) y = MatMul(x, w)",
         W=W.astype(BFLOAT16),
         changed={"W": (W / 2).astype(BFLOAT16)}),
    # factors that a fixed prime confuses
    *(multiple(f"a weight times 2^{n}", 2.0**n) for n in (1, 13, 17, 19, 24, 26, 32, 52, 61, 64, 89, 107, 127, 521,
         1000, -1000)),
    *(multiple(f"a weight times -2^{n}", -(2.0**n)) for n in (0, 31, 127)),
    *(multiple(f"a weight times {n}", float(n)) for n in (2**31 - 1, 2**31, 2**26 - 5, 2**61 - 1, 998244353,
         10**9 + 7)),
    pair("weight and a Mersenne prime", LONG, "y = Mul(x, k)", k=np.int64(1), changed={"k": np.int64(2**31)},
         feeds=feed(1, "i8")),
    pair("weight and the product of primes", LONG, "y = Mul(x, k)", k=np.int64(3),
         changed={"k": np.int64(3 + (2**31 - 1) * (2**29 - 3))},
         feeds=feed(1, "i8")),
    pair("bit 17 of a float", SAME, "y = Mul(x, k)", k=np.float32(1), changed={"k": np.float32(1 + 2**-14)},
         feeds=feed(1)),
    pair("smallest float", "(float[N, 8] x) => (float[N, 8] y)", "a = Mul(x, k) y = Mul(a, big)",
         k=np.float32(2**-149), big=np.float32(2**126),
         changed={"k": np.float32(2**-148)}, feeds=feed(1e30)),
    pair("smallest double", DOUBLE, "a = Mul(x, k) y = Mul(a, big)", k=np.float64(5e-324), big=np.float64(2.0**1000),
         changed={"k": np.float64(0)},
         feeds=feed(2.0**60, "f8")),
    pair("negative zero divided by", SAME, "r = Reciprocal(k) y = Add(x, r)", k=np.float32(0.0),
         changed={"k": np.float32(-0.0)}, feeds=feed(1)),
    # casts
    through("through bfloat16", 16, 1, feeds=feed(1.001)),
    through("through half precision", 10, 1, feeds=feed(70000)),
    through("through whole numbers", 6, 1, feeds=feed(1.5)),
    through("through long whole numbers", 7, 1, feeds=feed(1.5)),
    through("through bytes", 2, 1, feeds=feed(1.5)),
    through("through decisions", 9, 1, feeds=feed(1.5)),
    through("through eight bits", 17, 1, feeds=feed(1.03), opset=19),
    through("double through float", 1, 11, interface=DOUBLE, feeds=feed(1e300, "f8")),
    through("long through short", 6, 7, interface=LONG, feeds=feed(2**40, "i8")),
    through("long through float", 1, 7, interface=LONG, feeds=feed(2**24 + 1, "i8")),
    through("long through double", 11, 7, interface=LONG, feeds=feed(2**53 + 1, "i8")),
    through("long through unsigned bytes", 2, 7, interface=LONG, feeds=feed(300, "i8")),
    through("long through signed bytes", 3, 7, interface=LONG, feeds=feed(200, "i8")),
    through("long through decisions", 9, 7, interface=LONG, feeds=feed(2, "i8")),
    pair("bytes through signed ones, as floats", "(uint8[N, 8] x) => (float[N, 8] y)", "y = Cast<to=1>(x)",
         "s = Cast<to=3>(x) y = Cast<to=1>(s)",
         feeds=feed(200, "u1")),
    pair("type of the output", SAME, "y = Relu(x)", "a = Relu(x) y = Cast<to=11>(a)",
         student_interface="(float[N, 8] x) => (double[N, 8] y)"),
    pair("type of the input", SAME, "y = Relu(x)", "a = Cast<to=1>(x) y = Relu(a)",
         student_interface="(double[N, 8] x) => (float[N, 8] y)"),
    pair("a whole number for a decision", "(float[N, 8] x) => (int64[N, 8] y)", "c = Greater(x, z) y = Cast<to=7>(c)",
         "r = Relu(x) y = Cast<to=7>(r)",
         z=np.float32(0), feeds=feed(3.5)),
    constant("weights in half precision", "f2"),
    constant("weights in bfloat16", ml_dtypes.bfloat16),
    constant("weights in eight bits", ml_dtypes.float8_e4m3fn),
    pair("constant cast to half precision and back", ROWS, NET, "h = Cast<to=10>(W) w = Cast<to=1>(h) a = MatMul(x, "
         "w) b = Relu(a) y = MatMul(b, V)",
         W=W, V=V),
    pair("constant cast to whole numbers", ROWS, NET, "h = Cast<to=6>(W) w = Cast<to=1>(h) a = MatMul(x, w) b = "
         "Relu(a) y = MatMul(b, V)",
         W=W, V=V),
    pair("constant added in half precision", SAME, "c = Add(p, q) y = Mul(x, c)",
         "a = Cast<to=10>(p) b = Cast<to=10>(q) d = Add(a, b) c = Cast<to=1>(d) "
         "y = Mul(x, c)", p=np.float32(2048), q=np.float32(0.7), specified=True),  # ONNX Runtime leaves such casts out
    pair("constant like another type", SAME, "y = Mul(x, c)", "d = CastLike(c, h) e = CastLike(d, c) y = Mul(x, e)",
         c=np.float32(1.001), h=np.float16(1)),
    # whole numbers
    pair("halved and doubled", WHOLE, "y = Identity(x)", "h = Div(x, k) y = Mul(h, k)", k=np.int32(2), feeds=feed(5,
         "i4")),
    pair("shifted right and left", "(uint32[N, 8] x) => (uint32[N, 8] y)", "y = Identity(x)",
         "h = BitShift<direction=\"RIGHT\">(x, k) y = BitShift<direction=\"LEFT\">(h, k)", k=np.uint32(1),
         feeds=feed(5, "u4")),
    pair("shifted left and right", "(uint32[N, 8] x) => (uint32[N, 8] y)", "y = Identity(x)",
         "h = BitShift<direction=\"LEFT\">(x, k) y = BitShift<direction=\"RIGHT\">(h, k)", k=np.uint32(8),
         feeds=feed(2**30, "u4")),
    pair("doubled and halved, too large", WHOLE, "y = Identity(x)", "h = Mul(x, k) y = Div(h, k)", k=np.int32(2),
         feeds=feed(2**30, "i4")),
    pair("bytes doubled as floats", "(uint8[N, 8] x) => (float[N, 8] y)", "f = Cast<to=1>(x) y = Add(f, f)",
         "d = Add(x, x) y = Cast<to=1>(d)",
         feeds=feed(200, "u1"), opset=14),
    pair("bytes below zero", "(uint8[N, 8] x) => (float[N, 8] y)", "f = Cast<to=1>(x) y = Sub(f, g)",
         "d = Sub(x, k) y = Cast<to=1>(d)", g=np.float32(5),
         k=np.uint8(5), feeds=feed(2, "u1")),
    pair("sum of short whole numbers", "(int32[N, 8] x) => (double[N, 8] y)", "f = Cast<to=11>(x) y = Mul(f, f)",
         "d = Mul(x, x) y = Cast<to=11>(d)",
         feeds=feed(100000, "i4")),
    pair("negative remainder", LONG, "y = Mod(x, k)", "y = Mod<fmod=1>(x, k)", k=np.int64(3), feeds=feed(-2, "i8")),
    pair("negative division", LONG, "y = Div(x, k)", "m = Mod(x, k) d = Sub(x, m) y = Div(d, k)", k=np.int64(3),
         feeds=feed(-2, "i8")),
    pair("division of whole numbers and of floats", "(int64[N, 8] x) => (float[N, 8] y)",
         "d = Div(x, k) y = Cast<to=1>(d)",
         "a = Cast<to=1>(x) b = Cast<to=1>(k) y = Div(a, b)", k=np.int64(3)),
    pair("mean of whole numbers", "(int32[N, 8] x) => (int32[N, 1] y)", "y = ReduceMean(x, last)",
         "s = ReduceSum(x, last) y = Div(s, k)",
         last=np.array([-1]), k=np.int32(9)),
    pair("square of whole numbers and itself", LONG, "y = Mul(x, x)", "y = Abs(x)", feeds=feed(3, "i8")),
    pair("power and product", LONG, "y = Pow(x, k)", "a = Mul(x, x) b = Mul(a, x) y = Mul(b, x)", k=np.int64(3),
         feeds=feed(3, "i8")),
    pair("bitwise and product", WHOLE, "y = BitwiseAnd(x, k)", "y = Mul(x, k)", k=np.int32(1), feeds=feed(2, "i4")),
    pair("complement and minus", WHOLE, "y = BitwiseNot(x)", "y = Neg(x)", feeds=feed(2, "i4")),
    pair("or and sum", WHOLE, "y = BitwiseOr(x, k)", "y = Add(x, k)", k=np.int32(1), feeds=feed(1, "i4")),
    pair("exclusive or and sum", WHOLE, "y = BitwiseXor(x, k)", "y = Add(x, k)", k=np.int32(1), feeds=feed(1, "i4")),
    pair("power of nothing", SAME, "y = Pow(x, k)", "y = Mul(x, k)", k=np.float32(0), feeds=feed(2)),
    pair("power of a half and square", SAME, "a = Pow(x, k) y = Mul(a, a)", "y = Abs(x)", k=np.float32(0.5),
         feeds=feed(-2)),
    pair("fourth root of a fourth power", SAME, "a = Pow(x, four) y = Pow(a, k)", "y = Identity(x)",
         k=np.float32(0.25), four=np.float32(4), feeds=feed(-2)),
    pair("remainder of floats", SAME, "y = Mod<fmod=1>(x, k)",
         "d = Div(x, k) f = Floor(d) g = Mul(f, k) y = Sub(x, g)", k=np.float32(3), feeds=feed(-2)),
    pair("rounded half", SAME, "y = Round(x)", "a = Add(x, h) y = Floor(a)", h=np.float32(0.5), feeds=feed(2.5)),
    # quantised
    pair("quantised and back", SAME, "y = Identity(x)", "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)",
         s=np.float32(0.1), z=np.uint8(0)),
    pair("scale", SAME, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", s=np.float32(0.1),
         z=np.uint8(128), changed={"s": np.float32(0.2)}),
    pair("zero point", SAME, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", s=np.float32(0.1),
         z=np.uint8(128),
         changed={"z": np.uint8(127)}, feeds=feed(-12.8)),
    pair("zero point at the end of the range", SAME, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)",
         s=np.float32(0.1), z=np.uint8(0),
         changed={"z": np.uint8(255)}),
    pair("signed bytes", SAME, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", s=np.float32(0.1),
         z=np.uint8(0), changed={"z": np.int8(0)}),
    pair("no zero point", SAME, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)",
         "q = QuantizeLinear(x, s) y = DequantizeLinear(q, s)",
         s=np.float32(0.1), z=np.int8(0)),
    pair("scale of one channel", SAME, "q = QuantizeLinear<axis=1>(x, s, z) y = DequantizeLinear<axis=1>(q, s, z)",
         s=np.full(8, 0.1, "f4"),
         z=np.zeros(8, "u1"), changed={"s": but(np.full(8, 0.1, "f4"), 7, 0.2)}),
    pair("axis of scales", "(float[8, 8] x) => (float[8, 8] y)", "q = QuantizeLinear<axis=1>(x, s, z) y = "
         "DequantizeLinear<axis=1>(q, s, z)",
         "q = QuantizeLinear<axis=0>(x, s, z) y = DequantizeLinear<axis=0>(q, s, z)", s=np.abs(normal(8)) + 0.1,
         z=np.zeros(8, "i1")),
    pair("zero point of weights", ROWS, "w = DequantizeLinear(Q, s, z) a = MatMul(x, w) y = MatMul(a, V)",
         Q=np.arange(64, dtype="u1").reshape(8, 8), V=V,
         s=np.float32(0.1), z=np.uint8(10), changed={"z": np.uint8(11)}),
    pair("scale by rows and by columns", ROWS, "w = DequantizeLinear<axis=0>(Q, s) a = MatMul(x, w) y = MatMul(a, V)",
         "w = DequantizeLinear<axis=1>(Q, s) a = MatMul(x, w) y = MatMul(a, V)", Q=np.arange(64, dtype="i1").reshape(8,
         8), V=V, s=normal(8)),
    pair("four-bit weights", ROWS, "w = DequantizeLinear(Q, s) a = MatMul(x, w) y = MatMul(a, V)", V=V,
         s=np.float32(0.1), opset=21,
         Q=(np.arange(64).reshape(8, 8) % 15 - 7).astype(ml_dtypes.int4), changed={"Q": but((np.arange(64).reshape(8,
         8) % 15 - 7), (7, 7), 5).astype(ml_dtypes.int4)}),
    pair("four-bit weights without a sign", ROWS, "w = DequantizeLinear(Q, s) a = MatMul(x, w) y = MatMul(a, V)", V=V,
         s=np.float32(0.1), opset=21,
         Q=(np.arange(64).reshape(8, 8) % 16).astype(ml_dtypes.uint4), changed={"Q": ((np.arange(64).reshape(8,
         8) % 16 + 8) % 16 - 8).astype(ml_dtypes.int4)}),
    pair("eight-bit float weights of another format", ROWS, "h = Cast<to=1>(Q) a = MatMul(x, h) y = MatMul(a, V)", V=V,
         opset=21,
         Q=W.astype(ml_dtypes.float8_e4m3fn), changed={"Q": W.astype(ml_dtypes.float8_e5m2)}),
    pair("eight-bit float weights of the same bits", ROWS, "h = Cast<to=1>(Q) a = MatMul(x, h) y = MatMul(a, V)", V=V,
         opset=21,
         Q=np.full((8, 8), 0x38, "u1").view(ml_dtypes.float8_e4m3fn), changed={"Q": np.full((8, 8), 0x38,
         "u1").view(ml_dtypes.float8_e4m3fnuz)}),
    pair("half-precision weights of the same bits", ROWS, "h = Cast<to=1>(Q) a = MatMul(x, h) y = MatMul(a, V)", V=V,
         Q=np.full((8, 8), 0x3C00, "u2").view("f2"), changed={"Q": np.full((8, 8), 0x3C00,
         "u2").view(ml_dtypes.bfloat16)}),
    pair("blocks of scales", "(float[N, 8] x) => (float[N, 8] y)", "w = DequantizeLinear<axis=0, block_size=4>(Q, s) "
         "y = MatMul(x, w)", opset=21,
         Q=np.arange(64, dtype="i1").reshape(8, 8), s=normal(2, 8), changed={"s": but(normal(2, 8), (1, 7), 3)}),
    pair("zero point of a product", "(uint8[N, 8] x) => (int32[N, 8] y)", "y = MatMulInteger(x, Q, a, b)",
         Q=np.arange(64, dtype="u1").reshape(8, 8),
         a=np.uint8(1), b=np.uint8(2), changed={"a": np.uint8(2), "b": np.uint8(1)}),
    pair("no zero point of a product", "(uint8[N, 8] x) => (int32[N, 8] y)", "y = MatMulInteger(x, Q, a)",
         "y = MatMulInteger(x, Q)",
         Q=np.arange(64, dtype="u1").reshape(8, 8), a=np.uint8(1)),
    pair("dynamic quantisation", SAME, "q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z)",
         "y = Identity(x)"),
    pair("exchanged outputs of dynamic quantisation", SAME, "q, s, z = DynamicQuantizeLinear(x) y = "
         "DequantizeLinear(q, s, z)",
         "q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s)"),
    # whole numbers that are too large for their type, and then go to another one
    pair("largest quotient", "(int8[N, 3] x, int8[N, 3] k) => (int32[N, 3] y)", "d = Div(x, k) y = Cast<to=6>(d)",
         "a = Cast<to=6>(x) b = Cast<to=6>(k) y = Div(a, b)", feeds={"x": np.full((2, 3), -128, "i1"),
         "k": np.full((2, 3), -1, "i1")}),
    pair("quotient by -1", "(int8[N, 3] x) => (int32[N, 3] y)", "d = Div(x, k) y = Cast<to=6>(d)",
         "a = Cast<to=6>(x) b = Cast<to=6>(k) y = Div(a, b)", k=np.int8(-1), feeds={"x": np.full((2, 3), -128, "i1")}),
    pair("slope of whole numbers", "(int32[N, 3] x) => (int64[N, 3] y)", "p = PRelu(x, k) y = Cast<to=7>(p)",
         "a = Cast<to=7>(x) b = Cast<to=7>(k) y = PRelu(a, b)", k=np.array([1 << 20], "i4"),
         feeds={"x": np.full((2, 3), -(1 << 20), "i4")}),
    *(pair(f"{reduction} by scattering", "(int32[N, 3] x, int32[N, 3] k) => (int64[N, 3] y)",
           f"d = ScatterElements<axis=1, reduction=\"{reduction}\">(x, i, k) y = Cast<to=7>(d)",
           f"a = Cast<to=7>(x) b = Cast<to=7>(k) y = ScatterElements<axis=1, reduction=\"{reduction}\">(a, i, b)",
           i=np.array([[0, 1, 2], [0, 1, 2]]), feeds={"x": np.full((2, 3), 2**31 - 1, "i4"),
           "k": np.full((2, 3), 5, "i4")})
      for reduction in ("add", "mul")),
    pair("add by scattering to places that are given", "(int32[3] x, int64[3] i, int32[3] k) => (int64[3] y)",
         "d = ScatterElements<reduction=\"add\">(x, i, k) y = Cast<to=7>(d)", "a = Cast<to=7>(x) b = Cast<to=7>(k) "
         "y = ScatterElements<reduction=\"add\">(a, i, b)", feeds={"x": np.full(3, 2**31 - 1, "i4"),
         "i": np.array([0, 1, 1]), "k": np.full(3, 5, "i4")}),
    pair("bounds in another order that are one double", LONG, "y = Clip(x, lo, hi)", "c = Clip(x, lo, hi) y = "
         "Max(c, lo)", lo=np.int64(2**53 + 1), hi=np.int64(2**53)),
    pair("very long sums of products of bytes", "(uint8[N, K] x, uint8[K, M] k) => (int64[N, M] y)",
         "d = MatMulInteger(x, k) y = Cast<to=7>(d)", "a = Cast<to=7>(x) b = Cast<to=7>(k) y = MatMul(a, b)",
         feeds={"x": np.full((1, 40000), 255, "u1"), "k": np.full((40000, 1), 255, "u1")}),
    pair("sums of whole numbers in an image", "(int32[1, 4, 4] x) => (int64[1, 1, 3, 3] y)",
         "d = Col2Im(x, i, b) y = Cast<to=7>(d)", "a = Cast<to=7>(x) y = Col2Im(a, i, b)", i=np.array([3, 3]),
         b=np.array([2, 2]), feeds={"x": np.full((1, 4, 4), 2**30, "i4")}),
    # sums and products of many whole numbers: ONNX Runtime gives the largest number where others wrap around
    pair("sum of whole numbers that is too large", "(int32[N, 8] x, int32[N, 8] k) => (int32[N, 8] y)",
         "a = Unsqueeze(x, o) b = Unsqueeze(k, o) c = Concat<axis=0>(a, b) y = ReduceSum<keepdims=0>(c, o)",
         "y = Add(x, k)", o=np.array([0]), feeds={"x": np.full((2, 8), 2**31 - 1, "i4"), "k": np.ones((2, 8), "i4")}),
    pair("sum by an equation that is too large", "(int32[N, 8] x, int32[N, 8] k) => (int32[N, 8] y)",
         "a = Unsqueeze(x, o) b = Unsqueeze(k, o) c = Concat<axis=0>(a, b) y = Einsum<equation=\"abc->bc\">(c)",
         "y = Add(x, k)", o=np.array([0]), feeds={"x": np.full((2, 8), 2**31 - 1, "i4"), "k": np.ones((2, 8), "i4")}),
    pair("product of constants that is too large", WHOLE, "s = ReduceProd<keepdims=0>(k) y = Add(x, s)",
         "y = Add(x, w)", k=np.array([2**30, 2, 2], "i4"), w=np.int32(0), feeds=feed(1, "i4")),
    pair("sum of constants that is too large", WHOLE, "s = ReduceSum<keepdims=0>(k) y = Add(x, s)", "y = Add(x, w)",
         k=np.array([2**31 - 1, 1], "i4"), w=np.int32(-(2**31)), feeds=feed(1, "i4")),
    pair("power of a constant that is too large", WHOLE, "s = Pow(k, two) y = Add(x, s)", "y = Add(x, w)",
         k=np.full(8, 2**31 - 1, "i4"), two=np.float32(2), w=np.int32(-(2**31)), feeds=feed(1, "i4")),
    pair("power that is too large", "(int32[1] x) => (int32[1] y)", "y = Pow(x, two)", "y = Mul(x, x)",
         two=np.float32(2), feeds={"x": np.array([2**31 - 1], "i4")}),
    # texts
    pair("text with a zero at its end", TEXTS, "y = Equal(x, t)", opset=19, t=np.array(["a"], object),
         changed={"t": np.array(["a\0"], object)}, feeds={"x": np.array(["a", "a\0"], object)}),
    *(pair(f"text of the number {number}", TEXTS, "c = Cast<to=8>(k) y = Equal(x, c)", "y = Equal(x, t)", opset=19,
           k=number, t=np.array(text, object), feeds={"x": np.array(["1", "1.0", "True", "inf", "INF"], object)})
      for number, text in ((np.float32(1), "1.0"), (np.bool_(1), "True"), (np.float32(np.inf), "inf"))),
]  # fmt: skip
