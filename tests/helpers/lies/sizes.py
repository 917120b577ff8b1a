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
]  # fmt: skip
