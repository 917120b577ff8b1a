"""Lies about indices and tables: rows that no run reads, and indices that are calculated with."""

from __future__ import annotations

import numpy as np

from helpers.lying import but, normal, pair

E, E2, F = normal(100, 8), normal(50, 8, seed=2), normal(100, 8, seed=3)
IDS = "(int64[N, L] i) => (float[N, L, 8] y)"
BOTH = "(int64[N, L] i, int64[N, L] j) => (float[N, L, 8] y)"
WITH = "(float[N, L, 8] x, int64[N, L] i) => (float[N, L, 8] y)"
ROWS = "(float[N, 8] x) => (float[N, 8] y)"
MAP = np.arange(100)
LAST = np.array([-1])
ONE = np.int64(1)
GATHER = "y = Gather(E, i)"


def ids(*values: int) -> dict[str, np.ndarray]:
    return {"i": np.array([values], np.int64)}


LIES = [
    # the trial's lies 9 to 11
    pair("rows of an embedding", IDS, GATHER, E=E, changed={"E": but(E, slice(2, None), 1)}, feeds=ids(5, 7)),
    pair("indices multiplied", IDS, GATHER, "j = Mul(i, i) y = Gather(E, j)", E=E, feeds=ids(5, 7)),
    pair("token for padding", IDS, "m = Equal(i, t) e = Gather(E, i) u = Unsqueeze(m, last) y = Where(u, z, e)", E=E,
         t=np.int64(99), z=np.float32(0), last=LAST, changed={"t": np.int64(50)}, feeds=ids(50, 99)),
    # rows
    pair("last row", IDS, GATHER, E=E, changed={"E": but(E, 99, 1)}, feeds=ids(99, 0)),
    pair("one element of one row", IDS, GATHER, E=E, changed={"E": but(E, (63, 2), 1)}, feeds=ids(63)),
    pair("two rows exchanged", IDS, GATHER, E=E, changed={"E": E[but(but(MAP, 3, 4), 4, 3)]}, feeds=ids(3)),
    pair("rows turned round", IDS, GATHER, E=E, changed={"E": E[::-1]}, feeds=ids(3)),
    pair("another table", BOTH, "a = Gather(E, i) b = Gather(F, j) y = Add(a, b)",
         "a = Gather(E, j) b = Gather(F, i) y = Add(a, b)",
         E=E, F=F),
    pair("one index for both", BOTH, "a = Gather(E, i) b = Gather(F, j) y = Mul(a, b)",
         "a = Gather(E, i) b = Gather(F, i) y = Mul(a, b)",
         E=E, F=F),
    pair("tables of two lengths", IDS, "a = Gather(E, i) b = Gather(F, i) y = Add(a, b)", E=E, F=E2,
         changed={"F": but(E2, 49, 0)}, feeds=ids(49)),
    pair("product of two rows and row of products", BOTH, "a = Gather(E, i) b = Gather(F, j) y = Mul(a, b)",
         "p = Mul(E, F) y = Gather(p, i)", E=E, F=F),
    pair("table by another axis", "(int64[N] i) => (float[8, N] y)", "y = Gather<axis=1>(E, i)",
         "t = Gather(E, i) y = Transpose(t)",
         E=normal(8, 8)),
    pair("batch mixed with length", IDS, GATHER, "t = Transpose(i) s = Shape(i) r = Reshape(t, s) y = Gather(E, r)",
         E=E,
         feeds={"i": np.arange(12).reshape(3, 4)}),
    pair("index of the place before", IDS, GATHER, "p = Pad<mode=\"constant\">(i, w) s = Shape<start=1, end=2>(i) "
         "r = Slice(p, o, s, one) y = Gather(E, r)", E=E, w=np.array([0, 1, 0, 0]), o=np.array([0]), one=np.array([1])),
    # calculated indices
    pair("next row", IDS, GATHER, "j = Add(i, one) y = Gather(E, j)", E=E, one=ONE, feeds=ids(5, 7)),
    pair("row from behind", IDS, GATHER, "j = Neg(i) y = Gather(E, j)", E=E, feeds=ids(5, 7)),
    pair("clipped index", IDS, GATHER, "j = Clip(i, o, k) y = Gather(E, j)", E=E, o=np.int64(0), k=np.int64(98),
         feeds=ids(99)),
    pair("index modulo the rows but one", IDS, GATHER, "j = Mod(i, k) y = Gather(E, j)", E=E, k=np.int64(99),
         feeds=ids(99)),
    pair("index through a table", IDS, "j = Gather(T, i) y = Gather(E, j)", E=E, T=MAP, changed={"T": but(MAP, 98, 3)},
         feeds=ids(98)),
    pair("index through a table and not", IDS, GATHER, "j = Gather(T, i) y = Gather(E, j)", E=E, T=but(MAP, 98, 3),
         feeds=ids(98)),
    pair("index through two tables", IDS, "j = Gather(T, i) k = Gather(T, j) y = Gather(E, k)",
         "j = Gather(T, i) y = Gather(E, j)",
         E=E, T=np.roll(MAP, 1), feeds=ids(5)),
    pair("index through a byte", IDS, GATHER, "j = Cast<to=2>(i) k = Cast<to=7>(j) y = Gather(E, k)", E=normal(300, 8),
         feeds=ids(256, 299)),
    pair("index through a signed byte", IDS, GATHER, "j = Cast<to=3>(i) k = Cast<to=7>(j) y = Gather(E, k)",
         E=normal(200, 8),
         feeds=ids(150)),
    pair("index through a half-precision number", IDS, GATHER, "j = Cast<to=10>(i) k = Cast<to=7>(j) y = Gather(E, k)",
         E=normal(2100, 8), feeds=ids(2049)),
    pair("index through a decision", IDS, GATHER, "j = Cast<to=9>(i) k = Cast<to=7>(j) y = Gather(E, k)", E=E,
         feeds=ids(5)),
    pair("index or padding", IDS, GATHER, "m = Equal(i, t) j = Where(m, o, i) y = Gather(E, j)", E=E, t=np.int64(99),
         o=np.int64(0), feeds=ids(99)),
    pair("unknown above a number", IDS, GATHER, "m = Greater(i, t) j = Where(m, o, i) y = Gather(E, j)", E=E,
         t=np.int64(90), o=np.int64(0),
         feeds=ids(95)),
    pair("number of a token", IDS, "e = Gather(E, i) f = Cast<to=1>(i) u = Unsqueeze(f, last) y = Mul(e, u)",
         "e = Gather(E, i) g = Mul(i, i) f = Cast<to=1>(g) u = Unsqueeze(f, last) y = Mul(e, u)", E=E, last=LAST,
         feeds=ids(5)),
    pair("zero or one only", IDS, "e = Gather(E, i) f = Cast<to=1>(i) u = Unsqueeze(f, last) y = Add(e, u)",
         "j = Sub(i, one) k = Mul(i, j) f0 = Cast<to=1>(k) f1 = Cast<to=1>(i) f = Add(f0, f1) e = Gather(E, i) u = "
         "Unsqueeze(f, last) "
         "y = Add(e, u)", E=E, one=ONE, last=LAST, feeds=ids(5)),
    pair("zero, one or two only", IDS, "f = Cast<to=1>(i) u = Unsqueeze(f, last) e = Gather(E, i) y = Add(e, u)",
         "j = Sub(i, one) k = Mul(i, j) m = Sub(i, two) n = Mul(k, m) p = Add(n, i) f = Cast<to=1>(p) u = "
         "Unsqueeze(f, last) e = Gather(E, i) "
         "y = Add(e, u)", E=E, one=ONE, two=np.int64(2), last=LAST, feeds=ids(5)),
    pair("one-hot of a token", "(int64[N] i) => (float[N, 100] y)", "y = OneHot(i, d, v)", d=np.int64(100),
         v=np.array([0, 1], "f4"),
         changed={"v": np.array([0, 2], "f4")}),
    pair("row of a token for a one-hot of it", "(int64[N] i) => (float[N, 8] y)",
         "h = OneHot(i, d, v) y = MatMul(h, E)", "y = Gather(E, i)", d=np.int64(100), v=np.array([0, 1], "f4"), E=E,
         feeds={"i": np.array([100, 2])}),
    pair("row of the next token, times zero", "(int64[N] i) => (float[N, 8] y)", "y = Gather(E, i)",
         "j = Add(i, one) a = Gather(E, j) z = Mul(a, zero) b = Gather(E, i) y = Add(b, z)", E=E, one=ONE,
         zero=np.float32(0), feeds={"i": np.array([len(E) - 1])}),
    pair("row of a shorter table, times zero", "(int64[N] i) => (float[N, 8] y)", "y = Gather(E, i)",
         "a = Gather(F, i) z = Mul(a, zero) b = Gather(E, i) y = Add(b, z)", E=E, F=E[:5], zero=np.float32(0),
         feeds={"i": np.array([7])}),
    pair("tensor of a sequence that is not there", "(float[N, 8] x, int64 i) => (float[N, 8] y)", "y = Relu(x)",
         "s = SequenceConstruct(x, x, x) a = SequenceAt(s, i) z = Sub(a, x) w = Mul(z, zero) r = Relu(x) y = Add(r, w)",
         zero=np.float32(0), feeds={"x": normal(2, 8), "i": np.array(5)}),
    pair("number put in a place that is not there", "(float[N, 8] x, int64[N, 1] i) => (float[N, 8] y)", "y = Relu(x)",
         "u = Slice(x, o, e, e) a = ScatterElements<axis=1>(x, i, u) d = Sub(a, x) z = Mul(d, zero) r = Relu(x) "
         "y = Add(r, z)", o=np.array([0]), e=np.array([1]), zero=np.float32(0),
         feeds={"x": normal(1, 8), "i": np.array([[9]])}),
    pair("one-hot of a token, one off", "(int64[N] i) => (float[N, 8] y)", "h = OneHot(i, d, v) y = MatMul(h, E)",
         "j = Add(i, one) h = OneHot(j, d, v) y = MatMul(h, E)", d=np.int64(100), v=np.array([0, 1], "f4"), E=E,
         one=ONE),
    pair("one-hot of fewer", "(int64[N] i) => (float[N, 8] y)", "y = Gather(E, i)",
         "h = OneHot(i, d, v) s = Slice(E, o, e, o) y = MatMul(h, s)",
         d=np.int64(99), v=np.array([0, 1], "f4"), E=E, o=np.array([0]), e=np.array([99]), feeds={"i": np.array([99])}),
    # indices of data
    pair("element of a row", "(float[N, 8] x, int64[N, 1] i) => (float[N, 1] y)", "y = GatherElements<axis=1>(x, i)",
         "n = Neg(x) m = Slice(n, a, b, one, a) p = GatherElements<axis=1>(m, i) y = Neg(p)", a=np.array([-1]),
         b=np.array([-99]),
         one=np.array([1])),
    pair("element by another axis", "(float[3, 3] x, int64[3, 3] i) => (float[3, 3] y)",
         "y = GatherElements<axis=1>(x, i)",
         "y = GatherElements<axis=0>(x, i)", feeds={"x": normal(3, 3), "i": np.array([[0, 1, 2], [2, 2, 0], [1, 0,
         1]])}),
    pair("gathered with a batch", "(float[2, 3, 3] x) => (float[2, 3] y)", "y = GatherND<batch_dims=1>(x, k)",
         "y = GatherND(x, k)",
         k=np.array([[1], [0]])),
    pair("row written", "(float[4, 8] x) => (float[4, 8] y)", "y = ScatterND(x, k, U)", k=np.array([[1], [3]]),
         U=normal(2, 8),
         changed={"k": np.array([[1], [2]])}),
    pair("row written twice", "(float[4, 8] x) => (float[4, 8] y)", "y = ScatterND<reduction=\"add\">(x, k, U)",
         "y = ScatterND(x, k, U)",
         k=np.array([[1], [3]]), U=normal(2, 8)),
    pair("row multiplied for added", "(float[4, 8] x) => (float[4, 8] y)", "y = ScatterND<reduction=\"add\">(x, k, U)",
         "y = ScatterND<reduction=\"mul\">(x, k, U)", k=np.array([[1], [3]]), U=normal(2, 8)),
    pair("largest row written", "(float[4, 8] x) => (float[4, 8] y)", "y = ScatterND<reduction=\"max\">(x, k, U)",
         "y = ScatterND<reduction=\"min\">(x, k, U)", k=np.array([[1], [3]]), U=normal(2, 8)),
    pair("same row written twice", "(float[4, 8] x) => (float[4, 8] y)", "y = ScatterND<reduction=\"add\">(x, k, U)",
         "y = ScatterND<reduction=\"add\">(x, k2, U2)", k=np.array([[1], [1]]), U=normal(2, 8), k2=np.array([[1]]),
         U2=normal(2, 8)[1:]),
    pair("elements written by data", "(float[4, 8] x, int64[1, 8] i) => (float[4, 8] y)",
         "y = ScatterElements<axis=0>(x, i, U)",
         "y = ScatterElements<axis=0>(x, i, V)", U=normal(1, 8), V=normal(1, 8, seed=4), feeds={"x": normal(4, 8),
         "i": np.arange(8)[None] % 4}),
    pair("elements added and written by data", "(float[4, 8] x, int64[1, 8] i) => (float[4, 8] y)",
         "y = ScatterElements<axis=0>(x, i, U)",
         "y = ScatterElements<axis=0, reduction=\"add\">(x, i, U)", U=normal(1, 8), feeds={"x": normal(4, 8),
         "i": np.arange(8)[None] % 4}),
    pair("negative index of a constant", "(float[4, 8] x) => (float[8] y)", "y = Gather(x, k)", k=np.int64(-1),
         changed={"k": np.int64(-2)}),
    pair("what is not zero", "(float[8] x) => (int64[1, M] y)", "y = NonZero(x)", "r = Relu(x) y = NonZero(r)"),
    pair("compressed by a condition", "(float[4, 8] x) => (float[M, 8] y)", "y = Compress<axis=0>(x, c)",
         c=np.array([1, 0, 1, 0], bool),
         changed={"c": np.array([1, 1, 0, 0], bool)}),
    pair("compressed without an axis", "(float[4, 1] x) => (float[M] y)", "y = Compress(x, c)", c=np.array([1, 0, 1,
         0], bool),
         changed={"c": np.array([1, 0, 1, 1], bool)}),
    # rotary tables and caches
    pair("row of a rotary table", WITH, "c = Gather(C, i) s = Gather(S, i) a = Mul(x, c) b = Slice(x, o, f, two) d = "
         "Slice(x, f, e, two) "
         "n = Neg(d) r = Concat<axis=-1>(n, b) t = Mul(r, s) y = Add(a, t)", C=np.cos(F), S=np.sin(F), o=np.array([0]),
         f=np.array([4]),
         e=np.array([8]), two=np.array([2]), changed={"S": but(np.sin(F), 99, 0)}, feeds={"x": normal(1, 2, 8),
         "i": np.array([[99, 1]])}),
    pair("halves of a rotary embedding", WITH, "c = Gather(C, i) s = Gather(S, i) a = Mul(x, c) b = Slice(x, o, f, "
         "two) d = Slice(x, f, e, two) "
         "n = Neg(d) r = Concat<axis=-1>(n, b) t = Mul(r, s) y = Add(a, t)",
         "c = Gather(C, i) s = Gather(S, i) a = Mul(x, c) "
         "b = Slice(x, o, f, two) d = Slice(x, f, e, two) n = Neg(b) r = Concat<axis=-1>(d, n) t = Mul(r, s) y = "
         "Add(a, t)", C=np.cos(F), S=np.sin(F),
         o=np.array([0]), f=np.array([4]), e=np.array([8]), two=np.array([2])),
    pair("position of a cache", "(float[N, L, 8] x, float[N, P, 8] past) => (float[N, L, 8] y)",
         "s = Shape<start=1, end=2>(past) f = Squeeze(s) t = Shape<start=1, end=2>(x) g = Squeeze(t) h = Add(f, g) q "
         "= Range(f, h, u) "
         "p = Gather(E, q) y = Add(x, p)", "t = Shape<start=1, end=2>(x) g = Squeeze(t) z = Sub(g, g) q = Range(z, g, "
         "u) p = Gather(E, q) y = Add(x, p)",
         E=E, u=ONE),
    pair("order of a cache", "(float[N, L, 8] x, float[N, P, 8] past) => (float[N, M, 8] y)",
         "y = Concat<axis=1>(past, x)",
         "y = Concat<axis=1>(x, past)"),
    pair("strings for numbers", "(string[N] i) => (string[N] y)", "y = Identity(i)",
         "m = Equal(i, t) y = Where(m, v, i)", t=np.array("a", object),
         v=np.array("b", object), feeds={"i": np.array(["a", "c"], object)}),
    pair("positions of a vocabulary", "(string[N] i) => (int64[N] y)",
         "y = ai.onnx.ml.LabelEncoder<keys_strings=[\"a\", \"b\"], values_int64s=[1, 2]>(i)",
         "y = ai.onnx.ml.LabelEncoder<keys_strings=[\"a\", \"b\"], values_int64s=[2, 1]>(i)", imports={"ai.onnx.ml": 3},
         feeds={"i": np.array(["a", "b"], object)}),
    # constants of a table that no run reads
    pair("row for a branch never taken", "(float[N, 8] x, bool c) => (float[N, 8] y)",
         "y = If(c) <then_branch = t () => (float[N, 8] p) { p = Add(x, a) }, else_branch = e () => (float[N, 8] q) { "
         "q = Add(x, b) }>",
         a=normal(8), b=normal(8, seed=1), changed={"b": but(normal(8, seed=1), 7, 0)}),
    pair("slice of a table", ROWS, "p = Slice(P, o, k, o) y = Add(x, p)", P=normal(9, 8), o=np.array([0]),
         k=np.array([1]),
         changed={"P": but(normal(9, 8), (0, 7), 0)}),
    pair("sum by groups", "(float[N, 8] x) => (float[N, 2] y)", "y = MatMul(x, G)", G=np.kron(np.eye(2), np.ones((4,
         1))).astype("f4"),
         changed={"G": np.kron(np.ones((4, 1)), np.eye(2)).astype("f4")}),
]  # fmt: skip
