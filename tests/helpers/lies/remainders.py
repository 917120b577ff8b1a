"""Lies about shapes that agree at several sizes: quotients that are still zero, remainders that no run has."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.lying import Pair, normal, pair

ANY = "(float[N, L, 8] x) => (float[A, B, 8] y)"
LINE = "(float[N, 3, L] x) => (float[N, 4, M] y)"
POOLED = "(float[N, 3, L] x) => (float[N, 3, M] y)"
LENGTH = "s = Shape<start=1, end=2>(x) l = Squeeze(s) "
FAR = 2**40
CONSTANTS = {"first": np.array([0]), "one": np.array([1]), "two": np.array([2]), "far": np.array([FAR]),
         "o": np.int64(0), "u": np.int64(1),
             "half": np.float32(0.5), "true": np.bool_(True)}  # fmt: skip
LONG = {"x": normal(2, 220, 8)}


def whole(name: str, teacher: str, student: str = "y = Identity(x)", interface: str = ANY, **more: Any) -> Pair:
    return pair(name, interface, LENGTH + teacher, LENGTH + student, **{**CONSTANTS, "feeds": LONG, **more})


USES = {
    "padded": "w = Concat<axis=0>(first, d, first, first, first, first) y = Pad(x, w)",
    "cut": "y = Slice(x, d, far, one)",
    "cut at its end": "e = Sub(s, d) y = Slice(x, first, e, one)",
    "with a step": "e = Add(one, d) y = Slice(x, first, far, one, e)",
    "repeated": "e = Add(one, d) r = Concat<axis=0>(one, e, one) y = Tile(x, r)",
    "by a range": "g = Squeeze(d) q = Range(g, l, u) y = Gather<axis=1>(x, q)",
    "by a loop": "g = Squeeze(d) y = Loop(g, true, x) <body = b (int64 i, bool c, float[N, L, 8] v) => (bool e, "
         "float[N, L, 8] h) "
                 "{ e = Identity(c) h = Mul(v, half) }>",
    "by a split": "e = Sub(s, d) p = Concat<axis=0>(e, d) y, z = Split<axis=1>(x, p)",
    "by the largest": "e = Sub(s, d) y, z = TopK<axis=1>(x, e)",
    "shifted": "e = Sub(s, d) a = Slice(x, e, far, one) b = Slice(x, first, e, one) y = Concat<axis=1>(a, b)",
    "by a one-hot": "g = Squeeze(d) h0 = Range(o, l, u) h1 = Equal(h0, g) f = Cast<to=1>(h1) h2 = Unsqueeze(f, one) y "
         "= Mul(x, h2)",
}  # fmt: skip
QUOTIENTS = {
    "a twentieth": "d = Div(s, k)", "a sixteenth of its square": "q = Mul(s, s) k2 = Mul(k, k) d = Div(q, k2)",
    "what is above a hundred": "q = Sub(s, k5) d = Max(q, first)",  "a remainder": "m = Mod(s, k5) d = Sub(s, m)",
         "a clipped part": "q = Sub(s, k5) d = Clip(q, o)",
    "a decision": "c = Greater(s, k5) d = Cast<to=7>(c)", "a floor": "f = Cast<to=1>(s) g0 = Mul(f, tenth) d = "
         "Cast<to=7>(g0)", "a root": "f = Cast<to=1>(s) g0 = Sqrt(f) g1 = Mul(g0, tenth) d = Cast<to=7>(g1)",
    "a floor of a quotient": "f = Cast<to=1>(s) g0 = Div(f, hundred) g1 = Floor(g0) d = Cast<to=7>(g1)",
    "what is above, as a float": "f = Cast<to=1>(s) g0 = Sub(f, hundred) g1 = Relu(g0) d = Cast<to=7>(g1)",
    "a rounded quotient": "f = Cast<to=1>(s) g0 = Div(f, hundred) g1 = Round(g0) d = Cast<to=7>(g1)",
}  # fmt: skip


def identity(use: str) -> str:
    """The student that leaves the quotient out, with the same shapes."""
    return {"by the largest": "y, z = TopK<axis=1>(x, s)",
            "by a one-hot": "h0 = Range(o, l, u) h1 = Equal(h0, o) f = Cast<to=1>(h1) h2 = Unsqueeze(f, one) y = "
            "Mul(x, h2)"}.get(use, "y = Identity(x)")  # fmt: skip


LIES = [
    *(whole(f"{use} by {name}", f"{quotient} {USES[use]}", identity(use), k=np.array([20]), k5=np.array([100]),
         tenth=np.float32(0.01), hundred=np.float32(100), **({"feeds": {"x": normal(1, 10201,
         8)}} if name == "a root" else {}))
      for use in USES for name, quotient in QUOTIENTS.items() if use == "padded" or name in ("a twentieth", "a floor",
         "a decision")),
    *(pair(f"convolution with strides of {stride} and padding of {pad}", LINE,
         f"y = Conv<auto_pad=\"SAME_UPPER\", strides=[{stride}]>(x, K)",
           f"y = Conv<pads=[{pad}, {pad2}], strides=[{stride}]>(x, K)", K=normal(4, 3, size), feeds={"x": normal(1, 3,
           length)})
      for stride, size, pad, pad2, length in ((2, 3, 1, 1, 8), (2, 3, 0, 1, 7), (3, 3, 0, 1, 7), (3, 5, 1, 1, 8), (4,
         4, 0, 1, 5), (4, 4, 0, 2, 5), (5, 5, 1, 1, 6), (7, 7, 2, 2, 8),
                                              (11, 11, 4, 4, 12))),
    *(pair(f"pooling by {size} and padding of {pad}", POOLED, f"y = MaxPool<kernel_shape=[{size}], strides=[{size}], "
         f"ceil_mode=1>(x)",
           f"y = MaxPool<kernel_shape=[{size}], strides=[{size}], pads=[0, {pad}]>(x)", feeds={"x": normal(1, 3,
           size * 3 + 1)})
      for size, pad in ((3, 1), (4, 1), (4, 2), (5, 1), (5, 3), (7, 3), (11, 8))),
    *(whole(f"remainder of {k} that is three", "m = Mod(s, k) y = Slice(x, first, m, one)",
         "y = Slice(x, first, three, one)", k=np.array([k]), three=np.array([3]),
            feeds={"x": normal(1, 2 * k + 1, 8)}) for k in (7, 11, 12, 22)),
    whole("length of batch and one", "y = Slice(x, first, s, one)", "b = Shape<start=0, end=1>(x) c = Add(b, one) y = "
         "Slice(x, first, c, one)"),
    whole("padded to a multiple", "m = Mod(s, k) n = Sub(k, m) d = Mod(n, k) w = Concat<axis=0>(first, first, first, "
         "first, d, first) y = Pad(x, w)",
          "n = Sub(k, s) w = Concat<axis=0>(first, first, first, first, n, first) y = Pad(x, w)", k=np.array([16])),
    whole("what is behind a hundred", "a = Slice(x, k, far, one) b = Neg(a) y = Concat<axis=1>(x, b)",
         k=np.array([100])),
    whole("places behind a hundred", "q = Range(o, l, u) c = Greater(q, k) f = Cast<to=1>(c) g = Unsqueeze(f, one) y "
         "= Add(x, g)", k=np.int64(100)),
    whole("places behind a hundred, left out", "q = Range(o, l, u) c = LessOrEqual(q, k) y = Compress<axis=1>(x, c)",
         k=np.int64(100)),
    whole("places behind a hundred, by what is not zero", "q = Range(o, l, u) c = LessOrEqual(q, k) n = NonZero(c) i "
         "= Squeeze(n, first) y = Gather<axis=1>(x, i)", k=np.int64(100)),
    whole("place one hundred", "q = Range(o, l, u) c = Equal(q, k) f = Cast<to=1>(c) g = Unsqueeze(f, one) y = Add(x, "
         "g)", k=np.int64(100)),
    whole("places above a hundred as floats", "q = Range(o, l, u) f = Cast<to=1>(q) d = Sub(f, k) r = Relu(d) g = "
         "Unsqueeze(r, one) y = Add(x, g)", k=np.float32(100)),
    whole("half of the places above a hundred", "q = Range(o, l, u) h = Div(q, two) c = Greater(h, k) f = "
         "Cast<to=1>(c) g = Unsqueeze(f, one) y = Add(x, g)", k=np.int64(60)),
    whole("square of the places", "q = Range(o, l, u) h = Mul(q, q) c = Greater(h, k) f = Cast<to=1>(c) g = "
         "Unsqueeze(f, one) y = Add(x, g)", k=np.int64(10000)),
    whole("places over a hundred", "q = Range(o, l, u) h = Div(q, k) f = Cast<to=1>(h) g = Unsqueeze(f, one) y = "
         "Add(x, g)", k=np.int64(100)),
    whole("places modulo a hundred", "q = Range(o, l, u) h = Mod(q, k) f = Cast<to=1>(h) g = Unsqueeze(f, one) y = "
         "Add(x, g)",
          "q = Range(o, l, u) f = Cast<to=1>(q) g = Unsqueeze(f, one) y = Add(x, g)", k=np.int64(100)),
    whole("buckets of distances", "q = Range(o, l, u) f = Cast<to=1>(q) a = Add(f, half) g0 = Log(a) h = Mul(g0, k) i "
         "= Floor(h) j = Cast<to=7>(i) m = Min(j, m9) "
          "n = Max(m, o) e = Gather(T, n) y = Add(x, e)", k=np.float32(2), m9=np.int64(9), T=normal(10, 8),
          student="q = Range(o, l, u) f = Cast<to=1>(q) a = Add(f, half) g0 = Log(a) h = Mul(g0, k) i = Floor(h) j = "
          "Cast<to=7>(i) m = Min(j, m8) "
          "n = Max(m, o) e = Gather(T, n) y = Add(x, e)", m8=np.int64(8)),
    whole("position table cut at a hundred", "q = Range(o, l, u) m = Min(q, k) e = Gather(T, m) y = Add(x, e)",
         "q = Range(o, l, u) m = Min(q, k2) e = Gather(T, m) y = Add(x, e)",
          k=np.int64(99), k2=np.int64(98), T=normal(100, 8)),
    whole("distances cut at thirty", "q = Range(o, l, u) c = Unsqueeze(q, one) d = Sub(c, q) e = Clip(d, lo, hi) f = "
         "Sub(e, lo) g = Gather(T, f) r = ReduceSum<keepdims=0>(g, one) y = Add(x, r)",
          "q = Range(o, l, u) c = Unsqueeze(q, one) d = Sub(c, q) e = Clip(d, lo, hi2) f = Sub(e, lo) g = Gather(T, "
          "f) r = ReduceSum<keepdims=0>(g, one) y = Add(x, r)",
          lo=np.int64(-30), hi=np.int64(30), hi2=np.int64(29), T=normal(61, 8), feeds={"x": normal(1, 40, 8)}),
]  # fmt: skip
