"""Lies about lengths: what fits, is empty or is decided otherwise at lengths that no run has."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.lies.sizes import ANY, LENGTH, SAME, TEXT, WHOLE, W, text
from helpers.lying import Pair, but, normal, pair
from onnx_n2n.exact.constants import inside


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


HIDDEN = ("y = If(c) <then_branch = t () => (float[N, L, 8] p) {{ e = Reshape(x, k) {} p = Reshape(q, d) }}, "
          "else_branch = u () => (float[N, L, 8] o) {{ o = Relu(x) }}>")  # fmt: skip
FUNCTION = '<domain: "m", opset_import: ["": 18]> F (a) => (b) {{ b = {} }}'


def hidden(name: str, nodes: str, **more: Any) -> Pair:
    """A pair with a branch that is taken at fifty places and more; it is written alike, and means something else."""
    before = "s = Shape(x) l = Gather(s, one) c = Greater(l, f) d = Shape(x) "
    return pair(name, ANY, before + HIDDEN.format(nodes), one=np.int64(1), f=np.int64(50), k=np.array([0, 60, -1, 8]),
                feeds={"x": normal(1, 60, 8)}, **more)  # fmt: skip


def sparse(model: onnx.ModelProto, number: float) -> None:
    """Give the bodies that read `S` that sparse constant of eight numbers; of those that have it another one."""
    values, place = numpy_helper.from_array(np.array([number], "f4"), "S"), numpy_helper.from_array(np.array([3]))
    for graph in inside(model.graph.node):
        if any("S" in node.input for node in graph.node):
            del graph.sparse_initializer[:]
            graph.sparse_initializer.append(helper.make_sparse_tensor(values, place, [8]))


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


LIES = [
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
    # what is so only of one that is alone
    pair("a product over a batch, of what is not zero only alone", SAME, "e = EyeLike(x) m = Mul(x, e) p = "
         "ReduceProd(m, first) q = MatMul(p, W) y = Add(x, q)", first=np.array([0]), W=W,
         changed={"W": normal(8, 8, seed=2)}, feeds={"x": normal(1, 8)}),
    # what is so only where places from both ends of an axis meet
    pair("a place from the end that is the second one of three", "(float[N, 8] x) => (float[5, 8] y)",
         "s = ScatterND(x, k, W) y = Gather<axis=0>(s, i)", k=np.array([[-2]]), W=normal(1, 8),
         i=np.array([1, 1, -3, 2, 0]), changed={"W": normal(1, 8, seed=2)}, feeds={"x": normal(3, 8)}),
    pair("the largest of a batch, of which others are zero", "(float[N, 8] x) => (float[1, 8] y)",
         "e = EyeLike(x) m = Mul(x, e) y = ReduceMax(m, first)",
         "e = EyeLike(x) m = Mul(x, e) g = ReduceMax(m, first) y = Relu(g)", first=np.array([0]),
         feeds={"x": -np.ones((1, 8), "f4")}),
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
    unlikely("names that a body in a branch reads", *(
        f"e = Reshape(r, k) {two} q = If(z) <then_branch = m () => (float[A, B, C, 8] g) {{ g = Identity(e1) }}, "
        "else_branch = n () => (float[A, B, C, 8] h) { h = Identity(e1) }>"
        for two in ("e1 = Sin(e) e2 = Cos(e)", "e2 = Sin(e) e1 = Cos(e)"))),
    pair("both branches turned around, or one", ANY, *(
        f"s = Shape(x) l = Gather(s, one) c = Greater(l, f) d = Shape(x) {nodes}" for nodes in (
            HIDDEN.format("q = Sin(e)").replace("y = If", "z = If") + " y = Gather<axis=2>(z, r)",
            HIDDEN.format("q = Sin(e)").replace("o = Relu(x)", "o1 = Relu(x) o = Gather<axis=2>(o1, r)"))),
        one=np.int64(1), f=np.int64(50), k=np.array([0, 60, -1, 8]), r=np.arange(8)[::-1].copy(),
        feeds={"x": normal(1, 60, 8)}),
    hidden("function of a branch", "q = m.F(e)", functions=FUNCTION.format("Sin(a)"),
           student_functions=FUNCTION.format("Cos(a)"), imports={"m": 1}),
    hidden("function of a function of a branch", "q = m.F(e)", imports={"m": 1}, **{
        name: FUNCTION.format("m.G(a)").replace("18", '18, "m": 1') + FUNCTION.replace("F (", "G (").format(operator)
        for name, operator in (("functions", "Sin(a)"), ("student_functions", "Cos(a)"))}),
    hidden("version of a branch", "q = Softmax<axis=1>(e)", opset=12, student_opset=13),
    *(hidden(f"sparse constant of a {where}", nodes, both=lambda model: sparse(model, 1),
             edit=lambda model: sparse(model, 2))
      for where, nodes in (("branch", "q = Mul(e, S)"), ("body in a branch", "q = If(c) <then_branch = m () => "
          "(float[A, B, C, 8] g) { g = Mul(e, S) }, else_branch = n () => (float[A, B, C, 8] h) { h = Neg(e) }>"))),
    pair("attribute of a function around a branch", ANY, *(
        f"{LENGTH} c = Greater(l, f) d = Shape(x) y = m.F<axis={axis}>(x, d, k, c)" for axis in (1, 2)),
        functions="<domain: \"m\", opset_import: [\"\": 18]> F <axis: int> (x, d, k, c) => (y) { " + HIDDEN.format(
            "q = Softmax<axis: int = @axis>(e)") + " }", imports={"m": 1}, f=np.int64(50), k=np.array([0, 60, -1, 8]),
        feeds={"x": normal(1, 60, 8)}),
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
    # what is alone at all lengths that are run first
    pair("largest or smallest of every third row", SAME, "r = Slice(x, o, e, o, t) m = ReduceMax(r, o) y = Add(x, m)",
         "r = Slice(x, o, e, o, t) m = ReduceMin(r, o) y = Add(x, m)", o=np.array([0]), e=np.array([1 << 40]),
         t=np.array([3]), feeds={"x": normal(7, 8)}),
    pair("sum or mean of every fortieth place", ANY, "r = Slice(x, z, e, o, t) m = ReduceSum(r, o) y = Add(x, m)",
         "r = Slice(x, z, e, o, t) m = ReduceMean(r, o) y = Add(x, m)", z=np.array([0]), o=np.array([1]),
         e=np.array([1 << 40]), t=np.array([40]), feeds={"x": normal(1, 60, 8)}),
    pair("weights of a Softmax over every third row", SAME, "r = Slice(x, o, e, o, t) s = Softmax<axis=0>(r) "
         "p = Mul(s, r) m = ReduceSum(p, o) y = Add(x, m)", "r = Slice(x, o, e, o, t) n = Neg(r) "
         "s = Softmax<axis=0>(n) p = Mul(s, r) m = ReduceSum(p, o) y = Add(x, m)", o=np.array([0]),
         e=np.array([1 << 40]), t=np.array([3]), feeds={"x": normal(7, 8)}),
]  # fmt: skip
