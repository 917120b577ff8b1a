"""Lies about shapes: constants that are right for the sizes of one run only."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.lying import Pair, normal, pair

SAME = "(float[N, 8] x) => (float[N, 8] y)"
ANY = "(float[N, L, 8] x) => (float[A, B, 8] y)"
FLAT = "(float[N, L, 8] x) => (float[A, B] y)"
IMAGE = "(float[N, 3, H, W] x) => (float[N, 3, A, B] y)"
LENGTH = "s = Shape<start=1, end=2>(x) l = Squeeze(s) "
COMMON = {"o": np.int64(0), "u": np.int64(1), "two": np.int64(2), "first": np.array([0]), "dim1": np.array([1])}


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def right_at(
    sizes: int | tuple[int, ...], name: str, teacher: str, student: str, interface: str = ANY, **more: Any
) -> list[Pair]:
    """Pairs that are right at one size only, each with that size as the constant `k`, or minus it as `m`."""
    every = (sizes,) if isinstance(sizes, int) else sizes
    return [
        pair(f"{name} {size}", interface, teacher, student, k=np.array([size]), k0=np.int64(size), m=np.array([-size]),
             before=np.array([size - 1]), before0=np.int64(size - 1), **{**COMMON, **more})
        for size in every
    ]  # fmt: skip


LENGTHS, BATCHES = (2, 3, 5, 7), (2, 3, 4, 5)
LIES = [
    *right_at(LENGTHS, "first places", "y = Identity(x)", "y = Slice(x, first, k, dim1)"),
    *right_at(LENGTHS, "last places", "y = Identity(x)", "y = Slice(x, m, e, dim1)", e=ints(2**40)),
    *right_at(LENGTHS, "last place by number", "y = Gather<axis=1>(x, z)", "y = Gather<axis=1>(x, before)", z=ints(-1)),
    *right_at(LENGTHS, "first place from behind", "y = Gather<axis=1>(x, o)", "w = Neg(k) y = Gather<axis=1>(x, w)",
         o=ints(0)),
    *right_at(LENGTHS, "all but the last", "y = Slice(x, first, e, dim1)", "y = Slice(x, first, before, dim1)",
         e=ints(-1)),
    *right_at(LENGTHS, "range", LENGTH + "q = Range(o, l, u) y = Gather<axis=1>(x, q)",
         "q = Range(o, k0, u) y = Gather<axis=1>(x, q)"),
    *right_at(LENGTHS, "reshape", "y = Relu(x)", "s = Concat<axis=0>(n, k, n8) r = Relu(x) y = Reshape(r, s)",
         n=ints(-1), n8=ints(8)),
    *right_at(LENGTHS, "tokens as one row", "y = Flatten(x)", "w = Mul(k, n8) s = Concat<axis=0>(n, w) y = Reshape(x, "
         "s)", FLAT, n=ints(-1),
              n8=ints(8)),
    *right_at(LENGTHS, "division by the length", LENGTH + "t = ReduceSum(x, dim1) f = Cast<to=1>(l) y = Div(t, f)",
              "t = ReduceSum(x, dim1) f = Cast<to=1>(k0) y = Div(t, f)"),
    *right_at(LENGTHS, "division by one less", LENGTH + "t = ReduceSum(x, dim1) g = Sub(l, u) f = Cast<to=1>(g) y = "
         "Div(t, f)",
              "t = ReduceSum(x, dim1) f = Cast<to=1>(before0) y = Div(t, f)"),
    *right_at(LENGTHS, "mean and a sum's share", "y = ReduceMean(x, dim1)",
         "t = ReduceSum(x, dim1) f = Cast<to=1>(k0) y = Div(t, f)"),
    *right_at(LENGTHS, "expanded", LENGTH + "m2 = ReduceMean(x, dim1) s2 = Concat<axis=0>(dim1, s, dim1) y = "
         "Expand(m2, s2)",
              "m2 = ReduceMean(x, dim1) s2 = Concat<axis=0>(dim1, k, dim1) y = Expand(m2, s2)"),
    *right_at(LENGTHS, "tiled", LENGTH + "m2 = ReduceMean(x, dim1) s2 = Concat<axis=0>(dim1, s, dim1) y = Tile(m2, s2)",
              "m2 = ReduceMean(x, dim1) s2 = Concat<axis=0>(dim1, k, dim1) y = Tile(m2, s2)"),
    *right_at(LENGTHS, "padded by the length", LENGTH + "w = Concat<axis=0>(first, s, first, first, first, first) y = "
         "Pad(x, w)",
              "w = Concat<axis=0>(first, k, first, first, first, first) y = Pad(x, w)"),
    *right_at(LENGTHS, "padded to twice", LENGTH + "w = Concat<axis=0>(first, s, first, first, first, first) y = "
         "Pad(x, w)",
              LENGTH + "q = Mul(s, s) d = Div(q, k) w = Concat<axis=0>(first, d, first, first, first, first) y = "
              "Pad(x, w)"),
    *right_at((3, 5), "sum of some places", "y = ReduceSum<keepdims=0>(x, dim1)",
              "p = Slice(x, first, k, dim1) y = ReduceSum<keepdims=0>(p, dim1)",
              "(float[N, L, 8] x) => (float[N, 8] y)"),
    *right_at((3, 5), "largest of some places", "y = ReduceMax<keepdims=0>(x, dim1)",
              "p = Slice(x, first, k, dim1) y = ReduceMax<keepdims=0>(p, dim1)",
              "(float[N, L, 8] x) => (float[N, 8] y)"),
    *right_at((3, 5), "softmax of some places", "a = Softmax<axis=1>(x) y = Slice(a, first, dim1, dim1)",
              "p = Slice(x, first, k, dim1) a = Softmax<axis=1>(p) y = Slice(a, first, dim1, dim1)"),
    *right_at((3, 5), "turned round a place", "y = Slice(x, z, far, dim1, z)", "y = Slice(x, before, far, dim1, z)",
         z=ints(-1),
              far=ints(-(2**40))),
    *right_at((3, 5), "twice less the size", LENGTH + "y = Slice(x, first, s, dim1)",
              LENGTH + "t = Add(s, s) d = Sub(t, k) y = Slice(x, first, d, dim1)", feeds={"x": normal(2, 2, 8)}),
    *right_at((3, 5), "cut where it is twice less the size", LENGTH + "h = Sub(s, dim1) y = Slice(x, first, h, dim1)",
              LENGTH + "t = Add(s, s) d = Sub(t, k) h = Sub(d, dim1) y = Slice(x, first, h, dim1)"),
    *right_at((3, 5), "cut at the middle", LENGTH + "h = Div(s, t2) y = Slice(x, first, h, dim1)",
         "h = Div(k, t2) y = Slice(x, first, h, dim1)",
              t2=ints(2)),
    *right_at((3, 5), "cut at the middle, rounded up", LENGTH + "h = Div(s, t2) y = Slice(x, first, h, dim1)",
              LENGTH + "a = Sub(s, dim1) h = Div(a, t2) y = Slice(x, first, h, dim1)", t2=ints(2),
              feeds={"x": normal(2, 6, 8)}),
    *right_at((3, 5), "one-hot of the length", LENGTH + "q = Range(o, l, u) h = OneHot(q, l, v) y = MatMul(h, x)",
              "q = Range(o, k0, u) h = OneHot(q, k0, v) y = MatMul(h, x)", v=np.array([0, 1], "f4")),
    *right_at(BATCHES, "rows of the batch", "y = Identity(x)", "y = Slice(x, first, k, first)"),
    *right_at(BATCHES, "reshape of the batch", "y = Relu(x)",
         "s = Concat<axis=0>(k, n8) r = Relu(x) y = Reshape(r, s)", SAME, n8=ints(8)),
    *right_at(BATCHES, "last row of the batch", "y = Gather<axis=0>(x, z)", "y = Gather<axis=0>(x, before)",
         z=ints(-1)),
    *right_at(BATCHES, "mean of the batch", "m2 = ReduceMean(x, first) y = Add(x, m2)",
              "t = ReduceSum(x, first) f = Cast<to=1>(k0) m2 = Div(t, f) y = Add(x, m2)"),
    *right_at(BATCHES, "split of the batch", "y = Relu(x)", "s2 = Concat<axis=0>(dim1, before) a, b = "
         "Split<axis=0>(x, s2) c = Relu(a) "
              "d = Relu(b) y = Concat<axis=0>(c, d)", SAME),
    *right_at((2, 4), "state of the batch", "y = Add(x, x)", "s = Concat<axis=0>(k, n8) z = ConstantOfShape(s) a = "
         "Add(x, z) y = Add(a, x)", SAME,
              n8=ints(8)),
    *right_at((3, 5, 8, 12), "height", "y = Identity(x)", "y = Slice(x, first, k, t2)", IMAGE, t2=ints(2)),
    *right_at((3, 5, 8, 12), "width", "y = Identity(x)", "y = Slice(x, first, k, t3)", IMAGE, t3=ints(3)),
    *right_at((3, 5), "mean over an image's rows", "y = ReduceMean(x, t2)",
         "t = ReduceSum(x, t2) f = Cast<to=1>(k0) y = Div(t, f)", IMAGE,
              t2=ints(2)),
    *right_at((3, 5), "largest over the whole image", "y = GlobalMaxPool(x)",
         "p = Slice(x, first, k, t2) y = GlobalMaxPool(p)", IMAGE,
              t2=ints(2)),
    pair("pooling of an image that is three by five", IMAGE, "y = GlobalAveragePool(x)",
         "y = AveragePool<kernel_shape=[3, 5]>(x)"),
    pair("maximum of an image that is three by five", IMAGE, "y = GlobalMaxPool(x)",
         "y = MaxPool<kernel_shape=[3, 5]>(x)"),
    pair("every second, odd", ANY, "y = Slice(x, first, far, dim1, t2)", "y0 = Slice(x, z, mfar, dim1, mt2) y = "
         "Slice(y0, z, mfar, dim1, z)",
         first=ints(0), far=ints(2**40), dim1=ints(1), t2=ints(2), z=ints(-1), mfar=ints(-(2**40)), mt2=ints(-2),
         feeds={"x": normal(2, 6, 8)}),
    pair("convolution with strides, odd", "(float[N, 3, L] x) => (float[N, 4, M] y)",
         "y = Conv<pads=[1, 1], strides=[2]>(x, K)",
         "y = Conv<auto_pad=\"SAME_UPPER\", strides=[2]>(x, K)", K=normal(4, 3, 3), feeds={"x": normal(1, 3, 8)}),
    pair("convolution with strides of three", "(float[N, 3, L] x) => (float[N, 4, M] y)",
         "y = Conv<pads=[1, 1], strides=[3]>(x, K)",
         "y = Conv<auto_pad=\"SAME_UPPER\", strides=[3]>(x, K)", K=normal(4, 3, 3), feeds={"x": normal(1, 3, 8)}),
    pair("halves of an odd length", ANY, LENGTH + "h = Div(s, t2) a = Slice(x, first, h, dim1) b = Slice(x, h, s, "
         "dim1) "
         "y = Concat<axis=1>(b, a)", LENGTH + "p = Add(s, dim1) h = Div(p, t2) g = Sub(s, h) a = Slice(x, first, g, "
         "dim1) "
         "b = Slice(x, g, s, dim1) y = Concat<axis=1>(b, a)", first=ints(0), t2=ints(3), dim1=ints(1),
         feeds={"x": normal(2, 5, 8)}),
]  # fmt: skip
