"""Lies about order: comparisons, winners, masks, ties and infinities are no polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.lying import Pair, but, normal, pair

W, V, Q, U = normal(8, 8), normal(8, 5), normal(8, 5, seed=1), normal(64, 256)
ROWS = "(float[N, 8] x) => (float[N, 5] y)"
SAME = "(float[N, 8] x) => (float[N, 8] y)"
TWO = "(float[N, 8] x, float[N, 8] z) => (float[N, 8] y)"
TEXT = "(float[N, L, 8] x) => (float[N, L, 8] y)"
IMAGE = "(float[N, 3, 8, 8] x) => (float[N, 1, 1, 1] y)"
ZERO, NINF, HALF = np.float32(0), np.float32(-np.inf), np.float32(0.5)
LAST = np.array([-1])
FAR = {"x": 30 * normal(40, 8)}
BETWEEN = "a = MatMul(x, W) {} y = MatMul(b, V)"

SCORES = """t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(x, t) s = Shape<start=1, end=2>(x) e = Squeeze(s)
    q = Range(o, e, u) c = Unsqueeze(q, last) d = Sub(c, q)"""
WINDOW = {"o": np.int64(0), "u": np.int64(1), "last": LAST, "low": np.float32(-1e9), "k": np.int64(0)}


def between(name: str, teacher: str, student: str = "", **more: Any) -> Pair:
    """A pair that differs between two matrices of weights."""
    more = {"W": W, "V": V, "zero": ZERO, "half": HALF, "k": np.float32(0.1), "last": LAST, "ninf": NINF, **more}
    return pair(name, ROWS, BETWEEN.format(teacher), BETWEEN.format(student or teacher), **more)


LIES = [
    # the trial's lies 1 to 8
    between("max with zero", "b = Max(a, zero)", "b = Identity(a)"),
    between("where positive", "c = Greater(a, zero) b = Where(c, a, zero)", "b = Identity(a)"),
    between("branch of a negative", "c = Less(a, zero) d = Mul(a, k) b = Where(c, d, a)", changed={"k": np.float32(7)}),
    between("min with zero", "b = Min(a, zero)", changed={"W": W * 2 + 1}),
    pair("one weight below a maximum of 256", "(float[N, 64] x) => (float[N, 1] y)",
         "a = MatMul(x, U) y = ReduceMax(a, one)", U=U, one=np.array([1]), changed={"U": but(U, (3, 100), 9)}),
    pair("condition of the whole batch", ROWS, "m = ReduceMean(x) c = Greater(m, t) p = MatMul(x, V) q = MatMul(x, Q) "
         "y = Where(c, p, q)", V=V, Q=Q, t=np.float32(3.7), changed={"V": V + 1}, feeds={"x": np.full((2, 8), 5,
         "f4")}),
    pair("threshold of a condition", ROWS, "m = ReduceMean(x) c = Greater(m, t) p = MatMul(x, V) q = MatMul(x, Q) "
         "y = Where(c, p, q)", V=V, Q=Q, t=np.float32(3.7), changed={"t": np.float32(4.7)},
         feeds={"x": np.full((2, 8), 4, "f4")}),
    pair("channel under a maximum of channels", IMAGE,
         "a = Conv<pads=[1, 1, 1, 1]>(x, K) b = MaxPool<kernel_shape=[8, 8]>(a) y = ReduceMax(b, one)",
         K=normal(8, 3, 3, 3), one=np.array([1]), changed={"K": but(normal(8, 3, 3, 3), 5, normal(3, 3, 3, seed=5))}),
    # conditions
    between("less and less or equal", "c = Less(a, d) b = Where(c, d, a)", "c = Less(a, d) n = Not(c) b = Where(n, d, "
         "a)",
            d=normal(8)),
    pair("equal at ties only", TWO, "c = Less(x, z) f = Cast<to=1>(c) y = Mul(f, x)",
         "c = LessOrEqual(x, z) f = Cast<to=1>(c) y = Mul(f, x)", feeds={"x": normal(2, 8), "z": normal(2, 8)}),
    pair("arguments of a comparison exchanged", TWO, "c = Less(x, z) y = Where(c, x, z)",
         "c = Less(z, x) y = Where(c, x, z)"),
    pair("and for or", TWO, "c = Less(x, z) d = Less(x, zero) e = And(c, d) y = Where(e, x, z)",
         "c = Less(x, z) d = Less(x, zero) e = Or(c, d) y = Where(e, x, z)", zero=ZERO),
    pair("xor for or", TWO, "c = Less(x, z) d = Less(x, zero) e = Xor(c, d) y = Where(e, x, z)",
         "c = Less(x, z) d = Less(x, zero) e = Or(c, d) y = Where(e, x, z)", zero=ZERO),
    pair("branches exchanged", TWO, "c = Less(x, z) y = Where(c, x, z)", "c = Less(x, z) y = Where(c, z, x)"),
    pair("equal with a number that no run draws", SAME, "c = Equal(x, t) y = Where(c, zero, x)", "y = Identity(x)",
         t=np.float32(7), zero=ZERO, feeds={"x": np.full((2, 8), 7, "f4")}),
    pair("decision as a number", TWO, "c = Less(x, z) y = Cast<to=1>(c)", "d = Sub(z, x) s = Sign(d) y = Relu(d)"),
    pair("sign squared", SAME, "s = Sign(x) y = Mul(s, x)", "y = Identity(x)"),
    pair("absolute value", SAME, "y = Abs(x)", "y = Identity(x)"),
    pair("root of a square", SAME, "s = Mul(x, x) y = Sqrt(s)", "y = Identity(x)"),
    pair("power of a half of a square", SAME, "s = Mul(x, x) y = Pow(s, half)", "y = Identity(x)", half=HALF),
    pair("square by a power, then root", SAME, "s = Pow(x, two) y = Sqrt(s)", "y = Identity(x)", two=np.float32(2)),
    pair("length of one element", "(float[N, 8, 1] x) => (float[N, 8, 1] y)", "y = ReduceL2(x, last)",
         "y = Identity(x)",
         last=LAST),
    pair("length of minus", SAME, "s = ReduceL2(x, last) y = Div(x, s)", "n = Neg(x) s = ReduceL2(n, last) y = Div(n, "
         "s)",
         last=LAST),
    pair("length of a multiple", SAME, "s = ReduceL2(x, last) y = Mul(x, s)",
         "n = Mul(x, k) s = ReduceL2(n, last) t = Div(s, k) y = Mul(x, t)", last=LAST, k=np.float32(-2), runs=4),
    pair("length of a multiple by three", SAME, "s = ReduceL2(x, last) y = Mul(x, s)",
         "n = Mul(x, k) s = ReduceL2(n, last) t = Div(s, k) y = Mul(x, t)", last=LAST, k=np.float32(-3), runs=4),
    pair("length of a multiple by data", TWO, "s = ReduceL2(x, last) y = Div(x, s)",
         "p = ReduceSum(z, last) n = Mul(x, p) s = ReduceL2(n, last) y = Div(n, s)", last=LAST, runs=4),
    pair("one length for all, of a multiple", "(float[8] x) => (float[8] y)",
         "s = ReduceL2<keepdims=0>(x) y = Mul(x, s)",
         "n = Mul(x, k) s = ReduceL2<keepdims=0>(n) t = Div(s, k) y = Mul(x, t)", k=np.float32(-2), runs=6),
    pair("one root of a constant's multiple", "(float[1] x) => (float[1] y)", "e = Exp(x) y = Sqrt(e)",
         "e = Exp(x) f = Mul(e, k) g = Sqrt(f) y = Mul(g, h)", k=np.float32(4), h=np.float32(-0.5), runs=6),
    pair("one reciprocal root", "(float[1] x) => (float[1] y)", "e = Exp(x) s = Sqrt(e) y = Reciprocal(s)",
         "e = Exp(x) f = Mul(e, k) s = Sqrt(f) g = Reciprocal(s) y = Mul(g, h)", k=np.float32(4), h=np.float32(-2),
         runs=6),
    pair("sign of a root's argument", "(float[1] x) => (float[1] y)",
         "e = Exp(x) s = Sqrt(e) r = Reciprocal(s) q = Mul(r, r) y = Mul(q, e)",
         "e = Exp(x) z = Sub(e, e) y = Sub(z, one)",
         one=np.float32(1), runs=6),
    pair("product of roots", TWO, "p = Mul(x, z) q = Mul(p, p) y = Sqrt(q)", "q = Mul(x, x) r = Sqrt(q) y = Mul(r, z)"),
    pair("norm after a negative gain", SAME, "y = LayerNormalization(x, g, b)",
         "n = Neg(x) y = LayerNormalization(n, g, b)",
         g=normal(8), b=normal(8, seed=1)),
    pair("norm after a gain of data", TWO, "y = LpNormalization(x)", "p = ReduceSum(z, last) n = Mul(x, p) "
         "y = LpNormalization(n)", last=LAST),
    # winners
    pair("max and min", TWO, "y = Max(x, z)", "y = Min(x, z)"),
    pair("max and mean", TWO, "y = Max(x, z)", "y = Mean(x, z)"),
    pair("max and sum", TWO, "y = Max(x, z)", "y = Sum(x, z)"),
    pair("pooling of the negative", "(float[N, 2, 8] x) => (float[N, 2, 4] y)",
         "y = MaxPool<kernel_shape=[2], strides=[2]>(x)",
         "n = Neg(x) m = MaxPool<kernel_shape=[2], strides=[2]>(n) y = Neg(m)"),
    pair("largest of negated", SAME, "m = ReduceMax(x, last) y = Sub(x, m)",
         "n = Neg(x) m = ReduceMax(n, last) y = Sub(x, m)",
         last=LAST),
    pair("largest and smallest of a row", SAME, "m = ReduceMax(x, last) y = Sub(x, m)",
         "m = ReduceMin(x, last) y = Sub(x, m)",
         last=LAST),
    pair("largest over the batch", SAME, "m = ReduceMax(x, axis) y = Sub(x, m)", axis=np.array([1]),
         changed={"axis": np.array([0])}),
    pair("argmax and argmin", "(float[N, 8] x) => (int64[N, 1] y)", "y = ArgMax<axis=1>(x)", "y = ArgMin<axis=1>(x)"),
    pair("last of equal ones", "(float[N, 8] x) => (int64[N, 1] y)", "y = ArgMax<axis=1>(x)",
         "y = ArgMax<axis=1, select_last_index=1>(x)", feeds={"x": np.zeros((2, 8), "f4")}),
    pair("row of the largest", ROWS, "i = ArgMax<axis=1, keepdims=0>(x) y = Gather(V, i)", V=V, changed={"V": but(V, 7,
         0)},
         feeds={"x": np.eye(8, dtype="f4")}),
    pair("row of the largest against the smallest", ROWS, "i = ArgMax<axis=1, keepdims=0>(x) y = Gather(V, i)",
         "i = ArgMin<axis=1, keepdims=0>(x) y = Gather(V, i)", V=V),
    pair("last row of equal ones", ROWS, "i = ArgMax<axis=1, keepdims=0>(x) y = Gather(V, i)",
         "i = ArgMax<axis=1, keepdims=0, select_last_index=1>(x) y = Gather(V, i)", V=V, feeds={"x": np.zeros((2, 8),
         "f4")}),
    pair("largest and smallest three", "(float[N, 8] x) => (float[N, 3] y)", "y, i = TopK(x, k)",
         "y, i = TopK<largest=0>(x, k)",
         k=np.array([3])),
    pair("three that are not sorted", "(float[N, 8] x) => (float[N, 3] y)", "y, i = TopK(x, k)",
         "p, i = TopK(x, k) y = Gather<axis=1>(p, turned)", k=np.array([3]),
         turned=np.array([2, 1, 0])),
    pair("places of the largest three", "(float[N, 8] x) => (float[N, 3, 5] y)", "p, i = TopK(x, k) y = Gather(V, i)",
         "p, i = TopK<largest=0>(x, k) y = Gather(V, i)", V=V, k=np.array([3])),
    pair("places of the largest three, one row", "(float[N, 8] x) => (float[N, 3, 5] y)",
         "p, i = TopK(x, k) y = Gather(V, i)",
         V=V, k=np.array([3]), changed={"V": but(V, 6, 1)}),
    pair("hard and soft maximum", SAME, "y = Hardmax(x)", "y = Softmax(x)"),
    pair("sum of exponentials and largest", SAME, "m = ReduceLogSumExp(x, last) y = Sub(x, m)",
         "m = ReduceMax(x, last) "
         "y = Sub(x, m)", last=LAST),
    pair("softmax of a multiple", SAME, "y = Softmax(x)", "m = Mul(x, two) y = Softmax(m)", two=np.float32(2)),
    pair("softmax over the batch", SAME, "y = Softmax(x)", "y = Softmax<axis=0>(x)"),
    pair("soft and log of soft", SAME, "y = Softmax(x)", "y = LogSoftmax(x)"),
    # clips
    between("lower and upper bound", "b = Clip(a, half)", "b = Clip(a, , half)"),
    between("bounds exchanged", "b = Clip(a, zero, half)", "b = Clip(a, half, zero)"),
    between("another upper bound", "b = Clip(a, zero, k)", changed={"k": np.float32(6)}),
    between("no upper bound", "b = Clip(a, zero, k)", "b = Relu(a)", k=np.float32(6), feeds=FAR),
    between("clip at infinity below", "b = Clip(a, ninf, half)", "b = Identity(a)"),
    between("leaky and relu", "b = LeakyRelu(a)", "b = Relu(a)"),
    between("relu of minus", "b = Relu(a)", "n = Neg(a) m = Relu(n) b = Neg(m)"),
    between("relu of a negative multiple", "b = Relu(a)", "n = Mul(a, k) m = Relu(n) b = Div(m, k)", k=np.float32(-2)),
    between("relu of a multiple by data", "b = Relu(a)", "s = ReduceSum(x, last) n = Mul(a, s) m = Relu(n) b = Div(m, "
         "s)"),
    between("relu of relu of minus", "b = Relu(a)", "m = Relu(a) n = Neg(m) b = Relu(n)"),
    between("abs of relu and relu of abs", "c = Relu(a) b = Abs(c)", "c = Abs(a) b = Relu(c)"),
    between("clip of a clip of other bounds", "b = Clip(a, zero, k)", "c = Clip(a, zero, h) b = Clip(c, half, k)",
            k=np.float32(6), h=np.float32(3), feeds=FAR),
    between("prelu of one channel", "b = PRelu(a, s)", s=normal(8), changed={"s": but(normal(8), 7, 0)}),
    between("prelu of slope one in all but one", "b = PRelu(a, s)", "b = Identity(a)", s=but(np.ones(8, "f4"), 3, 0.5)),
    between("thresholded at another place", "b = ThresholdedRelu(a)", "b = ThresholdedRelu<alpha=1.5>(a)", feeds=FAR),
    between("shrink", "b = Shrink(a)", "b = Shrink<bias=0.1>(a)", feeds=FAR),
    between("floor and round", "b = Floor(a)", "b = Round(a)"),
    between("floor and ceiling", "b = Floor(a)", "b = Ceil(a)"),
    between("sign of nothing", "b = Sign(a)", "c = Abs(a) b = Div(a, c)", feeds={"x": np.zeros((2, 8), "f4")}),
    between("not a number asked for", "c = IsNaN(a) b = Where(c, zero, a)", "b = Identity(a)",
            feeds={"x": np.full((2, 8), np.nan, "f4")}),
    between("infinity asked for", "c = IsInf(a) b = Where(c, zero, a)", "c = IsInf<detect_negative=0>(a) b = Where(c, "
         "zero, a)",
            feeds={"x": np.full((2, 8), -np.inf, "f4")}, W=np.eye(8, dtype="f4") + 1),
    # windows, masks and infinities
    pair("window of 4 and of 400", TEXT, SCORES + "m = Less(d, win) b = Where(m, a, low) p = Softmax(b) y = MatMul(p, "
         "x)",
         win=np.int64(4), **WINDOW, changed={"win": np.int64(400)}),
    pair("window of 40 and of 400", TEXT, SCORES + "m = Less(d, win) b = Where(m, a, low) p = Softmax(b) y = "
         "MatMul(p, x)",
         win=np.int64(40), **WINDOW, changed={"win": np.int64(400)}, feeds={"x": normal(1, 90, 8)}),
    pair("causal mask one off", TEXT, SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, low) p = Softmax(b) y = "
         "MatMul(p, x)",
         **WINDOW, changed={"k": np.int64(-1)}),
    pair("mask turned over", TEXT, SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, low) p = Softmax(b) y = "
         "MatMul(p, x)",
         SCORES + "m = LessOrEqual(d, k) b = Where(m, a, low) p = Softmax(b) y = MatMul(p, x)", **WINDOW),
    pair("mask behind the softmax", TEXT,
         SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, ninf) p = Softmax(b) y = MatMul(p, x)",
         SCORES + "m = GreaterOrEqual(d, k) q2 = Softmax(a) p = Where(m, q2, zero) y = MatMul(p, x)",
         **WINDOW, ninf=NINF, zero=ZERO),
    pair("mask of a finite number", TEXT, SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, low) p = Softmax(b) y = "
         "MatMul(p, x)",
         **WINDOW, changed={"low": np.float32(-1)}),
    pair("infinite mask and no mask", TEXT,
         SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, ninf) p = Softmax(b) y = MatMul(p, x)",
         SCORES + "p = Softmax(a) y = MatMul(p, x)", **WINDOW, ninf=NINF),
    pair("infinite mask times minus", TEXT,
         SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, ninf) p = Softmax(b) y = MatMul(p, x)",
         SCORES + "m = GreaterOrEqual(d, k) n = Neg(a) b = Where(m, n, ninf) g = Neg(b) p = Softmax(g) y = MatMul(p, "
         "x)",
         **WINDOW, ninf=NINF),
    pair("infinite mask times zero", TEXT,
         SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, ninf) p = Softmax(b) y = MatMul(p, x)",
         SCORES + "m = GreaterOrEqual(d, k) b = Where(m, a, ninf) g = Mul(b, zero) h = Add(g, b) p = Softmax(h) "
         "y = MatMul(p, x)", **WINDOW, ninf=NINF, zero=ZERO),
    pair("a row that is masked whole", TEXT,
         SCORES + "m = Greater(d, k) b = Where(m, a, ninf) p = Softmax(b) y = MatMul(p, x)",
         SCORES + "m = Greater(d, k) b = Where(m, a, low) p = Softmax(b) y = MatMul(p, x)", **WINDOW, ninf=NINF),
    between("infinity minus itself", "b = Identity(a)", "i = Sub(ninf, ninf) b = Add(a, i)"),
    between("infinity times nothing", "b = Identity(a)", "i = Mul(ninf, zero) b = Add(a, i)"),
    between("infinity added", "b = Identity(a)", "b = Add(a, ninf)"),
    between("not a number added", "b = Identity(a)", "b = Add(a, nan)", nan=np.float32(np.nan)),
    between("not a number in one channel", "b = Add(a, c)", c=normal(8), changed={"c": but(normal(8), 2, np.nan)}),
    between("max with minus infinity", "b = Relu(a)", "c = Max(a, ninf) b = Neg(c)"),
    between("exponential of minus infinity", "e = Exp(ninf) b = Add(a, e)", "b = Add(a, one)", one=np.float32(1)),
    between("hyperbolic tangent of minus infinity", "e = Tanh(ninf) b = Add(a, e)", "b = Identity(a)"),
    between("division by infinity", "e = Div(a, ninf) b = Add(x, e)", "b = Add(x, a)"),
    between("zero times a division by zero", "b = Identity(a)", "q = Div(a, zero) b = Add(a, q)"),
    between("zero channel's reciprocal", "b = Identity(a)", "d = Mul(a, zero) q = Reciprocal(d) b = Add(a, q)"),
    between("nothing over nothing", "b = Identity(a)", "d = Sub(a, a) q = Div(d, d) b = Add(a, q)"),
    between("logarithm of nothing", "b = Identity(a)", "d = Sub(a, a) q = Log(d) e = Sub(q, q) b = Add(a, e)"),
    between("root below nothing", "b = Identity(a)",
         "d = Mul(a, a) n = Neg(d) q = Sqrt(n) e = Sub(q, q) b = Add(a, e)"),
    between("not a number that no branch takes", "c = Less(a, zero) b = Where(c, a, zero)",
            "c = Less(a, zero) d = Add(zero, nan) b = Where(c, a, d)", nan=np.float32(np.nan)),
]  # fmt: skip
