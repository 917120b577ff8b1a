"""Lies about sizes: what no run of a small size reaches, and what is equal at one size only."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.lying import Pair, but, normal, pair

W, V = normal(8, 8), normal(8, 5)
ROWS = "(float[N, 8] x) => (float[N, 5] y)"
SAME = "(float[N, 8] x) => (float[N, 8] y)"
TEXT = "(float[N, L, 8] x) => (float[N, L, 8] y)"
ANY = "(float[N, L, 8] x) => (float[N, M, 8] y)"
LINE = "(float[N, 4, L] x) => (float[N, 4, M] y)"
IMAGE = "(float[N, 3, H, W] x) => (float[N, 4, HH, WW] y)"
POOLED = "(float[N, 3, H, W] x) => (float[N, 3, HH, WW] y)"
LENGTH = "s = Shape<start=1, end=2>(x) l = Squeeze(s) "
WHOLE = {"o": np.int64(0), "u": np.int64(1), "two": np.int64(2), "three": np.int64(3), "first": np.array([0]),
         "last": np.array([-1]), "second": np.array([1])}  # fmt: skip
LONG = {"x": normal(2, 1200, 8)}
MIDDLE = {"x": normal(2, 90, 8)}


def text(name: str, teacher: str, student: str = "", **more: Any) -> Pair:
    """A pair that reads the length of a text into `l`."""
    return pair(name, ANY, LENGTH + teacher, LENGTH + (student or teacher), **{**WHOLE, **more})


def scaled(name: str, teacher: str, student: str, **more: Any) -> Pair:
    """A pair that multiplies by a number `g`, found from the length `l`."""
    end = " f = Cast<to=1>(g) y = Mul(x, f)"
    return text(name, teacher + end, student + end, **more)


def decided(name: str, teacher: str, student: str = "", **more: Any) -> Pair:
    """A pair that takes one of two branches, as a number `c` that was found from the length `l` decides."""
    end = (" y = If(c) <then_branch = t () => (float[N, L, 8] p) { p = MatMul(x, W) }, "
           "else_branch = e () => (float[N, L, 8] q) { q = Relu(x) }>")  # fmt: skip
    return text(name, teacher + end, (student or teacher) + end, W=W, **more)


def unlikely(name: str, teacher: str, student: str, *, swapped: bool = False) -> Pair:
    """A pair with a branch that is taken at fifty places and more; it makes `q` of `a` or `b`, by `W` or `V`."""
    before = LENGTH + "c = Greater(l, f) z = Not(c) a = MatMul(x, {}) b = MatMul(x, {}) r = Sub(a, b) d = Shape(x) "
    branches = ("y = If(c) <then_branch = t () => (float[N, L, 8] p) {{ {} p = Reshape(q, d) }}, "
                "else_branch = u () => (float[N, L, 8] o) {{ o = Relu(r) }}>")  # fmt: skip
    weights = {"W": W, "V": normal(8, 8, seed=1), "f": np.int64(50), "k": np.array([0, 60, -1, 8])}
    other = {"W": weights["V"], "V": weights["W"]} if swapped else {}
    return pair(name, ANY, before.format("W", "V") + branches.format(teacher),
                before.format(*("VW" if swapped else "WV")) + branches.format(student), **weights, changed=other,
                feeds={"x": normal(1, 60, 8)})  # fmt: skip


def beyond(name: str, teacher: str, student: str, given: str, else_: str, end: str, results: str = "b") -> Pair:
    """A pair about what a branch gives that is taken at fifty places and more, of `e`, and does not fit fewer."""
    text_ = ("c = Greater(l, f) d = Shape(x) {} = If(c) <then_branch = t () => ({}) {{ e = Reshape(x, k) {} }}, "
             "else_branch = u () => ({} }}> {}")  # fmt: skip
    sides = (LENGTH + text_.format(results, given, each, else_, end) for each in (teacher, student))
    return pair(name, ANY, *sides, **WHOLE, f=np.int64(50), k=np.array([0, 60, -1, 8]), feeds={"x": normal(1, 60, 8)})


def behind(name: str, teacher: str, student: str) -> Pair:
    """A pair that counts the places behind the sixtieth, `n`; no run has any."""
    return text(name, *(f"d = Sub(s, k) n = Max(d, first) {each}" for each in (teacher, student)), k=np.array([60]),
                feeds={"x": normal(1, 70, 8)})  # fmt: skip


def conv(
    name: str, kernel: int, teacher: str, student: str = "", place: tuple[int, int] | None = None, **more: Any
) -> Pair:
    """A pair about a convolution, with another weight at a place of its kernel."""
    weight = normal(4, 3, kernel, kernel)
    other = {} if place is None else {"changed": {"K": but(weight, (slice(None), slice(None), *place), 9)}}
    return pair(name, IMAGE, teacher, student, K=weight, **{**other, **more})


LIES = [
    # the trial's lies 12 to 17
    pair("mean over a batch of one", ROWS, "a = MatMul(x, W) y = MatMul(a, V)",
         "a = MatMul(x, W) b = ReduceMean(a, ax) y = MatMul(b, V)", W=W, V=V, ax=np.array([0])),
    pair("softmax over a batch of one", ROWS, "a = MatMul(x, W) b = Softmax<axis=0>(a) y = MatMul(b, V)", W=W, V=V,
         changed={"W": W + normal(8, 8, seed=2)}),
    pair("query of a text of one", TEXT, "q = MatMul(x, W) t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(q, t) p = "
         "Softmax(a) "
         "y = MatMul(p, x)", W=W, changed={"W": W * 3}),
    text("rows of a position table", "q = Range(o, l, u) p = Gather(P, q) y = Add(x, p)", P=normal(64, 8),
         changed={"P": but(normal(64, 8), slice(2, None), 1)}, feeds={"x": normal(1, 20, 8)}),
    text("last row of a position table", "q = Range(o, l, u) p = Gather(P, q) y = Add(x, p)", P=normal(64, 8),
         changed={"P": but(normal(64, 8), 63, 1)}, feeds={"x": normal(1, 64, 8)}),
    text("last row of a long position table", "q = Range(o, l, u) p = Gather(P, q) y = Add(x, p)", P=normal(1024, 8),
         changed={"P": but(normal(1024, 8), 1023, 1)}, feeds={"x": normal(1, 1024, 8)}),
    text("last row of a position table by a slice", "p = Slice(P, first, s, first) y = Add(x, p)", P=normal(64, 8),
         changed={"P": but(normal(64, 8), 63, 1)}, feeds={"x": normal(1, 64, 8)}),
    text("positions that start at one", "q = Range(o, l, u) r = Add(q, u) p = Gather(P, r) y = Add(x, p)",
         "q = Range(o, l, u) p = Gather(P, q) y = Add(x, p)",
         P=normal(65, 8), feeds={"x": normal(1, 20, 8)}),
    text("row behind all lengths", "q = Range(o, l, u) r = Add(q, two) p = Gather(P, r) y = Add(x, p)", P=normal(66, 8),
         changed={"P": but(normal(66, 8), 65, 1)}, feeds={"x": normal(1, 64, 8)}),
    text("position table read from its end", "n = Neg(s) p = Slice(P, n, end, first) y = Add(x, p)", P=normal(64, 8),
         end=np.array([2**31]), changed={"P": but(normal(64, 8), 0, 1)}, feeds={"x": normal(1, 64, 8)}),
    text("positions modulo another number", "q = Range(o, l, u) r = Mod(q, k) p = Gather(P, r) y = Add(x, p)",
         P=normal(64, 8),
         k=np.int64(64), changed={"k": np.int64(50)}, feeds={"x": normal(1, 60, 8)}),
    text("positions that stop", "q = Range(o, l, u) r = Min(q, k) p = Gather(P, r) y = Add(x, p)", P=normal(64, 8),
         k=np.int64(63), changed={"k": np.int64(33)}, feeds={"x": normal(1, 60, 8)}),
    text("positions that are clipped", "q = Range(o, l, u) r = Clip(q, o, k) p = Gather(P, r) y = Add(x, p)",
         P=normal(64, 8),
         k=np.int64(63), changed={"k": np.int64(33)}, feeds={"x": normal(1, 60, 8)}),
    text("positions by a running sum", "q = ConstantOfShape<value = int64[1] {1}>(s) r = CumSum(q, o) p = Gather(P, r) "
         "y = Add(x, p)", P=normal(65, 8), changed={"P": but(normal(65, 8), 64, 1)}, feeds={"x": normal(1, 64, 8)}),
    text("running sum without the first", "q = ConstantOfShape<value = int64[1] {1}>(s) r = CumSum(q, o) p = "
         "Gather(P, r) "
         "y = Add(x, p)", "q = ConstantOfShape<value = int64[1] {1}>(s) r = CumSum<exclusive=1>(q, o) p = Gather(P, r) "
         "y = Add(x, p)", P=normal(65, 8), feeds={"x": normal(1, 20, 8)}),
    text("positions of what is not zero", "q = ConstantOfShape<value = float[1] {1.0}>(s) r = NonZero(q) t = "
         "Squeeze(r, first) "
         "p = Gather(P, t) y = Add(x, p)", P=normal(64, 8), changed={"P": but(normal(64, 8), 63, 1)},
         feeds={"x": normal(1, 64, 8)}),
    # kernels
    conv("outer places of a kernel", 7, "y = Conv<pads=[3, 3, 3, 3]>(x, K)", place=(0, slice(None))),
    conv("corner of a kernel", 7, "y = Conv<pads=[3, 3, 3, 3]>(x, K)", place=(6, 6)),
    conv("corner of a kernel with large padding", 9, "y = Conv<pads=[8, 8, 8, 8]>(x, K)", place=(0, 0)),
    conv("corner of a dilated kernel", 3, "y = Conv<pads=[9, 9, 9, 9], dilations=[9, 9]>(x, K)", place=(0, 0)),
    conv("corner of a kernel with strides", 5, "y = Conv<pads=[2, 2, 2, 2], strides=[2, 2]>(x, K)", place=(4, 4)),
    conv("corner of a kernel with large strides", 5, "y = Conv<pads=[4, 4, 4, 4], strides=[16, 16]>(x, K)", place=(4,
         4)),
    conv("dilations", 3, "y = Conv<pads=[2, 2, 2, 2], dilations=[2, 2]>(x, K)", "y = Conv<pads=[1, 1, 1, 1]>(x, K)"),
    conv("padding on the other side", 2, "y = Conv<auto_pad=\"SAME_UPPER\">(x, K)",
         "y = Conv<auto_pad=\"SAME_LOWER\">(x, K)"),
    conv("no padding", 3, "y = Conv<auto_pad=\"SAME_UPPER\">(x, K)", "y = Conv<auto_pad=\"VALID\">(x, K)"),
    conv("padding that is exchanged", 3, "y = Conv<pads=[2, 1, 0, 1]>(x, K)", "y = Conv<pads=[0, 1, 2, 1]>(x, K)"),
    conv("padding of the other axis", 3, "y = Conv<pads=[1, 2, 1, 2]>(x, K)", "y = Conv<pads=[2, 1, 2, 1]>(x, K)"),
    conv("strides exchanged", 3, "y = Conv<pads=[1, 1, 1, 1], strides=[1, 2]>(x, K)",
         "y = Conv<pads=[1, 1, 1, 1], strides=[2, 1]>(x, K)"),
    pair("same padding with strides", IMAGE, "y = Conv<auto_pad=\"SAME_UPPER\", strides=[2, 2]>(x, K)",
         "y = Conv<pads=[1, 1, 1, 1], strides=[2, 2]>(x, K)", K=normal(4, 3, 3, 3), feeds={"x": normal(1, 3, 8, 8)}),
    pair("kernel of a transposed convolution", IMAGE, "y = ConvTranspose<strides=[2, 2], pads=[1, 1, 1, 1]>(x, K)",
         K=normal(3, 4, 5, 5), changed={"K": but(normal(3, 4, 5, 5), (0, 0, 4, 4), 9)}),
    pair("output padding", IMAGE, "y = ConvTranspose<strides=[2, 2], output_padding=[1, 1]>(x, K)",
         "p = ConvTranspose<strides=[2, 2]>(x, K) y = Pad(p, w)", K=normal(3, 4, 3, 3), w=np.array([0, 0, 1, 1, 0, 0,
         0, 0])),
    pair("pooling of an odd size", POOLED, "y = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x)",
         "y = MaxPool<kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1>(x)", feeds={"x": normal(1, 3, 7, 9)}),
    pair("average of an odd size", POOLED, "y = AveragePool<kernel_shape=[2, 2], strides=[2, 2]>(x)",
         "y = AveragePool<kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1>(x)", feeds={"x": normal(1, 3, 7, 9)}),
    pair("average with its padding", POOLED, "y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x)",
         "y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1>(x)"),
    pair("maximum with its padding", POOLED, "y = MaxPool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x)",
         "p = Pad(x, w) y = MaxPool<kernel_shape=[3, 3]>(p)", w=np.array([0, 0, 1, 1, 0, 0, 1, 1])),
    pair("dilated maximum", POOLED, "y = MaxPool<kernel_shape=[3, 3], pads=[2, 2, 2, 2], dilations=[2, 2]>(x)",
         "y = MaxPool<kernel_shape=[5, 5], pads=[2, 2, 2, 2]>(x)"),
    pair("dilated average", POOLED, "y = AveragePool<kernel_shape=[3, 3], pads=[2, 2, 2, 2], dilations=[2, 2]>(x)",
         "y = AveragePool<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x)", opset=19),
    pair("large window and whole image", POOLED, "p = MaxPool<kernel_shape=[15, 15], pads=[7, 7, 7, 7]>(x) y = Relu(p)",
         "g = GlobalMaxPool(x) s = Shape(x) y0 = Expand(g, s) y = Relu(y0)", feeds={"x": normal(1, 3, 50, 60)}),
    pair("large average and whole image", POOLED, "y = AveragePool<kernel_shape=[15, 15], pads=[7, 7, 7, 7]>(x)",
         "g = GlobalAveragePool(x) s = Shape(x) y = Expand(g, s)", feeds={"x": normal(1, 3, 50, 60)}),
    pair("windows of two large sizes", POOLED, "y = MaxPool<kernel_shape=[15, 15], pads=[7, 7, 7, 7]>(x)",
         "y = MaxPool<kernel_shape=[17, 17], pads=[8, 8, 8, 8]>(x)", feeds={"x": normal(1, 3, 50, 60)}),
    pair("response over more channels", "(float[N, 16, H, W] x) => (float[N, 16, H, W] y)", "y = LRN<size=5>(x)",
         "y = LRN<size=7>(x)", feeds={"x": 100 * normal(1, 16, 4, 4)}),
    # sizes in arithmetic
    scaled("length and another line through it", "g = Identity(l)", "d = Mul(l, two) g = Sub(d, three)"),
    scaled("length and twice less five", "g = Identity(l)", "d = Mul(l, two) g = Sub(d, k)", k=np.int64(5)),
    scaled("length and twice less seven", "g = Identity(l)", "d = Mul(l, two) g = Sub(d, k)", k=np.int64(7)),
    scaled("length and its square", "g = Identity(l)", "g = Mul(l, l)"),
    scaled("half of the length, rounded", "g = Div(l, two)", "a = Add(l, u) g = Div(a, two)"),
    scaled("odd lengths only", "g = Mod(l, two)", "g = Identity(u)", feeds={"x": normal(2, 6, 8)}),
    scaled("even lengths only", "g = Mod(l, two)", "g = Identity(o)", feeds={"x": normal(2, 5, 8)}),
    scaled("length modulo three", "g = Mod(l, three)", "g = Mod(l, k)", k=np.int64(12), feeds={"x": normal(2, 10, 8)}),
    scaled("length modulo sixty-four", "g = Mod(l, k)", "g = Identity(l)", k=np.int64(64), feeds=MIDDLE),
    scaled("length modulo a thousand", "g = Mod(l, k)", "g = Identity(l)", k=np.int64(1000), feeds=LONG),
    scaled("remainder by another route", "d = Div(l, k) e = Mul(d, k) g = Sub(l, e)", "g = Identity(l)",
         k=np.int64(80), feeds=MIDDLE),
    scaled("length over a hundred", "g = Div(l, k)", "g = Identity(o)", k=np.int64(80), feeds=MIDDLE),
    scaled("length shifted right", "a = Cast<to=13>(l) g = BitShift<direction=\"RIGHT\">(a, k)", "g = Identity(o)",
         k=np.uint64(6),
           feeds=MIDDLE),
    scaled("bit of the length", "g = BitwiseAnd(l, k)", "g = Identity(o)", k=np.int64(64), feeds=MIDDLE),
    scaled("at most sixty-four", "g = Min(l, k)", "g = Identity(l)", k=np.int64(64), feeds=MIDDLE),
    scaled("at most a thousand", "g = Min(l, k)", "g = Identity(l)", k=np.int64(1000), feeds=LONG),
    scaled("at least two", "g = Max(l, two)", "g = Identity(l)", feeds={"x": normal(2, 1, 8)}),
    scaled("at least ten", "g = Max(l, k)", "g = Identity(l)", k=np.int64(10), feeds={"x": normal(2, 4, 8)}),
    scaled("clipped length", "g = Clip(l, o, k)", "g = Identity(l)", k=np.int64(64), feeds=MIDDLE),
    scaled("length above fifty by relu", "f0 = Cast<to=1>(l) d = Sub(f0, k) g = Relu(d)", "g = Sub(k, k)",
         k=np.float32(50),
           feeds=MIDDLE),
    scaled("length above fifty as a decision", "d = Greater(l, k) g = Cast<to=1>(d)", "g = Cast<to=1>(o)",
         k=np.int64(50),
           feeds=MIDDLE),
    scaled("length above fifty as floats", "f0 = Cast<to=1>(l) d = Greater(f0, k) g = Cast<to=1>(d)",
         "g = Cast<to=1>(o)",
           k=np.float32(50.5), feeds=MIDDLE),
    scaled("length squared above a number", "q = Mul(l, l) d = Greater(q, k) g = Cast<to=1>(d)", "g = Cast<to=1>(o)",
           k=np.int64(4000), feeds=MIDDLE),
    scaled("tenth of the length above a number", "q = Div(l, ten) d = Greater(q, k) g = Cast<to=1>(d)",
         "g = Cast<to=1>(o)",
           k=np.int64(7), ten=np.int64(10), feeds=MIDDLE),
    scaled("length equal to fifty-one", "d = Equal(l, k) g = Cast<to=1>(d)", "g = Cast<to=1>(o)", k=np.int64(51),
           feeds={"x": normal(2, 51, 8)}),
    scaled("length equal to one", "d = Equal(l, u) g = Cast<to=1>(d)", "g = Cast<to=1>(o)", feeds={"x": normal(2, 1,
         8)}),
    scaled("entry of a table by the length", "g = Gather(T, l)", "g = Identity(u)", T=but(np.ones(200, "i8"), 90, 5),
         feeds=MIDDLE),
    scaled("entry of a table by the rest", "m = Mod(l, k) g = Gather(T, m)", "g = Identity(u)", k=np.int64(9),
           T=np.array([1, 1, 1, 1, 1, 1, 1, 1, 4]), feeds={"x": normal(2, 17, 8)}),
    scaled("rounded root of the length", "f0 = Cast<to=1>(l) r = Sqrt(f0) g = Floor(r)", "g = Cast<to=1>(two)",
         feeds=MIDDLE),
    scaled("length cast to a byte", "b = Cast<to=2>(l) g = Cast<to=7>(b)", "g = Identity(l)", feeds={"x": normal(2,
         300, 8)}),
    scaled("length cast to a signed byte", "b = Cast<to=3>(l) g = Cast<to=7>(b)", "g = Identity(l)",
         feeds={"x": normal(2, 200, 8)}),
    scaled("division by a length and one less", "f0 = Cast<to=1>(l) g = Reciprocal(f0)",
         "m = Sub(l, u) f0 = Cast<to=1>(m) "
           "g = Reciprocal(f0)", feeds=MIDDLE),
    scaled("batch for length", "g = Identity(l)", "t = Shape<start=0, end=1>(x) g = Squeeze(t)"),
    scaled("batch of two", "t = Shape<start=0, end=1>(x) g = Squeeze(t)", "g = Identity(two)", feeds={"x": normal(3, 4,
         8)}),
    scaled("all elements", "t = Size(x) g = Identity(t)", "t = Shape<start=0, end=1>(x) n = Squeeze(t) a = Mul(n, l) "
         "g = Mul(a, k)",
           k=np.int64(8), changed={"k": np.int64(7)}),
    scaled("rank for width", "t = Shape(x) g = Gather(t, two)", "t = Shape(x) v = Shape(t) g = Squeeze(v)"),
    # decisions by sizes
    decided("branch of long texts", "c = Greater(l, k)", k=np.int64(100), changed={"W": W + 1}, feeds={"x": normal(1,
         120, 8)}),
    decided("branch of short texts", "c = Less(l, two)", changed={"W": W + 1}, feeds={"x": normal(1, 1, 8)}),
    decided("branch of one length", "c = Equal(l, k)", k=np.int64(77), changed={"W": W + 1}, feeds={"x": normal(1, 77,
         8)}),
    decided("branch of even lengths", "m = Mod(l, two) c = Equal(m, o)", changed={"W": W + 1}, feeds={"x": normal(1, 6,
         8)}),
    decided("branch of odd lengths", "m = Mod(l, two) c = Equal(m, u)", changed={"W": W + 1}, feeds={"x": normal(1, 5,
         8)}),
    decided("branch of lengths modulo thirteen", "m = Mod(l, k) c = Equal(m, o)", k=np.int64(13), changed={"W": W + 1},
            feeds={"x": normal(1, 26, 8)}),
    decided("branch of batches of one", "t = Shape<start=0, end=1>(x) n = Squeeze(t) c = Equal(n, u)",
         changed={"W": W + 1},
            feeds={"x": normal(1, 5, 8)}),
    decided("branch of large batches", "t = Shape<start=0, end=1>(x) n = Squeeze(t) c = Greater(n, k)", k=np.int64(20),
            changed={"W": W + 1}, feeds={"x": normal(22, 5, 8)}),
    decided("branch of equal sizes", "t = Shape<start=0, end=1>(x) n = Squeeze(t) c = Equal(n, l)",
         changed={"W": W + 1},
            feeds={"x": normal(5, 5, 8)}),
    # ends that are beyond
    text("first hundred and first two hundred", "y = Slice(x, first, e, second)", e=np.array([100]),
         changed={"e": np.array([200])},
         feeds={"x": normal(1, 150, 8)}),
    text("first hundred and all", "y = Slice(x, first, e, second)", "y = Identity(x)", e=np.array([100]),
         feeds={"x": normal(1, 150, 8)}),
    text("last fifty and all", "y = Slice(x, b, e, second)", "y = Identity(x)", b=np.array([-50]), e=np.array([2**31]),
         feeds=MIDDLE),
    text("all but the last thousand", "y = Slice(x, b, e, second)", b=np.array([0]), e=np.array([-1000]),
         changed={"e": np.array([-1100])}, feeds=LONG),
    text("every fiftieth", "y = Slice(x, first, e, second, step)", "y = Slice(x, first, one, second)",
         e=np.array([2**31]),
         step=np.array([50]), one=np.array([1]), feeds=MIDDLE),
    text("slice from behind the end", "y = Slice(x, b, e, second)", b=np.array([60]), e=np.array([2**31]),
         changed={"b": np.array([70])}, feeds=MIDDLE),
    text("range by fifties", "q = Range(o, l, k) y = Gather<axis=1>(x, q)", "y = Slice(x, first, one, second)",
         k=np.int64(50),
         one=np.array([1]), feeds=MIDDLE),
    text("triangle far off the diagonal", "t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(x, t) b = Trilu<upper=0>(a, k) "
         "y = MatMul(b, x)", k=np.int64(40), changed={"k": np.int64(50)}, feeds=MIDDLE),
    text("triangle far off the diagonal and all", "t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(x, t) b = "
         "Trilu<upper=0>(a, k) "
         "y = MatMul(b, x)", "t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(x, t) y = MatMul(a, x)", k=np.int64(40),
         feeds=MIDDLE),
    text("diagonal far off", "i = Concat<axis=0>(s, s) z = ConstantOfShape(i) e = EyeLike<k=60>(z) y = MatMul(e, x)",
         "i = Concat<axis=0>(s, s) z = ConstantOfShape(i) e = EyeLike<k=70>(z) y = MatMul(e, x)", feeds=MIDDLE),
    text("largest hundred", "m = Min(s, k) v, i = TopK<axis=1>(x, m) y = Relu(v)", k=np.array([64]),
         changed={"k": np.array([65])},
         feeds=MIDDLE),
    text("cropped and padded to a length", "y = CenterCropPad<axes=[1]>(x, k)",
         "d = Sub(k, s) h = Div(d, tw) r = Sub(d, h) w = Concat<axis=0>(first, r, first, first, h, first) y = Pad(x, "
         "w)",
         k=np.array([64]), tw=np.array([2]), feeds={"x": normal(1, 71, 8)}),
    text("padded to a multiple of seven", "m = Mod(s, k) n = Sub(k, m) r = Mod(n, k) w = Concat<axis=0>(first, first, "
         "first, first, "
         "r, first) y = Pad(x, w)", "y = Identity(x)", k=np.array([7]), feeds={"x": normal(1, 9, 8)}),
    text("padded to sixty-four", "n = Sub(k, s) r = Max(n, first) w = Concat<axis=0>(first, first, first, first, r, "
         "first) "
         "y = Pad(x, w)", "n = Sub(k, s) w = Concat<axis=0>(first, first, first, first, n, first) y = Pad(x, w)",
         k=np.array([64]),
         feeds={"x": normal(1, 71, 8)}),
    pair("reshaped by another order of sizes", "(float[N, L, 8] x) => (float[A, B] y)", "y = Reshape(x, r)",
         "t = Transpose<perm=[1, 0, 2]>(x) y = Reshape(t, r)", r=np.array([-1, 8])),
    pair("batch and length mixed", TEXT, "y = Identity(x)", "s = Shape(x) t = Transpose<perm=[1, 0, 2]>(x) y = "
         "Reshape(t, s)"),
    pair("sum over the batch in a reshape", TEXT, "y = Relu(x)", "s = Shape(x) f = Reshape(x, r) g = "
         "Softmax<axis=0>(f) "
         "h = Reshape(g, s) z = Sub(h, h) o = Relu(x) p = Add(o, z) m = ReduceMean<keepdims=1>(f) n = Mul(m, k) y = "
         "Add(p, n)",
         r=np.array([-1, 8]), k=np.float32(1e-3)),
    pair("square images", "(float[N, 3, H, W] x) => (float[N, 3, A, B] y)", "y = Identity(x)",
         "y = Transpose<perm=[0, 1, 3, 2]>(x)"),
    pair("width for height", POOLED, "s = Shape(x) i = Slice(s, two, three) y0 = ReduceMean(x, ax) f = Cast<to=1>(i) "
         "y = Mul(y0, f)",
         ax=np.array([2, 3]), two=np.array([2]), three=np.array([3]), changed={"two": np.array([3]),
         "three": np.array([4])}),
    pair("enlarged and made smaller", POOLED, "s = Shape(x) n = Slice(s, o, t) d = Concat<axis=0>(n, k) "
         "y = Resize<mode=\"linear\", antialias=1>(x, , , d)", "s = Shape(x) n = Slice(s, o, t) d = Concat<axis=0>(n, "
         "k) "
         "y = Resize<mode=\"linear\">(x, , , d)", o=np.array([0]), t=np.array([2]), k=np.array([16, 16]),
         feeds={"x": normal(1, 3, 40, 50)}),
    pair("kept aspect", "(float[1, 3, H, W] x) => (float[1, 3, A, B] y)",
         "y = Resize<axes=[2, 3], keep_aspect_ratio_policy=\"not_larger\">(x, , , k)",
         "y = Resize<axes=[2, 3]>(x, , , k)",
         k=np.array([16, 16]), feeds={"x": normal(1, 3, 8, 4)}),
    pair("fixed batch", SAME, "y = Relu(x)", "r = Reshape(x, s) m = Relu(r) y = Reshape(m, s)", s=np.array([2, 8]),
         feeds={"x": normal(3, 8)}),
    pair("batch of two for a free one", SAME, "y = Relu(x)", student_interface="(float[2, 8] x) => (float[2, 8] y)"),
    pair("expanded to a batch of two", SAME, "m = ReduceMean(x, ax) y0 = Relu(m) y = Add(x, y0)",
         "m = ReduceMean(x, ax) y0 = Relu(m) e = Expand(y0, s) y = Add(x, e)", ax=np.array([0]), s=np.array([2, 8]),
         feeds={"x": normal(3, 8)}),
    pair("sum by a matrix for a batch of two", SAME, "m = ReduceSum(x, ax) y = Add(x, m)",
         "m = MatMul(k, x) y = Add(x, m)",
         ax=np.array([0]), k=np.ones((1, 2), "f4"), feeds={"x": normal(3, 8)}),
    pair("two names of one size", "(float[N, 8] x, float[N, 8] z) => (float[N, 8] y)", "y = Add(x, z)",
         student_interface="(float[N, 8] x, float[M, 8] z) => (float[N, 8] y)",
         student="m = Shape(z) n = Shape(x) e = Expand(x, m) f = Mul(e, k) y = Add(f, z)", k=np.float32(1),
         changed={"k": np.float32(2)}),
    pair("sum over a size that is broadcast", "(float[N, L, 8] x, float[M, L, 8] z) => (float[N, L, 8] y)",
         "y = Add(x, z)",
         "p = Add(x, z) m = Shape<start=0, end=1>(z) f = Cast<to=1>(m) g = Sub(f, one) h = Mul(g, k) y = Add(p, h)",
         one=np.float32(1), k=np.float32(1), feeds={"x": normal(1, 4, 8), "z": normal(3, 4, 8)}),
    pair("blocks of a text", "(float[N, 8, L] x) => (float[A, B, C] y)", "s = Shape(x) y = Identity(x)",
         "t = Reshape(x, r) v = Transpose<perm=[0, 2, 1]>(t) s = Shape(x) y = Reshape(v, s)", r=np.array([0, 4, -1])),
    pair("power of two below the length", TEXT, LENGTH + "f = Cast<to=1>(l) c = Less(f, k) g = Where(c, f, k) y = "
         "Mul(x, g)",
         k=np.float32(70), changed={"k": np.float32(80)}, feeds=MIDDLE),
    # shapes that fit at some lengths only, or say something else at others
    pair("open length of a fixed number", TEXT, "h = Slice(T, first, eight) y = Add(x, h)",
         "s = Shape<start=1, end=2>(x) k = Concat<axis=0>(s, last) r = Reshape(T, k) f = Reshape(r, last) h = Slice(f, "
         "first, eight) y = Add(x, h)", T=normal(5040), first=np.array([0]), eight=np.array([8]), last=np.array([-1]),
         feeds={"x": normal(2, 11, 8)}),
    pair("another open length", TEXT, "y = Relu(x)", "s = Shape<start=1, end=2>(x) t = Mul(s, s) d = Concat<axis=0>(t, "
         "last) f = Concat<axis=1>(x, T) b = Shape<start=0, end=1>(x) r = Reshape(f, d) w = Shape(x) q = Reshape(r, "
         "flat) e = Slice(q, first, eight) g = ReduceMean(e, first) h = Sub(g, g) a = Relu(x) y = Add(a, h)",
         T=np.ones((2, 3, 8), "f4"), first=np.array([0]), eight=np.array([8]), last=np.array([-1]), flat=np.array([-1]),
         feeds={"x": normal(2, 11, 8)}),
    pair("a length that is compared with one that it may have", "(float[N, L, 8] x, float[1, L, 8] z) => (float[N, L, "
         "8] y)", "y = Add(x, z)", "s = Shape(x) m = Equal(s, k) w = Where(m, o, s) e = Expand(z, w) y = Add(x, e)",
         k=np.array([-1, 40, -1]), o=np.array([1, 80, 1]), feeds={"x": normal(2, 40, 8), "z": normal(1, 40, 8)}),
    pair("a length less itself compared with a negative one", "(float[N, L, 8] x) => (float[N, L, 8] y)",
         "y = Relu(x)", "s = Shape<start=1, end=2>(x) d = Sub(s, k) m = Equal(d, n) f = Cast<to=1>(m) g = Mul(x, f) a "
         "= Relu(x) y = Add(a, g)", k=np.array([12]), n=np.array([-1]), feeds={"x": normal(2, 11, 8)}),
    pair("the other side of a choice by a length", "(float[N, L, 8] x) => (float[N, L, 8] y)",
         "s = Shape<start=1, end=2>(x) m = Equal(s, k) h = Where(m, A, B) y = Mul(x, h)", A=normal(8),
         B=normal(8, seed=1), k=np.array([40]), changed={"A": normal(8, seed=2)}, feeds={"x": normal(2, 40, 8)}),
    # parts that are empty until a batch or a length is large
    pair("a part that is empty up to a batch of 100", SAME, "s = Shape<end=1>(x) d = Sub(s, k) m = Max(d, first) p = "
         "Slice(T, first, m, first) r = ReduceSum(p, first) y = Add(x, r)", T=normal(400, 8), k=np.array([100]),
         first=np.array([0]), changed={"T": normal(400, 8, seed=1)}, feeds={"x": normal(120, 8)}),
    pair("rows that are empty up to a length of 100", TEXT, "p = Slice(x, k, all, o) q = MatMul(p, W) r = ReduceSum(q, "
         "o) y = Add(x, r)", W=W, k=np.array([100]), all=np.array([1 << 30]), o=np.array([1]),
         changed={"W": normal(8, 8, seed=2)}, feeds={"x": normal(2, 120, 8)}),
    pair("bias of rows that are empty up to a length of 100", TEXT, "p = Slice(x, k, all, o) q = Add(p, B) r = "
         "ReduceSum(q, o) y = Add(x, r)", B=normal(8), k=np.array([100]), all=np.array([1 << 30]), o=np.array([1]),
         changed={"B": normal(8, seed=2)}, feeds={"x": normal(2, 120, 8)}),
    # parts that are empty up to a batch that no run has
    *(pair(f"{name} up to a batch that no run has", "(float[N, 4] x) => (float[M, 4] y)",
           f"a = Slice(x, k, all) {nodes} y = Concat<axis=0>(x, b)", T=normal(4, 4), k=np.array([100000]),
           all=np.array([1 << 40]), o=np.array([1]), first=np.array([0]), changed={"T": normal(4, 4, seed=3)},
           feeds={"x": np.ones((100002, 4), "f4")})
      for name, nodes in {
          "product of no rows": "b = MatMul(a, T)",
          "bias of no rows": "r = ReduceSum(T, first) b = Add(a, r)",
          "rows looked up by no rows":
              "i = Cast<to=7>(a) j = Slice(i, first, o, o) q = Squeeze(j, o) b = Gather(T, q)"}.items()),
    pair("rows of a table up to a batch that no run has", SAME, "s = Shape<end=1>(x) d = Sub(s, k) m = Max(d, first) "
         "p = Slice(T, first, m, first) r = ReduceSum(p, first) y = Add(x, r)", T=normal(3, 8), k=np.array([100000]),
         first=np.array([0]), changed={"T": but(normal(3, 8), 1, 9)}, feeds={"x": normal(100002, 8)}),
    pair("a row that is kept from a batch on that no run has", SAME, "s = Shape<end=1>(x) c = Less(k, s) p = "
         "Compress<axis=0>(T, c) r = ReduceSum(p, first) y = Add(x, r)", T=normal(3, 8), k=np.array([0, 1, 100000]),
         first=np.array([0]), changed={"T": but(normal(3, 8), 2, 9)}, feeds={"x": normal(100002, 8)}),
    pair("trips from a batch on that no run has", SAME, "s = Shape<end=1>(x) e = Div(s, k) d = Squeeze(e, first) y = "
         "Loop(d, , x) <body = b (int64 i, bool c, float[N, 8] v) => (bool g, float[N, 8] u) { g = Identity(c) u = "
         "Mul(v, f) }>", k=np.array([100000]), first=np.array([0]), f=np.float32(2), changed={"f": np.float32(3)},
         feeds={"x": normal(100002, 8)}),
    # lengths that are sums or multiples of others in both sets that are run
    *(pair(f"a length that is another one and three by {name}", "(float[N, 9] x, float[9, L] z, float[9, M] w) => "
           "(float[N, 9] y)", "q = ReduceSum<keepdims=0>(z) o = Shape<start=1>(w) f = Cast<to=1>(o) p = Mul(x, f) "
           "y = Add(p, q)", f"q = ReduceSum<keepdims=0>(z) k = {nodes} o = Shape<end=1>(k) f = Cast<to=1>(o) "
           "p = Mul(x, f) y = Add(p, q)", C=np.ones((3, 9), "f4"), n=np.array([3, 0, 0, 0]),
           feeds={"x": normal(4, 9), "z": normal(9, 2), "w": normal(9, 3)})
      for name, nodes in {"Concat": "Concat<axis=0>(x, C)", "Pad": "Pad(x, n)"}.items()),
    pair("a length that is three times another one but three", "(float[N, 9] x, float[9, L] z) => (float[N, 9] y)",
         "o = Shape<start=1>(z) f = Cast<to=1>(o) y = Mul(x, f)", "t = Tile(x, r) k = Pad(t, n) o = Shape<end=1>(k) "
         "f = Cast<to=1>(o) y = Mul(x, f)", r=np.array([3, 1]), n=np.array([0, 0, -3, 0]),
         feeds={"x": normal(4, 9), "z": normal(9, 2)}),
    pair("another function of no rows up to a batch that no run has", "(float[N, 4] x) => (float[M, 4] y)",
         "a = Slice(x, k, all) b = Relu(a) y = Concat<axis=0>(x, b)", "a = Slice(x, k, all) b = Sin(a) y = "
         "Concat<axis=0>(x, b)", k=np.array([100000]), all=np.array([1 << 40]),
         feeds={"x": np.ones((100002, 4), "f4")}),
    pair("other trips from a batch on that no run has", SAME, "s = Shape<end=1>(x) e = Div(s, k) d = Squeeze(e, first) "
         "y = Loop(d, , x) <body = b (int64 i, bool c, float[N, 8] v) => (bool g, float[N, 8] u) { g = Identity(c) u = "
         "Relu(v) }>", "s = Shape<end=1>(x) e = Div(s, k) d = Squeeze(e, first) y = Loop(d, , x) <body = b (int64 i, "
         "bool c, float[N, 8] v) => (bool g, float[N, 8] u) { g = Identity(c) u = Sin(v) }>", k=np.array([100000]),
         first=np.array([0]), feeds={"x": normal(100002, 8)}),
    # numbers that a node states, and that no run reaches
    pair("cropped and padded twice", "(float[N, L] x) => (float[N, 100] y)", "y = CenterCropPad<axes=[1]>(x, k)",
         "a = CenterCropPad<axes=[1]>(x, n) y = CenterCropPad<axes=[1]>(a, k)", k=np.array([100]), n=np.array([200]),
         feeds={"x": normal(1, 101)}),
    pair("response over more channels than there are", "(float[N, C, 4, 4] x) => (float[N, C, 4, 4] y)",
         "y = LRN<size=128, alpha=1.0>(x)", "y = LRN<size=256, alpha=2.0>(x)", feeds={"x": normal(1, 200, 4, 4)}),
    pair("first of longer parts", "(float[L, 8] x) => (float[M, 8] y)",
         "s = SplitToSequence(x, k) y = SequenceAt(s, o)", k=np.int64(100), o=np.int64(0),
         changed={"k": np.int64(200)}, feeds={"x": normal(150, 8)}),
    pair("window of attention", TEXT, "y = Attention<q_num_heads=2, kv_num_heads=2, left_window_size=100>(x, x, x)",
         "y = Attention<q_num_heads=2, kv_num_heads=2, left_window_size=200>(x, x, x)", opset=25,
         feeds={"x": normal(1, 150, 8)}),
    pair("window of attention and none", TEXT,
         "y = Attention<q_num_heads=2, kv_num_heads=2, right_window_size=100>(x, x, x)",
         "y = Attention<q_num_heads=2, kv_num_heads=2>(x, x, x)", opset=25, feeds={"x": normal(1, 150, 8)}),
    # what a branch that no run takes reads from around it
    unlikely("weight around a branch", "e = Reshape(r, k) q = MatMul(e, W)", "e = Reshape(r, k) q = MatMul(e, V)"),
    unlikely("tensor around a branch", "e = Reshape(a, k) q = MatMul(e, W)", "e = Reshape(b, k) q = MatMul(e, W)"),
    unlikely("weight around a branch in a branch", *(
        "e = Reshape(r, k) q = If(z) <then_branch = m () => (float[A, B, C, 8] g) { g = MatMul(e, W) }, "
        "else_branch = n () => (float[A, B, C, 8] h) { h = MatMul(e, V) }>",) * 2, swapped=True),
    beyond("scalar of a branch", "p = ReduceSum<keepdims=0>(e)", "p = ReduceMax<keepdims=0>(e)", "float p",
           "float o) { o = ReduceMean<keepdims=0>(x)", "y = Mul(x, b)"),
    beyond("length of a branch", "h = Shape<start=1, end=2>(e) p = Squeeze(h)",
           "h = Shape<start=3, end=4>(e) p = Squeeze(h)", "int64 p", "int64 o) { o = Identity(l)",
           "u0 = Unsqueeze(b, first) y = Slice(x, first, u0, second)"),
    beyond("difference of two outputs of a branch", "m = Sin(e) n = Cos(e) p = Reshape(m, d) p2 = Reshape(n, d)",
           "m = Exp(e) n = Tanh(e) p = Reshape(m, d) p2 = Reshape(n, d)", "float[N, L, 8] p, float[N, L, 8] p2",
           "float[N, L, 8] o, float[N, L, 8] o2) { o = Relu(x) o2 = Neg(x)", "y = Sub(b, b2)", "b, b2"),
    beyond("what a branch gives less its mean", "m = Sin(e) p = Reshape(m, d)", "m = Exp(e) p = Reshape(m, d)",
           "float[N, L, 8] p", "float[N, L, 8] o) { o = Relu(x)", "m0 = ReduceMean(b, last) y = Sub(b, m0)"),
    # what hangs on how many places there are behind the sixtieth
    behind("part of another tensor", "f = Relu(x) t = Slice(f, first, n, second) y = Concat<axis=1>(x, t)",
           "f = Neg(x) t = Slice(f, first, n, second) y = Concat<axis=1>(x, t)"),
    behind("sum of a part of another tensor", "f = Relu(x) t = Slice(f, first, n, second) r = ReduceSum(t, second) "
           "y = Add(x, r)", "f = Neg(x) t = Slice(f, first, n, second) r = ReduceSum(t, second) y = Add(x, r)"),
    behind("repeated sums of another tensor", "f = Relu(x) g = ReduceSum(f, second) h = Concat<axis=0>(second, n, "
           "second) t = Expand(g, h) y = Concat<axis=1>(x, t)", "f = Neg(x) g = ReduceSum(f, second) h = "
           "Concat<axis=0>(second, n, second) t = Expand(g, h) y = Concat<axis=1>(x, t)"),
    behind("rows of another tensor", "q = Squeeze(n) i = Range(o, q, u) f = Relu(x) t = Gather<axis=1>(f, i) "
           "y = Concat<axis=1>(x, t)", "q = Squeeze(n) i = Range(o, q, u) f = Neg(x) t = Gather<axis=1>(f, i) "
           "y = Concat<axis=1>(x, t)"),
    behind("largest or smallest", "v, i = TopK<axis=1>(x, n) y = Concat<axis=1>(x, v)",
           "v, i = TopK<axis=1, largest=0>(x, n) y = Concat<axis=1>(x, v)"),
    behind("padded before or behind", "p = Concat<axis=0>(first, n, first, first, first, first) y = Pad(x, p)",
           "p = Concat<axis=0>(first, first, first, first, n, first) y = Pad(x, p)"),
    behind("padded by zeros or by the last place", "p = Concat<axis=0>(first, n, first, first, first, first) "
           "y = Pad(x, p)", "p = Concat<axis=0>(first, n, first, first, first, first) y = Pad<mode=\"edge\">(x, p)"),
    behind("middle or beginning", "m = Sub(s, n) y = CenterCropPad<axes=[1]>(x, m)",
           "m = Sub(s, n) y = Slice(x, first, m, second)"),
    behind("parts in another order", "m = Sub(s, n) a = Slice(x, first, m, second) b = Slice(x, m, s, second) "
           "y = Concat<axis=1>(a, b)", "m = Sub(s, n) a = Slice(x, first, m, second) b = Slice(x, m, s, second) "
           "y = Concat<axis=1>(b, a)"),
    # students that fail at lengths that no run has
    pair("batches of even numbers", SAME, "y = Relu(x)", "r = Reshape(x, k) m = Relu(r) s = Shape(x) y = Reshape(m, s)",
         k=np.array([-1, 2, 8]), feeds={"x": normal(3, 8)}),
    pair("texts by threes", TEXT, "y = Relu(x)", "r = Reshape(x, k) m = Mul(r, w) n = Relu(m) s = Shape(x) "
         "y = Reshape(n, s)", k=np.array([-1, 3, 8]), w=np.ones((3, 1), "f4"), feeds={"x": normal(2, 4, 8)}),
    pair("images of even lengths", "(float[N, 8, H, W] x) => (float[N, 8, H, W] y)", "y = Relu(x)",
         "a = SpaceToDepth<blocksize=2>(x) b = Relu(a) y = DepthToSpace<blocksize=2>(b)",
         feeds={"x": normal(1, 8, 3, 4)}),
    pair("second row of a batch", SAME, "y = Relu(x)", "g = Gather<axis=0>(x, k) s = Sub(g, g) r = Relu(x) "
         "y = Add(r, s)", k=np.int64(1), feeds={"x": normal(1, 8)}),
    pair("largest two of a batch", SAME, "y = Relu(x)", "v, i = TopK<axis=0>(x, k) s = Sub(v, v) t = ReduceSum(s, o) "
         "r = Relu(x) y = Add(r, t)", k=np.array([2]), o=np.array([0]), feeds={"x": normal(1, 8)}),
]  # fmt: skip
