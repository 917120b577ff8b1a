"""Lies about finiteness and overflow, and some about what comes together in real models: images, attention, names."""

from __future__ import annotations

import numpy as np

from helpers.lying import but, normal, pair

W, V = normal(8, 8), normal(8, 5)
SAME = "(float[N, 8] x) => (float[N, 8] y)"
HALF = "(float16[N, 8] x) => (float16[N, 8] y)"
TEXT = "(float[N, L, 8] x) => (float[N, L, 8] y)"


def scales(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


LIES = [
    # zero divisions and finiteness
    pair("nothing over nothing by Relus", SAME, "y = Identity(x)", "a = Relu(x) n = Neg(a) b = Relu(n) c = Div(b, b) "
         "y = Add(x, c)"),
    pair("nothing over nothing by two Relus", SAME, "y = Identity(x)", "a = Relu(x) b = Relu(a) d = Sub(a, b) c = "
         "Div(d, d) y = Add(x, c)"),
    pair("division by nothing behind a choice", SAME, "y = Relu(x)", "a = Relu(x) d = Sub(a, a) e = Div(a, d) c = "
         "Less(x, z) y0 = Where(c, e, e) y1 = Sub(y0, y0) y = Add(a, y1)", z=np.float32(0)),
    pair("a number over itself", SAME, "y = Add(x, one)", "d = Div(x, x) y = Add(x, d)", one=np.float32(1),
         feeds={"x":np.zeros((2, 8), "f4")}),
    pair("a square over its root", SAME, "y = Identity(x)", "a = Mul(x, x) y = Div(a, x)", feeds={"x":np.zeros((2, 8),
         "f4")}),
    pair("a Relu over itself", SAME, "a = Relu(x) y = Add(a, one)", "a = Relu(x) d = Div(a, a) y = Add(a, d)",
         one=np.float32(1)),
    pair("reciprocal of a softmax less itself", SAME, "y = Softmax(x)", "s = Softmax(x) z = Sub(s, s) r = "
         "Reciprocal(z) q = Mul(r, z) y = Add(s, q)"),
    pair("logarithm of an exponential", SAME, "y = Identity(x)", "e = Exp(x) y = Log(e)", feeds={"x":np.full((2, 8),
         200, "f4")}),
    pair("an exponential that overflows", SAME, "y = Relu(x)", "e = Exp(k) f = Sub(e, e) a = Relu(x) y = Add(a, f)",
         k=np.float32(1000)),
    pair("a constant that overflows by a product", SAME, "y = Relu(x)", "e = Mul(k, k) f = Sub(e, e) a = Relu(x) y = "
         "Add(a, f)", k=np.float32(3e38)),
    pair("a constant that overflows by a sum, in half precision", HALF, "y = Relu(x)",
         "e = ReduceSum(k, o) f = Sub(e, e) a = Relu(x) y = Add(a, f)", k=np.full(3, 3e4, "f2"), o=np.array([0]),
         specified=True),
    pair("a product that overflows in half precision", HALF, "y = Abs(x)", "a = Abs(x) e = Mul(a, k) f = Mul(e, k) "
         "g = Div(f, k) y = Div(g, k)", k=np.float16(1024), specified=True),
    pair("a constant that overflows by a cast", SAME, "y = Relu(x)", "e = Cast<to=10>(k) f = Cast<to=1>(e) "
         "g = Sub(f, f) a = Relu(x) y = Add(a, g)", k=np.float32(1e6)),
    pair("a constant's logarithm below nothing", SAME, "y = Relu(x)", "e = Log(k) f = Sub(e, e) a = Relu(x) y = "
         "Add(a, f)", k=np.float32(-1)),
    pair("a constant's root below nothing", SAME, "y = Relu(x)", "e = Sqrt(k) f = Sub(e, e) a = Relu(x) y = Add(a, f)",
         k=np.float32(-1)),
    pair("a constant outside of an angle", SAME, "y = Relu(x)", "e = Acos(k) f = Sub(e, e) a = Relu(x) y = Add(a, f)",
         k=np.float32(2)),
    pair("a constant's power outside of its domain", SAME, "y = Relu(x)", "e = Pow(k, h) f = Sub(e, e) a = Relu(x) y "
         "= Add(a, f)", k=np.float32(-2), h=np.float32(0.5)),
    pair("a constant at the end of a domain", SAME, "y = Relu(x)", "e = Atanh(k) f = Sub(e, e) a = Relu(x) y = Add(a, "
         "f)", k=np.float32(1)),
    pair("softmax of a row that is masked whole", SAME, "y = Relu(x)", "s = Softmax(k) f = Sub(s, s) a = Relu(x) y = "
         "Add(a, f)", k=np.full(8,-np.inf, "f4")),
    pair("norm of equal numbers", SAME, "y = Relu(x)", "s = LayerNormalization<epsilon=0.0>(k, g) f = Sub(s, s) a = "
         "Relu(x) y = Add(a, f)", k=np.ones(8, "f4"), g=np.ones(8, "f4")),
    pair("a channel without weight through a logarithm", SAME, "y = Relu(x)",
         "m = MatMul(x, w) l = Log(m) z = MatMul(l, v) a = Relu(x) y = Add(a, z)", w=normal(8, 2), v=np.zeros((2, 8),
         "f4")),
    pair("a channel without weight through a division", SAME, "y = Relu(x)",
         "m = MatMul(x, w) l = Div(one, m) z = MatMul(l, v) a = Relu(x) y = Add(a, z)", w=np.zeros((8, 2), "f4"),
         v=np.zeros((2, 8), "f4"), one=np.float32(1)),
    pair("norm of a negative variance", SAME, "y = Relu(x)", "b = BatchNormalization(x, g, g, g, v) d = Sub(b, b) a = "
         "Relu(x) y = Add(a, d)", g=np.ones(8, "f4"), v=np.full(8,-1, "f4")),
    # Mod/Div ints by zero etc
    pair("sign of a remainder", "(int64[N, 8] x)=>(int64[N, 8] y)", "y = Mod(x, k)", k=np.int64(3),
         changed={"k":np.int64(-3)}),
    # wrap kinds
    *(pair(f"{kind} multiplied and divided", f"({kind}[N, 8] x) => ({kind}[N, 8] y)", "y = Identity(x)",
         "a = Mul(x, k) y = Div(a, k)", k=np.array(3, dt), feeds={"x":np.full((2, 8), np.iinfo(dt).max, dt)})
      for kind, dt in (("int8", "i1"), ("int16", "i2"), ("uint16", "u2"), ("uint32", "u4"))),
    pair("minus the smallest byte", "(int8[N, 8] x)=>(float[N, 8] y)", "f = Cast<to=1>(x) y = Neg(f)",
         "n = Neg(x) y = Cast<to=1>(n)", feeds={"x":np.full((2, 8),-128, "i1")}),
    pair("absolute value of the smallest byte", "(int8[N, 8] x)=>(float[N, 8] y)", "f = Cast<to=1>(x) y = Abs(f)",
         "n = Abs(x) y = Cast<to=1>(n)", feeds={"x":np.full((2, 8),-128, "i1")}),
    pair("sum of bytes", "(uint8[N, 8] x)=>(float[N, 8] y)", "f = Cast<to=1>(x) y = Sum(f, f)",
         "n = Add(x, x) y = Cast<to=1>(n)", feeds={"x":np.full((2, 8), 200, "u1")}),
    pair("product of short whole numbers", "(int32[N, 8] x)=>(double[N, 5] y)",
         "f = Cast<to=11>(x) v = Cast<to=11>(V) y = MatMul(f, v)", "n = MatMul(x, V) y = Cast<to=11>(n)", V=np.full((8,
         5), 2**20, "i4"), feeds={"x":np.full((2, 8), 2**12, "i4")}),
    pair("sum of short whole numbers", "(int32[N, 8] x)=>(double[N, 1] y)", "f = Cast<to=11>(x) y = ReduceSum(f, ax)",
         "n = ReduceSum(x, ax) y = Cast<to=11>(n)", ax=np.array([1]), feeds={"x":np.full((2, 8), 2**30, "i4")}),
    pair("running sum of short whole numbers", "(int32[N, 8] x)=>(double[N, 8] y)",
         "f = Cast<to=11>(x) y = CumSum(f, ax)", "n = CumSum(x, ax) y = Cast<to=11>(n)", ax=np.int64(1),
         feeds={"x":np.full((2, 8), 2**30, "i4")}),
    pair("a long product of bytes", "(uint8[N, 40000] x) => (double[N, 1] y)",
         "f = Cast<to=11>(x) v = Cast<to=11>(V) y = MatMul(f, v)", "n = MatMulInteger(x, V) y = Cast<to=11>(n)",
         V=np.full((40000, 1), 255, "u1"), feeds={"x": np.full((2, 40000), 255, "u1")}),
    pair("bytes below nothing in a product", "(uint8[N, 8] x)=>(float[N, 8] y)",
         "f = Cast<to=1>(x) g = Cast<to=1>(Q) y = MatMul(f, g)", "h = Sub(x, z) i = MatMulInteger(h, Q) y = "
         "Cast<to=1>(i)", Q=np.eye(8, dtype="u1"), z=np.uint8(3), feeds={"x":np.full((2, 8), 2, "u1")}),
    # const int overflow
    pair("constants of short whole numbers", SAME, "c = Mul(a, b) f = Cast<to=1>(c) y = Mul(x, f)",
         "d = Cast<to=1>(a) e = Cast<to=1>(b) f = Mul(d, e) y = Mul(x, f)", a=np.int32(70000), b=np.int32(70000)),
    pair("constants of bytes", SAME, "c = Add(a, b) f = Cast<to=1>(c) y = Mul(x, f)",
         "d = Cast<to=1>(a) e = Cast<to=1>(b) f = Add(d, e) y = Mul(x, f)", a=np.uint8(200), b=np.uint8(100), opset=14),
    pair("division of constants", SAME, "c = Div(a, b) f = Cast<to=1>(c) y = Mul(x, f)",
         "d = Cast<to=1>(a) e = Cast<to=1>(b) f = Div(d, e) y = Mul(x, f)", a=np.int32(7), b=np.int32(2)),
    pair("sum of constants", SAME, "c = Add(a, b) y = Mul(x, c)", "d = Sub(b, b) c = Add(a, d) y = Mul(x, c)",
         a=np.float32(2), b=np.float32(1)),
    # resize
    *(pair(f"resize {n}", "(float[1, 1, H, W] x) => (float[1, 1, A, B] y)", t, s, opset=19, S=scales(1, 1, 1.5, 2.5),
         T=scales(1, 1, 0.6, 0.4), Z1=np.array([1, 1, 1, 1])) for n, t, s in (
      ("halves down and up", "y=Resize<nearest_mode=\"round_prefer_floor\">(x,,S)",
         "y=Resize<nearest_mode=\"round_prefer_ceil\">(x,,S)"),
      ("floor and ceiling", "y=Resize<nearest_mode=\"floor\">(x,,S)", "y=Resize<nearest_mode=\"ceil\">(x,,S)"),
      ("a size of one", "y=Resize<mode=\"linear\", coordinate_transformation_mode=\"half_pixel\">(x,,,Z1)",
         "y=Resize<mode=\"linear\", coordinate_transformation_mode=\"pytorch_half_pixel\">(x,,,Z1)"),
      ("symmetric halves", "y=Resize<mode=\"linear\", coordinate_transformation_mode=\"half_pixel\">(x,,S)",
         "y=Resize<mode=\"linear\", coordinate_transformation_mode=\"half_pixel_symmetric\">(x,,S)"),
      ("sizes for scales", "y=Resize<mode=\"linear\">(x,,S)", "y0=Resize<mode=\"linear\">(x,,S) s = Shape(y0) "
         "y=Resize<mode=\"linear\">(x,,,s)"),
      ("antialias", "y=Resize<mode=\"linear\", antialias=1>(x,,T)", "y=Resize<mode=\"linear\">(x,,T)"),
      ("outside", "y=Resize<mode=\"cubic\", exclude_outside=1>(x,,S)", "y=Resize<mode=\"cubic\">(x,,S)"),
      )),
    # names in subgraphs
    pair("name of a branch", "(float[N, 8] x, bool c) => (float[N, 8] y)", "a = Relu(x) y0 = If(c) <then_branch = t "
         "() => (float[N, 8] p) { p = Neg(a) }, else_branch = e () => (float[N, 8] q) { q = Abs(a) }> y = Add(y0, a)",
         "a = Relu(x) y0 = If(c) <then_branch = t () => (float[N, 8] p) { p = Neg(x) }, else_branch = e () => "
         "(float[N, 8] q) { q = Abs(a) }> y = Add(y0, a)"),
    # layernorm stash / simplified
    pair("norm of a multiple", "(float[N, 4, L] x) => (float[N, 4, L] y)", "y = InstanceNormalization(x, g, b)",
         "a = Mul(x, k) y = InstanceNormalization(a, g, b)", g=normal(4), b=normal(4), k=np.float32(5),
         feeds={"x":1e-3*normal(2, 4, 6)}),
    pair("one place of an attention's mask", "(float[1, 6, 8] x) => (float[1, 6, 8] y)",
         "y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x, m)", m=np.ones((6, 6), bool),
         changed={"m":but(np.ones((6, 6), bool), (0, 5), False)}, opset=23),
    pair("causal mask turned over", "(float[1, 6, 8] x) => (float[1, 6, 8] y)",
         "y = Attention<q_num_heads=2, kv_num_heads=2, is_causal=1>(x, x, x)",
         "y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x, m)", m=np.tri(6, dtype=bool).T.copy(), opset=23),
    pair("order of grouped heads", "(float[1, 6, 16] x, float[1, 6, 8] k) => (float[1, 6, 16] y)",
         "y = Attention<q_num_heads=4, kv_num_heads=2>(x, k, k)", "a = Reshape(k, s) b = Tile(a, r) c = Reshape(b, "
         "s2) y = Attention<q_num_heads=4, kv_num_heads=4>(x, c, c)", s=np.array([1, 6, 1, 8]), r=np.array([1, 1, 2,
         1]), s2=np.array([1, 6, 16]), opset=23),
    pair("scale of an attention", TEXT, "y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x)",
         "y = Attention<q_num_heads=2, kv_num_heads=2, scale=0.51>(x, x, x)", opset=23),
    pair("causal mask from the end", "(float[1, 2, 3, 4] q, float[1, 2, 5, 4] k) => (float[1, 2, 3, 4] y)",
         "y = Attention<is_causal=1>(q, k, k)", "y = Attention(q, k, k, m)", m=np.tri(3, 5, 2, dtype=bool), opset=23,
         feeds={"q":normal(1, 2, 3, 4), "k":normal(1, 2, 5, 4)}),
    pair("root of whole numbers that no double holds", "(float[N, 3] x, int64[N, 3] k) => (float[N, 3] y)",
         "y = Identity(x) z = Identity(k)", "s = Mul(k, k) a = Add(s, c) b = Sub(a, d) e = Cast<to=1>(b) r = Sqrt(e) "
         "o = Mul(r, n) y = Add(x, o)", c=np.int64(2**53 + 3), d=np.int64(2**53 + 4), n=np.float32(0),
         feeds={"x": normal(2, 3), "k": np.zeros((2, 3), np.int64)}),
    # what the teacher takes a function of in a branch that it does not always take
    *(pair(f"{operator} of a branch that is not taken", "(float[4] x, bool c) => (float[4] y)",
           f"y = If(c) <then_branch = a () => (float[4] t) {{ t = {operator}(x) }}, else_branch = b () => (float[4] u) "
           "{ u = Identity(x) }>", f"l = {operator}(x) z = Mul(l, n) y = If(c) <then_branch = a () => (float[4] t) "
           "{ t = Identity(l) }, else_branch = b () => (float[4] u) { u = Add(x, z) }>", n=np.float32(0),
           feeds={"x": np.zeros(4, "f4"), "c": np.array(False)})
      for operator in ("Log", "Reciprocal")),
    pair("root of a branch that is not taken, far from what is drawn", "(float[4] x, bool c) => (float[4] y)",
         "w = Add(x, k) y = If(c) <then_branch = a () => (float[4] t) { t = Sqrt(w) }, else_branch = b () => (float[4] "
         "u) { u = Identity(x) }>", "w = Add(x, k) l = Sqrt(w) z = Mul(l, n) y = If(c) <then_branch = a () => "
         "(float[4] t) { t = Identity(l) }, else_branch = b () => (float[4] u) { u = Add(x, z) }>", n=np.float32(0),
         k=np.float32(100), feeds={"x": np.full(4, -200, "f4"), "c": np.array(False)}),
    # what is taken only in a later trip
    pair("logarithm in the last trip of a loop", "(float[N, L] x) => (float[N, L] y)", "y = Relu(x)",
         "s = Shape<start=1, end=2>(x) l = Squeeze(s) z = Sub(l, l) e = Exp(x) w, t = Loop(m, , e, x) <body = f "
         "(int64 i, bool g, float[N, L] v, float[N, L] u) => (bool h, float[N, L] p, float[N, L] q) { h = Identity(g) "
         "j = Add(i, z) c = Equal(j, two) q = If(c) <then_branch = a () => (float[N, L] x0) { x0 = Log(v) }, "
         "else_branch = b () => (float[N, L] k) { k = Identity(u) }> p = Sub(v, d) }> o = Mul(t, n) r = Relu(x) "
         "y = Add(r, o)",
         m=np.int64(3), two=np.int64(2), d=np.float32(1e-4), n=np.float32(0), feeds={"x": np.full((1, 4), -20, "f4")}),
    # infinity less infinity, which is no number
    *(pair(name, "(float[N, 8] x) => (float[N, 8] y)", "y = Identity(x)",
           f"c = Greater(x, b) w = Where(c, i, n) {nodes}", b=np.float32(1e6), i=np.float32(far), n=np.float32(0),
           one=np.array([1]), u=np.int64(1), last=np.array([15]), feeds={"x": np.full((2, 8), 1e7, "f4")})
      for name, far, nodes in (
          ("infinity less itself", np.inf, "d = Sub(w, w) y = Add(x, d)"),
          ("minus infinity less itself", -np.inf, "d = Sub(w, w) y = Add(x, d)"),
          ("infinity and minus infinity", np.inf, "m = Neg(w) d = Add(w, m) y = Add(x, d)"),
          ("sum of infinity and minus infinity", np.inf,
           "m = Neg(w) j = Concat<axis=1>(w, m) d = ReduceSum(j, one) y = Add(x, d)"),
          ("running sum of infinity and minus infinity", np.inf, "m = Neg(w) j = Concat<axis=1>(w, m) "
           "s = CumSum(j, u) d = Gather<axis=1>(s, last) y = Add(x, d)"),
          ("error function of infinity less itself, times zero", np.inf,
           "d = Sub(w, w) e = Erf(d) m = Mul(e, n) y = Add(x, m)"),
          ("error function of infinity less itself", np.inf, "d = Sub(w, w) e = Erf(d) y = Add(x, e)"),
          ("exponential of infinity, times zero", np.inf, "e = Exp(w) d = Mul(e, n) y = Add(x, d)"),
      )),
]  # fmt: skip
